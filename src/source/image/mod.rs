//! Everyday images: whatever the `image` crate is built to read.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};

use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::file::DataFile;
use super::format::Format;
use super::guard::guard;
use super::memory::ViewReader;
use super::{RegionReader, Source, SourceInfo};
use crate::{BufferPool, DType, Error, Result, StridedView};

/// The most memory that an image may take, decoded.
const MAX_BYTES: u64 = 4 << 30;

/// A PNG, JPEG, BMP, GIF (its first frame), WebP, PNM, TGA or QOI file.
///
/// The shape is `(y, x)` for gray and `(y, x, c)` for gray with alpha, RGB and RGBA; the type is `u8`, `u16` or `f32`.
/// Pixels are the ones stored: a palette is resolved, but an orientation in the metadata turns nothing, and no colour
/// profile is applied.
///
/// These formats can't be entered in the middle, so a pass decodes the image as a whole, into one buffer.
#[derive(Debug)]
pub struct ImageSource {
    info: SourceInfo,
    path: PathBuf,
    format: Format,
}

impl ImageSource {
    /// The image in the file at `path`. Only its header is read now.
    ///
    /// # Errors
    /// If the file can't be read, is none of the formats, is broken, or claims to be larger than its length allows.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = DataFile::open(path)?;
        let format = Format::of(&file)?;
        let (info, _) = start(file, format)?;
        Ok(Self { info, path: path.to_owned(), format })
    }
}

impl Source for ImageSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let (info, decoder) = start(DataFile::open(&self.path)?, self.format)?;
        if info != self.info {
            return Err(Error::format(&self.info.name, "the file changed: it is no longer the image that it was"));
        }
        let shape: Vec<_> = info.shape.iter().map(|&n| n as usize).collect();
        let mut memory = pool.take(info.bytes() as usize)?;
        guard(&info.name, || decoder.read_image(&mut memory))?;
        let view = StridedView::from_buffer(memory.freeze(), info.dtype, &shape)?;
        Ok(Box::new(ViewReader(view)))
    }
}

/// Reads the header of an image, and checks what it claims. No pixel is decoded.
fn start(file: DataFile, format: Format) -> Result<(SourceInfo, impl ImageDecoder)> {
    let name = file.name();
    let Some(image_format) = image_format(format) else {
        return Err(file.unsupported(format!("the file is {}: expected an image", format.name())));
    };
    let most = most_pixels(&file, format)?;
    let mut data = file.into_inner();
    data.rewind().map_err(|e| Error::io(Path::new(&name), "read", e))?;
    let decoder = guard(&name, || {
        let mut reader = ImageReader::with_format(BufReader::<File>::new(data), image_format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits);
        reader.into_decoder()
    })?;
    let ((width, height), color) = guard(&name, || Ok::<_, Error>((decoder.dimensions(), decoder.color_type())))?;
    let (dtype, channels) = layout(color).ok_or_else(|| {
        Error::unsupported(&name, format!("pixels of type {color:?}: expected gray or RGB, 8 or 16 bits"))
    })?;
    let (height, width) = (u64::from(height), u64::from(width));
    if height == 0 || width == 0 {
        return Err(Error::format(&name, format!("an image of {width} by {height} pixels: expected at least one")));
    }
    let mut shape = vec![height, width];
    let mut axes = vec!["y".to_owned(), "x".to_owned()];
    if channels > 1 {
        shape.push(channels);
        axes.push("c".to_owned());
    }
    let info = SourceInfo { name, chunk: shape.clone(), shape, dtype, axes: Some(axes), resident: true };
    let name = &info.name;
    if info.bytes() > MAX_BYTES {
        let message = format!("{width} by {height} pixels take {} bytes decoded: at most {MAX_BYTES}", info.bytes());
        return Err(Error::format(name, message));
    }
    if most.is_some_and(|most| height * width > most) {
        let most = most.unwrap_or_default();
        let message =
            format!("the header claims {width} by {height} pixels, but a file this short holds at most {most}");
        return Err(Error::format(name, message));
    }
    Ok((info, decoder))
}

/// The most pixels that a file of this length can hold, with some room; `None` where a single byte can hold any
/// number. A claim beyond it is refused before memory is taken for it.
fn most_pixels(file: &DataFile, format: Format) -> Result<Option<u64>> {
    let pixels_per_byte = match format {
        // Deflate makes at most 1032 bytes out of one. Byte 24 is the bit depth, byte 25 the kind of pixel.
        Format::Png => {
            let head = file.head(26)?;
            let (depth, kind) = (head.get(24).copied().unwrap_or(8), head.get(25).copied().unwrap_or(0));
            let samples = [1, 1, 3, 1, 2, 1, 4].get(usize::from(kind)).copied().unwrap_or(1);
            1100 * 8 / (u64::from(depth.clamp(1, 16)) * samples)
        }
        // Run lengths: up to 255 pixels from two bytes, 128 from two, 62 from one. PNM may pack bits.
        Format::Bmp => 128,
        Format::Tga => 128,
        Format::Qoi => 62,
        Format::Pnm => 8,
        // A progressive scan has at least one bit for each block of 64 pixels, and chroma has fewer blocks.
        Format::Jpeg => 1100,
        // A frame may be smaller than the canvas, and a single colour takes no bits. Both formats have small limits of
        // their own, 65535 and 16384 pixels a side.
        _ => return Ok(None),
    };
    Ok(Some(file.len().saturating_mul(pixels_per_byte.max(1))))
}

fn image_format(format: Format) -> Option<ImageFormat> {
    Some(match format {
        Format::Npy | Format::Tiff => return None,
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
