//! Files that an image is written to, some lines at a time; they appear when they are whole.

mod npy;
#[cfg(feature = "image")]
mod png;
#[cfg(feature = "tiff")]
mod tiff;
#[cfg(feature = "zarr")]
mod zarr;

use std::ops::Range;
use std::path::Path;

use self::npy::NpyTarget;
#[cfg(feature = "image")]
use self::png::PngTarget;
#[cfg(feature = "tiff")]
use self::tiff::TiffTarget;
#[cfg(feature = "zarr")]
use self::zarr::ZarrTarget;
#[cfg(feature = "tiff")]
use crate::source::GeoTags;
use crate::{DType, Error, Result};

/// What is written.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) dtype: DType,
    pub(super) shape: Vec<u64>,
    /// The axis that lines are counted on.
    pub(super) lead: usize,
    /// The names of the axes.
    #[cfg_attr(not(feature = "zarr"), expect(dead_code, reason = "only Zarr names axes"))]
    pub(super) axes: Vec<String>,
    #[cfg(feature = "tiff")]
    pub(super) geo: Option<GeoTags>,
}

impl Picture {
    /// Bytes of a line.
    fn line_bytes(&self) -> u64 {
        let others = self.shape.iter().enumerate().filter(|&(axis, _)| axis != self.lead);
        others.fold(self.dtype.size() as u64, |bytes, (_, &n)| bytes.saturating_mul(n))
    }

    /// Height, width and channels of an image that a picture format has.
    #[cfg(any(feature = "image", feature = "tiff"))]
    fn plane(&self, format: &str) -> Result<(u64, u64, u64)> {
        match self.shape[..] {
            [height, width] if self.lead == 0 => Ok((height, width, 1)),
            [height, width, channels] if self.lead == 0 => Ok((height, width, channels)),
            _ => {
                let shape = &self.shape;
                let message = format!(
                    "an image of shape {shape:?} is no {format}: expected (y, x) or (y, x, c); .npy and .zarr hold any"
                );
                Err(Error::argument("output", message))
            }
        }
    }
}

/// A file in the making.
pub(super) trait Target {
    /// Lines are written in multiples of this many, but for the last.
    fn step(&self) -> u64;

    /// Writes the next lines, which are these, in C order.
    fn write(&mut self, lines: Range<u64>, bytes: &[u8]) -> Result<()>;

    /// Ends the file; gives its bytes.
    fn commit(self: Box<Self>) -> Result<u64>;
}

/// The kind of file that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Npy,
    #[cfg(feature = "tiff")]
    Tiff,
    #[cfg(feature = "image")]
    Png,
    #[cfg(feature = "zarr")]
    Zarr,
}

impl Kind {
    /// By the ending of the name.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "npy" => Ok(Kind::Npy),
            #[cfg(feature = "tiff")]
            "tif" | "tiff" => Ok(Kind::Tiff),
            #[cfg(feature = "image")]
            "png" => Ok(Kind::Png),
            #[cfg(feature = "zarr")]
            "zarr" => Ok(Kind::Zarr),
            _ => {
                let message = format!("{}: its ending is none of .npy, .tif, .png, .zarr", path.display());
                Err(Error::argument("output", message))
            }
        }
    }

    /// Whether such a file says where on the earth its image is.
    #[cfg(all(feature = "cli", feature = "tiff"))]
    pub(crate) fn has_place(self) -> bool {
        match self {
            Kind::Tiff => true,
            #[cfg(feature = "zarr")]
            Kind::Zarr => true,
            _ => false,
        }
    }

    pub(super) fn create(self, path: &Path, picture: Picture) -> Result<Box<dyn Target>> {
        Ok(match self {
            Kind::Npy => Box::new(NpyTarget::create(path, picture)?),
            #[cfg(feature = "tiff")]
            Kind::Tiff => Box::new(TiffTarget::create(path, picture)?),
            #[cfg(feature = "image")]
            Kind::Png => Box::new(PngTarget::create(path, picture)?),
            #[cfg(feature = "zarr")]
            Kind::Zarr => Box::new(ZarrTarget::create(path, picture)?),
        })
    }
}
