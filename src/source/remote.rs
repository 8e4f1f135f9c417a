//! A file in a bucket or on a server, read by requests for parts of it.
//!
//! What lies near each other is asked for at once: small reads by blocks, of which a few MiB are kept; and what a reader
//! says that it [wants](Reader::want) in few requests, several of which are on their way while it works.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::without_query;
use crate::bucket::{Bucket, Part, Requested, Version};
use crate::{Error, Result};

/// Bytes of a block, and how many blocks are kept.
const BLOCK: u64 = 64 << 10;
const MOST_BLOCKS: usize = 128;

/// The most blocks of one request: what is read forward is read ahead by twice as many each time.
const MOST_AHEAD: u64 = 16;

/// Reads of more are asked for as they are.
const MOST_SMALL: u64 = 64 * BLOCK;

/// What lies between two reads that are one request, at most, and the most bytes of a request for several reads.
const GAP: u64 = 16 << 10;
const REQUEST: u64 = 2 << 20;

/// Requests that are on their way or have come, but were not read yet: how many, and of how many bytes about.
const FLYING: usize = 8;
const FLYING_BYTES: u64 = 16 << 20;

/// The most memory that a file takes besides a part that is read as a whole.
pub(crate) const MEMORY: u64 = MOST_BLOCKS as u64 * BLOCK + FLYING_BYTES + REQUEST;

/// A file on another machine, as it was when it was first asked for.
#[derive(Debug)]
pub(crate) struct Remote {
    name: PathBuf,
    place: Bucket,
    version: Version,
    blocks: Mutex<Blocks>,
}

/// Blocks that were read.
#[derive(Debug, Default)]
struct Blocks {
    /// Each with the time when it was last asked for.
    kept: HashMap<u64, (Bytes, u64)>,
    time: u64,
    /// The blocks of the last request.
    last: Range<u64>,
}

impl Remote {
    /// Asks for the start of a file, and so for what it is.
    pub(crate) fn open(address: &Path) -> Result<Self> {
        let place = Bucket::to_read(address)?;
        let path = &without_query(address);
        let opened = place.part("", 0..BLOCK).and_then(Requested::wait);
        let part = match opened {
            Ok(part) => part,
            // There is no first byte of an empty file.
            Err(error) => match place.version("") {
                Ok(Version { bytes: 0, .. }) => Part { version: Version::default(), bytes: Bytes::new() },
                _ => return Err(Error::io(path, "open", refused(path, error))),
            },
        };
        let mut blocks = Blocks::default();
        let expected = part.version.bytes.min(BLOCK);
        if part.bytes.len() as u64 != expected {
            return Err(cut(path, part.bytes.len() as u64, &(0..expected)));
        }
        blocks.put(0..1, &part.bytes);
        Ok(Self { name: path.to_owned(), place, version: part.version, blocks: Mutex::new(blocks) })
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    pub(crate) fn len(&self) -> u64 {
        self.version.bytes
    }

    /// Waits for a request: so many bytes of the same file.
    fn arrived(&self, requested: Requested, range: &Range<u64>) -> Result<Bytes> {
        let changed = || Error::format(self.name.display().to_string(), "the file changed while it was read");
        let part = requested.wait().map_err(|error| match self.place.version("") {
            // A part that is no longer there, for one.
            Ok(version) if version != self.version => changed(),
            _ => Error::io(&self.name, "read", refused(&self.name, error)),
        })?;
        if part.version != self.version {
            return Err(changed());
        }
        if part.bytes.len() as u64 != range.end - range.start {
            return Err(cut(&self.name, part.bytes.len() as u64, range));
        }
        Ok(part.bytes)
    }

    fn request(&self, range: &Range<u64>) -> Result<Requested> {
        self.place.part("", range.clone()).map_err(|error| Error::io(&self.name, "read", error))
    }

    fn get(&self, range: &Range<u64>) -> Result<Bytes> {
        self.arrived(self.request(range)?, range)
    }

    /// Fills `out` from blocks, the missing ones of which are asked for.
    fn read_blocks(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let mut blocks = locked(&self.blocks);
        let end = offset + out.len() as u64;
        let mut at = offset;
        while at < end {
            let number = at / BLOCK;
            let Some(block) = blocks.get(number) else {
                let missing = blocks.missing(number..end.div_ceil(BLOCK));
                let range = missing.start * BLOCK..(missing.end * BLOCK).min(self.len());
                let bytes = self.get(&range)?;
                blocks.put(missing, &bytes);
                continue;
            };
            let first = (at - number * BLOCK) as usize;
            let bytes = (block.len() - first).min((end - at) as usize);
            out[(at - offset) as usize..][..bytes].copy_from_slice(&block[first..first + bytes]);
            at += bytes as u64;
        }
        Ok(())
    }
}

impl Blocks {
    fn get(&mut self, number: u64) -> Option<Bytes> {
        self.time += 1;
        let (block, used) = self.kept.get_mut(&number)?;
        *used = self.time;
        Some(block.clone())
    }

