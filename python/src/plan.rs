//! [`Plan`]: a scan, as Python holds it.

use std::path::PathBuf;

use bytesize::ByteSize;
use numpy::{PyArray1, PyReadonlyArray1, PyReadwriteArray1, PyUntypedArray};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};
use windrow::sink::ipc::{self, IpcOptions};
use windrow::sink::parquet::{self, ParquetOptions};
use windrow::source::OpenOptions;
use windrow::virtual_matrix::MatrixOptions;
use windrow::{Amount, AnySource, ContactSheet, Coords, Layout, Nodata, PatchScan, ScanBuilder, Split};

use crate::array::view_of;
use crate::batch::{Batches, Patch, Schema};
use crate::capsule;
use crate::error::to_py;
use crate::life::adapted;
use crate::matrix::Matrix;
use crate::options::{Axis, Mark, Number};
use crate::patches::{self, Patches};
use crate::table::{Table, TableOptions};
use crate::taker::Taker;
use crate::watch::{self, Stoppable};

/// A table of windows that can be read any number of times.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Plan {
    scan: PatchScan,
    /// What the scan was built from.
    builder: ScanBuilder,
    /// All windows as bare pixels, which are never null.
    bare: ScanBuilder,
}

impl Plan {
    /// The rows of another scan, which was made of this one's.
    fn chosen(&self, scan: PatchScan) -> Self {
        Self { builder: self.builder.clone().rows_of(&scan), bare: self.bare.clone(), scan }
    }

    pub(crate) fn scan(&self) -> &PatchScan {
        &self.scan
    }

    /// The scan to read from, in this process.
    fn readable(&self) -> PyResult<PatchScan> {
        adapted(self.builder.clone()).build().map_err(to_py)
    }

    /// All windows of the grid as bare pixels: what numpy arrays are filled from.
    fn pixels(&self) -> ScanBuilder {
        adapted(self.bare.clone()).coords(Coords::Pixel).columns(["patch"]).layout(Layout::Binary)
    }

    /// The pixels in another type than that of the scan.
    fn converted(&self, dtype: Option<&str>, lossy: Option<bool>) -> PyResult<ScanBuilder> {
        let mut builder = self.pixels();
        if let Some(dtype) = dtype {
            builder = builder.dtype(dtype.parse().map_err(to_py)?);
        }
        if let Some(lossy) = lossy {
            builder = builder.lossy(lossy);
        }
        Ok(builder)
    }
}

/// Where the pixels are: an array in memory, or a file.
#[derive(FromPyObject)]
enum From<'py> {
    Array(Bound<'py, PyUntypedArray>),
    Path(PathBuf),
}

