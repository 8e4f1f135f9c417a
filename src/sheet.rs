//! A contact sheet: some windows side by side, as a picture to look at.

use std::io::Cursor;

use arrow_array::cast::AsArray;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::{DType, Error, Layout, PatchScan, Result};

/// Pixels between two windows, and around all.
const GAP: usize = 2;

/// The least length of a window's longer side on the sheet: smaller windows are enlarged, each pixel to a square.
const SIDE: usize = 48;

/// Windows of a sheet that shows a scan.
const SAMPLE: u64 = 16;

/// The most pixels of a sheet: more than any screen, and far from what memory or a PNG can hold.
const MOST_PIXELS: u64 = 1 << 25;

/// Windows side by side, in 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactSheet {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl ContactSheet {
    /// Reads and draws the windows with these ids, `across` of them on a line: the pixels of the source, whatever the
    /// scan converts them to.
    ///
    /// ```
    /// use windrow::{ContactSheet, PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// let sheet = ContactSheet::of(&scan, &ContactSheet::sample(&scan), 8)?;
    /// assert_eq!((sheet.width(), sheet.height()), (2 + 8 * 50, 2 + 2 * 50));
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If an id is not one of the grid, the source can't be read, or the sheet would have 2²⁵ pixels or more.
    pub fn of(scan: &PatchScan, windows: &[u64], across: usize) -> Result<Self> {
        let (shape, dtype) = (scan.grid().patch_shape(), scan.source().info().dtype);
        check(windows.len(), &shape, across)?;
        let builder = PatchScan::builder(scan.source().clone(), scan.spec().clone());
        let pixels = builder.columns(["patch"]).layout(Layout::Binary).dtype(DType::F32).lossy(true).build()?;
        let batch = pixels.taker()?.take(windows)?;
        let bytes = batch.column(0).as_fixed_size_binary().value_data();
        Ok(Self::draw(bytemuck::cast_slice(bytes), &shape, dtype, across))
    }

    /// Reads and draws all rows of a scan, as [`of`](Self::of) does it.
    ///
    /// # Errors
    /// If there are too many, or the source can't be read.
    pub fn all(scan: &PatchScan, across: usize) -> Result<Self> {
        check(scan.num_rows() as usize, &scan.grid().patch_shape(), across)?;
        Self::of(scan, &scan.windows(0..scan.num_rows())?, across)
    }

    /// Some windows at equal distances, that stand for all rows of a scan. Each is in the middle of its share, so that
    /// they don't line up at an edge of the image.
    pub fn sample(scan: &PatchScan) -> Vec<u64> {
        let count = scan.num_rows();
        let shown = SAMPLE.min(count);
        let place = |i: u64| u128::from(2 * i + 1) * u128::from(count) / u128::from(2 * shown);
        (0..shown).filter_map(|i| scan.window(place(i) as u64)).collect()
    }

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

/// Refuses a sheet that nobody could look at, before its pixels are read.
fn check(count: usize, shape: &[u64], across: usize) -> Result<()> {
    let tile = Tile::new(shape);
    let across = across.clamp(1, count.max(1));
    let side = |tiles: usize, length: usize| (length.saturating_mul(tile.zoom) + GAP).saturating_mul(tiles) as u64;
    let (width, height) = (side(across, tile.width), side(count.div_ceil(across), tile.height));
    let cells = shape.iter().fold(count as u64, |cells, &n| cells.saturating_mul(n));
    if width.saturating_mul(height) < MOST_PIXELS && cells < 4 * MOST_PIXELS {
        return Ok(());
    }
    let got = format!("{count} windows of {shape:?} pixels, a picture of {width} x {height}");
    Err(Error::too_large("a contact sheet", got, format!("{MOST_PIXELS} pixels")))
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

    fn scan(image: crate::StridedView, window: u64) -> PatchScan {
        PatchScan::new(image, crate::WindowSpec::new([window, window])).unwrap()
    }

    #[test]
    fn a_sample_is_spread_over_the_rows() {
        let all = scan(crate::StridedView::from_vec(vec![0u8; 100], &[10, 10]).unwrap(), 3);
        assert_eq!(ContactSheet::sample(&all), (0..16).map(|i| 4 * i + 2).collect::<Vec<_>>());
        let few = PatchScan::builder(all.source().clone(), all.spec().clone()).rows(5..8).build().unwrap();
        assert_eq!(ContactSheet::sample(&few), [5, 6, 7]);
        let none = PatchScan::builder(all.source().clone(), all.spec().clone()).rows(5..5).build().unwrap();
        assert!(ContactSheet::of(&none, &ContactSheet::sample(&none), 8).unwrap().to_png().is_ok());
    }

    #[test]
    fn a_sheet_that_nobody_can_look_at_is_refused() {
        let image = scan(crate::StridedView::from_vec(vec![0u8; 1 << 20], &[1024, 1024]).unwrap(), 1000);
        assert!(ContactSheet::of(&image, &[0; 16], 4).is_ok());
        let error = ContactSheet::of(&image, &[0; 40], 8).unwrap_err().to_string();
        assert!(error.starts_with("a contact sheet is too large: 40 windows of [1000, 1000] pixels"), "{error}");
        assert!(ContactSheet::of(&image, &[u64::MAX], 8).is_err());
        let pixels = PatchScan::builder(image.source().clone(), crate::WindowSpec::new([1, 1])).build().unwrap();
        assert!(ContactSheet::all(&pixels, 8).unwrap_err().to_string().contains("1048576 windows of [1, 1] pixels"));
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
