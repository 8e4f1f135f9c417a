//! [`Collection`]: many images as one table, as Python holds it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use windrow::collection::{PatchCollection, Skipped};
use windrow::sink::ipc::{self, IpcOptions};
use windrow::sink::parquet::{self, ParquetOptions};
use windrow::source::OpenOptions;
use windrow::{Amount, AnySource, Result};

use crate::batch::{Batches, Patch, Schema};
use crate::capsule;
use crate::error::to_py;
use crate::life::{adapted, is_forked};
use crate::table::{Opening, Table, TableOptions};
use crate::taker::Taker;
use crate::watch::{self, Stoppable};

/// The files that are meant by a path, if it may mean several: a folder of images, or a pattern.
#[pyfunction]
pub fn several(path: PathBuf) -> PyResult<Option<Vec<PathBuf>>> {
    if !windrow::collection::is_several(&path) {
        return Ok(None);
    }
    windrow::collection::paths([path]).map(Some).map_err(to_py)
}

/// A table of the windows of many images that can be read any number of times.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Collection {
    tiles: PatchCollection,
    /// What the pass that was started last left out.
    skipped: Mutex<Arc<Mutex<Vec<Skipped>>>>,
}

impl Collection {
    /// What `make` makes of the table. It may read the headers of all images.
    fn then(
        &self,
        py: Python<'_>,
        make: impl FnOnce(PatchCollection) -> Result<PatchCollection> + Send,
    ) -> PyResult<Self> {
        let tiles = if is_forked() { self.tiles.clone().prefetch(0) } else { self.tiles.clone() };
        let tiles = py.detach(|| make(tiles)).map_err(to_py)?;
        Ok(Self { tiles, skipped: Mutex::default() })
    }

    /// Starts a pass, in this process.
    fn reader(&self) -> Result<windrow::collection::CollectionReader> {
        // The threads of a process don't come along into its forks.
        let tiles = if is_forked() { self.tiles.clone().prefetch(0) } else { self.tiles.clone() };
        let reader = tiles.reader()?;
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) = reader.skipped();
        Ok(reader)
    }
}

