//! Where pixels come from: arrays in memory and files, read region by region.
//!
//! A [`Source`] is what a plan keeps: cheap to clone, and it knows shape, [`DType`] and axis names before a pixel is
//! read. [`Source::open`] gives a [`RegionReader`], which belongs to one pass over the data. A source knows nothing of
//! windows.

mod bands;
mod file;
mod format;
#[cfg(any(feature = "image", feature = "tiff"))]
mod guard;
mod identity;
#[cfg(feature = "image")]
mod image;
mod memory;
mod npy;
mod npy_header;
mod region;
mod swap;
#[cfg(feature = "tiff")]
mod tiff;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub(crate) use bands::{Band, Bands, band_bytes, pass_bytes};
pub use identity::Identity;
#[cfg(feature = "image")]
pub use image::ImageSource;
pub use npy::NpySource;
pub use region::Region;
#[cfg(feature = "tiff")]
pub(crate) use tiff::{AxisMap, TagValues};
#[cfg(feature = "tiff")]
pub use tiff::{GeoTags, TiffSource};

use self::file::DataFile;
use self::format::Format;
use crate::{BufferPool, DType, Result, Scalar, StridedView};

/// What a source says of itself before a pixel is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// A name for people and for the metadata of files: a path, or `array`.
    pub name: String,
    /// The length of each axis.
    pub shape: Vec<u64>,
    /// The type of a pixel.
    pub dtype: DType,
    /// The name of each axis, where the source has names; for images `y, x` or `y, x, c`.
    pub axes: Option<Vec<String>>,
    /// How much of each axis is decoded together: the height and width of a strip or tile, 1 where any pixel can be
    /// read alone. Reads that end at a multiple of it decode nothing twice.
    pub chunk: Vec<u64>,
    /// Whether the whole array is in memory once the source is open: a region is then a slice, and the bytes of the
    /// array are part of the peak memory of a scan.
    ///
    /// A resident source without a [`view`](Source::view) takes [`bytes`](Self::bytes) when it is opened, whatever region
    /// is asked for.
    pub resident: bool,
    /// The most bytes that a reader needs for itself, besides the regions that it returns: a compressed strip or tile and
    /// what it is decoded into, or what a decoder keeps while an image is decoded as a whole. An upper estimate.
    pub working_bytes: u64,
}

impl SourceInfo {
    /// The bytes of the whole array, saturating.
    pub fn bytes(&self) -> u64 {
        self.shape.iter().fold(self.dtype.size() as u64, |bytes, &n| bytes.saturating_mul(n))
    }
}

/// An N-D array that can be read region by region, any number of times.
pub trait Source: fmt::Debug + Send + Sync {
    /// Shape, type and names.
    fn info(&self) -> &SourceInfo;

    /// The array itself, if it is in memory before the source is opened.
    fn view(&self) -> Option<&StridedView> {
        None
    }

    /// The value that the source says marks pixels without one.
    fn nodata(&self) -> Option<Scalar> {
        None
    }

    /// Where the pixels lie in the world, if the source says so: a text that is the same for the same place.
    fn georeference(&self) -> Option<String> {
        None
    }

    /// Which image of a file with several this is, from 0, as [`AnySource::open`] takes it.
    fn page(&self) -> Option<usize> {
        None
    }

    /// Starts one pass over the data. The reader takes its buffers from `pool`.
    ///
    /// # Errors
    /// If the data can't be opened, or is no longer what [`info`](Self::info) says.
    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>>;

    /// What tells these data from others of the same shape. Reads all of them: the file as it lies, or, unless the
    /// source knows better, every pixel.
    ///
    /// # Errors
    /// If the data can't be read, or are no longer what [`info`](Self::info) says.
    fn identity(&self) -> Result<Identity> {
        identity::of_pixels(self)
    }
}

/// One pass over the pixels of a [`Source`].
pub trait RegionReader: Send {
    /// The pixels of one region: a view with the region's shape and the source's dtype, in any strides.
    ///
    /// The region lies within the source's shape, and has no axis of length 0.
    ///
    /// # Errors
    /// If the pixels can't be read or decoded, or memory is short.
    fn read(&mut self, region: &Region) -> Result<StridedView>;
}

/// A [`Source`] behind a shared pointer, made from an array, a view or a path.
#[derive(Clone, Debug)]
pub struct AnySource(Arc<dyn Source>);

impl AnySource {
    /// Wraps any source.
    pub fn new(source: impl Source + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The image file at `path`, of any format that this build reads; `page` chooses an image of a file with several.
    ///
    /// # Errors
    /// If the file can't be opened, or is of no known format. No pixel is decoded.
    pub fn open(path: impl AsRef<Path>, page: Option<usize>) -> Result<Self> {
        open(path.as_ref(), page)
    }
}

/// Opens a file with the reader of its format.
fn open(path: &Path, page: Option<usize>) -> Result<AnySource> {
    let file = DataFile::open(path)?;
    let format = Format::of(&file)?;
    match (format, page) {
        #[cfg(feature = "tiff")]
        (Format::Tiff, _) => Ok(AnySource::new(TiffSource::open(path, page.unwrap_or(0))?)),
        _ if !format.is_built() => {
            let feature = format.feature().unwrap_or_default();
            Err(file.unsupported(format!("{} is not in this build: it needs the feature {feature:?}", format.name())))
        }
        (_, Some(page)) => {
            Err(file.unsupported(format!("no page {page}: {} files have no pages, only TIFF files do", format.name())))
        }
        #[cfg(feature = "image")]
        (_, None) if format != Format::Npy => Ok(AnySource::new(ImageSource::open(path)?)),
        _ => Ok(AnySource::new(NpySource::open(path)?)),
    }
}

impl std::ops::Deref for AnySource {
    type Target = dyn Source;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl<T: Into<StridedView>> From<T> for AnySource {
    fn from(array: T) -> Self {
        Self::new(memory::MemorySource::new(array.into()))
    }
}
