//! [`PatchReader`]: the one-shot stream of record batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::encode::Encoder;
use crate::source::{Band, Bands, Source};
use crate::{BufferPool, ErrorKind, Result};

/// The batches of a [`PatchScan`](crate::PatchScan), in order, each made when it is near: a
/// [`RecordBatchReader`] for Parquet, IPC, the C stream interface, or a loop.
///
/// Batches are gathered ahead on rayon's pool, at most `prefetch` of them; their memory comes back to a pool when the
/// consumer drops them. A reader can be dropped at any point and costs what it took. After an error it ends.
pub struct PatchReader {
    encoder: Arc<Encoder>,
    /// `None` if no pixel is asked for.
    bands: Option<Bands>,
    pool: BufferPool,
    /// The rows that no job was started for yet.
    rows: Range<u64>,
    batch_rows: u64,
    prefetch: usize,
    jobs: VecDeque<Receiver<Result<RecordBatch>>>,
}

/// What is prepared on the reader's own thread: the rows of a batch, and the band that holds their pixels.
struct Job {
    rows: Range<u64>,
    band: Option<Band>,
}

impl PatchReader {
    pub(crate) fn new(
        source: &dyn Source,
        encoder: Arc<Encoder>,
        rows: Range<u64>,
        batch_rows: u64,
        prefetch: usize,
    ) -> Result<Self> {
        // A batch takes a buffer a column and one for conversion; a band is built from the last one and what follows.
        let pool = BufferPool::new((encoder.columns.len() + 1) * (prefetch + 2) + 3);
        let bands = if encoder.needs_pixels() && !rows.is_empty() {
            let grid = &encoder.grid;
            Some(Bands::open(source, &pool, grid.region(rows.clone()), grid.sliding_axes()[0])?)
        } else {
            None
        };
        Ok(Self { encoder, bands, pool, rows, batch_rows, prefetch, jobs: VecDeque::with_capacity(prefetch) })
    }

    /// The rows that are still to come.
    pub fn rows_left(&self) -> u64 {
        self.rows.end - self.rows.start + self.jobs.len() as u64 * self.batch_rows
    }

    fn job(&mut self) -> Result<Job> {
        let end = (self.rows.start + self.batch_rows).min(self.rows.end);
        let rows = self.rows.start..end;
        self.rows.start = end;
        let band = match &mut self.bands {
            Some(bands) => {
                let grid = &self.encoder.grid;
                Some(bands.band(grid.region(rows.clone()).0[grid.sliding_axes()[0]].clone())?)
            }
            None => None,
        };
        Ok(Job { rows, band })
    }

    fn spawn(&mut self) {
        let (sender, receiver) = sync_channel(1);
        self.jobs.push_back(receiver);
        match self.job() {
            Err(error) => {
                self.rows.start = self.rows.end;
                // The receiver is ours and has room.
                let _ = sender.send(Err(error));
            }
            Ok(job) => {
                let (encoder, pool) = (self.encoder.clone(), self.pool.clone());
                rayon::spawn(move || {
                    let work = || encoder.encode(job.band.as_ref(), job.rows.clone(), &pool);
                    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
                        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                        Err(ErrorKind::Worker(text.unwrap_or_default()).into())
                    });
                    // A reader that was dropped no longer listens.
                    let _ = sender.send(result);
                });
            }
        }
    }

    fn next_batch(&mut self) -> Option<Result<RecordBatch>> {
        if self.prefetch == 0 {
            if self.rows.is_empty() {
                return None;
            }
            let job = self.job();
            return Some(job.and_then(|job| self.encoder.encode(job.band.as_ref(), job.rows, &self.pool)));
        }
        while self.jobs.len() < self.prefetch && !self.rows.is_empty() {
            self.spawn();
        }
        let batch = self.jobs.pop_front().map(|job| wait(&job))?;
        // The next one is gathered while the consumer works on this one.
        if batch.is_ok() && !self.rows.is_empty() {
            self.spawn();
        }
        Some(batch)
    }
}

/// Waits for a job. A thread of rayon's pool works on other jobs meanwhile: if all of them only waited, nobody would do
/// the work.
fn wait(job: &Receiver<Result<RecordBatch>>) -> Result<RecordBatch> {
    let gone = || Err(ErrorKind::Worker("it ended without a result".to_owned()).into());
    loop {
        match job.try_recv() {
            Ok(result) => return result,
            Err(TryRecvError::Disconnected) => return gone(),
            Err(TryRecvError::Empty) => match rayon::yield_now() {
                Some(rayon::Yield::Executed) => {}
                Some(rayon::Yield::Idle) => std::thread::yield_now(),
                None => return job.recv().unwrap_or_else(|_| gone()),
            },
        }
    }
}

impl Iterator for PatchReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch()?;
        if batch.is_err() {
            self.rows.start = self.rows.end;
            self.jobs.clear();
        }
        Some(batch.map_err(ArrowError::from))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.rows.end - self.rows.start).div_ceil(self.batch_rows) as usize + self.jobs.len();
        (0, Some(left))
    }
}

impl RecordBatchReader for PatchReader {
    fn schema(&self) -> SchemaRef {
        self.encoder.schema.clone()
    }
}
