//! Layouts `tensor` and `fixed-shape-tensor`: dense values under fixed-size lists.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, FieldRef};

use crate::{DType, Result};

/// The field inside a list.
fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, false))
}

/// The type of nested lists of this shape, whose cells may be null.
pub(crate) fn nested_type(dtype: DType, shape: &[u64], nullable: bool) -> DataType {
    let leaf = Field::new_list_field(dtype.arrow(), nullable);
    let mut lists = shape.iter().rev();
    let innermost = lists.next().map_or(dtype.arrow(), |&n| DataType::FixedSizeList(Arc::new(leaf), n as i32));
    lists.fold(innermost, |inner, &n| DataType::FixedSizeList(item(inner), n as i32))
}

/// The field inside a canonical tensor: the extension type has it nullable, and readers insist.
fn cell(dtype: DType) -> FieldRef {
    Arc::new(Field::new_list_field(dtype.arrow(), true))
}

/// The type of a flat list of this many cells.
pub(crate) fn flat_type(dtype: DType, cells: u64) -> DataType {
    DataType::FixedSizeList(cell(dtype), cells as i32)
}

/// Lists of this shape around dense cells; `nulls` are those of the cells.
pub(super) fn nested(
    values: Buffer,
    dtype: DType,
    count: usize,
    shape: &[u64],
    nullable: bool,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let cells = shape.iter().product::<u64>() as usize;
    let mut array = primitive(values, dtype, count * cells, nulls)?;
    let mut nullable = nullable;
    for &n in shape.iter().rev() {
        let field = Arc::new(Field::new_list_field(array.data_type().clone(), nullable));
        array = Arc::new(FixedSizeListArray::try_new(field, n as i32, array, None)?);
        nullable = false;
    }
    Ok(array)
}

pub(super) fn flat(
    values: Buffer,
    dtype: DType,
    count: usize,
    cells: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let array = primitive(values, dtype, count * cells, nulls)?;
    Ok(Arc::new(FixedSizeListArray::try_new(cell(dtype), cells as i32, array, None)?))
}

/// Dense cells as an array; a bool takes a byte in the buffer, but a bit in Arrow.
pub(super) fn primitive(values: Buffer, dtype: DType, len: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    if dtype == DType::Bool {
        let bits = BooleanBuffer::collect_bool(len, |i| values[i] != 0);
        return Ok(Arc::new(BooleanArray::new(bits, nulls)));
    }
    let data = ArrayData::builder(dtype.arrow()).len(len).add_buffer(values).nulls(nulls).build()?;
    Ok(make_array(data))
}
