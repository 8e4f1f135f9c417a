//! Windows by id, for engines that ask again and again, from threads of their own.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use windrow::collection::{CollectionTaker, PatchCollection};
use windrow::{PatchScan, PatchTaker, Result};

use crate::batch::{Batch, Patch};
use crate::error::to_py;

/// What gives rows by number.
trait Take: Send {
    fn take(&mut self, rows: &[u64]) -> Result<RecordBatch>;
}

impl Take for PatchTaker {
    fn take(&mut self, rows: &[u64]) -> Result<RecordBatch> {
        self.take(rows)
    }
}

impl Take for CollectionTaker {
    fn take(&mut self, rows: &[u64]) -> Result<RecordBatch> {
        self.take(rows)
    }
}

/// Takes windows by id as batches, whose memory is used again when the last one that looks at it lets go.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Taker {
    open: Box<dyn Fn() -> Result<Box<dyn Take>> + Send + Sync>,
    patch: Arc<Patch>,
    /// Those that no thread is using at the moment: each keeps the source open, and its buffers warm.
    idle: Mutex<Vec<Box<dyn Take>>>,
}

impl Taker {
    pub(crate) fn new(scan: PatchScan) -> Self {
        let patch = Patch::of(&scan);
        Self { patch, open: Box::new(move || Ok(Box::new(scan.taker()?))), idle: Mutex::default() }
    }

    pub(crate) fn of_tiles(tiles: PatchCollection) -> Self {
        let patch = Patch::of(tiles.first());
        Self { patch, open: Box::new(move || Ok(Box::new(tiles.taker()?))), idle: Mutex::default() }
    }
}

#[pymethods]
impl Taker {
    /// The table of these windows, in this order.
    fn take(&self, py: Python<'_>, windows: PyReadonlyArray1<'_, u64>) -> PyResult<Batch> {
        let windows = windows.as_slice()?;
        let batch = py.detach(|| {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut taker = idle.map_or_else(|| (self.open)(), Ok)?;
            let batch = taker.take(windows)?;
            // After an error it is not known where in its file it stands.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(taker);
            Ok(batch)
        });
        Ok(Batch::new(batch.map_err(to_py)?, self.patch.clone()))
    }
}
