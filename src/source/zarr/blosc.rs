//! Blosc 1 buffers: blocks of bytes, shuffled by significance and packed by one of five codecs.
//!
//! Written after the format's description and reference code (c-blosc), since bindings to that would bring a C library to
//! every build, and nothing that a file claims may be believed here: every length is checked before it is used.

use flate2::read::ZlibDecoder;
use std::io::Read;

const HEADER: usize = 16;
const SHUFFLED: u8 = 0x01;
const STORED: u8 = 0x02;
const BIT_SHUFFLED: u8 = 0x04;
const LATER: u8 = 0x08;
const UNSPLIT: u8 = 0x10;

/// Blocks were split in as many streams as a number has bytes, up to so many, and in parts of at least so many bytes.
const MAX_SPLITS: usize = 16;
const MIN_PART: usize = 128;

/// Unpacks a buffer, which may hold `most` bytes.
pub(super) fn decode(packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let Some((header, _)) = packed.split_at_checked(HEADER) else {
        return Err(format!("a Blosc buffer of {} bytes: expected a header of {HEADER}", packed.len()));
    };
    let number = |at: usize| number(header, at).unwrap_or(0);
    let (version, flags, typesize) = (header[0], header[2], usize::from(header[3]));
    let (bytes, block, length) = (number(4), number(8), number(12));
    if version != 2 || flags & LATER != 0 {
        return Err(format!("a Blosc buffer of version {version}, flags {flags:#04x}: expected version 2"));
    }
    if length != packed.len() {
        return Err(format!("a Blosc buffer that claims {length} bytes, but has {}", packed.len()));
    }
    if bytes > most {
        return Err(format!("a Blosc buffer that claims to hold {bytes} bytes: expected {most}"));
    }
    if flags & STORED != 0 {
        let stored = &packed[HEADER..];
        if stored.len() != bytes {
            return Err(format!("{bytes} bytes are stored in {}", stored.len()));
        }
        return Ok(stored.to_vec());
    }
    if bytes == 0 {
        return Ok(Vec::new());
    }
    if block == 0 || block > bytes || typesize == 0 {
        return Err(format!("Blosc blocks of {block} bytes, numbers of {typesize}, {bytes} bytes in all"));
    }
    let blocks = bytes.div_ceil(block);
    if blocks > (packed.len() - HEADER) / 4 {
        return Err(format!("{blocks} Blosc blocks in {} bytes", packed.len()));
    }
    let codec = Codec::of(flags >> 5)?;
    // Snappy and LZ4 make at most 255 bytes out of one, the others take streams of a known length too.
    let mut out = super::codec::room(bytes)?;
    out.resize(bytes, 0);
    let mut shuffled = vec![0; block];
    for (index, out) in out.chunks_mut(block).enumerate() {
        let short = out.len() < block;
        let split = flags & UNSPLIT == 0 && typesize <= MAX_SPLITS && out.len() / typesize >= MIN_PART && !short;
        let splits = if split { typesize } else { 1 };
        let turned = (flags & SHUFFLED != 0 && typesize > 1) || (flags & BIT_SHUFFLED != 0 && out.len() >= typesize);
        let start = super::blosc::number(packed, HEADER + 4 * index).unwrap_or(0);
        if !turned {
            unpack(codec, packed, start, splits, out)?;
            continue;
        }
        let shuffled = &mut shuffled[..out.len()];
        unpack(codec, packed, start, splits, shuffled)?;
        if flags & SHUFFLED != 0 && typesize > 1 {
            unshuffle(shuffled, typesize, out)
        } else {
            unshuffle_bits(shuffled, typesize, out)
        }
    }
    Ok(out)
}

/// Four bytes as a number.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}

