//! Which format a file has: by its first bytes, or else by its extension.

use std::path::Path;

use super::file::DataFile;
use crate::Result;

/// The formats that have a reader here; whether this build has it is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Npy,
    Zip,
    Tiff,
    Png,
    Jpeg,
    Bmp,
    Gif,
    WebP,
    Pnm,
    Tga,
    Qoi,
}

/// The longest magic: `RIFF`, a length and `WEBP`.
const HEAD: usize = 12;

impl Format {
    const ALL: [Format; 11] = [
        Format::Npy,
        Format::Zip,
        Format::Tiff,
        Format::Png,
        Format::Jpeg,
        Format::Bmp,
        Format::Gif,
        Format::WebP,
        Format::Pnm,
        Format::Tga,
        Format::Qoi,
    ];

    /// The format of an open file.
    pub(crate) fn of(file: &DataFile) -> Result<Self> {
        let head = file.head(HEAD)?;
        if let Some(format) = Self::ALL.into_iter().find(|format| format.has_magic(&head)) {
            return Ok(format);
        }
        if let Some(format) = Self::of_name(file.path()) {
            return Ok(format);
        }
        let names: Vec<_> = Self::ALL.into_iter().filter(|f| f.is_built()).map(Format::name).collect();
        let start = head.escape_ascii();
        Err(file.unsupported(format!("unknown format (it starts with \"{start}\"): expected {}", names.join(", "))))
    }

    /// The format of a file that is called so.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let extension = ending(path);
        Self::ALL.into_iter().find(|format| format.extensions().contains(&extension.as_str()))
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Npy => "npy",
            Format::Zip => "npz",
            Format::Tiff => "TIFF",
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::Bmp => "BMP",
            Format::Gif => "GIF",
            Format::WebP => "WebP",
            Format::Pnm => "PNM",
            Format::Tga => "TGA",
            Format::Qoi => "QOI",
        }
    }

    /// The feature that brings the reader; `None` for what is always there.
    pub(crate) fn feature(self) -> Option<&'static str> {
        match self {
            Format::Npy => None,
            Format::Zip => Some("npz"),
            Format::Tiff => Some("tiff"),
            _ => Some("image"),
        }
    }

    /// Whether this build reads the format.
    pub(crate) fn is_built(self) -> bool {
        match self.feature() {
            None => true,
            Some("tiff") => cfg!(feature = "tiff"),
            Some("npz") => cfg!(feature = "npz"),
            Some(_) => cfg!(feature = "image"),
        }
    }

    /// Whether a file of this format starts so. TGA has no magic.
    fn has_magic(self, head: &[u8]) -> bool {
        match self {
            Format::Npy => head.starts_with(b"\x93NUMPY"),
            Format::Zip => head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06"),
            Format::Tiff => [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| head.starts_with(*magic)),
            Format::Png => head.starts_with(b"\x89PNG\r\n\x1a\n"),
            Format::Jpeg => head.starts_with(b"\xff\xd8\xff"),
            Format::Bmp => head.starts_with(b"BM"),
            Format::Gif => head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a"),
            Format::WebP => head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP"),
            Format::Pnm => matches!(head, [b'P', b'1'..=b'7', b' ' | b'\t' | b'\n' | b'\r' | b'#', ..]),
            Format::Tga => false,
            Format::Qoi => head.starts_with(b"qoif"),
        }
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Format::Npy => &["npy"],
            Format::Zip => &["npz", "zip"],
            Format::Tiff => &["tif", "tiff", "btf", "tf8"],
            Format::Png => &["png", "apng"],
            Format::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Format::Bmp => &["bmp", "dib"],
            Format::Gif => &["gif"],
            Format::WebP => &["webp"],
            Format::Pnm => &["pbm", "pgm", "ppm", "pnm", "pam"],
            Format::Tga => &["tga"],
            Format::Qoi => &["qoi"],
        }
    }
}

/// The ending of a name, in lower case.
fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn format(name: &str, bytes: &[u8]) -> Result<Format> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Format::of(&DataFile::open(&path)?)
    }

    #[test]
    fn the_first_bytes_win_over_the_extension() {
        assert_eq!(format("a.png", b"\x93NUMPY\x01\0").unwrap(), Format::Npy);
        assert_eq!(format("a", b"MM\0+").unwrap(), Format::Tiff);
        assert_eq!(format("a.txt", b"RIFF\x01\0\0\0WEBPVP8L").unwrap(), Format::WebP);
        assert_eq!(format("a", b"P5\n1 1\n255\n\0").unwrap(), Format::Pnm);
    }

    #[test]
    fn the_extension_helps_where_the_first_bytes_say_nothing() {
        assert_eq!(format("A.TGA", b"\0\0\x02").unwrap(), Format::Tga);
        assert_eq!(format("a.tif", b"nonsense").unwrap(), Format::Tiff);
    }

    #[test]
    fn an_unknown_file_is_told_what_would_do() {
        let message = format("a.txt", b"hello\nworld, how are you?").unwrap_err().to_string();
        assert!(
            message.contains(r#""hello\nworld,""#) && message.contains("npy") && !message.contains('\n'),
            "{message}"
        );
    }
}
