//! What a JPEG stream within a TIFF file needs besides its decoder.

use std::ops::RangeInclusive;

/// Checks the size that a stream claims before a decoder takes memory for it: the rows (a short last strip may be stored
/// in full), the width and the samples a pixel.
pub(super) fn check(stream: &[u8], rows: RangeInclusive<u64>, width: u64, samples: u64) -> Result<(), String> {
    let broken = || "the JPEG stream is broken: it has no frame header".to_owned();
    let mut at = 2;
    loop {
        let segment = stream.get(at..).ok_or_else(broken)?;
        let [0xff, marker, rest @ ..] = segment else { return Err(broken()) };
        match marker {
            // Fill bytes, and markers without a length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // A frame header: length, bits, height, width, samples.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let &[_, _, _, h1, h0, w1, w0, n, ..] = rest else { return Err(broken()) };
                let [h, w, n] =
                    [u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]), u16::from(n)].map(u64::from);
                if rows.contains(&h) && [w, n] == [width, samples] {
                    return Ok(());
                }
                let expected = format!("{} by {width} of {samples}", rows.start());
                return Err(format!("the JPEG stream has {h} by {w} pixels of {n} samples: expected {expected}"));
            }
            0xd9 | 0xda => return Err(broken()),
            _ => {
                let &[high, low, ..] = rest else { return Err(broken()) };
                at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}

/// YCbCr to RGB in place, as JFIF defines it, in the fixed-point arithmetic of libjpeg.
pub(super) fn to_rgb(pixels: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    let (pixels, _) = pixels.as_chunks_mut::<3>();
    for pixel in pixels {
        let [y, cb, cr] = pixel.map(i32::from);
        let (cb, cr) = (cb - 128, cr - 128);
        // 1.402, 0.344136, 0.714136 and 1.772, times 2^16.
        let r = y + ((91_881 * cr + HALF) >> 16);
        let g = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
        let b = y + ((116_130 * cb + HALF) >> 16);
        *pixel = [r, g, b].map(|v| v.clamp(0, 255) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_another_size_is_refused() {
        let mut stream = vec![0xff, 0xd8, 0xff, 0xdb, 0, 4, 1, 2, 0xff, 0xc0, 0, 17, 8, 0, 16, 0, 32, 3];
        stream.extend([0; 9]);
        assert_eq!(check(&stream, 16..=16, 32, 3), Ok(()));
        assert_eq!(check(&stream, 9..=16, 32, 3), Ok(()), "a short last strip may be stored in full");
        for (rows, width, samples) in [(17..=17, 32, 3), (8..=15, 32, 3), (16..=16, 31, 3), (16..=16, 32, 1)] {
            assert!(check(&stream, rows, width, samples).unwrap_err().contains("16 by 32 pixels of 3"));
        }
        for end in 0..18 {
            assert!(check(&stream[..end], 16..=16, 32, 3).is_err(), "{end}");
        }
    }

    #[test]
    fn the_corners_of_the_colour_cube() {
        let mut pixels = [76, 85, 255, 150, 44, 21, 29, 255, 107, 255, 128, 128, 0, 128, 128];
        to_rgb(&mut pixels);
        for (got, expected) in pixels.iter().zip([254, 0, 0, 0, 255, 1, 0, 0, 254, 255, 255, 255, 0, 0, 0]) {
            assert!(got.abs_diff(expected) <= 1, "{pixels:?}");
        }
    }
}
