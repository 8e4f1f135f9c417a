//! A contact sheet: some windows side by side, as a picture to look at.

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::{DType, Error, Result};

/// Pixels between two windows, and around all.
const GAP: usize = 2;

/// The least length of a window's longer side on the sheet: smaller windows are enlarged, each pixel to a square.
const SIDE: usize = 48;

/// Windows side by side, in 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactSheet {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl ContactSheet {
    /// Draws patches of `shape`, densely one behind the other, `across` of them on a line.
    ///
    /// The last axis is taken for colours if it has 3 or 4 pixels and two axes stand before it; of further axes the
    /// first place is shown. `dtype` is that of the source: 8-bit pixels and bools are shown as they are, others
    /// between the least and the greatest of the patches.
    ///
    /// ```
    /// use windrow::{ContactSheet, DType};
    ///
    /// let sheet = ContactSheet::draw(&[0.0, 255.0, 255.0, 0.0], &[1, 2], DType::U8, 2);
    /// assert_eq!((sheet.width(), sheet.height()), (102, 28));
    /// assert!(sheet.to_png()?.starts_with(b"\x89PNG"));
    /// # Ok::<(), windrow::Error>(())
    /// ```
    pub fn draw(patches: &[f32], shape: &[u64], dtype: DType, across: usize) -> Self {
        let cells: usize = shape.iter().product::<u64>().max(1) as usize;
        let count = patches.len() / cells;
        let across = across.clamp(1, count.max(1));
        let tile = Tile::new(shape);
        let (low, high) = range(patches, dtype);
        let lines = count.div_ceil(across);
        let width = GAP + across * (tile.width * tile.zoom + GAP);
        let height = GAP + lines * (tile.height * tile.zoom + GAP);
        let mut rgb = vec![255; width * height * 3];
        for (i, patch) in patches.chunks_exact(cells).enumerate() {
            let left = GAP + i % across * (tile.width * tile.zoom + GAP);
            let top = GAP + i / across * (tile.height * tile.zoom + GAP);
            for y in 0..tile.height * tile.zoom {
                for x in 0..tile.width * tile.zoom {
                    let at = ((top + y) * width + left + x) * 3;
                    for (channel, slot) in rgb[at..at + 3].iter_mut().enumerate() {
                        let value = patch[tile.cell(y / tile.zoom, x / tile.zoom, channel)];
                        // A float becomes a byte by saturation; NaN becomes black.
                        *slot = ((value - low) / (high - low) * 255.0).round() as u8;
                    }
                }
            }
        }
        Self { width, height, rgb }
    }

    /// Pixels on a line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Lines.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Red, green and blue of each pixel, line by line.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The sheet as the bytes of a PNG file.
    ///
    /// # Errors
    /// If the encoder refuses, as it does for more than 2³² pixels on a side.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut png = Cursor::new(Vec::new());
        PngEncoder::new(&mut png)
            .write_image(&self.rgb, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)
            .map_err(|error| Error::format("contact sheet", error.to_string()))?;
        Ok(png.into_inner())
    }
}

/// How a patch lies on the sheet.
struct Tile {
    height: usize,
    width: usize,
    /// Cells between neighbours on a line, and values of a cell.
    channels: usize,
    coloured: bool,
    zoom: usize,
}

impl Tile {
    fn new(shape: &[u64]) -> Self {
        let shape: Vec<_> = shape.iter().map(|&n| n as usize).collect();
        let (plane, channels) = match shape.as_slice() {
            [plane @ .., channels @ (3 | 4)] if plane.len() >= 2 => (plane, *channels),
            plane => (plane, 1),
        };
        let width = plane.last().copied().unwrap_or(1);
        let height = plane.len().checked_sub(2).map_or(1, |axis| plane[axis]);
        let zoom = SIDE.div_ceil(width.max(height).max(1));
        Self { height, width, channels, coloured: channels > 1, zoom }
    }

    fn cell(&self, y: usize, x: usize, channel: usize) -> usize {
        (y * self.width + x) * self.channels + if self.coloured { channel } else { 0 }
    }
}

/// What is black and what is white.
fn range(patches: &[f32], dtype: DType) -> (f32, f32) {
    match dtype {
        DType::Bool => (0.0, 1.0),
        DType::U8 => (0.0, 255.0),
        _ => {
            let finite = || patches.iter().copied().filter(|value| value.is_finite());
            let (low, high) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
            if low < high { (low, high) } else { (low.min(0.0), low.min(0.0) + 1.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_is_a_square_of_its_tone() {
        let sheet = ContactSheet::draw(&[5.0, 6.0, 7.0, 9.0], &[2, 2], DType::F64, 4);
        assert_eq!((sheet.width(), sheet.height()), (48 + 2 * GAP, 48 + 2 * GAP));
        let tone = |y: usize, x: usize| sheet.rgb()[((y + GAP) * sheet.width() + x + GAP) * 3];
        assert_eq!([tone(0, 0), tone(23, 23), tone(0, 24), tone(24, 0), tone(47, 47)], [0, 0, 64, 128, 255]);
        assert_eq!(sheet.rgb()[0], 255, "the gap");
    }

    #[test]
    fn colours_are_the_last_axis() {
        let sheet = ContactSheet::draw(&[10.0, 20.0, 30.0], &[1, 1, 3], DType::U8, 1);
        let at = (GAP * sheet.width() + GAP) * 3;
        assert_eq!(sheet.rgb()[at..at + 3], [10, 20, 30]);
    }

    #[test]
    fn draws_whatever_comes() {
        for (patches, shape) in [
            (&[][..], &[3u64, 3][..]),
            (&[f32::NAN, f32::INFINITY], &[2]),
            (&[1.0; 16], &[2, 2, 2, 2]),
            (&[3.0; 6], &[3]),
        ] {
            assert!(ContactSheet::draw(patches, shape, DType::F32, 4).to_png().unwrap().starts_with(b"\x89PNG"));
        }
    }
}
