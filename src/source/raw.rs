//! Files without a header: numbers, and whoever opens them knows which.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::dense::{Dense, DenseFile};
use super::file::DataFile;
use super::{Identity, OpenOptions, RegionReader, Source, SourceInfo, npy_header};
use crate::{BufferPool, DType, Error, Result};

/// What a file without a header holds: the type of its numbers, their byte order, the length of each axis (C order), and
/// where they start.
///
/// As text `u16le:4096x4096`, `float32be:3x512x512`, or with numpy's names `>i2:100x100`. With `@512` the numbers start at
/// that byte. A file without `@` has to be as long as the array; with it, others may follow.
///
/// ```
/// use windrow::source::RawSpec;
///
/// let spec: RawSpec = "u16be:480x640@1024".parse()?;
/// assert_eq!((spec.shape.as_slice(), spec.offset), (&[480, 640][..], Some(1024)));
/// assert_eq!(spec.to_string(), "uint16be:480x640@1024");
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RawSpec {
    /// The type of a number.
    pub dtype: DType,
    /// Whether numbers have their high byte first.
    pub big_endian: bool,
    /// The length of each axis, the one that varies fastest last.
    pub shape: Vec<u64>,
    /// The byte where the numbers start; `None` is the first one of a file that ends with the last one.
    pub offset: Option<u64>,
}

impl RawSpec {
    fn dense(&self) -> Dense {
        let swapped = self.big_endian != cfg!(target_endian = "big") && self.dtype.size() > 1;
        let data = self.offset.unwrap_or(0);
        Dense { dtype: self.dtype, swapped, fortran: false, shape: self.shape.clone(), data }
    }

    /// The array in a file, if it is there.
    fn of(&self, file: &DataFile) -> Result<Dense> {
        let array = self.dense();
        let broken = |message: String| file.broken(format!("{message} (raw {self})"));
        if array.data > file.len() {
            return Err(broken(format!("the numbers start at byte {}, but the file has {}", array.data, file.len())));
        }
        let needs = array.bytes_within(file.len()).map_err(broken)?;
        if self.offset.is_none() && needs != file.len() {
            let message =
                format!("shape {:?} of {} is {needs} bytes, but the file has {}", self.shape, self.dtype, file.len());
            return Err(broken(format!("{message}: say where they start, as in {self}@0, if others follow")));
        }
        Ok(array)
    }
}

impl FromStr for RawSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: String| {
            let text: String = text.chars().take(80).collect();
            Error::argument(
                "raw",
                format!("{text:?}: {what}: expected such as u16le:4096x4096, or u16le:4096x4096@512"),
            )
        };
        let (kind, rest) = text.split_once(':').ok_or_else(|| bad("no ':' after the type".to_owned()))?;
        let (shape, offset) = match rest.split_once('@') {
            Some((shape, offset)) => {
                let offset = offset.trim().parse().map_err(|_| bad("no number of bytes after '@'".to_owned()))?;
                (shape, Some(offset))
            }
            None => (rest, None),
        };
        let length = |part: &str| part.trim().parse::<u64>().ok();
        let shape: Option<Vec<_>> = shape.split(['x', 'X']).map(length).collect();
        let shape = shape.ok_or_else(|| bad("no length for each axis".to_owned()))?;
        let (dtype, big_endian) = number(kind.trim()).map_err(|what| bad(format!("type {kind:?}: {what}")))?;
        let spec = Self { dtype, big_endian, shape, offset };
        let bytes = spec.dense().bytes().map_err(bad)?;
        if offset.is_some_and(|offset| offset.checked_add(bytes).is_none()) {
            return Err(bad("more bytes than any file has".to_owned()));
        }
        Ok(spec)
    }
}

/// The type of a number and whether its high byte is first: by numpy's short names, or the names of [`DType`] and an
/// order.
fn number(kind: &str) -> Result<(DType, bool), String> {
    if kind.starts_with(['<', '>', '|', '=']) {
        let (dtype, swapped) = npy_header::dtype(kind).map_err(str::to_owned)?;
        return Ok((dtype, swapped != cfg!(target_endian = "big") && dtype.size() > 1));
    }
    let (name, big_endian) = match (kind.strip_suffix("le"), kind.strip_suffix("be")) {
        (Some(name), _) => (name, Some(false)),
        (_, Some(name)) => (name, Some(true)),
        _ => (kind, None),
    };
    let dtype: DType = name.parse().map_err(|_| "unknown".to_owned())?;
    match big_endian {
        None if dtype.size() > 1 => Err(format!("its byte order is missing, {name}le or {name}be")),
        order => Ok((dtype, order.unwrap_or(false) && dtype.size() > 1)),
    }
}

