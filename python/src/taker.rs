//! Windows by id, for engines that ask again and again, from threads of their own.

use std::sync::{Arc, Mutex, PoisonError};

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use windrow::{PatchScan, PatchTaker};

use crate::batch::{Batch, Patch};
use crate::error::to_py;

/// Takes windows by id as batches, whose memory is used again when the last one that looks at it lets go.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Taker {
    scan: PatchScan,
    patch: Arc<Patch>,
    /// Those that no thread is using at the moment: each keeps the source open, and its buffers warm.
    idle: Mutex<Vec<PatchTaker>>,
}

impl Taker {
    pub(crate) fn new(scan: PatchScan) -> Self {
        Self { patch: Patch::of(&scan), scan, idle: Mutex::default() }
    }
}

#[pymethods]
impl Taker {
    /// The table of these windows, in this order.
    fn take(&self, py: Python<'_>, windows: PyReadonlyArray1<'_, u64>) -> PyResult<Batch> {
        let windows = windows.as_slice()?;
        let batch = py.detach(|| {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut taker = idle.map_or_else(|| self.scan.taker(), Ok)?;
            let batch = taker.take(windows)?;
            // After an error it is not known where in its file it stands.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(taker);
            Ok(batch)
        });
        Ok(Batch::new(batch.map_err(to_py)?, self.patch.clone()))
    }
}