/// Unpacks the streams of one block.
fn unpack(codec: Codec, packed: &[u8], start: usize, splits: usize, out: &mut [u8]) -> Result<(), String> {
    let (mut at, part) = (start, out.len() / splits);
    let rest = out.len() - part * splits;
    if rest != 0 {
        return Err(format!("a Blosc block of {} bytes in {splits} streams", out.len()));
    }
    for out in out.chunks_exact_mut(part) {
        let beyond = || format!("a Blosc stream at byte {at} of {}", packed.len());
        let length = number(packed, at).ok_or_else(beyond)?;
        let stream = packed.get(at + 4..).and_then(|rest| rest.get(..length)).ok_or_else(beyond)?;
        if length == part {
            out.copy_from_slice(stream);
        } else {
            let got = codec.unpack(stream, out)?;
            if got != part {
                return Err(format!("a Blosc stream of {got} bytes: expected {part}"));
            }
        }
        at += 4 + length;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Codec {
    BloscLz,
    Lz4,
    Snappy,
    Zlib,
    Zstd,
}

impl Codec {
    fn of(number: u8) -> Result<Self, String> {
        Ok(match number {
            0 => Self::BloscLz,
            1 => Self::Lz4,
            2 => Self::Snappy,
            3 => Self::Zlib,
            4 => Self::Zstd,
            _ => return Err(format!("a Blosc buffer of codec {number}: expected 0 to 4")),
        })
    }

    /// Fills `out`; gives the bytes that there were.
    fn unpack(self, stream: &[u8], out: &mut [u8]) -> Result<usize, String> {
        match self {
            Self::BloscLz => blosclz(stream, out),
            Self::Lz4 => lz4_flex::block::decompress_into(stream, out).map_err(|e| e.to_string()),
            Self::Snappy => {
                let claims = snap::raw::decompress_len(stream).map_err(|e| e.to_string())?;
                if claims > out.len() {
                    return Ok(claims);
                }
                snap::raw::Decoder::new().decompress(stream, out).map_err(|e| e.to_string())
            }
            Self::Zlib => {
                let mut decoder = ZlibDecoder::new(stream);
                decoder.read_exact(out).map_err(|e| e.to_string())?;
                let more = decoder.read(&mut [0]).map_err(|e| e.to_string())?;
                Ok(out.len() + more)
            }
            Self::Zstd => super::codec::unzstd(stream, out).map_err(|e| e.to_string()),
        }
    }
}

/// BloscLZ: literals, and copies of what came before.
fn blosclz(stream: &[u8], out: &mut [u8]) -> Result<usize, String> {
    /// From here on a distance takes two bytes more.
    const FAR: usize = 8191;
    let short = || "a BloscLZ stream is cut short".to_owned();
    let full = || "a BloscLZ stream holds too much".to_owned();
    let (mut input, mut at) = (stream.iter().copied(), 0);
    let mut next = || input.next();
    let Some(first) = next() else { return Ok(0) };
    let mut control = Some(usize::from(first & 31));
    while let Some(code) = control {
        if code < 32 {
            for out in out.get_mut(at..=at + code).ok_or_else(full)? {
                *out = next().ok_or_else(short)?;
            }
            at += code + 1;
        } else {
            let (mut length, far) = ((code >> 5) - 1, (code & 31) << 8);
            if length == 6 {
                loop {
                    let more = next().ok_or_else(short)?;
                    length += usize::from(more);
                    if more != 255 {
                        break;
                    }
                }
            }
            length += 3;
            let near = usize::from(next().ok_or_else(short)?);
            let mut distance = far + near + 1;
            if near == 255 && far == 31 << 8 {
                let (high, low) = (next().ok_or_else(short)?, next().ok_or_else(short)?);
                distance = usize::from(high) << 8 | usize::from(low);
                distance += FAR + 1;
            }
            if distance > at {
                return Err(format!("a BloscLZ stream looks {distance} bytes back at byte {at}"));
            }
            if length > out.len() - at {
                return Err(full());
            }
            for i in at..at + length {
                out[i] = out[i - distance];
            }
            at += length;
        }
        control = next().map(usize::from);
    }
    Ok(at)
}

/// The bytes of numbers by significance, as numbers again; what is no whole number comes behind.
pub(super) fn unshuffle(shuffled: &[u8], size: usize, out: &mut [u8]) {
    let count = shuffled.len() / size;
    let (planes, rest) = shuffled.split_at(count * size);
    let (numbers, tail) = out.split_at_mut(count * size);
    tail.copy_from_slice(rest);
    match size {
        2 => interleave::<2>(planes, numbers),
        4 => interleave::<4>(planes, numbers),
        8 => interleave::<8>(planes, numbers),
        _ => {
            for (byte, plane) in planes.chunks_exact(count.max(1)).enumerate() {
                for (number, &value) in numbers.chunks_exact_mut(size).zip(plane) {
                    number[byte] = value;
                }
            }
        }
    }
}

/// Numbers of `N` bytes from as many planes: written in order, which is a few instructions for many of them.
fn interleave<const N: usize>(planes: &[u8], numbers: &mut [u8]) {
    let (numbers, _) = numbers.as_chunks_mut::<N>();
    let count = numbers.len();
    let planes: [&[u8]; N] = std::array::from_fn(|byte| &planes[byte * count..][..count]);
    for (i, number) in numbers.iter_mut().enumerate() {
        *number = std::array::from_fn(|byte| planes[byte][i]);
    }
}

/// The same of bits; numbers are left as they are if they are not in groups of eight.
fn unshuffle_bits(shuffled: &[u8], size: usize, out: &mut [u8]) {
    let count = shuffled.len() / size;
    if !count.is_multiple_of(8) {
        out.copy_from_slice(shuffled);
        return;
    }
    let row = count / 8;
    out[count * size..].copy_from_slice(&shuffled[count * size..]);
    for byte in 0..size {
        for group in 0..row {
            let bits: [u8; 8] = std::array::from_fn(|bit| shuffled[(byte * 8 + bit) * row + group]);
            for (i, value) in transpose_bits(u64::from_le_bytes(bits)).to_le_bytes().into_iter().enumerate() {
                out[(group * 8 + i) * size + byte] = value;
            }
        }
    }
}

/// A matrix of 8 by 8 bits, turned about its diagonal (Hacker's Delight).
fn transpose_bits(mut x: u64) -> u64 {
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let t = (x ^ (x >> shift)) & mask;
        x ^= t ^ (t << shift);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_numbers() {
        for size in 1..=9 {
            let numbers: Vec<u8> = (0..100 * size + 3).map(|i| (i * 7 % 251) as u8).collect();
            let mut shuffled: Vec<u8> = (0..100 * size).map(|i| numbers[i % 100 * size + i / 100]).collect();
            shuffled.extend(&numbers[100 * size..][..size.min(4) - 1]);
            let mut out = vec![0; shuffled.len()];
            unshuffle(&shuffled, size, &mut out);
            assert_eq!(out, numbers[..out.len()], "{size}");
        }
    }

    #[test]
    fn bits_of_numbers() {
        let mut out = [0; 16];
        // Eight numbers of two bytes: all bits 0 of the low byte first.
        let mut shuffled = [0; 16];
        shuffled[0] = 0b1000_0001;
        shuffled[9] = 0b0000_0010;
        unshuffle_bits(&shuffled, 2, &mut out);
        let numbers: Vec<_> = out.chunks(2).map(|n| u16::from_le_bytes([n[0], n[1]])).collect();
        assert_eq!(numbers, [1, 0x200, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn copies_may_overlap_and_never_reach_outside() {
        let mut out = [0; 12];
        // Two literals, then ten bytes from two back.
        assert_eq!(blosclz(&[1, 7, 8, 7 << 5, 1, 1], &mut out).unwrap(), 12);
        assert_eq!(out, [7, 8, 7, 8, 7, 8, 7, 8, 7, 8, 7, 8]);
        assert!(blosclz(&[1, 7, 8, 7 << 5, 1, 2], &mut out).unwrap_err().contains("back"));
        assert!(blosclz(&[1, 7, 8, 7 << 5, 2, 1], &mut out).unwrap_err().contains("too much"));
        assert!(blosclz(&[1, 7], &mut out).unwrap_err().contains("cut short"));
    }
}
