//! Layouts `tensor` and `fixed-shape-tensor`: dense values under fixed-size lists.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, make_array};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, FieldRef};

use crate::{DType, Grid, Result};

/// The field inside a list.
fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, false))
}

/// The type of nested lists of this shape.
pub(crate) fn nested_type(dtype: DType, shape: &[u64]) -> DataType {
    let wrap = |inner, &n: &u64| DataType::FixedSizeList(item(inner), n as i32);
    shape.iter().rev().fold(dtype.arrow(), wrap)
}

/// The field inside a canonical tensor: the extension type has it nullable, and readers insist.
fn cell(dtype: DType) -> FieldRef {
    Arc::new(Field::new_list_field(dtype.arrow(), true))
}

/// The type of a flat list of this many cells.
pub(crate) fn flat_type(dtype: DType, cells: u64) -> DataType {
    DataType::FixedSizeList(cell(dtype), cells as i32)
}

pub(super) fn nested(values: Buffer, dtype: DType, count: usize, grid: &Grid) -> Result<ArrayRef> {
    let shape = grid.patch_shape();
    let cells = shape.iter().product::<u64>() as usize;
    let mut array = primitive(values, dtype, count * cells)?;
    for &n in shape.iter().rev() {
        array = Arc::new(FixedSizeListArray::try_new(item(array.data_type().clone()), n as i32, array, None)?);
    }
    Ok(array)
}

pub(super) fn flat(values: Buffer, dtype: DType, count: usize, cells: usize) -> Result<ArrayRef> {
    let array = primitive(values, dtype, count * cells)?;
    Ok(Arc::new(FixedSizeListArray::try_new(cell(dtype), cells as i32, array, None)?))
}

/// Dense cells as an array; a bool takes a byte in the buffer, but a bit in Arrow.
fn primitive(values: Buffer, dtype: DType, len: usize) -> Result<ArrayRef> {
    if dtype == DType::Bool {
        let bits = BooleanBuffer::collect_bool(len, |i| values[i] != 0);
        return Ok(Arc::new(BooleanArray::new(bits, None)));
    }
    let data = ArrayData::builder(dtype.arrow()).len(len).add_buffer(values).build()?;
    Ok(make_array(data))
}
