//! Several images as one table: `export`, `stream` and `info`.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use bytesize::ByteSize;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::text;
use crate::collection::{CollectionReader, PatchCollection, Skipped};
use crate::sink::{Written, write_whole};
use crate::{Error, Result};

/// The images that were left out, for a program.
#[derive(Serialize)]
struct Report<'a> {
    /// Images that were listed.
    images: usize,
    /// Those that are not in the table, or not whole.
    skipped: &'a [Skipped],
}

/// A pass over a collection that shows how far it is, and tells at its end what was left out.
pub(super) struct Pass {
    bar: ProgressBar,
    images: usize,
    skipped: Arc<Mutex<Vec<Skipped>>>,
    start: Instant,
    row_bytes: u64,
}

impl Pass {
    /// Starts a pass; the bar counts images, since their rows are not known before they are opened.
    pub(super) fn start(tiles: &PatchCollection, quiet: bool) -> Result<(Self, Watched)> {
        let reader = tiles.reader()?;
        let (images, skipped) = (tiles.paths().len(), reader.skipped());
        let bar = if quiet || !io::IsTerminal::is_terminal(&io::stderr()) {
            ProgressBar::hidden()
        } else {
            let style = "{bar:24} {percent:>3} %  {pos} of {len} images, {msg} rows  {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(images as u64).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        };
        let watched = Watched { reader, bar: bar.clone(), rows: 0 };
        Ok((Self { bar, images, skipped, start: Instant::now(), row_bytes: tiles.row_bytes() }, watched))
    }

    /// Writes the report, if there is to be one, and says in a line what was written.
    pub(super) fn end(self, written: Option<(&Path, Written)>, report: Option<&Path>, quiet: bool) -> Result<()> {
        self.bar.finish_and_clear();
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = report {
            let report = Report { images: self.images, skipped: &skipped };
            let json = serde_json::to_string_pretty(&report)
                .map_err(|error| Error::format("report", format!("can't be written as JSON: {error}")))?;
            write_whole(path, (json + "\n").as_bytes())?;
        }
        if quiet {
            return Ok(());
        }
        let mut lines = Vec::new();
        if let (false, Some(path)) = (skipped.is_empty(), report) {
            lines.push(format!(
                "note: {} of {} images are left out, see {}",
                skipped.len(),
                self.images,
                path.display()
            ));
        }
        if let Some((path, written)) = written {
            let time = self.start.elapsed();
            let rate = written.rows.saturating_mul(self.row_bytes) as f64 / time.as_secs_f64().max(1e-9);
            lines.push(format!(
                "{}: {} rows of {} images, {}, {} of rows a second, in {}",
                path.display(),
                HumanCount(written.rows),
                HumanCount((self.images - skipped.iter().filter(|image| image.rows == 0).count()) as u64),
                ByteSize(written.bytes),
                ByteSize(rate as u64),
                text::duration(time),
            ));
        }
        for line in lines {
            // Standard error may be closed; the file is written all the same.
            let _ = writeln!(io::stderr(), "{}", text::printable(&line));
        }
        Ok(())
    }
}

/// A reader that shows how far it is.
pub(super) struct Watched {
    reader: CollectionReader,
    bar: ProgressBar,
    rows: u64,
}

impl Iterator for Watched {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        if let Some(Ok(batch)) = &batch {
            self.rows += batch.num_rows() as u64;
            self.bar.set_position(self.reader.images_done() as u64);
            self.bar.set_message(HumanCount(self.rows).to_string());
        }
        batch
    }
}

impl RecordBatchReader for Watched {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}