impl fmt::Display for RawSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match (self.dtype.size(), self.big_endian) {
            (1, _) => "",
            (_, true) => "be",
            (_, false) => "le",
        };
        let shape: Vec<_> = self.shape.iter().map(u64::to_string).collect();
        write!(f, "{}{order}:{}", self.dtype, shape.join("x"))?;
        match self.offset {
            Some(offset) => write!(f, "@{offset}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for RawSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<RawSpec> for String {
    fn from(spec: RawSpec) -> Self {
        spec.to_string()
    }
}

/// An array in a file that says nothing of it.
///
/// Read as `.npy` files are: a region is read with as few system calls as its shape allows, and nothing besides it.
#[derive(Debug)]
pub struct RawSource {
    spec: RawSpec,
    file: DenseFile,
}

impl RawSource {
    /// The array that `spec` says is in the file at `path`. Nothing is read now.
    ///
    /// ```no_run
    /// use windrow::source::{RawSource, Source};
    ///
    /// let source = RawSource::open("scene.bin", &"u16le:4096x4096".parse()?)?;
    /// assert_eq!(source.info().shape, [4096, 4096]);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the file can't be opened, or its length is not that of the array.
    pub fn open(path: impl AsRef<Path>, spec: &RawSpec) -> Result<Self> {
        Self::new(&DataFile::open(path.as_ref())?, spec)
    }

    /// The same, mapped into memory: a region is then a slice that the system loads when it is touched.
    ///
    /// # Safety
    /// As for [`NpySource::open_mmap`](super::NpySource::open_mmap): nobody may change the file as long as anything made
    /// from it lives.
    ///
    /// # Errors
    /// As [`open`](Self::open); also if the numbers are not in the byte order of this machine, or not aligned in the file.
    pub unsafe fn open_mmap(path: impl AsRef<Path>, spec: &RawSpec) -> Result<Self> {
        let file = DataFile::open(path.as_ref())?;
        let Self { spec, file: array } = Self::new(&file, spec)?;
        // SAFETY: the caller promises that the file stays as it is.
        let file = unsafe { array.map(&file) }?;
        Ok(Self { spec, file })
    }

    fn new(file: &DataFile, spec: &RawSpec) -> Result<Self> {
        Ok(Self { spec: spec.clone(), file: DenseFile::new(file, spec.of(file)?) })
    }
}

impl Source for RawSource {
    fn info(&self) -> &SourceInfo {
        &self.file.info
    }

    fn options(&self) -> OpenOptions {
        OpenOptions::new().raw(self.spec.clone())
    }

    fn identity(&self) -> Result<Identity> {
        self.file.identity()
    }

    fn fills(&self, first: usize) -> bool {
        self.file.array.fills(first)
    }

    fn stamp(&self) -> Option<String> {
        Some(self.file.stamp())
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        self.file.open(pool, |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> RawSpec {
        text.parse().unwrap()
    }

    #[test]
    fn a_text_says_all_of_it() {
        let expected = RawSpec { dtype: DType::U16, big_endian: false, shape: vec![40, 50], offset: None };
        for text in ["u16le:40x50", "uint16le:40X50", "<u2:40x50", "u16le: 40 x 50 "] {
            assert_eq!(spec(text), expected, "{text}");
        }
        assert_eq!(spec(">f8:3x4x5@17"), spec("f64be:3x4x5@17"));
        assert_eq!(spec("u8:7"), spec("u8be:7"));
        assert_eq!(spec("bool:0x4").shape, [0, 4]);
        for text in ["u8:7", "f16be:1x2@0", "int64le:3x3@8"] {
            assert_eq!(spec(&spec(text).to_string()), spec(text));
        }
    }

    #[test]
    fn anything_else_says_what_is_missing() {
        for (text, part) in [
            ("", "no ':'"),
            ("u16:4x4", "u16le or u16be"),
            ("u17le:4x4", "unknown"),
            ("<c8:4", "complex"),
            ("u8:", "length for each axis"),
            ("u8:4x", "length for each axis"),
            ("u8:4x-1", "length for each axis"),
            ("u8:4@", "after '@'"),
            ("u8:4@-1", "after '@'"),
            ("f64le:4294967296x4294967296", "more than"),
            ("u8:9223372036854775807@9223372036854775809", "any file"),
        ] {
            let message = text.parse::<RawSpec>().unwrap_err().to_string();
            assert!(message.starts_with("raw: ") && message.contains(part), "{text}: {message}");
        }
        let axes = format!("u8:{}1", "1x".repeat(70));
        assert!(axes.parse::<RawSpec>().unwrap_err().to_string().contains("at most 64"));
    }
}
