//! What Parquet calls a codec.

use parquet::basic::{Compression as Codec, ZstdLevel};

use crate::sink::Compression;
use crate::sink::codec::zstd_level;

pub(super) fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        // Compression's levels are those of the codec.
        Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(zstd_level(level)).unwrap_or_default()),
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Snappy => Codec::SNAPPY,
    }
}
