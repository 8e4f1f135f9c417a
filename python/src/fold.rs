//! The way back: the values of windows become an image.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{PyReadonlyArray1, PyReadwriteArray1, PyUntypedArray};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use windrow::TableInfo;
use windrow::fold::Fold;
use windrow::source::GeoTags;

use crate::array::view_of;
use crate::capsule;
use crate::error::{arrow_to_py, to_py};
use crate::life::check;
use crate::options::Number;
use crate::plan::Plan;

/// An image in the making.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Folder {
    fold: Mutex<Fold>,
}

impl Folder {
    fn fold(&self) -> MutexGuard<'_, Fold> {
        // What panicked in the middle of values left some of them out, which is not unsound.
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The windows that values are of: those of a scan, or those that a schema speaks of.
fn fold_of(py: Python<'_>, scan: &Bound<'_, PyAny>, page: usize) -> PyResult<Fold> {
    if let Ok(plan) = scan.cast::<Plan>() {
        let scan = plan.get().scan();
        // An array has a name that is no file's.
        let source = scan.source();
        let geo = py.detach(|| GeoTags::read_overview(&source.info().name, page, source.options().overview)).ok().flatten();
        return Ok(geo.into_iter().fold(Fold::new(scan), Fold::georeference));
    }
    let name = scan.get_type().name()?;
    let schema = capsule::schema_of(scan)?
        .ok_or_else(|| PyTypeError::new_err(format!("scan: {name} is neither a Scan nor has an Arrow schema")))?;
    let table = TableInfo::from_schema(&schema).map_err(to_py)?;
    let table = table.ok_or_else(|| {
        PyTypeError::new_err(format!("scan: the schema of this {name} has no metadata \"windrow\": give the Scan"))
    })?;
    Fold::from_table(&table).map_err(to_py)
}

#[pymethods]
impl Folder {
    #[new]
    #[pyo3(signature = (scan, *, page, at, blend, fill, dtype, value_shape, column))]
    #[expect(clippy::too_many_arguments, reason = "one an option; the Python side names and documents them")]
    fn new(
        py: Python<'_>,
        scan: &Bound<'_, PyAny>,
        page: usize,
        at: Option<&str>,
        blend: &str,
        fill: Option<Number>,
        dtype: Option<&str>,
        value_shape: Option<Vec<u64>>,
        column: Option<String>,
    ) -> PyResult<Self> {
        let mut fold = fold_of(py, scan, page)?.blend(blend.parse().map_err(to_py)?);
        if let Some(at) = at {
            fold = fold.at(at.parse().map_err(to_py)?);
        }
        if let Some(fill) = fill {
            fold = fold.fill(fill);
        }
        if let Some(dtype) = dtype {
            fold = fold.dtype(dtype.parse().map_err(to_py)?);
        }
        if let Some(shape) = value_shape {
            fold = fold.value_shape(shape);
        }
        if let Some(column) = column {
            fold = fold.column(column);
        }
        Ok(Self { fold: Mutex::new(fold) })
    }

    /// Adds an array of values, one for each of these windows.
    fn add(
        &self,
        py: Python<'_>,
        windows: PyReadonlyArray1<'_, u64>,
        values: &Bound<'_, PyUntypedArray>,
    ) -> PyResult<()> {
        let (windows, values) = (windows.as_slice()?, view_of(values)?);
        py.detach(|| self.fold().add_array(windows, &values)).map_err(to_py)
    }

    /// Adds the values of a table of any Arrow library; gives how many rows it had.
    fn add_table(&self, py: Python<'_>, table: &Bound<'_, PyAny>) -> PyResult<u64> {
        let reader = capsule::reader_of(table)?;
        py.detach(|| {
            let mut rows = 0;
            // Not locked while a producer works, which may be Python.
            for batch in reader {
                let batch = batch.map_err(arrow_to_py)?;
                rows += batch.num_rows() as u64;
                self.fold().add_batch(&batch).map_err(to_py)?;
                check()?;
            }
            Ok(rows)
        })
    }

    /// The type and shape of the image.
    fn image_type(&self) -> PyResult<(&'static str, Vec<u64>)> {
        let (dtype, shape) = self.fold().image_type().map_err(to_py)?;
        Ok((dtype.name(), shape))
    }

    /// Writes the image into `out`, which has exactly its bytes.
    fn image_into(&self, py: Python<'_>, mut out: PyReadwriteArray1<'_, u8>) -> PyResult<()> {
        let out = out.as_slice_mut()?;
        py.detach(|| self.fold().image_into(out)).map_err(to_py)
    }

    /// Writes the image to a file; gives its bytes.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<u64> {
        py.detach(|| self.fold().write(path)).map_err(to_py)
    }

    /// How many windows cover each cell, in C order, and over which shape.
    fn coverage<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, numpy::PyArray1<u32>>, Vec<usize>)> {
        let view = py.detach(|| self.fold().coverage()).map_err(to_py)?;
        let counts = numpy::PyArray1::from_vec(py, view.to_vec().map_err(to_py)?);
        Ok((counts, view.shape().to_vec()))
    }
}
