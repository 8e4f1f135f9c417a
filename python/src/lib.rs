//! The boundary between windrow and Python. It adapts and decides nothing: plans, batches and files are the library's,
//! and what a Python user sees is put together in `python/windrow`.

mod array;
mod batch;
mod capsule;
mod collection;
mod error;
mod fold;
mod keep;
mod life;
mod matrix;
mod options;
mod patches;
mod plan;
mod table;
mod taker;
mod watch;

use pyo3::prelude::*;

/// What `windrow` stands on. Import `windrow` instead.
#[pymodule]
mod _windrow {
    #[pymodule_export]
    use super::batch::{Batch, Batches, Column, Schema};
    #[pymodule_export]
    use super::collection::{Collection, several};
    #[pymodule_export]
    use super::fold::Folder;
    #[pymodule_export]
    use super::life::{forked, quiet, stop};
    #[pymodule_export]
    use super::matrix::Matrix;
    #[pymodule_export]
    use super::patches::Patches;
    #[pymodule_export]
    use super::plan::Plan;
    #[pymodule_export]
    use super::taker::Taker;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