#[pymethods]
impl Collection {
    #[new]
    #[pyo3(signature = (paths, options, *, skip_bad, head))]
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        options: &Bound<'_, PyAny>,
        skip_bad: bool,
        head: Option<u64>,
    ) -> PyResult<Self> {
        let table = Table::try_from(options.extract::<TableOptions>()?)?;
        let opening = OpenOptions::try_from(options.extract::<Opening>()?)?;
        let tiles = py.detach(|| {
            let make = move |path: &std::path::Path| Ok(adapted(table.of(AnySource::open_with(path, &opening)?)));
            if skip_bad { PatchCollection::skipping_bad(paths, make) } else { PatchCollection::new(paths, make) }
        });
        let mut tiles = tiles.map_err(to_py)?;
        if let Some(rows) = head {
            tiles = tiles.head(rows);
        }
        Ok(Self { tiles, skipped: Mutex::default() })
    }

    /// How many rows the table has; reads the headers of all images when it is first asked for.
    fn num_rows(&self, py: Python<'_>) -> PyResult<u64> {
        let tiles = if is_forked() { self.tiles.clone().prefetch(0) } else { self.tiles.clone() };
        py.detach(|| tiles.num_rows()).map_err(to_py)
    }

    /// The rows whose windows start in a box of their image: name, start and end of each axis.
    fn within(&self, py: Python<'_>, axes: Vec<(String, i64, i64)>) -> PyResult<Self> {
        let axes = axes.iter().map(|(name, start, end)| (name.as_str(), *start..*end));
        let axes: Vec<_> = axes.collect();
        self.then(py, |tiles| tiles.within(axes))
    }

    /// Some rows: so many, or a share.
    fn sample(&self, py: Python<'_>, count: Option<u64>, share: f64, seed: u64) -> PyResult<Self> {
        let amount = count.map_or(Amount::Share(share), Amount::Rows);
        self.then(py, |tiles| tiles.sample(amount, seed))
    }

    /// All rows in another order.
    fn shuffle(&self, py: Python<'_>, seed: u64, epoch: u64) -> PyResult<Self> {
        self.then(py, |tiles| tiles.shuffle(seed, epoch))
    }

    /// One part of the rows.
    fn shard(&self, py: Python<'_>, index: u64, of: u64) -> PyResult<Self> {
        self.then(py, |tiles| tiles.shard(index, of))
    }

    /// All but the first rows.
    fn skip(&self, py: Python<'_>, rows: u64) -> PyResult<Self> {
        self.then(py, |tiles| tiles.skip(rows))
    }

    /// The first rows.
    fn head(&self, py: Python<'_>, rows: u64) -> PyResult<Self> {
        self.then(py, |tiles| Ok(tiles.head(rows)))
    }

    /// The same rows, read in so many bytes.
    fn max_memory(&self, py: Python<'_>, bytes: u64) -> PyResult<Self> {
        self.then(py, |tiles| tiles.max_memory(bytes))
    }

    /// The numbers in the column `window` of these rows, counted from 0.
    fn ids<'py>(&self, py: Python<'py>, rows: PyReadonlyArray1<'_, u64>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let rows = rows.as_slice()?;
        let ids = py.detach(|| rows.iter().map(|&row| self.tiles.window(row)).collect::<Result<Option<Vec<_>>>>());
        let ids = ids.map_err(to_py)?.ok_or_else(|| PyIndexError::new_err("a row that the table does not have"))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// The images.
    #[getter]
    fn paths(&self) -> Vec<PathBuf> {
        self.tiles.paths().to_vec()
    }

    /// Pixels of a patch on each axis.
    #[getter]
    fn patch_shape(&self) -> Vec<u64> {
        self.tiles.first().grid().patch_shape()
    }

    /// The type of the pixels in the table.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.tiles.first().explain().dtype.name()
    }

    /// What is not in the table that was read last: image, error, and its rows that are.
    #[getter]
    fn skipped(&self) -> Vec<(String, String, u64)> {
        let shared = self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let skipped = shared.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.iter().map(|bad| (bad.image.clone(), bad.error.clone(), bad.rows)).collect()
    }

    /// What the table gives: for people, and as JSON. Reads the headers of all images.
    fn explain(&self, py: Python<'_>) -> PyResult<(String, String)> {
        let explain = py.detach(|| self.tiles.explain()).map_err(to_py)?;
        let json = serde_json::to_string(&explain).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok((explain.to_string(), json))
    }

    /// The schema of every batch.
    fn schema(&self) -> Schema {
        Schema::new(self.tiles.schema())
    }

    /// Starts a stream for any Arrow consumer.
    fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::stream(py, Stoppable::new(self.reader().map_err(to_py)?))
    }

    /// Rows by number, as batches of one column: what an engine calls.
    fn taker(&self, py: Python<'_>, column: &str) -> PyResult<Taker> {
        let one = py.detach(|| self.tiles.select([column])).map_err(to_py)?;
        Ok(Taker::of_tiles(if is_forked() { one.prefetch(0) } else { one }))
    }

    /// Starts a pass over the batches.
    fn batches(&self) -> PyResult<Batches> {
        let reader = self.reader().map_err(to_py)?;
        Ok(Batches::new(Stoppable::new(reader), Patch::of(self.tiles.first())))
    }

    /// Writes the table into a Parquet file. `progress` is told the number of rows now and then.
    fn write_parquet(
        &self,
        py: Python<'_>,
        path: PathBuf,
        compression: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(u64, u64)> {
        let compression = compression.parse().map_err(to_py)?;
        let options = ParquetOptions { compression, ..ParquetOptions::default() };
        self.refuse_itself(&path)?;
        watch::run(py, || self.reader(), progress, |reader| parquet::write(reader, &path, &options))
    }

    /// Writes the table into an Arrow IPC file, or as a stream into a file.
    fn write_ipc(
        &self,
        py: Python<'_>,
        path: PathBuf,
        compression: &str,
        stream: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(u64, u64)> {
        let options = IpcOptions::from(compression.parse::<windrow::sink::Compression>().map_err(to_py)?);
        self.refuse_itself(&path)?;
        watch::run(
            py,
            || self.reader(),
            progress,
            |reader| {
                if stream {
                    ipc::write_stream_file(reader, &path, &options)
                } else {
                    ipc::write_file(reader, &path, &options)
                }
            },
        )
    }
}

impl Collection {
    /// The file would take the place of what it is made from.
    fn refuse_itself(&self, path: &std::path::Path) -> PyResult<()> {
        if self.tiles.paths().iter().any(|image| image == path) {
            return Err(PyValueError::new_err(format!("path: {} is one of the images", path.display())));
        }
        Ok(())
    }
}