    /// What to ask for where the first of these is missing: those of them that are, and more of a file that is read on and
    /// on.
    fn missing(&self, wanted: Range<u64>) -> Range<u64> {
        let have = |number: &u64| self.kept.contains_key(number);
        let end = wanted.clone().find(have).unwrap_or(wanted.end);
        let last = self.last.end - self.last.start;
        let ahead = if wanted.start == self.last.end { (last * 2).min(MOST_AHEAD) } else { 1 };
        let ahead = (wanted.start..wanted.start + ahead).find(have).unwrap_or(wanted.start + ahead);
        wanted.start..end.max(ahead)
    }

    fn put(&mut self, numbers: Range<u64>, bytes: &Bytes) {
        self.time += 1;
        self.last = numbers.clone();
        for (number, start) in numbers.zip((0..bytes.len()).step_by(BLOCK as usize)) {
            // A copy of its own: what is thrown away then takes no memory.
            let block = Bytes::copy_from_slice(&bytes[start..bytes.len().min(start + BLOCK as usize)]);
            self.kept.insert(number, (block, self.time));
        }
        if self.kept.len() > MOST_BLOCKS {
            let mut times: Vec<_> = self.kept.values().map(|(_, used)| *used).collect();
            times.sort_unstable();
            // Half of them, and those of this time never.
            let oldest = times[times.len() - MOST_BLOCKS / 2].min(self.time);
            self.kept.retain(|_, (_, used)| *used >= oldest);
        }
    }
}

/// One pass over a remote file.
#[derive(Debug)]
pub(crate) struct Reader {
    remote: Arc<Remote>,
    ahead: Mutex<Ahead>,
}

/// What will be read, in its order.
#[derive(Debug, Default)]
struct Ahead {
    parts: VecDeque<Wanted>,
}

/// A part of the file for one request.
#[derive(Debug)]
struct Wanted {
    range: Range<u64>,
    state: State,
}

#[derive(Debug)]
enum State {
    Later,
    Coming(Requested),
    Here(Bytes),
}

impl Reader {
    pub(crate) fn new(remote: Arc<Remote>) -> Self {
        Self { remote, ahead: Mutex::default() }
    }

    /// Says what will be read next, in this order. It is asked for in as few requests as make sense, some of them at once.
    pub(crate) fn want(&self, reads: impl IntoIterator<Item = Range<u64>>) {
        let mut ahead = locked(&self.ahead);
        ahead.parts.clear();
        for read in reads.into_iter().filter(|read| read.start < read.end) {
            match ahead.parts.back_mut() {
                Some(Wanted { range, .. })
                    if (range.end..=range.end.saturating_add(GAP)).contains(&read.start)
                        && read.end - range.start <= REQUEST =>
                {
                    range.end = read.end;
                }
                _ => ahead.parts.push_back(Wanted { range: read, state: State::Later }),
            }
        }
    }

