//! How the bytes of a chunk are packed, and how they are unpacked into a limit that is known before.

use std::cell::RefCell;
use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde_json::Value;
use zstd::bulk::Decompressor;

use super::blosc;

/// One step from packed bytes to bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packing {
    Gzip,
    Zlib,
    Zstd,
    Blosc,
    /// A block of LZ4 behind its length.
    Lz4,
    /// The bytes of numbers of such a size, by significance.
    Shuffle(usize),
    Crc32c,
}

impl Packing {
    /// A codec of version 3, or the compressor or a filter of version 2.
    pub(super) fn of(name: &str, settings: &Value) -> Result<Self, String> {
        Ok(match name.strip_prefix("numcodecs.").unwrap_or(name) {
            "gzip" => Self::Gzip,
            "zlib" => Self::Zlib,
            "zstd" => Self::Zstd,
            "blosc" => Self::Blosc,
            "lz4" => Self::Lz4,
            "crc32c" => Self::Crc32c,
            "shuffle" => {
                let size = settings.get("elementsize").and_then(Value::as_u64).unwrap_or(4);
                if !(1..=1024).contains(&size) {
                    return Err(format!("a shuffle of numbers of {size} bytes"));
                }
                Self::Shuffle(size as usize)
            }
            _ => return Err(format!("codec {name:?}: expected gzip, zlib, zstd, blosc, lz4, shuffle or crc32c")),
        })
    }

    /// The most bytes out of one.
    fn ratio(&self) -> u64 {
        match self {
            Self::Shuffle(_) | Self::Crc32c => 1,
            Self::Gzip | Self::Zlib => 1100,
            Self::Lz4 => 256,
            // 128 KiB from a block of four bytes; Blosc may hold such blocks.
            Self::Zstd | Self::Blosc => 1 << 15,
        }
    }

    fn unpack(&self, packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Gzip => inflate(MultiGzDecoder::new(packed), most),
            Self::Zlib => inflate(ZlibDecoder::new(packed), most),
            Self::Blosc => blosc::decode(packed, most),
            Self::Zstd => {
                let mut out = room(most)?;
                unzstd(packed, &mut out).map_err(|error| format!("{error}, in room for {most} bytes"))?;
                Ok(out)
            }
            Self::Lz4 => {
                let Some((length, packed)) = packed.split_first_chunk::<4>() else {
                    return Err("an LZ4 block without a length".to_owned());
                };
                let length = u32::from_le_bytes(*length) as usize;
                if length > most {
                    return Err(format!("an LZ4 block that claims {length} bytes: expected at most {most}"));
                }
                let mut out = room(length)?;
                out.resize(length, 0);
                let got = lz4_flex::block::decompress_into(packed, &mut out).map_err(|error| error.to_string())?;
                out.truncate(got);
                Ok(out)
            }
            Self::Shuffle(size) => {
                let mut out = vec![0; packed.len()];
                blosc::unshuffle(packed, *size, &mut out);
                Ok(out)
            }
            Self::Crc32c => {
                let Some((data, sum)) = packed.split_last_chunk::<4>() else {
                    return Err("no room for a checksum".to_owned());
                };
                let (sum, is) = (u32::from_le_bytes(*sum), crc32c::crc32c(data));
                if sum != is {
                    return Err(format!("its checksum is {is:08x}: expected {sum:08x}"));
                }
                Ok(data.to_vec())
            }
        }
    }
}

/// Unpacks by a decoder that every thread has one of: what it needs is more than what a block does.
pub(super) fn unzstd(packed: &[u8], out: &mut (impl zstd::zstd_safe::WriteBuf + ?Sized)) -> io::Result<usize> {
    thread_local!(static DECODER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) });
    DECODER.with_borrow_mut(|decoder| {
        let decoder = match decoder {
            Some(decoder) => decoder,
            None => decoder.insert(Decompressor::new()?),
        };
        decoder.decompress_to_buffer(packed, out)
    })
}

/// Memory for so many bytes, without an abort where it is short. What is never written takes no page.
pub(super) fn room(bytes: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes).map_err(|_| format!("no memory for {bytes} bytes"))?;
    Ok(out)
}

fn inflate(decoder: impl Read, most: usize) -> Result<Vec<u8>, String> {
    // One byte more tells that there is too much.
    let mut out = room(most + 1)?;
    decoder.take(most as u64 + 1).read_to_end(&mut out).map_err(|error| error.to_string())?;
    if out.len() > most {
        return Err(format!("it unpacks to more than {most} bytes"));
    }
    Ok(out)
}

/// Whether so many packed bytes may hold so many, whatever they are. Asked before memory is taken.
pub(super) fn is_plausible(packings: &[Packing], packed: u64, bytes: u64) -> bool {
    let ratio = packings.iter().fold(1, |ratio: u64, packing| ratio.saturating_mul(packing.ratio()));
    // A checksum makes it longer.
    packed.saturating_mul(ratio) >= bytes
}

/// The most bytes that `bytes` may take when they are packed: codecs make what they can't pack a little longer.
pub(super) fn most_packed(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 8).saturating_add(4096)
}

/// Takes back all steps, which were done in this order. Gives exactly so many bytes.
pub(super) fn unpack(packings: &[Packing], mut data: Vec<u8>, bytes: usize) -> Result<Vec<u8>, String> {
    for (left, packing) in packings.iter().enumerate().rev() {
        let most = if left == 0 { bytes } else { most_packed(bytes as u64) as usize };
        data = packing.unpack(&data, most).map_err(|message| format!("{packing:?}: {message}"))?;
    }
    if data.len() != bytes {
        return Err(format!("it has {} bytes, unpacked: expected {bytes}", data.len()));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_unpacks_to_more_than_it_may_stops_there() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 50 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(unpack(&[Packing::Gzip], bomb, 64).unwrap_err().contains("more than 64 bytes"));
        let bomb = zstd::bulk::compress(&vec![0; 50 << 20], 1).unwrap();
        assert!(unpack(&[Packing::Zstd], bomb.clone(), 64).unwrap_err().contains("Zstd"));
        assert!(unpack(&[Packing::Zstd, Packing::Zstd], zstd::bulk::compress(&bomb, 1).unwrap(), 64).is_err());
        assert!(!is_plausible(&[Packing::Gzip], 1000, 2_000_000) && is_plausible(&[Packing::Zstd], 1000, 2_000_000));
    }

    #[test]
    fn steps_are_taken_back_from_the_last() {
        let data: Vec<u8> = (0..=255).collect();
        let mut packed = zstd::bulk::compress(&data, 1).unwrap();
        packed.extend(crc32c::crc32c(&packed).to_le_bytes());
        let steps = [Packing::Zstd, Packing::Crc32c];
        assert_eq!(unpack(&steps, packed.clone(), 256).unwrap(), data);
        assert!(unpack(&steps, packed.clone(), 255).is_err() && unpack(&steps, packed.clone(), 257).is_err());
        packed[20] ^= 1;
        assert!(unpack(&steps, packed, 256).unwrap_err().contains("checksum"));
    }
}
