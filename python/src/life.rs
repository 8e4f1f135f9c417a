//! What the process goes through while readers may be at work: forks, and the end of the interpreter.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use windrow::ScanBuilder;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static STOPPED: AtomicBool = AtomicBool::new(false);
/// Milliseconds from the start to the last time that somebody wanted a batch, and one.
static WANTED: AtomicU64 = AtomicU64::new(0);
static FORKED: AtomicBool = AtomicBool::new(false);

/// Tells all readers that the interpreter is about to end: from then on nothing of ours calls into it.
#[pyfunction]
pub fn stop() {
    STOPPED.store(true, Ordering::Release);
}

/// Whether whoever wants another batch may go on: the interpreter is not about to end.
pub(crate) fn may_go_on() -> bool {
    WANTED.store(START.elapsed().as_millis() as u64 + 1, Ordering::Release);
    !stopped()
}

/// Seconds since somebody wanted a batch, if anybody ever did: for so long every consumer has been told to stop.
#[pyfunction]
pub fn quiet() -> f64 {
    match WANTED.load(Ordering::Acquire) {
        0 => f64::INFINITY,
        wanted => START.elapsed().as_secs_f64() - (wanted - 1) as f64 / 1000.0,
    }
}

/// Ctrl-C and the end of the interpreter, for work without the GIL to look up at now and then.
pub(crate) fn check() -> PyResult<()> {
    let told = if may_go_on() { Python::try_attach(|py| py.check_signals()) } else { None };
    told.unwrap_or_else(|| Err(PyKeyboardInterrupt::new_err(())))
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

/// Whether this process is a fork.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Acquire)
}

/// The same scan, made by the caller's own thread where there are no others to be relied on.
pub(crate) fn adapted(builder: ScanBuilder) -> ScanBuilder {
    if is_forked() { builder.prefetch(0) } else { builder }
}