    /// Fills `out` with the bytes from `offset` on, which are in the file.
    pub(crate) fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        if self.read_wanted(out, offset)? {
            return Ok(());
        }
        if out.len() as u64 <= MOST_SMALL {
            return self.remote.read_blocks(out, offset);
        }
        out.copy_from_slice(&self.remote.get(&(offset..offset + out.len() as u64))?);
        Ok(())
    }

    /// Reads from what was asked for before, if it is there. What was to be read before it will not be.
    fn read_wanted(&self, out: &mut [u8], offset: u64) -> Result<bool> {
        let end = offset + out.len() as u64;
        let mut ahead = locked(&self.ahead);
        let holds = |part: &Wanted| part.range.start <= offset && end <= part.range.end;
        let Some(number) = ahead.parts.iter().position(holds) else { return Ok(false) };
        ahead.parts.drain(..number);
        ahead.start(&self.remote)?;
        let Wanted { range, state } = &mut ahead.parts[0];
        let bytes = match std::mem::replace(state, State::Later) {
            State::Here(bytes) => bytes,
            State::Coming(requested) => self.remote.arrived(requested, range)?,
            State::Later => self.remote.get(range)?,
        };
        let first = (offset - range.start) as usize;
        out.copy_from_slice(&bytes[first..first + out.len()]);
        if end == range.end {
            ahead.parts.pop_front();
            ahead.start(&self.remote)?;
        } else {
            *state = State::Here(bytes);
        }
        Ok(true)
    }
}

impl Ahead {
    /// Starts requests, as many as may be on their way.
    fn start(&mut self, remote: &Remote) -> Result<()> {
        let mut bytes = 0;
        for (number, Wanted { range, state }) in self.parts.iter_mut().take(FLYING).enumerate() {
            bytes += range.end - range.start;
            if number > 0 && bytes > FLYING_BYTES {
                break;
            }
            if matches!(state, State::Later) {
                *state = State::Coming(remote.request(range)?);
            }
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cut(name: &Path, got: u64, range: &Range<u64>) -> Error {
    let message = format!("of bytes {}..{} {got} came: expected {}", range.start, range.end, range.end - range.start);
    Error::format(name.display().to_string(), message)
}

/// What a server that has no bucket means.
fn refused(name: &Path, error: io::Error) -> io::Error {
    let kind = error.kind();
    match kind {
        _ if name.starts_with("s3://") => error,
        io::ErrorKind::NotFound => io::Error::new(kind, "the server has no such file"),
        io::ErrorKind::PermissionDenied => io::Error::new(kind, "the server gives this file to nobody, or not to us"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(have: &[u64]) -> Blocks {
        let mut blocks = Blocks::default();
        for &number in have {
            blocks.put(number..number + 1, &Bytes::from(vec![number as u8; BLOCK as usize]));
        }
        blocks
    }

    #[test]
    fn what_is_read_forward_is_read_ahead() {
        let mut blocks = blocks(&[0]);
        assert_eq!(blocks.missing(1..2), 1..3);
        blocks.put(1..3, &Bytes::from(vec![0; 2 * BLOCK as usize]));
        assert_eq!(blocks.missing(3..4), 3..7);
        assert_eq!(blocks.missing(9..10), 9..10, "elsewhere");
        assert_eq!(blocks.missing(9..30), 9..30);
        blocks.put(5..6, &Bytes::from(vec![0; BLOCK as usize]));
        assert_eq!(blocks.missing(3..9), 3..5, "what is there ends a request");
    }

    #[test]
    fn few_blocks_are_kept() {
        let mut blocks = blocks(&(0..3 * MOST_BLOCKS as u64).collect::<Vec<_>>());
        assert!(blocks.kept.len() <= MOST_BLOCKS);
        assert!(blocks.get(3 * MOST_BLOCKS as u64 - 1).is_some() && blocks.get(0).is_none());
    }
}
