//! [`PatchReader`]: the one-shot stream of record batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::encode::Encoder;
use crate::feed::{Feed, Slab};
use crate::jobs::caught;
use crate::rows::{Rows, Selection};
use crate::scan::Plan;
use crate::take::PatchTaker;
use crate::{BufferPool, ErrorKind, Result};

/// The batches of a [`PatchScan`](crate::PatchScan), in order, each made when it is near: a
/// [`RecordBatchReader`] for Parquet, IPC, the C stream interface, or a loop.
///
/// Batches are gathered ahead on rayon's pool, at most `prefetch` of them, and by the consumer's own thread where it
/// would have to wait; their memory comes back to a pool when the consumer drops them. A reader can be dropped at any
/// point and costs what it took. After an error it ends.
pub struct PatchReader {
    kitchen: Arc<Kitchen>,
    feed: Intake,
    /// All windows from the least to the greatest.
    hull: Range<u64>,
    /// The rows that no job was started for yet.
    rows: Range<u64>,
    batch_rows: u64,
    prefetch: usize,
    /// The batches to come, in order.
    coming: VecDeque<Coming>,
}

/// A batch on its way.
enum Coming {
    Later(Receiver<Result<RecordBatch>>),
    Here(Result<RecordBatch>),
}

/// How pixels come.
enum Intake {
    /// Band by band, each with the windows of a batch.
    Bands(Box<Feed>),
    /// Window by window, as they lie in a file: the batch is made where it is read.
    Taker(Box<PatchTaker>),
}

/// What is prepared on the reader's own thread: the rows of a batch, and the bands that hold their pixels.
struct Job {
    rows: Range<u64>,
    slab: Slab,
}

/// Where batches are made, by threads of rayon's pool and by the consumer's.
///
/// A pool thread works as long as there is a job: to wake one for every batch would take longer than much of the batch.
/// The consumer takes a job where it would have to wait, so one thread less of the pool is enough; the one left over
/// stays free for others.
struct Kitchen {
    encoder: Arc<Encoder>,
    selection: Selection,
    pool: BufferPool,
    threads: usize,
    queue: Mutex<Queue>,
}

/// How often a thread of the pool looks for a job before it leaves.
const PATIENCE: usize = 1000;

#[derive(Default)]
struct Queue {
    /// What nobody works on yet, and who waits for it.
    jobs: VecDeque<(Job, SyncSender<Result<RecordBatch>>)>,
    /// Threads of the pool at work.
    working: usize,
}

impl Kitchen {
    fn make(&self, job: Job) -> Result<RecordBatch> {
        caught(|| {
            if self.selection.is_all() {
                return self.encoder.encode(&job.slab, &Rows::Range(job.rows.clone()), &self.pool);
            }
            let ids = self.selection.ids(job.rows.clone());
            self.encoder.encode(&job.slab, &Rows::of(&ids), &self.pool)
        })
    }

    /// Makes the batch that is wanted first of those that nobody works on; `false` if there is none.
    fn make_one(&self) -> bool {
        let Some((job, sender)) = self.queue().jobs.pop_front() else { return false };
        // A reader that was dropped no longer listens.
        let _ = sender.send(self.make(job));
        true
    }

    /// Has a batch made by the pool.
    fn order(self: &Arc<Self>, job: Job, sender: SyncSender<Result<RecordBatch>>) {
        let mut queue = self.queue();
        queue.jobs.push_back((job, sender));
        if queue.working < self.threads {
            queue.working += 1;
            let kitchen = self.clone();
            rayon::spawn(move || kitchen.work());
        }
    }

