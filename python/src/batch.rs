//! Batches on their way to Python: as Arrow capsules, and column by column as numpy arrays over the same memory.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use pyo3::exceptions::{PyKeyError, PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use windrow::{DType, PatchScan};

use crate::capsule;
use crate::error::arrow_to_py;
use crate::watch::Stoppable;

/// The schema of a table, for any Arrow library.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Schema {
    schema: SchemaRef,
}

impl Schema {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

#[pymethods]
impl Schema {
    /// The names of the columns.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The schema as a capsule of the Arrow C data interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::schema(py, &self.schema)
    }

    fn __repr__(&self) -> String {
        let lines: Vec<_> =
            self.schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
        lines.join("\n")
    }
}

/// One pass over the batches of a scan.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Batches {
    reader: Mutex<Stoppable>,
    patch: Arc<Patch>,
}

/// What the pixels of a patch are.
pub(crate) struct Patch {
    shape: Vec<u64>,
    dtype: DType,
}

impl Patch {
    pub(crate) fn of(scan: &PatchScan) -> Arc<Self> {
        Arc::new(Self { shape: scan.grid().patch_shape(), dtype: scan.explain().dtype })
    }
}

impl Batches {
    pub(crate) fn new(reader: Stoppable, patch: Arc<Patch>) -> Self {
        Self { reader: Mutex::new(reader), patch }
    }

    fn next(&self) -> PyResult<Option<RecordBatch>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).next().transpose().map_err(arrow_to_py)
    }
}

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let batch = py.detach(|| self.next())?;
        Ok(batch.map(|batch| Batch::new(batch, self.patch.clone())))
    }

    /// Makes the batches that are left and drops them; gives their rows. What a stream's rate is measured against.
    fn drain(&self, py: Python<'_>) -> PyResult<usize> {
        py.detach(|| {
            let mut rows = 0;
            while let Some(batch) = self.next()? {
                rows += batch.num_rows();
            }
            Ok(rows)
        })
    }
}

/// Some rows of a table. Any Arrow library takes it as it is; `batch["y"]` is a column as a numpy array.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Batch {
    batch: RecordBatch,
    patch: Arc<Patch>,
}

impl Batch {
    pub(crate) fn new(batch: RecordBatch, patch: Arc<Patch>) -> Self {
        Self { batch, patch }
    }
}

#[pymethods]
impl Batch {
    /// How many rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The schema.
    #[getter]
    fn schema(&self) -> Schema {
        Schema::new(self.batch.schema())
    }

    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column as a numpy array: a read-only view of the batch's memory (patches of bools are unpacked, a copy).
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let array = self.batch.column_by_name(name).ok_or_else(|| {
            PyKeyError::new_err(format!("no column {name:?}: there are {}", self.column_names().join(", ")))
        })?;
        let column = Column::new(array, self.patch.as_ref(), name == "patch")?;
        py.import("numpy")?.call_method1("asarray", (column,))
    }

    /// The schema as a capsule of the Arrow C data interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::schema(py, self.batch.schema_ref())
    }

    /// The batch as capsules of the Arrow C data interface: schema and struct array.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        // The protocol lets a producer that can't convert give what it has.
        drop(requested_schema);
        capsule::batch(py, &self.batch)
    }

    fn __repr__(&self) -> String {
        format!("Batch({} rows: {})", self.batch.num_rows(), self.column_names().join(", "))
    }
}

/// Arrow memory as numpy takes it over: by `__array_interface__`, which keeps this object alive under the array.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Column {
    /// Keeps the memory.
    _array: ArrayRef,
    shape: Vec<u64>,
    dtype: DType,
    address: usize,
}

impl Column {
    fn new(array: &ArrayRef, patch: &Patch, is_patch: bool) -> PyResult<Self> {
        if array.null_count() > 0 {
            return Err(PyValueError::new_err(
                "the column has nulls, which numpy has not: read it with an Arrow library",
            ));
        }
        let mut values = array.clone();
        while let DataType::FixedSizeList(..) = values.data_type() {
            let list = values.as_fixed_size_list().clone();
            values = list.values().clone();
        }
        let (mut shape, dtype) = if is_patch { (patch.shape.clone(), patch.dtype) } else { (vec![], pixel(&values)?) };
        shape.insert(0, array.len() as u64);
        let mut data = values.to_data();
        if let DataType::Boolean = data.data_type() {
            let bytes: Vec<u8> = values.as_boolean().values().iter().map(u8::from).collect();
            values = Arc::new(arrow_array::UInt8Array::from(bytes));
            data = values.to_data();
        }
        let size = match data.data_type() {
            DataType::FixedSizeBinary(size) => *size as usize,
            _ => dtype.size(),
        };
        let address = data.buffers()[0].as_ptr() as usize + data.offset() * size;
        Ok(Self { _array: values, shape, dtype, address })
    }
}

/// The pixel type of a column of numbers.
fn pixel(values: &ArrayRef) -> PyResult<DType> {
    let data_type = values.data_type();
    DType::ALL
        .into_iter()
        .find(|dtype| dtype.arrow() == *data_type)
        .ok_or_else(|| PyNotImplementedError::new_err(format!("a column of {data_type} as a numpy array")))
}

#[pymethods]
impl Column {
    /// Where the memory is, as numpy's array interface says it.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        array_interface(py, self.dtype, &self.shape, self.address)
    }
}

/// Memory in C order that numpy may read, as its array interface says it.
pub(crate) fn array_interface<'py>(
    py: Python<'py>,
    dtype: DType,
    shape: &[u64],
    address: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let kind = match dtype {
        DType::Bool => 'b',
        dtype if dtype.is_float() => 'f',
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => 'u',
        _ => 'i',
    };
    let order = if cfg!(target_endian = "little") { '<' } else { '>' };
    let interface = PyDict::new(py);
    interface.set_item("version", 3)?;
    interface.set_item("shape", PyTuple::new(py, shape)?)?;
    interface.set_item("typestr", format!("{order}{kind}{}", dtype.size()))?;
    interface.set_item("data", (address, true))?;
    Ok(interface)
}
