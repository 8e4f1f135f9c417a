//! A bar on the terminal while batches go by.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use bytesize::ByteSize;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::text;
use crate::sink::Written;
use crate::{Explain, Result};

/// How far a table is, on the terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    row_bytes: u64,
}

impl Bar {
    /// Shows a bar if standard error is a terminal and `quiet` is not set.
    pub(super) fn new(explain: &Explain, quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let style = "{bar:24} {percent:>3} %  {msg} rows  {binary_bytes_per_sec}  {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(explain.dense_bytes).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        };
        Self { bar, row_bytes: explain.row_bytes.max(1) }
    }

    /// A reader whose rows are counted.
    pub(super) fn watch<R: RecordBatchReader>(&self, reader: R) -> Progress<R> {
        Progress { reader, bar: self.bar.clone(), row_bytes: self.row_bytes }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A reader that shows how far it is.
pub(super) struct Progress<R> {
    reader: R,
    bar: ProgressBar,
    row_bytes: u64,
}

impl<R: RecordBatchReader> Iterator for Progress<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        if let Some(Ok(batch)) = &batch {
            self.bar.inc((batch.num_rows() as u64).saturating_mul(self.row_bytes));
            self.bar.set_message(HumanCount(self.bar.position() / self.row_bytes).to_string());
        }
        batch
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Progress<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

/// One line when all is written.
pub(super) fn summary(path: &std::path::Path, written: Written, explain: &Explain, since: Instant) -> String {
    let time = since.elapsed();
    let times = written.bytes as f64 / explain.base_bytes.max(1) as f64;
    // Of a few rows of a large image it says nothing.
    let times = if times < 0.1 { String::new() } else { format!(" ({times:.1} times the decoded image)") };
    let rate = explain.dense_bytes as f64 / time.as_secs_f64().max(1e-9);
    format!(
        "{}: {} rows, {}{times}, {} of rows a second, in {}",
        text::printable(&path.display().to_string()),
        HumanCount(written.rows),
        ByteSize(written.bytes),
        ByteSize(rate as u64),
        text::duration(time),
    )
}
