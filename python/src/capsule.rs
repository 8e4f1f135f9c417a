//! The Arrow PyCapsule interface: how arrays, schemas and streams go to any consumer without a copy.

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow_schema::Schema;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::arrow_to_py;

const SCHEMA: &std::ffi::CStr = c"arrow_schema";
const ARRAY: &std::ffi::CStr = c"arrow_array";
const STREAM: &std::ffi::CStr = c"arrow_array_stream";

/// A schema, for `__arrow_c_schema__`.
pub(crate) fn schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowSchema::try_from(schema).map_err(arrow_to_py)?, SCHEMA)
}

/// A stream, for `__arrow_c_stream__`.
pub(crate) fn stream(
    py: Python<'_>,
    reader: impl RecordBatchReader + Send + 'static,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(reader)), STREAM)
}

/// Schema and struct array of a batch, for `__arrow_c_array__`.
pub(crate) fn batch<'py>(
    py: Python<'py>,
    batch: &RecordBatch,
) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
    let array = StructArray::from(batch.clone());
    let (array, _): (FFI_ArrowArray, _) = to_ffi(&array.to_data()).map_err(arrow_to_py)?;
    Ok((schema(py, &batch.schema())?, PyCapsule::new_with_value(py, array, ARRAY)?))
}

/// The schema that an object of any Arrow library has; `None` if it has none.
pub(crate) fn schema_of(object: &Bound<'_, PyAny>) -> PyResult<Option<Schema>> {
    if !object.hasattr("__arrow_c_schema__")? {
        return Ok(None);
    }
    let capsule = object.call_method0("__arrow_c_schema__")?.cast_into::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    // SAFETY: a capsule of this name holds a schema, which lives as long as the capsule.
    let schema = unsafe { pointer.as_ref() };
    Schema::try_from(schema).map(Some).map_err(arrow_to_py)
}

/// The batches that an object of any Arrow library gives: a stream, or a struct array.
pub(crate) fn reader_of(object: &Bound<'_, PyAny>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
    if object.hasattr("__arrow_c_stream__")? {
        let capsule = object.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
        // SAFETY: a capsule of this name holds a stream. It is moved out, and an empty one, which has no release, is left
        // for the capsule.
        let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr()) };
        return Ok(Box::new(ArrowArrayStreamReader::try_new(stream).map_err(arrow_to_py)?));
    }
    if !object.hasattr("__arrow_c_array__")? {
        let name = object.get_type().name()?;
        let message = format!("values: {name} is no Arrow table: expected __arrow_c_stream__ or __arrow_c_array__");
        return Err(PyTypeError::new_err(message));
    }
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
        object.call_method0("__arrow_c_array__")?.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: capsules of these names hold a schema and an array of it. The array is moved out, and an empty one is left
    // for its capsule; the schema lives as long as its own.
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref()) }.map_err(arrow_to_py)?;
    let batch = match data.data_type() {
        arrow_schema::DataType::Struct(_) if data.nulls().is_none() => RecordBatch::from(StructArray::from(data)),
        other => return Err(PyTypeError::new_err(format!("values: an array of {other} is no table"))),
    };
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}
