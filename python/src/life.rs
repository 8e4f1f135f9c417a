//! What the process goes through while readers may be at work: forks, and the end of the interpreter.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use windrow::ScanBuilder;

static STOPPED: AtomicBool = AtomicBool::new(false);
static FORKED: AtomicBool = AtomicBool::new(false);

/// Tells all readers that the interpreter is about to end: from then on nothing of ours calls into it.
#[pyfunction]
pub fn stop() {
    STOPPED.store(true, Ordering::Release);
}

/// Whether the interpreter is about to end.
pub(crate) fn stopped() -> bool {
    STOPPED.load(Ordering::Acquire)
}

/// Tells that this process is a fork of one that had threads: they did not come along.
#[pyfunction]
pub fn forked() {
    FORKED.store(true, Ordering::Release);
}

/// The same scan, made by the caller's own thread where there are no others to be relied on.
pub(crate) fn adapted(builder: ScanBuilder) -> ScanBuilder {
    if FORKED.load(Ordering::Acquire) { builder.prefetch(0) } else { builder }
}
