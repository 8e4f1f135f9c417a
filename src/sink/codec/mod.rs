//! Compresses pages and buffers, with contexts and memory that are used again.

mod bits;
mod block;
mod blocks;
mod fse;
mod huffman;
#[cfg(feature = "ipc")]
mod numbers;
mod overlap;
mod sequences;
mod told;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::Schema;
#[cfg(feature = "ipc")]
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use self::blocks::Block;
use self::overlap::Overlap;
pub(super) use self::overlap::Place;
use self::sequences::Sequences;
use self::told::Told;
use super::Compression;

/// The level of Zstandard, where nobody chose one.
const ZSTD_LEVEL: u8 = 1;

/// What Zstandard's level is.
pub(super) fn zstd_level(level: Option<u8>) -> i32 {
    level.unwrap_or(ZSTD_LEVEL).into()
}

/// Whether it is the level that is told what repeats itself: a higher one looks further than from one window to the next.
fn is_fast_zstd(compression: Compression) -> bool {
    matches!(compression, Compression::Zstd(None | Some(1)))
}

/// What patches have in common, if that is worth more than what the codec would find by itself.
fn known(compression: Compression, schema: &Schema) -> Option<Overlap> {
    match compression {
        _ if is_fast_zstd(compression) => Overlap::of(schema, Sequences::LIMITS),
        Compression::Lz4 => Overlap::of(schema, Block::LIMITS),
        _ => None,
    }
}

/// Bytes of rows from which nothing is gained any more by taking more of them, about: repetitions are known within pages
/// and buffers alone.
pub(super) fn span(compression: Compression, schema: &Schema) -> u64 {
    known(compression, schema).map_or(0, |overlap| overlap.span() as u64)
}

/// How LZ4 stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lz4 {
    /// A block alone, as in Parquet.
    #[cfg(feature = "parquet")]
    Block,
    /// A frame, as in Arrow IPC.
    #[cfg(feature = "ipc")]
    Frame,
}

/// What bytes are, as far as it is known what repeats itself in them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    /// Patches, and where.
    Patches(Place),
    /// Window ids or coordinates, in eight bytes each.
    #[cfg(feature = "ipc")]
    Numbers,
    Other,
}

/// Compressors that lie idle, shared by the pages in the making.
#[derive(Clone)]
pub(super) struct Compressors {
    compression: Compression,
    lz4: Lz4,
    overlap: Option<Arc<Overlap>>,
    idle: Arc<Mutex<Vec<Compressor>>>,
}

impl Compressors {
    pub(super) fn new(compression: Compression, lz4: Lz4, schema: &Schema) -> Self {
        let overlap = known(compression, schema).map(Arc::new);
        Self { compression, lz4, overlap, idle: Arc::default() }
    }

    /// The bytes compressed; `None` if they stay as they are.
    pub(super) fn compress(&self, bytes: &[u8], holds: Holds) -> io::Result<Option<Vec<u8>>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = idle().pop();
        let mut compressor = match lent {
            Some(compressor) => compressor,
            None => Compressor::new(self.compression, self.lz4)?,
        };
        let known = match (holds, &self.overlap) {
            (Holds::Patches(place), Some(overlap)) => Known::Patches(overlap, place),
            #[cfg(feature = "ipc")]
            // LZ4 finds about as much by itself.
            (Holds::Numbers, _) if is_fast_zstd(self.compression) => Known::Numbers,
            _ => Known::Nothing,
        };
        let compressed = compressor.compress(bytes, known)?;
        idle().push(compressor);
        Ok(compressed)
    }
}

/// What is known of bytes that are to be compressed.
#[derive(Clone, Copy)]
enum Known<'a> {
    Patches(&'a Overlap, Place),
    #[cfg(feature = "ipc")]
    Numbers,
    Nothing,
}

struct Compressor {
    codec: State,
    /// As large as a page may become; what is kept of it is copied out, since it is mostly much less.
    out: Vec<u8>,
}

enum State {
    None,
    Zstd(zstd::bulk::Compressor<'static>, Box<Sequences>),
    Lz4(Lz4, Block),
    #[cfg(feature = "parquet")]
    Snappy(Box<snap::raw::Encoder>),
}

impl Compressor {
    fn new(compression: Compression, lz4: Lz4) -> io::Result<Self> {
        let codec = match compression {
            Compression::None => State::None,
            Compression::Zstd(level) => State::Zstd(zstd::bulk::Compressor::new(zstd_level(level))?, Box::default()),
            Compression::Lz4 => State::Lz4(lz4, Block::default()),
            #[cfg(feature = "parquet")]
            Compression::Snappy => State::Snappy(Box::new(snap::raw::Encoder::new())),
            #[cfg(not(feature = "parquet"))]
            Compression::Snappy => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self { codec, out: Vec::new() })
    }

    fn compress(&mut self, bytes: &[u8], known: Known) -> io::Result<Option<Vec<u8>>> {
        let out = &mut self.out;
        out.clear();
        match &mut self.codec {
            State::None => return Ok(None),
            State::Zstd(zstd, sequences) => {
                if !known.told(bytes, &mut **sequences) || !sequences.compress(bytes, out) {
                    out.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                    zstd.compress_to_buffer(bytes, out)?;
                }
            }
            State::Lz4(lz4, block) => match lz4 {
                #[cfg(feature = "parquet")]
                Lz4::Block if known.told(bytes, &mut *block) => out.extend_from_slice(block.finish()),
                #[cfg(feature = "parquet")]
                Lz4::Block => {
                    out.resize(lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
                    let length = lz4_flex::block::compress_into(bytes, out).map_err(io::Error::other)?;
                    out.truncate(length);
                }
                #[cfg(feature = "ipc")]
                Lz4::Frame if bytes.len() <= blocks::FRAME_BLOCK_BYTES && known.told(bytes, &mut *block) => {
                    blocks::frame(block.finish(), out);
                }
                #[cfg(feature = "ipc")]
                Lz4::Frame => {
                    let info = FrameInfo::new().block_size(BlockSize::Max4MB);
                    let mut frame = FrameEncoder::with_frame_info(info, &mut *out);
                    frame.write_all(bytes)?;
                    frame.finish().map_err(io::Error::other)?;
                }
            },
            #[cfg(feature = "parquet")]
            State::Snappy(snappy) => {
                out.resize(snap::raw::max_compress_len(bytes.len()), 0);
                let length = snappy.compress(bytes, out).map_err(io::Error::other)?;
                out.truncate(length);
            }
        }
        Ok(Some(out.as_slice().to_vec()))
    }
}

impl Known<'_> {
    /// Whether a codec was told of enough that repeats itself.
    fn told(self, bytes: &[u8], to: &mut impl Told) -> bool {
        match self {
            Known::Patches(overlap, place) => overlap.tell(bytes, place, to),
            #[cfg(feature = "ipc")]
            Known::Numbers => numbers::tell(bytes, to),
            Known::Nothing => false,
        }
    }
}
