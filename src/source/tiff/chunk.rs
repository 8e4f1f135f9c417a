//! Decodes one strip or tile.
//!
//! The `tiff` crate decodes images, not chunks: it drops samples that its colour types don't name, inverts white-is-zero
//! images, and believes the file. So each chunk is given to it as a TIFF file of its own, made in memory: one strip of
//! plain gray or many-band samples under a header that was written here.

use std::io::Cursor;
use std::ops::Range;

use libdeflater::Decompressor;
use tiff::decoder::{Decoder, Limits};

use super::jpeg;
use super::page::{Compression, Page};
use crate::source::file::DataFile;
use crate::source::guard::guard;
use crate::source::swap::swap_bytes;
use crate::{Error, ErrorKind, Result};

/// Decodes the chunks of one page, one after the other, in buffers that it keeps.
pub(super) struct ChunkDecoder {
    /// A TIFF file of one chunk.
    packed: Vec<u8>,
    /// Where the bytes of the chunk start in it.
    start: usize,
    inflater: Option<Decompressor>,
    /// Samples of fewer than 8 bits, before they are unpacked.
    bits: Vec<u8>,
}

impl ChunkDecoder {
    pub(super) fn new() -> Self {
        Self { packed: Vec::new(), start: 0, inflater: None, bits: Vec::new() }
    }

    /// Fills `out` with rows of a chunk; all that it stores, unless rows can be read alone. Samples come in the byte
    /// order of this machine.
    pub(super) fn decode(
        &mut self,
        file: &DataFile,
        page: &Page,
        chunk: usize,
        rows: Range<u64>,
        out: &mut [u8],
    ) -> Result<()> {
        if page.bits >= 8 {
            return self.decode_stored(file, page, chunk, rows, out);
        }
        let count = rows.end - rows.start;
        self.unpack_bits(page, count, out, |decoder, bits| decoder.decode_stored(file, page, chunk, rows, bits))
    }

    /// As [`decode`](Self::decode), but bits stay packed.
    fn decode_stored(
        &mut self,
        file: &DataFile,
        page: &Page,
        chunk: usize,
        rows: Range<u64>,
        out: &mut [u8],
    ) -> Result<()> {
        if page.compression == Compression::None {
            file.read_at(out, page.chunks[chunk].0 + rows.start * page.row_bytes())?;
            if page.header.big_endian != cfg!(target_endian = "big") {
                swap_bytes(out, page.dtype.size());
            }
            return Ok(());
        }
        self.load(file, page, chunk, rows.end - rows.start)?;
        self.unpack_stored(&file.name(), page, chunk, rows.end - rows.start, out)
    }

    /// Reads a compressed chunk of so many rows from the file.
    pub(super) fn load(&mut self, file: &DataFile, page: &Page, chunk: usize, rows: u64) -> Result<()> {
        let (offset, bytes) = page.chunks[chunk];
        let start = write_header(&mut self.packed, page, rows, bytes);
        resize(&mut self.packed, start + bytes as usize)?;
        file.read_at(&mut self.packed[start..], offset)?;
        self.start = start;
        Ok(())
    }

    /// Fills `out` with the rows of the chunk that was loaded, from the file called `name`.
    pub(super) fn unpack(&mut self, name: &str, page: &Page, chunk: usize, rows: u64, out: &mut [u8]) -> Result<()> {
        if page.bits >= 8 {
            return self.unpack_stored(name, page, chunk, rows, out);
        }
        self.unpack_bits(page, rows, out, |decoder, bits| decoder.unpack_stored(name, page, chunk, rows, bits))
    }

    fn unpack_stored(&mut self, name: &str, page: &Page, chunk: usize, rows: u64, out: &mut [u8]) -> Result<()> {
        let packed = &self.packed[self.start..];
        if page.compression == Compression::Jpeg {
            jpeg::check(packed, rows..=page.chunk_height, page.chunk_width, page.chunk_samples())
                .map_err(|message| Error::format(name, format!("chunk {chunk}: {message}")))?;
        }
        if page.compression == Compression::Deflate && page.predictor != FLOATS && self.inflate(page, out) {
            return Ok(());
        }
        guard(name, || {
            let mut decoder = Decoder::new(Cursor::new(self.packed.as_slice()))?.with_limits(Limits::unlimited());
            decoder.read_chunk_bytes(0, out)
        })
        .map_err(|error| match error.kind() {
            ErrorKind::Format { name, message } => Error::format(name, format!("chunk {chunk}: {message}")),
            _ => error,
        })?;
        if page.ycbcr {
            jpeg::to_rgb(out);
        }
        if page.predictor == DIFFERENCES {
            add_differences(out, page);
        }
        Ok(())
    }

    /// Inflates the chunk at once, which takes far less time than piece by piece. `false` if it is not all that it should
    /// be, exactly: what is wrong with it is for the decoder to say, which reads on as far as it can.
    fn inflate(&mut self, page: &Page, out: &mut [u8]) -> bool {
        let inflater = self.inflater.get_or_insert_with(Decompressor::new);
        if inflater.zlib_decompress(&self.packed[self.start..], out) != Ok(out.len()) {
            return false;
        }
        if page.header.big_endian != cfg!(target_endian = "big") {
            swap_bytes(out, page.dtype.size());
        }
        if page.predictor == DIFFERENCES {
            add_differences(out, page);
        }
        true
    }

