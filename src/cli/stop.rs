//! Ctrl-C and SIGTERM: the stream ends with an error, so that its sink cleans up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::{Error, ErrorKind, Result};

/// A reader that ends with [`ErrorKind::Interrupted`] when the user asks to stop.
pub(super) struct Stoppable<R> {
    reader: R,
    stop: Arc<AtomicBool>,
}

impl<R: RecordBatchReader> Stoppable<R> {
    /// Listens to SIGINT and SIGTERM. A second signal kills at once.
    pub(super) fn new(reader: R) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let register = || -> io::Result<()> {
                flag::register_conditional_default(signal, stop.clone())?;
                flag::register(signal, stop.clone())?;
                Ok(())
            };
            register().map_err(|error| {
                Error::from(ErrorKind::Io { name: "signals".to_owned(), action: "listen to", error })
            })?;
        }
        Ok(Self { reader, stop })
    }
}

impl<R: RecordBatchReader> Iterator for Stoppable<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        if batch.is_some() && self.stop.load(Ordering::Relaxed) {
            return Some(Err(Error::from(ErrorKind::Interrupted).into()));
        }
        batch
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Stoppable<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}
