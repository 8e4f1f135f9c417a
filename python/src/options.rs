//! What a Python caller says, as the library's own types.

use pyo3::prelude::*;
use windrow::{AxisRef, Nodata, Scalar};

use crate::error::to_py;

/// An axis, by number or name.
#[derive(FromPyObject)]
pub(crate) enum Axis {
    Number(i64),
    Name(String),
}

impl From<Axis> for AxisRef {
    fn from(axis: Axis) -> Self {
        match axis {
            Axis::Number(number) => AxisRef::Number(number),
            // Not by way of its text: an axis may be named "0".
            Axis::Name(name) => AxisRef::Name(name),
        }
    }
}

/// A number of any type.
#[derive(FromPyObject)]
pub(crate) enum Number {
    Int(i64),
    Uint(u64),
    Float(f64),
}

impl From<Number> for Scalar {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(v) => Scalar::Int(v),
            Number::Uint(v) => Scalar::Uint(v),
            Number::Float(v) => Scalar::Float(v),
        }
    }
}

/// The value that marks pixels without one: a number, or `file`.
#[derive(FromPyObject)]
pub(crate) enum Mark {
    Number(Number),
    Text(String),
}

impl TryFrom<Mark> for Nodata {
    type Error = PyErr;

    fn try_from(mark: Mark) -> PyResult<Self> {
        match mark {
            Mark::Number(number) => Ok(Nodata::Value(number.into())),
            Mark::Text(text) => text.parse().map_err(to_py),
        }
    }
}
