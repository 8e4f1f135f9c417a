//! The types that a pixel can have, under numpy's names.

use std::fmt;
use std::str::FromStr;

use arrow_schema::DataType;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The type of one cell of an array.
///
/// Names and byte layouts are numpy's: a `bool` is one byte (zero is false, anything else true), everything is in the
/// byte order of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs)]
pub enum DType {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

/// Calls a macro-like body with `$T` bound to the Rust type of a [`DType`].
macro_rules! with_pixel {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::Bool => {
                type $T = bool;
                $body
            }
            $crate::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::DType::U16 => {
                type $T = u16;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::U64 => {
                type $T = u64;
                $body
            }
            $crate::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::DType::I16 => {
                type $T = i16;
                $body
            }
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(crate) use with_pixel;

impl DType {
    /// Every type, in the order of the enum.
    pub const ALL: [DType; 12] = [
        DType::Bool,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F16,
        DType::F32,
        DType::F64,
    ];

    /// Bytes a cell takes in an array.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 | DType::I8 => 1,
            DType::U16 | DType::I16 | DType::F16 => 2,
            DType::U32 | DType::I32 | DType::F32 => 4,
            DType::U64 | DType::I64 | DType::F64 => 8,
        }
    }

    /// numpy's name: `uint8`, `float32`, …
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "float16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// The Arrow type of one cell.
    pub const fn arrow(self) -> DataType {
        match self {
            DType::Bool => DataType::Boolean,
            DType::U8 => DataType::UInt8,
            DType::U16 => DataType::UInt16,
            DType::U32 => DataType::UInt32,
            DType::U64 => DataType::UInt64,
            DType::I8 => DataType::Int8,
            DType::I16 => DataType::Int16,
            DType::I32 => DataType::Int32,
            DType::I64 => DataType::Int64,
            DType::F16 => DataType::Float16,
            DType::F32 => DataType::Float32,
            DType::F64 => DataType::Float64,
        }
    }

    /// Whether the type has a fraction.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::F32 | DType::F64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = Error;

    /// Reads numpy's name, or Rust's (`f32`, `u8`).
    fn from_str(text: &str) -> Result<Self> {
        let short = |d: DType| with_pixel!(d, T => T::RUST_NAME);
        DType::ALL.into_iter().find(|d| d.name() == text || short(*d) == text).ok_or_else(|| {
            let names = DType::ALL.map(DType::name).join(", ");
            Error::argument("dtype", format!("{text:?} is not a type of pixels: expected one of {names}"))
        })
    }
}

impl TryFrom<String> for DType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DType> for String {
    fn from(dtype: DType) -> Self {
        dtype.name().to_owned()
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a pixel can have. Sealed: these are the twelve of [`DType`].
pub trait Pixel: sealed::Sealed + bytemuck::NoUninit + Send + Sync + PartialEq + fmt::Debug + 'static {
    /// Its [`DType`].
    const DTYPE: DType;
    /// Its name in Rust.
    const RUST_NAME: &'static str;

    /// Reads a cell from its bytes, in the byte order of the machine. The slice has exactly [`DType::size`] bytes.
    fn from_cell(bytes: &[u8]) -> Self;
}

macro_rules! pixels {
    ($($t:ty, $dtype:ident, $name:literal);* $(;)?) => {$(
        impl sealed::Sealed for $t {}
        impl Pixel for $t {
            const DTYPE: DType = DType::$dtype;
            const RUST_NAME: &'static str = $name;
            fn from_cell(bytes: &[u8]) -> Self {
                bytemuck::pod_read_unaligned(bytes)
            }
        }
    )*};
}
pixels! {
    u8, U8, "u8"; u16, U16, "u16"; u32, U32, "u32"; u64, U64, "u64";
    i8, I8, "i8"; i16, I16, "i16"; i32, I32, "i32"; i64, I64, "i64";
    f16, F16, "f16"; f32, F32, "f32"; f64, F64, "f64";
}

impl sealed::Sealed for bool {}
impl Pixel for bool {
    const DTYPE: DType = DType::Bool;
    const RUST_NAME: &'static str = "bool";
    fn from_cell(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}

/// A number that is not yet bound to a type, such as a padding value that a user typed.
///
/// Serialized as its text, since JSON has no NaN and no infinity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scalar {
    /// A whole number: holds every integer type exactly.
    Int(i64),
    /// A whole number above the range of `i64`.
    Uint(u64),
    /// Any other number.
    Float(f64),
}

impl Scalar {
    /// The bytes of this number as one cell of `dtype` (the first [`DType::size`] of the eight).
    ///
    /// # Errors
    /// If the type can't hold the number: a fraction or an infinity in an integer, or a value out of its range.
    pub fn to_cell(self, dtype: DType) -> Result<[u8; 8]> {
        self.to_cell_of("pad_value", dtype)
    }

