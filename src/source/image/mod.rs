//! Everyday images: whatever the `image` crate is built to read.

mod jpeg;
mod limits;

use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};

use self::limits::Limits;
use super::file::{DataFile, Stamp};
use super::format::Format;
use super::guard::guard;
use super::memory::ViewReader;
use super::{Identity, RegionReader, Source, SourceInfo, turned};
use crate::{BufferPool, DType, Error, Result, StridedView};

/// A PNG, JPEG, BMP, GIF (its first frame), WebP, PNM, TGA or QOI file.
///
/// The shape is `(y, x)` for gray and `(y, x, c)` for gray with alpha, RGB and RGBA; the type is `u8`, `u16` or `f32`.
/// Pixels are the ones stored: a palette is resolved, but an orientation in the metadata turns nothing
/// ([`notes`](Source::notes) says so), and no colour profile is applied.
///
/// These formats can't be entered in the middle, so a pass decodes the image as a whole, into one buffer.
///
/// A short file may hold a large image of one colour. More than 5000 bytes of pixels for a byte of the file are taken for
/// a lie, unless the image is smaller than 64 MiB. A JPEG file without its end marker is an error; data that stop before
/// the marker are not noticed, and the decoder fills in the rest.
#[derive(Debug)]
pub struct ImageSource {
    info: SourceInfo,
    path: PathBuf,
    stamp: Stamp,
    format: Format,
    /// How it is to be turned, by the number in EXIF.
    orientation: u8,
}

impl ImageSource {
    /// The image in the file at `path`. No pixel is decoded now.
    ///
    /// # Errors
    /// If the file can't be read, is none of the formats, is broken, or claims to be larger than its length allows.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = DataFile::open(path.as_ref())?;
        Self::new(&file, Format::of(&file)?)
    }

    pub(super) fn new(file: &DataFile, format: Format) -> Result<Self> {
        let (info, mut decoder) = start(file, format)?;
        // An image whose metadata are broken has pixels all the same.
        let orientation = guard(&info.name, || decoder.orientation()).map_or(1, Orientation::to_exif);
        Ok(Self { info, path: file.path().to_owned(), stamp: file.stamp(), format, orientation })
    }
}

impl Source for ImageSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn notes(&self) -> Vec<String> {
        turned(self.orientation.into()).into_iter().collect()
    }

    fn identity(&self) -> Result<Identity> {
        DataFile::reopen(&self.path, &self.stamp)?.identity(None)
    }

    fn stamp(&self) -> Option<String> {
        Some(self.stamp.to_string())
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let file = DataFile::reopen(&self.path, &self.stamp)?;
        let (info, decoder) = start(&file, self.format)?;
        if info != self.info {
            return Err(file.broken("the file changed: it is no longer the image that it was"));
        }
        let shape: Vec<_> = info.shape.iter().map(|&n| n as usize).collect();
        let mut memory = pool.take(info.bytes() as usize)?;
        let decoded = guard(&info.name, || decoder.read_image(&mut memory));
        file.check_unchanged()?;
        decoded?;
        let view = StridedView::from_buffer(memory.freeze(), info.dtype, &shape)?;
        Ok(Box::new(ViewReader(view)))
    }
}

/// Reads the header of an image, and checks what it claims. No pixel is decoded.
fn start(file: &DataFile, format: Format) -> Result<(SourceInfo, impl ImageDecoder + use<>)> {
    let name = file.name();
    let Some(image_format) = image_format(format) else {
        return Err(file.unsupported(format!("the file is {}: expected an image", format.name())));
    };
    let limits = Limits::of(file, format)?;
    let data = file.input()?;
    let decoder = guard(&name, || {
        let mut reader = ImageReader::with_format(BufReader::new(data), image_format);
        let mut image_limits = image::Limits::default();
        image_limits.max_alloc = Some(limits.most_alloc());
        reader.limits(image_limits);
        reader.into_decoder()
    })?;
    let ((width, height), color) = guard(&name, || Ok::<_, Error>((decoder.dimensions(), decoder.color_type())))?;
    let (dtype, channels) = layout(color)
        .ok_or_else(|| file.unsupported(format!("pixels of type {color:?}: expected gray or RGB, 8 or 16 bits")))?;
    let (height, width) = (u64::from(height), u64::from(width));
    if height == 0 || width == 0 {
        return Err(file.broken(format!("an image of {width} by {height} pixels: expected at least one")));
    }
    let mut shape = vec![height, width];
    let mut axes = vec!["y".to_owned(), "x".to_owned()];
    if channels > 1 {
        shape.push(channels);
        axes.push("c".to_owned());
    }
    let chunk = shape.clone();
    let mut info = SourceInfo { name, shape, dtype, axes: Some(axes), chunk, resident: true, working_bytes: 0 };
    limits.check(&info)?;
    info.working_bytes = limits.working_bytes(&info);
    Ok((info, decoder))
}

fn image_format(format: Format) -> Option<ImageFormat> {
    Some(match format {
        Format::Npy | Format::Zip | Format::Tiff => return None,
        Format::Png => ImageFormat::Png,
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Bmp => ImageFormat::Bmp,
        Format::Gif => ImageFormat::Gif,
        Format::WebP => ImageFormat::WebP,
        Format::Pnm => ImageFormat::Pnm,
        Format::Tga => ImageFormat::Tga,
        Format::Qoi => ImageFormat::Qoi,
    })
}

/// The type of a sample, and how many a pixel has.
fn layout(color: ColorType) -> Option<(DType, u64)> {
    Some(match color {
        ColorType::L8 => (DType::U8, 1),
        ColorType::La8 => (DType::U8, 2),
        ColorType::Rgb8 => (DType::U8, 3),
        ColorType::Rgba8 => (DType::U8, 4),
        ColorType::L16 => (DType::U16, 1),
        ColorType::La16 => (DType::U16, 2),
        ColorType::Rgb16 => (DType::U16, 3),
        ColorType::Rgba16 => (DType::U16, 4),
        ColorType::Rgb32F => (DType::F32, 3),
        ColorType::Rgba32F => (DType::F32, 4),
        _ => return None,
    })
}
