//! What a JPEG file says of itself from end to end, found without decoding it.
//!
//! The decoder fills what is missing at the end of a file with pixels of its own, and believes a size without asking
//! whether there are data for it. Walking over the markers first costs little, as the decoder reads the file whole.

use std::io::{self, BufRead, Read};

/// The parts of a JPEG file that tell what it can hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct JpegStream {
    /// Bytes of coded pixels.
    pub(super) coded: u64,
    /// Whether the stream has pixels and then its end marker. What follows it is not part of the image.
    pub(super) ended: bool,
    /// Bytes of all coefficients, if they have to be kept until the last scan; 0 if each row of blocks is done at once.
    pub(super) coefficients: u64,
}

impl JpegStream {
    pub(super) fn read(mut input: impl BufRead) -> io::Result<Self> {
        let mut stream = Self::default();
        let (mut scans, mut frame) = (0, None);
        loop {
            let passed = input.skip_until(0xff)? as u64;
            stream.coded += if scans > 0 { passed } else { 0 };
            let mut marker = Some(0xff);
            while marker == Some(0xff) {
                marker = byte(&mut input)?;
            }
            match marker {
                // A byte 0xff among the pixels, and markers without a length.
                Some(0x00 | 0x01 | 0xd0..=0xd8) => continue,
                None | Some(0xd9) => {
                    stream.ended = marker.is_some() && scans > 0;
                    break;
                }
                Some(marker) => {
                    let Some(segment) = segment(&mut input)? else { break };
                    match marker {
                        0xda => scans += 1,
                        0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                            frame = Some((marker != 0xc0 && marker != 0xc1, coefficient_bytes(&segment)));
                        }
                        _ => {}
                    }
                }
            }
        }
        if let Some((progressive, bytes)) = frame
            && (progressive || scans > 1)
        {
            stream.coefficients = bytes.unwrap_or(0);
        }
        Ok(stream)
    }
}

fn byte(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    Ok(if input.read(&mut byte)? == 0 { None } else { Some(byte[0]) })
}

/// The bytes of a segment behind its length; `None` where the file ends before.
fn segment(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let (Some(high), Some(low)) = (byte(input)?, byte(input)?) else { return Ok(None) };
    let length = u64::from(u16::from_be_bytes([high, low])).saturating_sub(2);
    let mut segment = Vec::new();
    input.take(length).read_to_end(&mut segment)?;
    Ok(Some(segment).filter(|segment| segment.len() as u64 == length))
}

/// Two bytes for each sample of a frame, its sides rounded up to whole groups of blocks.
fn coefficient_bytes(frame: &[u8]) -> Option<u64> {
    let &[_, h1, h0, w1, w0, _, ref components @ ..] = frame else { return None };
    let sampling = || components.chunks_exact(3).map(|c| (u64::from(c[1] >> 4), u64::from(c[1] & 15)));
    let (across, down) = (sampling().map(|s| s.0).max()?.max(1), sampling().map(|s| s.1).max()?.max(1));
    let [height, width] = [[h1, h0], [w1, w0]].map(|n| u64::from(u16::from_be_bytes(n)));
    let groups = width.div_ceil(8 * across) * height.div_ceil(8 * down);
    Some(groups * sampling().map(|(h, v)| h * v).sum::<u64>() * 64 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of a 20 by 40 frame with half chroma, and the scans that are given.
    fn stream(frame: u8, scans: &[&[u8]], end: &[u8]) -> JpegStream {
        let mut bytes = vec![0xff, 0xd8];
        // The end marker of a thumbnail doesn't count.
        bytes.extend([0xff, 0xe1, 0, 6, 0xff, 0xd9, 0xff, 0xd9]);
        bytes.extend([0xff, frame, 0, 17, 8, 0, 20, 0, 40, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
        for scan in scans {
            bytes.extend([0xff, 0xff, 0xda, 0, 3, 1]);
            bytes.extend(*scan);
        }
        bytes.extend(end);
        JpegStream::read(bytes.as_slice()).unwrap()
    }

    #[test]
    fn only_the_end_marker_of_the_image_ends_it() {
        let scan = &[1, 2, 0xff, 0, 3, 0xff, 0xd0, 4][..];
        let end = [0xff, 0xd9];
        assert!(stream(0xc0, &[scan], &end).ended);
        assert!(stream(0xc0, &[scan], &[0xff, 0xff, 0xd9, 7, 7]).ended, "fill bytes before, anything after");
        assert!(!stream(0xc0, &[scan], &end[..1]).ended);
        assert!(!stream(0xc0, &[scan], &[]).ended);
        assert!(!stream(0xc0, &[], &end).ended, "no pixels");
        assert!(!stream(0xc0, &[scan], &[0xff, 0xda, 0, 9, 0xff, 0xd9]).ended, "within a segment");
    }

    #[test]
    fn pixels_are_counted_and_nothing_else() {
        let scan = &[1, 2, 3, 4, 5, 6, 7, 8, 9][..];
        let plain = stream(0xc0, &[scan], &[0xff, 0xd9, 0, 0, 0, 0]);
        assert_eq!((plain.coded, plain.coefficients), (10, 0));
        // 2 by 3 groups of 4 + 1 + 1 blocks.
        assert_eq!(stream(0xc2, &[scan], &[0xff, 0xd9]).coefficients, 6 * 6 * 128);
        assert_eq!(stream(0xc0, &[scan, scan], &[0xff, 0xd9]).coefficients, 6 * 6 * 128);
    }
}