    /// The same for an argument of another name.
    pub(crate) fn to_cell_of(self, argument: &'static str, dtype: DType) -> Result<[u8; 8]> {
        let mut cell = [0; 8];
        macro_rules! int {
            ($t:ty) => {{
                let value = match self {
                    Scalar::Int(v) => <$t>::try_from(v).ok(),
                    Scalar::Uint(v) => <$t>::try_from(v).ok(),
                    // Below 2^65 in size: exact in an i128, and beyond any of the types.
                    Scalar::Float(v) if v.fract() == 0.0 && v.abs() < 3.0e19 => <$t>::try_from(v as i128).ok(),
                    Scalar::Float(_) => None,
                };
                let value = value.ok_or_else(|| {
                    let (min, max) = (<$t>::MIN, <$t>::MAX);
                    Error::argument(
                        argument,
                        format!("{self} is not a {dtype}: expected a whole number from {min} to {max}"),
                    )
                })?;
                cell[..size_of::<$t>()].copy_from_slice(&value.to_ne_bytes());
            }};
        }
        match dtype {
            DType::Bool => match self.to_f64() {
                0.0 => {}
                1.0 => cell[0] = 1,
                _ => return Err(Error::argument(argument, format!("{self} is not a bool: expected 0 or 1"))),
            },
            DType::U8 => int!(u8),
            DType::U16 => int!(u16),
            DType::U32 => int!(u32),
            DType::U64 => int!(u64),
            DType::I8 => int!(i8),
            DType::I16 => int!(i16),
            DType::I32 => int!(i32),
            DType::I64 => int!(i64),
            DType::F16 => {
                let value = f16::from_f64(self.to_f64());
                self.check_float(argument, value.to_f64(), dtype)?;
                cell[..2].copy_from_slice(&value.to_ne_bytes());
            }
            DType::F32 => {
                let value = self.to_f64() as f32;
                self.check_float(argument, value.into(), dtype)?;
                cell[..4].copy_from_slice(&value.to_ne_bytes());
            }
            DType::F64 => {
                self.check_float(argument, self.to_f64(), dtype)?;
                cell.copy_from_slice(&self.to_f64().to_ne_bytes());
            }
        }
        Ok(cell)
    }

    /// A whole number must be the float; a fraction may be rounded, but not to infinity.
    fn check_float(self, argument: &'static str, value: f64, dtype: DType) -> Result<()> {
        let holds = match self {
            Scalar::Int(v) => value as i128 == i128::from(v) && value.is_finite(),
            Scalar::Uint(v) => value as i128 == i128::from(v) && value.is_finite(),
            Scalar::Float(v) => value.is_finite() || !v.is_finite(),
        };
        if holds { Ok(()) } else { Err(Error::argument(argument, format!("{self} is not a {dtype}"))) }
    }

    /// The nearest `f64`.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Int(v) => v as f64,
            Scalar::Uint(v) => v as f64,
            Scalar::Float(v) => v,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Int(v) => v.fmt(f),
            Scalar::Uint(v) => v.fmt(f),
            Scalar::Float(v) => v.fmt(f),
        }
    }
}

impl FromStr for Scalar {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(v) = text.parse() {
            return Ok(Scalar::Int(v));
        }
        if let Ok(v) = text.parse() {
            return Ok(Scalar::Uint(v));
        }
        text.parse().map(Scalar::Float).map_err(|_| Error::argument("pad_value", format!("{text:?} is not a number")))
    }
}

impl TryFrom<String> for Scalar {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        scalar.to_string()
    }
}

impl From<i64> for Scalar {
    fn from(v: i64) -> Self {
        Scalar::Int(v)
    }
}

impl From<f64> for Scalar {
    fn from(v: f64) -> Self {
        Scalar::Float(v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse::<DType>().unwrap(), dtype);
            with_pixel!(dtype, T => {
                assert_eq!(T::DTYPE, dtype);
                assert_eq!(size_of::<T>(), dtype.size());
                assert_eq!(T::RUST_NAME.parse::<DType>().unwrap(), dtype);
            });
        }
        let message = "object".parse::<DType>().unwrap_err().to_string();
        assert!(message.contains("\"object\"") && message.contains("uint8"), "{message}");
    }

    #[test]
    fn a_scalar_fits_or_says_so() {
        assert_eq!(Scalar::Int(255).to_cell(DType::U8).unwrap()[0], 255);
        assert_eq!(Scalar::Float(-3.0).to_cell(DType::I8).unwrap()[0], 253);
        assert_eq!(Scalar::Uint(u64::MAX).to_cell(DType::U64).unwrap(), [255; 8]);
        assert_eq!(Scalar::Float(1e19).to_cell(DType::U64).unwrap(), 10_000_000_000_000_000_000u64.to_ne_bytes());
        assert!(Scalar::Float(0.1).to_cell(DType::F32).is_ok() && Scalar::Float(f64::NAN).to_cell(DType::F16).is_ok());
        assert_eq!(&Scalar::Float(0.5).to_cell(DType::F32).unwrap()[..4], &0.5f32.to_ne_bytes());
        for (scalar, dtype) in [
            (Scalar::Int(256), DType::U8),
            (Scalar::Int(-1), DType::U64),
            (Scalar::Float(0.5), DType::I32),
            (Scalar::Float(f64::NAN), DType::I64),
            (Scalar::Float(1e300), DType::I64),
            (Scalar::Int(2), DType::Bool),
            (Scalar::Int(16777217), DType::F32),
            (Scalar::Int(70000), DType::F16),
            (Scalar::Float(1e300), DType::F32),
            (Scalar::Int((1 << 53) + 1), DType::F64),
            (Scalar::Float(1e20), DType::U64),
        ] {
            let message = scalar.to_cell(dtype).unwrap_err().to_string();
            assert!(message.contains(&scalar.to_string()) && message.contains(dtype.name()), "{message}");
        }
    }
}
