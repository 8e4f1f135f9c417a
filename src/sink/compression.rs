//! Codecs, as users name them.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A codec for the pages of a file, written `none`, `zstd`, `zstd:3`, `lz4` or `snappy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// Zstandard at a level from 1 to 22, or the writer's own: removes most of the redundancy of overlapping windows.
    Zstd(Option<u8>),
    /// LZ4: larger files that are unpacked faster. It reaches 64 KiB back, and of a wide image not to the line above.
    Lz4,
    /// Snappy, for old readers of Parquet.
    Snappy,
}

impl Compression {
    /// The same codec by its level, where nobody chose one.
    pub(crate) fn by_level(self) -> Self {
        if self == Compression::Zstd(None) { Self::default() } else { self }
    }
}

/// Zstandard at level 1, its fastest.
impl Default for Compression {
    fn default() -> Self {
        Compression::Zstd(Some(1))
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            Error::argument(
                "compression",
                format!("{text:?} is not one of none, zstd, zstd:LEVEL (1 to 22), lz4, snappy"),
            )
        };
        match text.split_once(':') {
            None => match text {
                "none" => Ok(Compression::None),
                "zstd" => Ok(Compression::Zstd(None)),
                "lz4" => Ok(Compression::Lz4),
                "snappy" => Ok(Compression::Snappy),
                _ => Err(refuse()),
            },
            Some(("zstd", level)) => match level.parse() {
                Ok(level) if (1..=22).contains(&level) => Ok(Compression::Zstd(Some(level))),
                _ => Err(refuse()),
            },
            Some(_) => Err(refuse()),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.write_str("none"),
            Compression::Zstd(None) => f.write_str("zstd"),
            Compression::Zstd(Some(level)) => write!(f, "zstd:{level}"),
            Compression::Lz4 => f.write_str("lz4"),
            Compression::Snappy => f.write_str("snappy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for name in ["none", "zstd", "zstd:1", "zstd:22", "lz4", "snappy"] {
            assert_eq!(name.parse::<Compression>().unwrap().to_string(), name);
        }
        for name in ["", "zstd:0", "zstd:23", "zstd:", "lz4:1", "gzip", "ZSTD"] {
            assert!(name.parse::<Compression>().is_err(), "{name}");
        }
    }
}