    /// Fills `out` with samples of fewer than 8 bits, whose bytes are filled by `stored`.
    fn unpack_bits(
        &mut self,
        page: &Page,
        rows: u64,
        out: &mut [u8],
        stored: impl FnOnce(&mut Self, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let row_bytes = page.row_bytes() as usize;
        let mut bits = std::mem::take(&mut self.bits);
        resize(&mut bits, row_bytes * rows as usize)?;
        let done = stored(self, &mut bits);
        let row_samples = (page.chunk_width * page.chunk_samples()) as usize;
        for (out, row) in out.chunks_exact_mut(row_samples).zip(bits.chunks_exact(row_bytes)) {
            unpack(row, page.bits as usize, out);
        }
        self.bits = bits;
        done
    }
}

/// Predictors: differences of neighbours, and bytes of floats by significance.
const DIFFERENCES: u64 = 2;
const FLOATS: u64 = 3;

/// Samples from their differences to the ones before them on the line, of the same band.
fn add_differences(out: &mut [u8], page: &Page) {
    if page.compression == Compression::Jpeg {
        return;
    }
    let bands = page.chunk_samples() as usize;
    let line = page.chunk_width as usize * bands * page.dtype.size();
    macro_rules! add {
        ($number:ty) => {
            for line in out.chunks_exact_mut(line) {
                let (cells, _) = line.as_chunks_mut::<{ size_of::<$number>() }>();
                if bands == 1 {
                    let mut sum: $number = 0;
                    for cell in cells {
                        sum = sum.wrapping_add(<$number>::from_ne_bytes(*cell));
                        *cell = sum.to_ne_bytes();
                    }
                } else {
                    for i in bands..cells.len() {
                        let before = <$number>::from_ne_bytes(cells[i - bands]);
                        cells[i] = <$number>::from_ne_bytes(cells[i]).wrapping_add(before).to_ne_bytes();
                    }
                }
            }
        };
    }
    match page.dtype.size() {
        1 => add!(u8),
        2 => add!(u16),
        4 => add!(u32),
        _ => add!(u64),
    }
}

/// Starts a BigTIFF file of one strip in `out`, all but the bytes of the strip. Gives the place where they go.
fn write_header(out: &mut Vec<u8>, page: &Page, rows: u64, bytes: u64) -> usize {
    let tables = page.jpeg_tables.len() as u64;
    let count = if tables > 0 { 12 } else { 11 };
    let tables_at = 16 + 8 + 20 * count + 8;
    let strip_at = tables_at + tables;
    let big = page.header.big_endian;
    let u16s = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let u64s = |n: u64| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    out.clear();
    out.extend(if big { b"MM" } else { b"II" });
    [43, 8, 0].into_iter().for_each(|n| out.extend(u16s(n)));
    [16, count].into_iter().for_each(|n| out.extend(u64s(n)));
    let mut entry = |tag: u16, kind: u16, count: u64, value: u64| {
        [tag, kind].into_iter().for_each(|n| out.extend(u16s(n)));
        [count, value].into_iter().for_each(|n| out.extend(u64s(n)));
    };
    const LONG8: u16 = 16;
    const UNDEFINED: u16 = 7;
    const BLACK_IS_ZERO: u64 = 1;
    for (tag, value) in [
        (256, page.chunk_width),
        (257, rows),
        (258, page.bits),
        (259, page.compression as u64),
        (262, BLACK_IS_ZERO),
        (273, strip_at),
        (277, page.chunk_samples()),
        (278, rows),
        (279, bytes),
        // Differences are added here, whatever the compression.
        (317, if page.predictor == FLOATS && page.compression != Compression::Jpeg { FLOATS } else { 1 }),
        (339, page.sample_format),
    ] {
        entry(tag, LONG8, 1, value);
    }
    if tables > 0 {
        entry(347, UNDEFINED, tables, tables_at);
    }
    out.extend(u64s(0));
    out.extend(&page.jpeg_tables);
    out.len()
}

/// A buffer of `len` bytes, without an abort where memory is short.
pub(super) fn resize(buffer: &mut Vec<u8>, len: usize) -> Result<()> {
    let more = len.saturating_sub(buffer.len());
    buffer.try_reserve(more).map_err(|_| ErrorKind::Memory { what: "a chunk of a TIFF file", bytes: len })?;
    buffer.resize(len, 0);
    Ok(())
}

/// Samples of 1, 2 or 4 bits as bytes; the first one is in the highest bits.
fn unpack(row: &[u8], bits: usize, out: &mut [u8]) {
    let per_byte = 8 / bits;
    let mask = 0xff >> (8 - bits);
    for (i, out) in out.iter_mut().enumerate() {
        let shift = 8 - bits * (i % per_byte + 1);
        *out = row[i / per_byte] >> shift & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_unpacked_from_the_highest() {
        let mut out = [9; 10];
        unpack(&[0b1010_0001, 0b0100_0000], 1, &mut out);
        assert_eq!(out, [1, 0, 1, 0, 0, 0, 0, 1, 0, 1]);
        unpack(&[0b1101_0010, 0b0100_0000], 2, &mut out[..5]);
        assert_eq!(out[..5], [3, 1, 0, 2, 1]);
        unpack(&[0xab, 0xc0], 4, &mut out[..3]);
        assert_eq!(out[..3], [10, 11, 12]);
    }
}
