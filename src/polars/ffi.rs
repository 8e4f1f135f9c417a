//! From the `arrow` crates to Polars' own Arrow, by the C Data Interface: pointers change hands, no value is copied.

use std::mem::transmute;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, to_ffi};
use arrow_array::{Array, ArrayRef, RecordBatch};
use polars::prelude::{Column, DataFrame, IntoColumn, PolarsResult, Series, StringChunked};
use polars_arrow::ffi::{ArrowArray, ArrowSchema, import_array_from_c, import_field_from_c};

use crate::Error;

/// One record batch as a data frame. Pixels stay where they are; the frame keeps their memory alive.
///
/// ```
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
/// for batch in scan.reader()? {
///     let frame = windrow::polars::data_frame(&batch?)?;
///     assert_eq!(frame.shape(), (64, 4));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If Polars has no such type.
pub fn data_frame(batch: &RecordBatch) -> PolarsResult<DataFrame> {
    let fields = batch.schema_ref().fields().iter();
    let columns = fields.zip(batch.columns()).map(|(field, array)| column(field.name(), array));
    DataFrame::new(batch.num_rows(), columns.collect::<PolarsResult<_>>()?)
}

/// An array as a column of this name. Extensions stay behind: Polars has no tensors, but the lists under them.
pub(super) fn column(name: &str, array: &dyn Array) -> PolarsResult<Column> {
    let (array, schema) = to_ffi(&array.to_data()).map_err(Error::from)?;
    Ok(Series::from_arrow(name.into(), import(array, schema)?)?.into_column())
}

/// A dictionary of strings as a column of strings: Polars' own categories are a feature of its, which takes minutes.
pub(super) fn strings(name: &str, array: &ArrayRef) -> PolarsResult<Column> {
    let keyed = array.as_any_dictionary();
    let names = keyed.values().as_string::<i32>();
    let strings: StringChunked = keyed.normalized_keys().into_iter().map(|key| Some(names.value(key))).collect();
    Ok(strings.with_name(name.into()).into_column())
}

fn import(array: FFI_ArrowArray, schema: FFI_ArrowSchema) -> PolarsResult<Box<dyn polars_arrow::array::Array>> {
    // SAFETY: both crates declare the structs of the C Data Interface with `repr(C)`, field by field as it prescribes,
    // so one is the other. Ownership moves with the value: `transmute` forgets the source, and the drop of the target
    // calls the same `release`.
    let (array, schema) =
        unsafe { (transmute::<FFI_ArrowArray, ArrowArray>(array), transmute::<FFI_ArrowSchema, ArrowSchema>(schema)) };
    // SAFETY: `to_ffi` made both just now, so they are valid and describe one another.
    unsafe {
        let field = import_field_from_c(&schema)?;
        import_array_from_c(array, field.dtype)
    }
}