/// What a coordinate on the map is of x, of y and of 1.
type Line = (f64, f64, f64);

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (source, *, window_shape, step, dilation, edge, pad, pad_mode, pad_value, axes, layout, wrap, columns,
                        coords, dtype, scale, offset, lossy, nodata, labels, label_at, label_nodata, batch_rows, batch_bytes,
                        cache_bytes, page, overview, stack, member, raw))]
    #[expect(clippy::too_many_arguments, reason = "one an option; the Python side names and documents them")]
    fn new(
        py: Python<'_>,
        source: From<'_>,
        window_shape: Vec<u64>,
        step: Vec<u64>,
        dilation: Vec<u64>,
        edge: String,
        pad: Option<Vec<(u64, u64)>>,
        pad_mode: String,
        pad_value: Number,
        axes: Option<Vec<Axis>>,
        layout: String,
        wrap: String,
        columns: Option<Vec<String>>,
        coords: String,
        dtype: Option<String>,
        scale: f64,
        offset: f64,
        lossy: bool,
        nodata: Option<Mark>,
        labels: Option<From<'_>>,
        label_at: &str,
        label_nodata: Option<Mark>,
        batch_rows: Option<u64>,
        batch_bytes: Option<u64>,
        cache_bytes: Option<u64>,
        page: Option<usize>,
        overview: Option<usize>,
        stack: bool,
        member: Option<String>,
        raw: Option<&str>,
    ) -> PyResult<Self> {
        let options = TableOptions {
            window_shape,
            step,
            dilation,
            edge,
            pad,
            pad_mode,
            pad_value,
            axes,
            layout,
            wrap,
            columns,
            coords,
            dtype,
            scale,
            offset,
            lossy,
            nodata,
            batch_rows,
            batch_bytes,
            cache_bytes,
        };
        let raw = raw.map(str::parse).transpose().map_err(to_py)?;
        let (table, source) =
            (Table::try_from(options)?, source.open(py, &OpenOptions { page, overview, stack, raw, member })?);
        let (bare, mut builder) = (table.bare(source.clone()), table.of(source));
        if let Some(labels) = labels {
            builder = builder.labels(labels.open(py, &OpenOptions::new())?, label_at.parse().map_err(to_py)?);
        }
        if let Some(nodata) = label_nodata {
            builder = builder.label_nodata(Nodata::try_from(nodata)?);
        }
        let scan = builder.clone().build().map_err(to_py)?;
        Ok(Self { scan, builder, bare })
    }

    /// The same table with these rows only.
    fn with_rows(&self, start: u64, end: u64) -> PyResult<Self> {
        Ok(self.chosen(self.scan.with_rows(start..end).map_err(to_py)?))
    }

    /// The windows with these ids, in this order.
    fn with_windows(&self, windows: PyReadonlyArray1<'_, u64>) -> PyResult<Self> {
        Ok(self.chosen(self.scan.with_windows(windows.as_slice()?).map_err(to_py)?))
    }

    /// Windows that start in a box: name, start and end of each axis.
    fn within(&self, axes: Vec<(String, i64, i64)>) -> PyResult<Self> {
        let axes = axes.iter().map(|(name, start, end)| (name.as_str(), *start..*end));
        Ok(self.chosen(self.scan.within(axes).map_err(to_py)?))
    }

    /// The same rows, read in so many bytes.
    fn max_memory(&self, bytes: u64) -> PyResult<Self> {
        let scan = self.scan.max_memory(bytes).map_err(to_py)?;
        let explain = scan.explain();
        let within = |builder: &ScanBuilder| {
            let builder = builder.clone().batch_rows(explain.batch_rows).prefetch(explain.prefetch);
            // Of what is read forward nothing is kept.
            if explain.cache_bytes > 0 { builder.cache_bytes(explain.cache_bytes) } else { builder }
        };
        Ok(Self { builder: within(&self.builder), bare: self.bare.clone(), scan })
    }

    /// Windows in a region.
    fn mask(&self, py: Python<'_>, mask: From<'_>, at: &str) -> PyResult<Self> {
        let (mask, at) = (mask.open(py, &OpenOptions::new())?, at.parse().map_err(to_py)?);
        let scan = self.readable()?;
        Ok(self.chosen(py.detach(|| scan.mask(mask, at)).map_err(to_py)?))
    }

    /// Windows of which this share has a value, or more.
    fn min_valid(&self, py: Python<'_>, share: f64) -> PyResult<Self> {
        let scan = self.readable()?;
        Ok(self.chosen(py.detach(|| scan.min_valid(share)).map_err(to_py)?))
    }

    /// Parts that share no pixel, in the order of their names as given, and how many rows are in none.
    fn split(
        &self,
        py: Python<'_>,
        parts: Vec<(String, f64)>,
        block: Vec<u64>,
        seed: u64,
        stratified: bool,
    ) -> PyResult<(Vec<Self>, u64)> {
        let split = Split::new(parts, block).seed(seed).stratified(stratified);
        let parts = py.detach(|| self.scan.split(&split)).map_err(to_py)?;
        Ok((parts.iter().map(|(_, scan)| self.chosen(scan.clone())).collect(), parts.dropped()))
    }

    /// So many windows of every class.
    fn per_class(&self, py: Python<'_>, count: u64, seed: u64) -> PyResult<Self> {
        let scan = self.readable()?;
        Ok(self.chosen(py.detach(|| scan.per_class(count, seed)).map_err(to_py)?))
    }

    /// So many rows, or a share of them.
    #[pyo3(signature = (count, share, seed))]
    fn sample(&self, py: Python<'_>, count: Option<u64>, share: f64, seed: u64) -> PyResult<Self> {
        let amount = count.map_or(Amount::Share(share), Amount::Rows);
        Ok(self.chosen(py.detach(|| self.scan.sample(amount, seed)).map_err(to_py)?))
    }

    /// All rows in another order.
    fn shuffle(&self, seed: u64, epoch: u64) -> PyResult<Self> {
        Ok(self.chosen(self.scan.shuffle(seed, epoch).map_err(to_py)?))
    }

    /// One of so many parts of the rows.
    fn shard(&self, index: u64, of: u64) -> PyResult<Self> {
        Ok(self.chosen(self.scan.shard(index, of).map_err(to_py)?))
    }

    /// The rows of parts that are read by themselves: so many, or of so many bytes. First, and one past the last.
    #[pyo3(signature = (of, size))]
    fn splits(&self, of: Option<u64>, size: Option<&str>) -> PyResult<Vec<(u64, u64)>> {
        let splits = match (of, size) {
            (Some(of), None) => self.scan.splits(of),
            (None, Some(size)) => self.scan.splits_of_bytes(bytes_of("bytes", size)?),
            _ => return Err(PyValueError::new_err("splits: expected their number, or bytes")),
        };
        Ok(splits.map_err(to_py)?.iter().map(|split| (split.rows().start, split.rows().end)).collect())
    }

    /// All but the first rows.
    fn skip(&self, rows: u64) -> PyResult<Self> {
        Ok(self.chosen(self.scan.skip(rows).map_err(to_py)?))
    }

    /// What was done to the rows, as JSON.
    fn steps(&self) -> PyResult<String> {
        serde_json::to_string(self.scan.steps()).map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// Whether rows are neighbours of the grid, and their numbers window ids.
    #[getter]
    fn is_range(&self) -> bool {
        self.scan.is_range()
    }

    /// The ids of the windows that are these rows, numbered from `first_row`.
    fn ids<'py>(&self, py: Python<'py>, rows: PyReadonlyArray1<'_, u64>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let (rows, first) = (rows.as_slice()?, self.scan.rows().start);
        let ids = py.detach(|| {
            let id = |&row: &u64| row.checked_sub(first).and_then(|row| self.scan.window(row));
            rows.iter().map(id).collect::<Option<Vec<_>>>()
        });
        let ids =
            ids.ok_or_else(|| PyIndexError::new_err(format!("a row that is not one of {:?}", self.scan.rows())))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// The ids of the windows that are the rows from `start` to `end`, counted from 0.
    fn windows<'py>(&self, py: Python<'py>, start: u64, end: u64) -> PyResult<Bound<'py, PyArray1<u64>>> {
        Ok(PyArray1::from_vec(py, py.detach(|| self.scan.windows(start..end)).map_err(to_py)?))
    }

    /// How many rows the table has.
    #[getter]
    fn num_rows(&self) -> u64 {
        self.scan.num_rows()
    }

    /// The number of the first row: that of its window, where rows are neighbours of the grid.
    #[getter]
    fn first_row(&self) -> u64 {
        self.scan.rows().start
    }

    /// Windows on each axis that the window slides over.
    #[getter]
    fn grid_shape(&self) -> Vec<u64> {
        self.scan.grid().grid_shape()
    }

    /// Pixels of a patch on each axis of the array.
    #[getter]
    fn patch_shape(&self) -> Vec<u64> {
        self.scan.grid().patch_shape()
    }

    /// The type of the pixels in the table.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.scan.explain().dtype.name()
    }

    /// The columns of the table.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.scan.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The axes that the window slides over: name, windows, where the first starts, the distance to the next, and
    /// where the last starts.
    #[getter]
    fn sliding(&self) -> Vec<(String, u64, i64, u64, i64)> {
        let axes = self.scan.grid().sliding();
        axes.map(|axis| {
            let last = axis.count.checked_sub(1).map_or(0, |last| axis.start(last));
            (axis.name.clone(), axis.count, axis.start(0), axis.step, last)
        })
        .collect()
    }

    /// The coordinates on the map, if the image says where it lies: the name of each, and what it is of x, of y and of 1.
    #[getter]
    fn map(&self) -> Option<Vec<(String, Line)>> {
        let place = self.scan.source().georeference()?;
        let [a, b, c, d, e, f] = place.transform;
        let names = place.names().map(str::to_owned);
        Some(names.into_iter().zip([(a, b, c), (d, e, f)]).collect())
    }

    /// The axes of the array that lie on the map, y and x: the name of each, whether the window slides over it, and how far its
    /// middle is from where it starts.
    #[getter]
    fn middles(&self) -> Vec<(String, bool, f64)> {
        let axes = self.scan.grid().axes();
        let named = ["y", "x"].into_iter().filter_map(|name| axes.iter().find(|axis| axis.name == name));
        named.map(|axis| (axis.name.clone(), axis.sliding, axis.extent as f64 / 2.0)).collect()
    }

    /// What the scan gives and costs: for people, and as JSON.
    fn explain(&self) -> PyResult<(String, String)> {
        let explain = self.scan.explain();
        let json = serde_json::to_string(&explain).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok((explain.to_string(), json))
    }

    /// The schema of every batch.
    fn schema(&self) -> Schema {
        Schema::new(self.scan.schema())
    }

    /// Starts a stream for any Arrow consumer.
    fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let scan = self.readable()?;
        let reader = py.detach(|| scan.reader()).map_err(to_py)?;
        capsule::stream(py, Stoppable::new(reader))
    }

    /// Starts a pass over the batches.
    fn batches(&self, py: Python<'_>) -> PyResult<Batches> {
        let scan = self.readable()?;
        let reader = py.detach(|| scan.reader()).map_err(to_py)?;
        Ok(Batches::new(Stoppable::new(reader), Patch::of(&self.scan)))
    }

    /// Starts a pass over the pixels of the rows from `start` to `end`, converted to `dtype`.
    #[pyo3(signature = (start, end, *, by_column=false, batch_rows=None, dtype=None, lossy=None))]
    #[expect(clippy::too_many_arguments, reason = "one an option")]
    fn patches(
        &self,
        py: Python<'_>,
        start: u64,
        end: u64,
        by_column: bool,
        batch_rows: Option<u64>,
        dtype: Option<&str>,
        lossy: Option<bool>,
    ) -> PyResult<Patches> {
        let mut builder = self.converted(dtype, lossy)?.rows_of(&self.scan).rows(start..end);
        if let Some(rows) = batch_rows {
            builder = builder.batch_rows(rows);
        }
        Patches::new(py, builder, by_column)
    }

    /// These windows (default: all) as one matrix in memory that is mostly not there, converted to `dtype`.
    #[pyo3(signature = (*, windows=None, order, dtype=None, lossy=None, backing=None, max_resident=None,
                        copy_source=false, recycle=true))]
    #[expect(clippy::too_many_arguments, reason = "one an option")]
    fn matrix(
        &self,
        py: Python<'_>,
        windows: Option<PyReadonlyArray1<'_, u64>>,
        order: &str,
        dtype: Option<&str>,
        lossy: Option<bool>,
        backing: Option<&str>,
        max_resident: Option<&str>,
        copy_source: bool,
        recycle: bool,
    ) -> PyResult<Matrix> {
        let mut options = MatrixOptions { copy_source, recycle, ..MatrixOptions::default() };
        options.order = order.parse().map_err(to_py)?;
        options.backing = backing.map(str::parse).transpose().map_err(to_py)?;
        if let Some(bytes) = max_resident {
            options.max_resident = bytes_of("max_resident", bytes)?;
        }
        if let Some(windows) = windows {
            options.windows = Some(windows.as_slice()?.to_vec());
        }
        Matrix::new(py, self.converted(dtype, lossy)?.rows_of(&self.scan), &options)
    }

    /// Writes the pixels of these windows, in this order, densely into `out`, which has exactly their bytes.
    fn gather(
        &self,
        py: Python<'_>,
        windows: PyReadonlyArray1<'_, u64>,
        mut out: PyReadwriteArray1<'_, u8>,
    ) -> PyResult<()> {
        let (windows, out) = (windows.as_slice()?, out.as_slice_mut()?);
        py.detach(|| patches::copy(&self.pixels(), windows, out))
    }

    /// Windows by id, as batches of one column, patches in nested lists: what an engine calls.
    fn taker(&self, column: &str) -> PyResult<Taker> {
        let builder = self.builder.clone().coords(Coords::Pixel).columns([column]).layout(Layout::Tensor);
        Ok(Taker::new(builder.build().map_err(to_py)?))
    }

    /// Starts a pass over one column.
    fn column(&self, py: Python<'_>, name: &str) -> PyResult<Batches> {
        let scan = adapted(self.builder.clone()).coords(Coords::Pixel).columns([name]).build().map_err(to_py)?;
        let reader = py.detach(|| scan.reader()).map_err(to_py)?;
        Ok(Batches::new(Stoppable::new(reader), Patch::of(&self.scan)))
    }

    /// A picture of these windows side by side, as a PNG file; without any, of some that stand for all rows.
    #[pyo3(signature = (windows, across))]
    fn sheet<'py>(
        &self,
        py: Python<'py>,
        windows: Option<PyReadonlyArray1<'_, u64>>,
        across: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let windows = match &windows {
            Some(windows) => windows.as_slice()?,
            None => &ContactSheet::sample(&self.scan),
        };
        let png = py.detach(|| ContactSheet::of(&self.scan, windows, across)?.to_png()).map_err(to_py)?;
        Ok(PyBytes::new(py, &png))
    }

    /// Writes the table into a Parquet file. `progress` is told the number of rows now and then.
    fn write_parquet(
        &self,
        py: Python<'_>,
        path: PathBuf,
        compression: &str,
        store_columns: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(u64, u64)> {
        let compression = compression.parse().map_err(to_py)?;
        let options = ParquetOptions { compression, store_columns, ..ParquetOptions::default() };
        let scan = self.readable()?;
        watch::run(py, || scan.reader(), progress, |reader| parquet::write(reader, &path, &options))
    }

    /// Writes the table into an Arrow IPC file, or as a stream into a file.
    fn write_ipc(
        &self,
        py: Python<'_>,
        path: PathBuf,
        compression: &str,
        store_columns: bool,
        stream: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(u64, u64)> {
        let compression = compression.parse().map_err(to_py)?;
        let options = IpcOptions { compression, store_columns };
        let scan = self.readable()?;
        let scan = scan.prefer_batch_bytes(ipc::batch_bytes(&scan.schema(), compression));
        watch::run(
            py,
            || scan.reader(),
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

impl From<'_> {
    fn open(self, py: Python<'_>, options: &OpenOptions) -> PyResult<AnySource> {
        match self {
            From::Array(array) => Ok(AnySource::from(view_of(&array)?)),
            From::Path(path) => py.detach(|| AnySource::open_with(path, options)).map_err(to_py),
        }
    }
}

/// A number of bytes as people write it: `256MiB`.
fn bytes_of(name: &str, text: &str) -> PyResult<u64> {
    let size: Result<ByteSize, _> = text.parse();
    size.map(|size| size.as_u64()).map_err(|_| {
        PyValueError::new_err(format!("{name}: {text:?}: expected a number of bytes, as 1000000 or \"256MiB\""))
    })
}
