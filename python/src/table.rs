//! What a table of windows is, as Python says it: the options that every image of a collection shares.

use pyo3::prelude::*;
use windrow::source::OpenOptions;
use windrow::{AnySource, Coords, DType, Layout, Nodata, Pads, PatchScan, ScanBuilder, WindowSpec, Wrap};

use crate::error::to_py;
use crate::options::{Axis, Mark, Number};

/// The options, as they come.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct TableOptions {
    pub(crate) window_shape: Vec<u64>,
    pub(crate) step: Vec<u64>,
    pub(crate) dilation: Vec<u64>,
    pub(crate) edge: String,
    pub(crate) pad: Option<Vec<(u64, u64)>>,
    pub(crate) pad_mode: String,
    pub(crate) pad_value: Number,
    pub(crate) axes: Option<Vec<Axis>>,
    pub(crate) layout: String,
    pub(crate) wrap: String,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) coords: String,
    pub(crate) dtype: Option<String>,
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    pub(crate) lossy: bool,
    pub(crate) nodata: Option<Mark>,
    pub(crate) batch_rows: Option<u64>,
    pub(crate) batch_bytes: Option<u64>,
    pub(crate) cache_bytes: Option<u64>,
}

/// The options, each with its meaning.
#[derive(Clone)]
pub(crate) struct Table {
    spec: WindowSpec,
    layout: Layout,
    wrap: Wrap,
    columns: Option<Vec<String>>,
    coords: Coords,
    dtype: Option<DType>,
    scale: f64,
    offset: f64,
    lossy: bool,
    nodata: Option<Nodata>,
    batch_rows: Option<u64>,
    batch_bytes: Option<u64>,
    cache_bytes: Option<u64>,
}

impl TryFrom<TableOptions> for Table {
    type Error = PyErr;

    fn try_from(options: TableOptions) -> PyResult<Self> {
        Ok(Self {
            spec: WindowSpec {
                window_shape: options.window_shape,
                step: options.step,
                dilation: options.dilation,
                edge: options.edge.parse().map_err(to_py)?,
                pad: options.pad.map(Pads),
                pad_mode: options.pad_mode.parse().map_err(to_py)?,
                pad_value: options.pad_value.into(),
                axes: options.axes.map(|axes| axes.into_iter().map(Into::into).collect()),
            },
            layout: options.layout.parse().map_err(to_py)?,
            wrap: options.wrap.parse().map_err(to_py)?,
            columns: options.columns,
            coords: options.coords.parse().map_err(to_py)?,
            dtype: options.dtype.map(|dtype| dtype.parse()).transpose().map_err(to_py)?,
            scale: options.scale,
            offset: options.offset,
            lossy: options.lossy,
            nodata: options.nodata.map(Nodata::try_from).transpose()?,
            batch_rows: options.batch_rows,
            batch_bytes: options.batch_bytes,
            cache_bytes: options.cache_bytes,
        })
    }
}

impl Table {
    /// All windows of an image, whose pixels are never null.
    pub(crate) fn bare(&self, source: AnySource) -> ScanBuilder {
        let mut builder = PatchScan::builder(source, self.spec.clone())
            .layout(self.layout)
            .wrap(self.wrap)
            .coords(self.coords)
            .scale(self.scale)
            .offset(self.offset)
            .lossy(self.lossy);
        if let Some(columns) = &self.columns {
            builder = builder.columns(columns.iter().cloned());
        }
        if let Some(dtype) = self.dtype {
            builder = builder.dtype(dtype);
        }
        if let Some(rows) = self.batch_rows {
            builder = builder.batch_rows(rows);
        }
        if let Some(bytes) = self.batch_bytes {
            builder = builder.batch_bytes(bytes);
        }
        if let Some(bytes) = self.cache_bytes {
            builder = builder.cache_bytes(bytes);
        }
        builder
    }

    /// All windows of an image.
    pub(crate) fn of(&self, source: AnySource) -> ScanBuilder {
        let builder = self.bare(source);
        match self.nodata {
            Some(nodata) => builder.nodata(nodata),
            None => builder,
        }
    }
}

/// What opens a file besides its name, as Python says it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Opening {
    page: Option<usize>,
    overview: Option<usize>,
    stack: bool,
    member: Option<String>,
    raw: Option<String>,
}

impl TryFrom<Opening> for OpenOptions {
    type Error = PyErr;

    fn try_from(opening: Opening) -> PyResult<Self> {
        let Opening { page, overview, stack, member, raw } = opening;
        Ok(Self { page, overview, stack, member, raw: raw.map(|raw| raw.parse()).transpose().map_err(to_py)? })
    }
}
