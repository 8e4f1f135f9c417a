//! How much memory an image may ask for: a claim that the length of the file can't bear is refused before memory is
//! taken for it.

use std::io::BufReader;

use super::jpeg::JpegStream;
use crate::source::SourceInfo;
use crate::source::file::DataFile;
use crate::source::format::Format;
use crate::{Error, Result};

/// The most memory that an image may take, decoded.
pub(super) const MAX_BYTES: u64 = 4 << 30;

/// An image of so many bytes is never too large for its file: a single colour takes next to none.
const SMALL: u64 = 64 << 20;

/// Beyond that, the most bytes of pixels for a byte of the file.
const RATIO: u64 = 5000;

/// The most memory for what a PNG file says besides its pixels. A larger text is an error, a larger colour profile is
/// left out.
const METADATA: u64 = 8 << 20;

/// What a file can hold, by its first bytes and its length.
#[derive(Debug)]
pub(super) struct Limits {
    format: Format,
    head: Vec<u8>,
    /// Bytes that may hold pixels.
    data: u64,
    file: u64,
    jpeg: JpegStream,
}

impl Limits {
    /// # Errors
    /// Also if the file is a JPEG file without an end: its decoder would make up the pixels that are missing.
    pub(super) fn of(file: &DataFile, format: Format) -> Result<Self> {
        // As far as the kind of pixel in a PNG file, and the flags of an extended WebP file.
        let head = file.head(26)?;
        let mut limits = Self { format, head, data: file.len(), file: file.len(), jpeg: JpegStream::default() };
        if format == Format::Jpeg {
            let stream = JpegStream::read(BufReader::with_capacity(1 << 16, file.input()?));
            limits.jpeg = stream.map_err(|e| Error::io(file.path(), "read", e))?;
            limits.data = limits.jpeg.coded;
            if !limits.jpeg.ended {
                return Err(file.broken("the JPEG data have no end marker: the file is cut short"));
            }
        }
        Ok(limits)
    }

    /// What a decoder may take for itself.
    pub(super) fn most_alloc(&self) -> u64 {
        match self.format {
            Format::Png => {
                let width = self.head.get(16..20).map_or(0, |n| n.iter().fold(0, |n, &b| n << 8 | u64::from(b)));
                METADATA + width * 8
            }
            _ => self.most_bytes().min(MAX_BYTES),
        }
    }

    /// Refuses an image that is larger than its file can hold.
    pub(super) fn check(&self, info: &SourceInfo) -> Result<()> {
        let (height, width) = (info.shape[0], info.shape[1]);
        let broken = |message| Err(Error::format(&info.name, message));
        if info.bytes() > MAX_BYTES {
            let bytes = info.bytes();
            return broken(format!("{width} by {height} pixels take {bytes} bytes decoded: at most {MAX_BYTES}"));
        }
        let most = self.data.saturating_mul(self.pixels_per_byte());
        if height * width > most {
            return broken(format!(
                "the header claims {width} by {height} pixels, but a file this short holds at most {most}"
            ));
        }
        if info.bytes() > self.most_bytes() {
            let Self { data, .. } = self;
            return broken(format!(
                "the header claims {width} by {height} pixels, {} bytes, but the file has only {data} bytes of data",
                info.bytes()
            ));
        }
        Ok(())
    }

    /// The most bytes of pixels that are believed, whatever the format could do.
    fn most_bytes(&self) -> u64 {
        self.data.saturating_mul(RATIO).max(SMALL)
    }

    /// The most pixels that the format gets out of a byte, with some room.
    fn pixels_per_byte(&self) -> u64 {
        match self.format {
            // Deflate makes at most 1032 bytes out of one. Byte 24 is the bit depth, byte 25 the kind of pixel.
            Format::Png => {
                let (depth, kind) = (self.head.get(24).unwrap_or(&8), self.head.get(25).unwrap_or(&0));
                let samples = [1, 1, 3, 1, 2, 1, 4].get(usize::from(*kind)).copied().unwrap_or(1);
                (1100 * 8 / (u64::from((*depth).clamp(1, 16)) * samples)).max(1)
            }
            // Run lengths: up to 255 pixels from two bytes, 128 from two, 62 from one. PNM may pack bits.
            Format::Bmp => 128,
            Format::Tga => 128,
            Format::Qoi => 62,
            Format::Pnm => 8,
            // Every block of 64 pixels takes at least one bit, and chroma has fewer blocks.
            Format::Jpeg => 1100,
            // A frame may be smaller than the canvas, and a single colour takes no bits.
            _ => u64::MAX,
        }
    }

    /// An upper estimate of what decoding takes besides the pixels, from what the decoders allocate.
    pub(super) fn working_bytes(&self, info: &SourceInfo) -> u64 {
        /// Tables and a piece of the file.
        const STATE: u64 = 1 << 20;
        let pixels = info.shape[0] * info.shape[1];
        let row = info.bytes() / info.shape[0];
        STATE
            + match self.format {
                // Metadata are deflated, and a few rows are unpacked.
                Format::Png => METADATA.min(self.file.saturating_mul(1100)) + 4 * row,
                // The file itself and metadata from it, and samples of two bytes: of rows of blocks, or of all.
                Format::Jpeg => 2 * self.file + self.jpeg.coefficients + 128 * row,
                // A frame that has another size than the canvas.
                Format::Gif => info.bytes(),
                // An animation has a canvas and a frame of RGBA, and the frame may be lossy with an alpha plane; that
                // takes the planes of YCbCr, and RGBA for the alpha plane.
                Format::WebP => pixels.saturating_mul(match (self.head.get(12..16), self.head.get(20)) {
                    (Some(b"VP8 "), _) => 2,
                    (Some(b"VP8L"), _) => 5,
                    (_, Some(flags)) if flags & 2 == 0 => 7,
                    _ => 15,
                }),
                // Indices of a palette.
                Format::Tga => info.bytes(),
                _ => 2 * row,
            }
    }
}
