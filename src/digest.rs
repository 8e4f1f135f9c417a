//! What tells a file from a broken one: its size and a checksum.

use std::fmt;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// What tells a file from a broken one, or an image from one that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Bytes of the file.
    pub bytes: u64,
    /// CRC-32 of all of them, as in zip and PNG.
    pub crc32: u32,
}

impl Digest {
    /// That of all that is left to read.
    pub(crate) fn of(mut from: impl Read) -> io::Result<Self> {
        let (mut digested, mut buffer) = (Digested::new(io::sink()), vec![0; 1 << 20]);
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(digested.finish().1),
                Ok(n) => digested.add(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with CRC-32 {:08x}", self.bytes, self.crc32)
    }
}

/// A writer whose bytes are digested on their way.
pub(crate) struct Digested<W> {
    inner: W,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl<W> Digested<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: crc32fast::Hasher::new(), bytes: 0 }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> (W, Digest) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_or_written_it_is_the_same() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let mut digested = Digested::new(Vec::new());
        digested.write_all(&bytes).unwrap();
        let (written, digest) = digested.finish();
        assert_eq!(written, bytes);
        assert_eq!(Digest::of(&bytes[..]).unwrap(), digest);
        // The check value of CRC-32 as in zip.
        assert_eq!(Digest::of(&b"123456789"[..]).unwrap().to_string(), "9 bytes with CRC-32 cbf43926");
    }
}
