//! Compresses pages, with contexts and buffers that are used again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::{Compression as Codec, ZstdLevel};

use crate::sink::Compression;

/// What Parquet calls a codec.
pub(super) fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        // Compression's levels are those of the codec.
        Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(zstd_level(level)).unwrap_or_default()),
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Snappy => Codec::SNAPPY,
    }
}

fn zstd_level(level: Option<u8>) -> i32 {
    level.unwrap_or(1).into()
}

/// Compressors that lie idle, shared by the pages in the making.
#[derive(Clone)]
pub(super) struct Compressors {
    compression: Compression,
    idle: Arc<Mutex<Vec<Compressor>>>,
}

impl Compressors {
    pub(super) fn new(compression: Compression) -> Self {
        Self { compression, idle: Arc::default() }
    }

    /// The page compressed; `None` if it stays as it is.
    pub(super) fn compress(&self, page: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = idle().pop();
        let mut compressor = match lent {
            Some(compressor) => compressor,
            None => Compressor::new(self.compression)?,
        };
        let compressed = compressor.compress(page)?;
        idle().push(compressor);
        Ok(compressed)
    }
}

struct Compressor {
    codec: State,
    /// As large as a page may become; what is kept of it is copied out, since it is mostly much less.
    out: Vec<u8>,
}

enum State {
    None,
    Zstd(zstd::bulk::Compressor<'static>),
    Lz4,
    Snappy(Box<snap::raw::Encoder>),
}

impl Compressor {
    fn new(compression: Compression) -> io::Result<Self> {
        let codec = match compression {
            Compression::None => State::None,
            Compression::Zstd(level) => State::Zstd(zstd::bulk::Compressor::new(zstd_level(level))?),
            Compression::Lz4 => State::Lz4,
            Compression::Snappy => State::Snappy(Box::new(snap::raw::Encoder::new())),
        };
        Ok(Self { codec, out: Vec::new() })
    }

    fn compress(&mut self, page: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let out = &mut self.out;
        let bytes = match &mut self.codec {
            State::None => return Ok(None),
            State::Zstd(zstd) => {
                out.clear();
                out.reserve(zstd::zstd_safe::compress_bound(page.len()));
                zstd.compress_to_buffer(page, out)?
            }
            State::Lz4 => {
                out.resize(lz4_flex::block::get_maximum_output_size(page.len()), 0);
                lz4_flex::block::compress_into(page, out).map_err(io::Error::other)?
            }
            State::Snappy(snappy) => {
                out.resize(snap::raw::max_compress_len(page.len()), 0);
                snappy.compress(page, out).map_err(io::Error::other)?
            }
        };
        Ok(Some(out[..bytes].to_vec()))
    }
}
