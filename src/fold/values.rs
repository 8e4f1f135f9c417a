//! From the columns of a batch to window ids and dense values.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field, Schema};
use serde_json::Value;

use crate::{DType, Error, Grid, Result};

/// What a batch says of windows that have a value.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) ids: Vec<u64>,
    pub(super) dtype: DType,
    /// The shape of a value, if the column has one.
    pub(super) shape: Option<Vec<u64>>,
    pub(super) bytes: Buffer,
}

impl Column {
    /// The windows of a batch, and their values: those of the column `name`. `table` says what binary values are.
    pub(super) fn of(batch: &RecordBatch, name: Option<&str>, grid: &Grid, table: &(DType, Vec<u64>)) -> Result<Self> {
        let schema = batch.schema_ref();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let name = value_name(&names, name, grid)?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name, &names));
        let (windows, values) = (column("window")?, column(&name)?);
        let given: Vec<_> = present(values);
        let ids = ids(windows, &given)?;
        let (dtype, mut shape, bytes) = dense(&name, values, given, table)?;
        if let Some(tensor) = tensor_shape(schema, &name) {
            shape = Some(tensor);
        }
        Ok(Self { ids, dtype, shape, bytes })
    }
}

#[cfg(feature = "cli")]
impl Column {
    /// The first half of the rows, and the others.
    pub(super) fn split(self) -> (Self, Self) {
        let middle = self.ids.len() / 2;
        let bytes = self.bytes.len() / self.ids.len() * middle;
        let (mut first, mut rest) = (Self { bytes: self.bytes.slice_with_length(0, bytes), ..self.clone() }, self);
        rest.ids = first.ids.split_off(middle);
        rest.bytes = rest.bytes.slice(bytes);
        (first, rest)
    }
}

/// The column of values among those of these names.
pub(super) fn value_name(names: &[&str], wanted: Option<&str>, grid: &Grid) -> Result<String> {
    if let Some(name) = wanted {
        return if names.contains(&name) { Ok(name.to_owned()) } else { Err(missing(name, names)) };
    }
    if let Some(name) = ["prediction", "patch"].into_iter().find(|name| names.contains(name)) {
        return Ok(name.to_owned());
    }
    let known = |name: &&&str| **name != "window" && grid.sliding().all(|axis| axis.name != ***name);
    match names.iter().filter(known).collect::<Vec<_>>()[..] {
        [name] => Ok((*name).to_owned()),
        [] => Err(missing("prediction", names)),
        _ => {
            let message = format!("which of {}? Name the one that holds the values", names.join(", "));
            Err(Error::argument("column", message))
        }
    }
}

pub(super) fn missing(name: &str, names: &[&str]) -> Error {
    Error::argument("column", format!("no column {name:?}: there are {}", names.join(", ")))
}

/// Stretches of rows that have a value.
fn present(values: &ArrayRef) -> Vec<Range<usize>> {
    match values.nulls() {
        None => std::iter::once(0..values.len()).collect(),
        Some(nulls) => nulls.valid_slices().map(|(start, end)| start..end).collect(),
    }
}

/// The ids of the windows of these rows.
fn ids(windows: &ArrayRef, rows: &[Range<usize>]) -> Result<Vec<u64>> {
    fn of<T: ArrowPrimitiveType>(windows: &ArrayRef, rows: &[Range<usize>]) -> Result<Vec<u64>>
    where
        T::Native: TryInto<u64> + std::fmt::Display,
    {
        let values = windows.as_primitive::<T>().values();
        let ids = rows.iter().flat_map(|rows| &values[rows.clone()]);
        ids.map(|&id| id.try_into().map_err(|_| Error::argument("values", format!("no window {id}: ids count from 0"))))
            .collect()
    }
    if windows.null_count() > 0 {
        return Err(Error::argument("values", "a window is null: expected its id"));
    }
    match windows.data_type() {
        DataType::UInt64 => of::<UInt64Type>(windows, rows),
        DataType::UInt32 => of::<UInt32Type>(windows, rows),
        DataType::UInt16 => of::<UInt16Type>(windows, rows),
        DataType::UInt8 => of::<UInt8Type>(windows, rows),
        DataType::Int64 => of::<Int64Type>(windows, rows),
        DataType::Int32 => of::<Int32Type>(windows, rows),
        DataType::Int16 => of::<Int16Type>(windows, rows),
        DataType::Int8 => of::<Int8Type>(windows, rows),
        other => Err(Error::argument("values", format!("column \"window\" is of type {other}: expected integers"))),
    }
}

