//! Readers that look up from their work: for the end of the interpreter, for Ctrl-C, for a progress bar.

use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::prelude::*;
use windrow::sink::Written;
use windrow::{Error, ErrorKind, Result};

use crate::error::to_py;
use crate::life::{check, may_go_on};

/// A reader that ends with an error once the interpreter is about to end, so that no consumer's thread keeps working
/// while the memory under it goes.
pub(crate) struct Stoppable(Box<dyn RecordBatchReader + Send>);

impl Stoppable {
    pub(crate) fn new(reader: impl RecordBatchReader + Send + 'static) -> Self {
        Self(Box::new(reader))
    }
}

impl Iterator for Stoppable {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if may_go_on() { self.0.next() } else { Some(Err(interrupted())) }
    }
}

impl RecordBatchReader for Stoppable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

fn interrupted() -> ArrowError {
    ArrowError::from(Error::from(ErrorKind::Interrupted))
}

/// How long a signal or the bar may wait.
const PAUSE: Duration = Duration::from_millis(100);

/// A reader that asks Python now and then whether to go on.
pub(crate) struct Watched<'a, R> {
    reader: R,
    progress: Option<Py<PyAny>>,
    rows: u64,
    last: Instant,
    /// What Python raised meanwhile.
    raised: &'a mut Option<PyErr>,
}

impl<R> Watched<'_, R> {
    fn look_up(&mut self) -> Result<(), ArrowError> {
        self.last = Instant::now();
        let told = check().and_then(|()| match &self.progress {
            Some(progress) => Python::attach(|py| progress.call1(py, (self.rows,))).map(drop),
            None => Ok(()),
        });
        told.map_err(|error| {
            *self.raised = Some(error);
            interrupted()
        })
    }
}

impl<R: RecordBatchReader> Iterator for Watched<'_, R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        if let Some(Ok(batch)) = &batch {
            self.rows += batch.num_rows() as u64;
        }
        if (batch.is_none() || self.last.elapsed() >= PAUSE)
            && let Err(error) = self.look_up()
        {
            return Some(Err(error));
        }
        batch
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Watched<'_, R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

/// Drains what `open` gives into `sink` without the GIL; gives rows and bytes.
pub(crate) fn run<R: RecordBatchReader>(
    py: Python<'_>,
    open: impl FnOnce() -> Result<R> + Send,
    progress: Option<Py<PyAny>>,
    sink: impl FnOnce(Watched<'_, R>) -> Result<Written> + Send,
) -> PyResult<(u64, u64)> {
    let mut raised = None;
    let written = py.detach(|| {
        let reader = open()?;
        sink(Watched { reader, progress, rows: 0, last: Instant::now(), raised: &mut raised })
    });
    match (written, raised) {
        (_, Some(error)) => Err(error),
        (Ok(written), None) => Ok((written.rows, written.bytes)),
        (Err(error), None) => Err(to_py(error)),
    }
}
