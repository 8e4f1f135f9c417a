//! PNG, which is encoded as a whole.

use std::ops::Range;
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::{Picture, Target};
use crate::{DType, Error, PoolBuf, Result};

/// The most bytes of an image that is held for it.
const MOST_BYTES: u64 = 1 << 30;

pub(super) struct PngTarget {
    path: PathBuf,
    color: ExtendedColorType,
    height: u32,
    width: u32,
    cells: PoolBuf,
    filled: usize,
}

impl PngTarget {
    pub(super) fn create(path: &Path, picture: Picture) -> Result<Self> {
        let (height, width, channels) = picture.plane("PNG")?;
        let color = match (picture.dtype, channels) {
            (DType::U8, 1) => ExtendedColorType::L8,
            (DType::U8, 2) => ExtendedColorType::La8,
            (DType::U8, 3) => ExtendedColorType::Rgb8,
            (DType::U8, 4) => ExtendedColorType::Rgba8,
            (DType::U16, 1) => ExtendedColorType::L16,
            (DType::U16, 2) => ExtendedColorType::La16,
            (DType::U16, 3) => ExtendedColorType::Rgb16,
            (DType::U16, 4) => ExtendedColorType::Rgba16,
            (dtype, n) => {
                let message = format!("{n} channels of {dtype} are no PNG: expected 1 to 4 of uint8 or uint16");
                return Err(Error::argument("output", message));
            }
        };
        let bytes = picture.line_bytes().saturating_mul(height);
        if bytes > MOST_BYTES || height > u32::MAX.into() || width > u32::MAX.into() {
            let limit = format!("{MOST_BYTES} bytes; .tif, .npy and .zarr hold any");
            return Err(Error::too_large("an image in PNG", format!("{height} by {width}, {bytes} bytes"), limit));
        }
        let cells = crate::BufferPool::new(0).take(bytes as usize)?;
        Ok(Self { path: path.to_owned(), color, height: height as u32, width: width as u32, cells, filled: 0 })
    }
}

impl Target for PngTarget {
    fn step(&self) -> u64 {
        1
    }

    fn write(&mut self, _: Range<u64>, bytes: &[u8]) -> Result<()> {
        self.cells[self.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&self.cells, self.width, self.height, self.color)
            .map_err(|error| Error::format(self.path.display().to_string(), error.to_string()))?;
        crate::sink::write_whole(&self.path, &png)?;
        Ok(png.len() as u64)
    }
}