/// The values of these rows of a column, one behind the other.
fn dense(
    name: &str,
    values: &ArrayRef,
    rows: Vec<Range<usize>>,
    table: &(DType, Vec<u64>),
) -> Result<(DType, Option<Vec<u64>>, Buffer)> {
    let wrong = |message: String| Err(Error::argument("values", format!("column {name:?} {message}")));
    let (mut array, mut ranges, mut shape) = (values.clone(), rows, Vec::new());
    loop {
        if shape.is_empty() {
            // Rows that are null were left out.
        } else if array
            .nulls()
            .is_some_and(|nulls| ranges.iter().any(|r| nulls.slice(r.start, r.len()).null_count() > 0))
        {
            return wrong("has a null within a value: expected null or a whole value".to_owned());
        }
        let n = match array.data_type() {
            DataType::FixedSizeList(_, n) => {
                let n = *n as usize;
                ranges.iter_mut().for_each(|range| *range = range.start * n..range.end * n);
                array = array.as_fixed_size_list().values().clone();
                n
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let n = match even(&mut ranges, |i| list.value_offsets()[i] as usize) {
                    Ok(n) => n,
                    Err(message) => return wrong(message),
                };
                array = list.values().clone();
                n
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let n = match even(&mut ranges, |i| list.value_offsets()[i] as usize) {
                    Ok(n) => n,
                    Err(message) => return wrong(message),
                };
                array = list.values().clone();
                n
            }
            _ => break,
        };
        shape.push(n as u64);
    }
    let (dtype, binary) = match array.data_type() {
        DataType::FixedSizeBinary(_) | DataType::Binary | DataType::LargeBinary | DataType::BinaryView
            if shape.is_empty() =>
        {
            (table.0, true)
        }
        other => match DType::ALL.into_iter().find(|dtype| dtype.arrow() == *other) {
            Some(dtype) => (dtype, false),
            None => return wrong(format!("is of type {}: expected numbers, or lists of numbers", values.data_type())),
        },
    };
    if binary {
        let bytes = match binary_bytes(&array, &ranges) {
            Ok(bytes) => bytes,
            Err(message) => return wrong(message),
        };
        let rows: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        let patch = table.1.iter().product::<u64>() * dtype.size() as u64;
        if bytes.len() as u64 != patch.saturating_mul(rows as u64) {
            let each = bytes.len() / rows.max(1);
            return wrong(format!("has values of {each} bytes: expected {patch}, {:?} of {dtype}", table.1));
        }
        return Ok((dtype, Some(table.1.clone()), bytes));
    }
    // One list is not yet a shape: patches are often kept flat.
    let shape = if shape.len() == 1 { None } else { Some(shape) };
    if dtype == DType::Bool {
        let bits = array.as_boolean();
        let bytes: Vec<u8> = ranges.into_iter().flatten().map(|i| u8::from(bits.value(i))).collect();
        return Ok((dtype, shape, bytes.into()));
    }
    let data = array.to_data();
    Ok((dtype, shape, stretches(&data.buffers()[0], data.offset(), dtype.size(), &ranges)))
}

/// Lists of these elements become ranges of their items; gives the length that all of them have.
fn even(ranges: &mut [Range<usize>], offset: impl Fn(usize) -> usize) -> Result<usize, String> {
    let mut length = None;
    for range in ranges {
        for i in range.clone() {
            let n = offset(i + 1) - offset(i);
            let first = *length.get_or_insert(n);
            if n != first {
                return Err(format!("has values of {first} and of {n} items: expected as many for each window"));
            }
        }
        *range = offset(range.start)..offset(range.end);
    }
    Ok(length.unwrap_or(0))
}

/// The bytes of binary values.
fn binary_bytes(array: &ArrayRef, ranges: &[Range<usize>]) -> Result<Buffer, String> {
    let offsets = |offsets: &dyn Fn(usize) -> usize, bytes: &Buffer| {
        let mut ranges = ranges.to_vec();
        even(&mut ranges, offsets)?;
        Ok(stretches(bytes, 0, 1, &ranges))
    };
    match array.data_type() {
        DataType::FixedSizeBinary(n) => {
            let data = array.to_data();
            Ok(stretches(&data.buffers()[0], data.offset(), *n as usize, ranges))
        }
        DataType::Binary => {
            let binary = array.as_binary::<i32>();
            offsets(&|i| binary.value_offsets()[i] as usize, binary.values())
        }
        DataType::LargeBinary => {
            let binary = array.as_binary::<i64>();
            offsets(&|i| binary.value_offsets()[i] as usize, binary.values())
        }
        _ => {
            let binary = array.as_binary_view();
            let mut lengths = ranges.iter().cloned().flatten().map(|i| binary.value(i).len());
            let first = lengths.next();
            if let Some(other) = lengths.find(|n| Some(*n) != first) {
                let first = first.unwrap_or_default();
                return Err(format!("has values of {first} and of {other} bytes: expected as many for each window"));
            }
            Ok(ranges
                .iter()
                .cloned()
                .flatten()
                .flat_map(|i| binary.value(i).iter().copied())
                .collect::<Vec<u8>>()
                .into())
        }
    }
}

/// Some elements of a buffer; if they lie together, without a copy.
fn stretches(buffer: &Buffer, offset: usize, size: usize, ranges: &[Range<usize>]) -> Buffer {
    let slice = |range: &Range<usize>| (offset + range.start) * size..(offset + range.end) * size;
    match ranges {
        [] => Buffer::from(Vec::<u8>::new()),
        [one] => buffer.slice_with_length(slice(one).start, one.len() * size),
        many => many.iter().flat_map(|range| &buffer[slice(range)]).copied().collect::<Vec<u8>>().into(),
    }
}

/// The shape that the canonical tensor type says.
fn tensor_shape(schema: &Schema, name: &str) -> Option<Vec<u64>> {
    let field: &Field = schema.field_with_name(name).ok()?;
    let metadata = field.metadata();
    metadata.get(EXTENSION_TYPE_NAME_KEY).filter(|name| *name == "arrow.fixed_shape_tensor")?;
    let DataType::FixedSizeList(_, n) = field.data_type() else { return None };
    let parsed: Value = serde_json::from_str(metadata.get(EXTENSION_TYPE_METADATA_KEY)?).ok()?;
    let shape: Option<Vec<u64>> = parsed.get("shape")?.as_array()?.iter().map(Value::as_u64).collect();
    shape.filter(|shape| shape.iter().try_fold(1u64, |cells, &n| cells.checked_mul(n)) == Some(*n as u64))
}
