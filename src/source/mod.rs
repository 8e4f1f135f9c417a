//! Where pixels come from: arrays in memory and files, read region by region.
//!
//! A [`Source`] is what a plan keeps: cheap to clone, and it knows shape, [`DType`] and axis names before a pixel is
//! read. [`Source::open`] gives a [`RegionReader`], which belongs to one pass over the data. A source knows nothing of
//! windows.

#[cfg(feature = "npz")]
mod archive;
mod bands;
mod copy;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod decoded;
mod dense;
mod file;
mod format;
mod georeference;
#[cfg(any(feature = "image", feature = "tiff", feature = "npz"))]
mod guard;
mod identity;
#[cfg(feature = "image")]
mod image;
mod memory;
mod npy;
#[cfg(not(fuzzing))]
mod npy_header;
#[cfg(fuzzing)]
pub(crate) mod npy_header;
#[cfg(feature = "npz")]
mod npz;
mod options;
mod raw;
mod region;
#[cfg(feature = "cloud")]
#[cfg_attr(not(feature = "tiff"), allow(dead_code, reason = "only TIFF files say what will be read next"))]
mod remote;
mod swap;
#[cfg(feature = "tiff")]
mod tiff;
mod tiles;
#[cfg(feature = "zarr")]
mod zarr;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use bands::{Band, Bands, band_bytes, pass_bytes};
#[cfg(any(feature = "polars", feature = "datafusion"))]
pub(crate) use decoded::Decoded;
pub use georeference::{Crs, Georeference, PixelIs};
pub use identity::Identity;
#[cfg(feature = "image")]
pub use image::ImageSource;
pub use npy::NpySource;
#[cfg(feature = "npz")]
pub use npz::NpzSource;
pub use options::OpenOptions;
pub use raw::{RawSource, RawSpec};
pub use region::Region;
#[cfg(feature = "tiff")]
pub(crate) use tiff::{AxisMap, TagValues};
#[cfg(feature = "tiff")]
pub use tiff::{GeoTags, TiffSource};
pub(crate) use tiles::{Block, Tiles, tiles_bytes};
#[cfg(feature = "zarr")]
pub use zarr::ZarrSource;

use self::file::DataFile;
use self::format::Format;
use crate::{BufferPool, DType, Error, Result, Scalar, StridedView};

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

    /// Where the pixels lie on the map, if the source says so. The axes that do are called y and x.
    fn georeference(&self) -> Option<Georeference> {
        None
    }

    /// What the file says of its pixels that they don't show: that they are to be turned, for one.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What has to be said besides the [name](SourceInfo::name) to open the same data again.
    fn options(&self) -> OpenOptions {
        OpenOptions::default()
    }

    /// Starts one pass over the data. The reader takes its buffers from `pool`.
    ///
    /// # Errors
    /// If the data can't be opened, or is no longer what [`info`](Self::info) says.
    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>>;

    /// Whether [`RegionReader::read_into`] takes no memory for the region besides `out`, if this axis is the first.
    #[doc(hidden)]
    fn fills(&self, _first: usize) -> bool {
        false
    }

    /// What tells these data from others of the same shape. Reads all of them: the file as it lies, or, unless the
    /// source knows better, every pixel.
    ///
    /// # Errors
    /// If the data can't be read, or are no longer what [`info`](Self::info) says.
    fn identity(&self) -> Result<Identity> {
        identity::of_pixels(self)
    }

    /// What tells that somebody wrote to the file since it was opened, without reading it: a text to be compared, if
    /// there is a file.
    #[doc(hidden)]
    fn stamp(&self) -> Option<String> {
        None
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

    /// The pixels of several regions. A source that is decoded in chunks may decode those of all of them side by side.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_all(&mut self, regions: &[Region]) -> Result<Vec<StridedView>> {
        regions.iter().map(|region| self.read(region)).collect()
    }

    /// Writes the pixels of one region into `out`, which has exactly their bytes: densely, the axis `first` before all
    /// others, which keep their order.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_into(&mut self, region: &Region, first: usize, out: &mut [u8]) -> Result<()> {
        read_and_copy(self, region, first, out)
    }
}

/// [`RegionReader::read_into`] of what is read elsewhere.
fn read_and_copy(
    reader: &mut (impl RegionReader + ?Sized),
    region: &Region,
    first: usize,
    out: &mut [u8],
) -> Result<()> {
    reader.read(region)?.transpose(&bands::order(region.0.len(), first))?.copy_to(out);
    Ok(())
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
        Self::open_with(path, &OpenOptions::new().page(page))
    }

    /// The image file at `path`, opened as `options` say.
    ///
    /// # Errors
    /// As [`open`](Self::open); also if the options don't go with the format of the file.
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        open(path.as_ref(), options)
    }
}

/// What is said of pixels that are stored in another orientation than that in which they are to be seen, by its number
/// in TIFF and EXIF.
#[cfg(any(feature = "image", feature = "tiff"))]
fn turned(orientation: u64) -> Option<String> {
    let how = match orientation {
        2 => "mirrored left to right",
        3 => "turned by 180 degrees",
        4 => "mirrored top to bottom",
        5 => "mirrored along the diagonal",
        6 => "turned by 90 degrees clockwise",
        7 => "mirrored along the other diagonal",
        8 => "turned by 90 degrees counterclockwise",
        _ => return None,
    };
    Some(format!(
        "the file says that it is to be seen {how} (orientation {orientation}): pixels come as they are stored"
    ))
}

/// Whether a file is called as an image that this build reads.
pub(crate) fn is_image_name(path: &Path) -> bool {
    Format::of_name(path).is_some_and(Format::is_built)
}

