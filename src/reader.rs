//! [`PatchReader`]: the one-shot stream of record batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::encode::Encoder;
use crate::jobs::Job;
use crate::source::{Band, Bands, Source};
use crate::{BufferPool, Result};

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
    jobs: VecDeque<Job<RecordBatch>>,
}

/// What is prepared on the reader's own thread: the rows of a batch, and the band that holds their pixels.
struct Plan {
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

    fn plan(&mut self) -> Result<Plan> {
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
        Ok(Plan { rows, band })
    }

    fn spawn(&mut self) {
        let job = match self.plan() {
            Err(error) => {
                self.rows.start = self.rows.end;
                Job::failed(error)
            }
            Ok(plan) => {
                let (encoder, pool) = (self.encoder.clone(), self.pool.clone());
                Job::spawn(move || encoder.encode(plan.band.as_ref(), plan.rows, &pool))
            }
        };
        self.jobs.push_back(job);
    }

    fn next_batch(&mut self) -> Option<Result<RecordBatch>> {
        if self.prefetch == 0 {
            if self.rows.is_empty() {
                return None;
            }
            let plan = self.plan();
            return Some(plan.and_then(|plan| self.encoder.encode(plan.band.as_ref(), plan.rows, &self.pool)));
        }
        while self.jobs.len() < self.prefetch && !self.rows.is_empty() {
            self.spawn();
        }
        let batch = self.jobs.pop_front().map(Job::wait)?;
        // The next one is gathered while the consumer works on this one.
        if batch.is_ok() && !self.rows.is_empty() {
            self.spawn();
        }
        Some(batch)
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
