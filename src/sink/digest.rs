//! What tells a file from a broken one: its size and a checksum.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What tells a file from a broken one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Bytes of the file.
    pub bytes: u64,
    /// CRC-32 of all of them, as in zip and PNG.
    pub crc32: u32,
}

impl Digest {
    /// That of a file; `None` if it is not there.
    pub(super) fn of(path: &Path) -> Result<Option<Self>> {
        let fail = |error| Error::io(path, "read", error);
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(fail)?,
        };
        let (mut digested, mut buffer) = (Digested::new(io::sink()), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Some(digested.finish().1)),
                Ok(n) => digested.add(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fail(error)),
            }
        }
    }
}

/// A writer whose bytes are digested on their way.
pub(super) struct Digested<W> {
    inner: W,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl<W> Digested<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: crc32fast::Hasher::new(), bytes: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(super) fn finish(self) -> (W, Digest) {
        (self.inner, Digest { bytes: self.bytes, crc32: self.hasher.finalize() })
    }
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.add(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