    /// A thread of the pool makes batches while there are any to make.
    fn work(&self) {
        loop {
            while self.make_one() {}
            // A consumer that only drops batches orders the next one within a moment: to be woken takes longer.
            for _ in 0..PATIENCE {
                if !self.queue().jobs.is_empty() {
                    break;
                }
                std::hint::spin_loop();
            }
            let mut queue = self.queue();
            if queue.jobs.is_empty() {
                queue.working -= 1;
                return;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PatchReader {
    pub(crate) fn new(plan: &Plan, batch_rows: u64, prefetch: usize) -> Result<Self> {
        let (encoder, selection, rows) = (plan.encoder.clone(), plan.selection.clone(), plan.rows.clone());
        // A batch takes a buffer a column and five for conversion and order; a band is built from the last one and what
        // follows.
        let pool = BufferPool::new((encoder.columns.len() + 5) * (prefetch + 2) + 3);
        let hull = plan.hull();
        let (feed, prefetch) = if selection.is_all() || plan.is_resident() {
            (Intake::Bands(Box::new(Feed::open(&*plan.source, &encoder, hull.clone(), &pool)?)), prefetch)
        } else {
            let taker = PatchTaker::new(&*plan.source, encoder.clone(), plan.cache_bytes)?;
            (Intake::Taker(Box::new(taker)), plan.flying())
        };
        let threads = rayon::current_num_threads().saturating_sub(1).max(1);
        let kitchen = Arc::new(Kitchen { encoder, selection, pool, threads, queue: Mutex::default() });
        Ok(Self { kitchen, feed, hull, rows, batch_rows, prefetch, coming: VecDeque::with_capacity(prefetch) })
    }

    /// The rows that are still to come.
    pub fn rows_left(&self) -> u64 {
        self.rows.end - self.rows.start + self.coming.len() as u64 * self.batch_rows
    }

    /// The rows of the next batch.
    fn next_rows(&mut self) -> Range<u64> {
        let end = self.rows.start.saturating_add(self.batch_rows).min(self.rows.end);
        let rows = self.rows.start..end;
        self.rows.start = end;
        rows
    }

    fn job(&mut self, rows: Range<u64>) -> Result<Job> {
        let Intake::Bands(feed) = &mut self.feed else { return Ok(Job { rows, slab: Slab::default() }) };
        let slab = if self.kitchen.selection.is_all() {
            feed.slab(&self.kitchen.encoder, rows.clone())?
        } else {
            // All of it is in memory.
            feed.slab(&self.kitchen.encoder, self.hull.clone())?
        };
        Ok(Job { rows, slab })
    }

    /// The next batch, made here.
    fn make_next(&mut self) -> Result<RecordBatch> {
        let rows = self.next_rows();
        if let Intake::Taker(taker) = &mut self.feed {
            let ids = self.kitchen.selection.ids(rows);
            return caught(|| taker.take(&ids));
        }
        let job = caught(|| self.job(rows))?;
        self.kitchen.make(job)
    }

    fn order(&mut self) {
        let rows = self.next_rows();
        if let Intake::Bands(feed) = &self.feed
            && feed.lets_go(&self.kitchen.encoder, &rows)
        {
            self.settle();
        }
        let (sender, receiver) = sync_channel(1);
        self.coming.push_back(Coming::Later(receiver));
        match caught(|| self.job(rows)) {
            Ok(job) => self.kitchen.order(job, sender),
            Err(error) => {
                self.rows.start = self.rows.end;
                // The receiver is ours and has room.
                let _ = sender.send(Err(error));
            }
        }
    }

    fn next_batch(&mut self) -> Option<Result<RecordBatch>> {
        if self.prefetch == 0 {
            if self.rows.is_empty() {
                return None;
            }
            return Some(self.make_next());
        }
        while self.coming.len() < self.prefetch && !self.rows.is_empty() {
            self.order();
        }
        let batch = match self.coming.pop_front()? {
            Coming::Later(coming) => self.wait(&coming),
            Coming::Here(batch) => batch,
        };
        // The next one is gathered while the consumer works on this one.
        if batch.is_ok() && !self.rows.is_empty() {
            self.order();
        }
        Some(batch)
    }

    /// Waits for all batches that were ordered: none of them reads from a band any more.
    fn settle(&mut self) {
        for mut coming in std::mem::take(&mut self.coming) {
            if let Coming::Later(later) = &coming {
                coming = Coming::Here(self.wait(later));
            }
            self.coming.push_back(coming);
        }
    }

    /// Waits for a batch, and makes those that nobody works on meanwhile: it may be among them, and if this is a thread
    /// of rayon's pool, there may be no other to make it.
    fn wait(&self, coming: &Receiver<Result<RecordBatch>>) -> Result<RecordBatch> {
        let lost = || Err(ErrorKind::Worker("it ended without a result".to_owned()).into());
        loop {
            match coming.try_recv() {
                Ok(batch) => return batch,
                Err(TryRecvError::Disconnected) => return lost(),
                Err(TryRecvError::Empty) if self.kitchen.make_one() => {}
                Err(TryRecvError::Empty) => return coming.recv().unwrap_or_else(|_| lost()),
            }
        }
    }

    /// Nothing more is made.
    fn stop(&mut self) {
        self.rows.start = self.rows.end;
        self.coming.clear();
        self.kitchen.queue().jobs.clear();
    }
}

impl Drop for PatchReader {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Iterator for PatchReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch()?;
        if batch.is_err() {
            self.stop();
        }
        Some(batch.map_err(ArrowError::from))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.rows.end - self.rows.start).div_ceil(self.batch_rows) as usize + self.coming.len();
        (0, Some(left))
    }
}

impl RecordBatchReader for PatchReader {
    fn schema(&self) -> SchemaRef {
        self.kitchen.encoder.schema.clone()
    }
}