/// Opens a file with the reader of its format.
fn open(path: &Path, options: &OpenOptions) -> Result<AnySource> {
    if let Some(spec) = &options.raw {
        if let Some(other) = options.given(&["page", "overview", "stack", "member"]) {
            return Err(Error::argument("raw", format!("a file without a header has no {other}")));
        }
        return Ok(AnySource::new(RawSource::open(path, spec)?));
    }
    if options.stack
        && let Some(name) = options.given(&["page", "overview"])
    {
        return Err(Error::argument("stack", format!("all pages, or one {name}: not both")));
    }
    #[cfg(feature = "zarr")]
    if let Some(source) = open_zarr(path, options)? {
        return Ok(source);
    }
    let (path, member) = &split(path, options)?;
    let file = DataFile::open(path)?;
    let format = Format::of(&file)?;
    if !format.is_built() {
        let feature = format.feature().unwrap_or_default();
        return Err(
            file.unsupported(format!("{} is not in this build: it needs the feature {feature:?}", format.name()))
        );
    }
    if format != Format::Tiff
        && let Some(name) = options.given(&["page", "overview", "stack"])
    {
        let number = options.page.or(options.overview);
        let what = number.map_or_else(|| name.to_owned(), |number| format!("{name} {number}"));
        let several = if name == "overview" { "overviews" } else { "pages" };
        let message = format!("no {what}: {} files have no {several}, only TIFF files do", format.name());
        return Err(file.unsupported(message));
    }
    if format != Format::Zip
        && let Some(member) = member
    {
        return Err(file.unsupported(format!("no member {member:?}: a {} file is one image", format.name())));
    }
    match format {
        Format::Npy => Ok(AnySource::new(NpySource::new(&file)?)),
        #[cfg(feature = "tiff")]
        Format::Tiff if options.stack => Ok(AnySource::new(TiffSource::new_stack(&file)?)),
        #[cfg(feature = "tiff")]
        Format::Tiff => Ok(AnySource::new(TiffSource::new(&file, options.page.unwrap_or(0), options.overview)?)),
        #[cfg(feature = "npz")]
        Format::Zip => {
            let archive = Arc::new(archive::Archive::read(file)?);
            #[cfg(feature = "zarr")]
            if archive.names().iter().any(|name| zarr::NODE.contains(&name.rsplit('/').next().unwrap_or_default())) {
                return Ok(AnySource::new(ZarrSource::of_archive(&archive, member.as_deref())?));
            }
            Ok(AnySource::new(NpzSource::new(&archive, member.as_deref())?))
        }
        #[cfg(feature = "image")]
        format => Ok(AnySource::new(ImageSource::new(&file, format)?)),
        #[cfg(not(feature = "image"))]
        _ => unreachable!("formats that are not built are refused"),
    }
}

/// Whether a path is the address of something on another machine.
fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|path| ["s3://", "https://", "http://"].iter().any(|scheme| path.starts_with(scheme)))
}

/// A path as it may be shown, and stand in files: the query of an address may be a signature.
pub(crate) fn without_query(path: &Path) -> PathBuf {
    match path.to_str().filter(|_| is_address(path)).and_then(|address| address.split_once('?')) {
        Some((shown, _)) => shown.into(),
        None => path.to_owned(),
    }
}

/// Opens what is an array of Zarr by its name: an address, a folder, or something in a folder that is one.
#[cfg(feature = "zarr")]
fn open_zarr(path: &Path, options: &OpenOptions) -> Result<Option<AnySource>> {
    let (folder, inner) = if is_address(path) {
        // A server has no folders that could be told from files.
        if is_image_name(&without_query(path)) {
            return Ok(None);
        }
        (path, None)
    } else if zarr::is_node(path) || path.is_dir() {
        (path, None)
    } else if path.exists() {
        return Ok(None);
    } else {
        // Only to say what there is instead.
        match path.ancestors().skip(1).find(|parent| parent.exists()) {
            Some(parent) if zarr::is_node(parent) => (parent, path.strip_prefix(parent).ok()),
            _ => return Ok(None),
        }
    };
    if let Some(name) = options.given(&["page", "overview", "stack"]) {
        let message = format!("no {name}: Zarr arrays have no pages or overviews, only TIFF files do");
        return Err(Error::unsupported(without_query(path).display().to_string(), message));
    }
    let inner = inner.map(|inner| inner.to_string_lossy().into_owned());
    // A folder that is none may be one of a hierarchy all the same.
    if !is_address(path) && inner.is_none() && !zarr::is_node(folder) && options.member.is_none() {
        let message = "a folder without zarr.json, .zarray or .zgroup: expected a file, or a Zarr array";
        return Err(Error::io(
            path,
            "open",
            std::io::Error::new(std::io::ErrorKind::IsADirectory, format!("is a directory: {message}")),
        ));
    }
    let member = inner.as_deref().or(options.member.as_deref());
    ZarrSource::open(folder, member).map(|source| Some(AnySource::new(source)))
}

/// The file of an address, and the name within it: `scene.npz/name` is the array `name` of `scene.npz`.
fn split(path: &Path, options: &OpenOptions) -> Result<(PathBuf, Option<String>)> {
    let inner =
        if is_address(path) || path.exists() { None } else { path.ancestors().skip(1).find(|parent| parent.is_file()) };
    let Some(file) = inner else { return Ok((path.to_owned(), options.member.clone())) };
    let name = path.strip_prefix(file).unwrap_or(path).to_string_lossy().into_owned();
    match &options.member {
        None => Ok((file.to_owned(), Some(name))),
        Some(member) => {
            Err(Error::argument("member", format!("{member:?}, but the path names {name:?}: expected one of the two")))
        }
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
