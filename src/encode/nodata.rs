//! [`Nodata`]: the value that stands where there is none.

use std::str::FromStr;

use arrow_buffer::{BooleanBuffer, NullBuffer};

use crate::dtype::with_pixel;
use crate::{DType, Error, Pixel, Result, Scalar};

/// Which value marks a pixel that has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nodata {
    /// This one; NaN is every NaN.
    Value(Scalar),
    /// What the file says: a TIFF's `GDAL_NODATA`.
    OfFile,
}

impl From<f64> for Nodata {
    fn from(value: f64) -> Self {
        Nodata::Value(Scalar::Float(value))
    }
}

impl From<i64> for Nodata {
    fn from(value: i64) -> Self {
        Nodata::Value(Scalar::Int(value))
    }
}

impl From<Scalar> for Nodata {
    fn from(value: Scalar) -> Self {
        Nodata::Value(value)
    }
}

impl FromStr for Nodata {
    type Err = Error;

    /// Reads a number, `nan`, or `file`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "file" {
            return Ok(Nodata::OfFile);
        }
        text.parse().map(Nodata::Value).map_err(|_: Error| {
            Error::argument("nodata", format!("{text:?} is not a number, nor nan, nor 'file' for what the file says"))
        })
    }
}

/// A value that marks cells of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Marker {
    /// As it was said.
    pub(crate) value: Scalar,
    dtype: DType,
    /// Its bytes.
    pub(crate) cell: [u8; 8],
}

impl Marker {
    /// The marker of pixels of this type; `name` is the argument that it came by.
    pub(crate) fn new(value: Scalar, dtype: DType, name: &'static str) -> Result<Self> {
        let cell = value.to_cell(dtype).map_err(|error| {
            let text = error.to_string();
            Error::argument(name, text.strip_prefix("pad_value: ").unwrap_or(&text).to_owned())
        })?;
        Ok(Self { value, dtype, cell })
    }

    /// Which of the cells, densely one behind the other, have a value.
    pub(crate) fn valid(&self, cells: &[u8]) -> BooleanBuffer {
        with_pixel!(self.dtype, T => self.valid_of::<T>(cells))
    }

    #[expect(clippy::eq_op, reason = "NaN alone is not itself, of types that have it")]
    fn valid_of<T: Pixel>(&self, cells: &[u8]) -> BooleanBuffer {
        let size = size_of::<T>();
        let marker = T::from_cell(&self.cell[..size]);
        let at = |i: usize| T::from_cell(&cells[i * size..(i + 1) * size]);
        if marker != marker {
            return BooleanBuffer::collect_bool(cells.len() / size, |i| at(i) == at(i));
        }
        BooleanBuffer::collect_bool(cells.len() / size, |i| at(i) != marker)
    }

    /// The same, as nulls; `None` if there are none.
    pub(crate) fn nulls(&self, cells: &[u8]) -> Option<NullBuffer> {
        Some(NullBuffer::new(self.valid(cells))).filter(|nulls| nulls.null_count() > 0)
    }

    /// Whether a cell has a value.
    pub(crate) fn is_valid(&self, cell: &[u8]) -> bool {
        self.valid(cell).value(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_marks_itself_and_nan_every_nan() {
        let marker = Marker::new(Scalar::Int(0), DType::F32, "nodata").unwrap();
        let cells = [0.0f32, -0.0, 1.0, f32::NAN].map(f32::to_ne_bytes).concat();
        assert_eq!(marker.valid(&cells).iter().collect::<Vec<_>>(), [false, false, true, true]);
        let marker = Marker::new("nan".parse().unwrap(), DType::F32, "nodata").unwrap();
        assert_eq!(marker.valid(&cells).iter().collect::<Vec<_>>(), [true, true, true, false]);
        let message = Marker::new(Scalar::Int(300), DType::U8, "nodata").unwrap_err().to_string();
        assert!(message.starts_with("nodata: 300 is not a uint8"), "{message}");
        assert!("none".parse::<Nodata>().unwrap_err().to_string().contains("'file'"));
    }
}
