//! [`CollectionReader`]: the one-shot stream of the batches of all images.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader, UInt64Array};
use arrow_schema::{ArrowError, SchemaRef};

use super::Skipped;
use super::choose::Chosen;
use super::pile::Pile;
use super::plan::{Plan, is_of_image, named, shown};
use super::taker::CollectionTaker;
use crate::jobs::Job;
use crate::{Error, PatchReader, PatchScan, Result};

/// The most bytes of an image, and of its rows, that it is made into rows ahead, beside others. Of larger ones one is read
/// at a time, band by band, by all threads.
pub(super) const SMALL: u64 = 4 << 20;

/// The batches of a [`PatchCollection`](super::PatchCollection), in order: those of large images as they are, those of
/// small ones together.
///
/// Rows in another order than that of the images are taken by number, some of all images at a time.
///
/// A reader can be dropped at any point and costs what it took. After an error it ends.
pub struct CollectionReader {
    plan: Arc<Plan>,
    /// What takes rows in another order, of so many.
    taker: Option<(CollectionTaker, u64)>,
    chosen: Option<Arc<Chosen>>,
    schema: SchemaRef,
    skip_bad: bool,
    skipped: Arc<Mutex<Vec<Skipped>>>,
    /// Images that are prepared ahead, in order.
    coming: VecDeque<(usize, Coming)>,
    ahead: usize,
    /// The first image that nothing was done for yet.
    next: usize,
    /// The large image that is read, and the rows that it gave.
    current: Option<(usize, PatchReader, u64)>,
    /// Rows that make no batch yet.
    pile: Pile,
    /// Batches that are ready.
    ready: VecDeque<RecordBatch>,
    /// The number of the first row of the next batch.
    row: u64,
    /// The image of the last row of the last batch, and how many rows of it were given.
    given: (i32, u64),
    /// Rows that are still wanted.
    left: u64,
}

/// An image on its way.
enum Coming {
    Preparing(Job<Prepared>),
    Opening(Job<PatchReader>),
}

/// An image whose header was read.
enum Prepared {
    /// A small one: all of its rows.
    Rows(Vec<RecordBatch>),
    /// A large one.
    Scan(PatchScan),
}

/// An image whose turn it is.
enum Turn {
    Rows(Vec<RecordBatch>),
    Reader(Box<PatchReader>),
}

impl Plan {
    /// Reads the header of an image, and if it is small, all of it.
    fn prepare(&self, image: usize, chosen: Option<&Chosen>) -> Result<Prepared> {
        let path = &self.paths[image];
        // Of an image without rows it is to be told why.
        if chosen.is_some_and(|chosen| chosen.rows_in(image) > 0 && chosen.has_none_of(image)) {
            return Ok(Prepared::Rows(Vec::new()));
        }
        let mut scan = self.scan(path)?;
        if let Some(chosen) = chosen {
            scan = chosen.of(image, scan)?;
        }
        let explain = scan.explain();
        if explain.dense_bytes.max(explain.base_bytes) > SMALL {
            return Ok(Prepared::Scan(scan));
        }
        let rows = scan.reader_here()?.collect::<Result<Vec<_>, ArrowError>>();
        rows.map(Prepared::Rows).map_err(|error| named(path, error.into()))
    }
}

impl CollectionReader {
    pub(super) fn new(
        plan: Arc<Plan>,
        chosen: Option<Arc<Chosen>>,
        taker: Option<CollectionTaker>,
        schema: SchemaRef,
        skip_bad: bool,
        most_rows: u64,
        ahead: usize,
    ) -> Self {
        let taker = taker.map(|taker| (taker, most_rows));
        Self {
            plan,
            taker,
            chosen,
            schema,
            skip_bad,
            skipped: Arc::default(),
            coming: VecDeque::new(),
            ahead,
            next: 0,
            current: None,
            pile: Pile::default(),
            ready: VecDeque::new(),
            row: 0,
            given: (-1, 0),
            left: most_rows,
        }
    }

    /// The images that were left out so far, and will be: a list that is shared with this reader, and complete when it has
    /// ended. Empty unless the collection is one that [skips](super::PatchCollection::skipping_bad).
    pub fn skipped(&self) -> Arc<Mutex<Vec<Skipped>>> {
        self.skipped.clone()
    }

    /// How many images have been read.
    pub fn images_done(&self) -> usize {
        if let Some((_, rows)) = &self.taker {
            // About: all images are read at once.
            let share = u128::from(rows - self.left) * self.plan.paths.len() as u128 / u128::from((*rows).max(1));
            return share as usize;
        }
        self.next - self.coming.len() - usize::from(self.current.is_some())
    }

    /// Has images prepared on rayon's pool.
    fn order(&mut self) {
        while self.coming.len() < self.ahead && self.next < self.plan.paths.len() && self.left > 0 {
            let (plan, image, chosen) = (self.plan.clone(), self.next, self.chosen.clone());
            let prepare = move || plan.prepare(image, chosen.as_deref());
            self.coming.push_back((image, Coming::Preparing(Job::spawn(prepare))));
            self.next += 1;
        }
        // A large image is opened, which may decode it, while the one before is read.
        if let Some((_, coming)) = self.coming.front_mut()
            && let Coming::Preparing(job) = coming
            && let Some(prepared) = job.poll()
        {
            *coming = match prepared {
                Ok(Prepared::Scan(scan)) => Coming::Opening(Job::spawn(move || scan.reader())),
                other => Coming::Preparing(Job::done(other)),
            };
        }
    }

    /// The next image and what it gives; `None` if there are no more.
    fn turn(&mut self) -> Option<(usize, Result<Turn>)> {
        let open = |prepared| match prepared {
            Prepared::Rows(rows) => Ok(Turn::Rows(rows)),
            Prepared::Scan(scan) => scan.reader().map(|reader| Turn::Reader(Box::new(reader))),
        };
        self.order();
        if let Some((image, coming)) = self.coming.pop_front() {
            let turn = match coming {
                Coming::Preparing(job) => job.wait().and_then(open),
                Coming::Opening(job) => job.wait().map(|reader| Turn::Reader(Box::new(reader))),
            };
            self.order();
            return Some((image, turn));
        }
        if self.next == self.plan.paths.len() {
            return None;
        }
        let image = self.next;
        self.next += 1;
        Some((image, self.plan.prepare(image, self.chosen.as_deref()).and_then(open)))
    }

    /// An image is bad, of which the table has so many rows.
    fn bad(&mut self, image: usize, error: Error, rows: u64) -> Result<()> {
        let error = named(&self.plan.paths[image], error);
        if !self.skip_bad || !is_of_image(&error) {
            return Err(error);
        }
        let image = shown(&self.plan.paths[image]);
        let skipped = Skipped { image, error: error.to_string(), rows };
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(skipped);
        Ok(())
    }

    /// Takes the next rows of a choice in another order.
    fn take(&mut self, taker: &mut CollectionTaker) -> Result<()> {
        let Some(chosen) = &self.chosen else { return Ok(()) };
        let rows = self.row..self.row + self.plan.batch_rows.min(self.left);
        let batch = taker.take(&chosen.windows(rows.clone()))?;
        self.ready.push_back(RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?);
        (self.row, self.left) = (rows.end, self.left - (rows.end - rows.start));
        Ok(())
    }

    /// Reads on until a batch is ready; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        if let Some((mut taker, rows)) = self.taker.take() {
            let more = self.left > 0;
            if more {
                self.take(&mut taker)?;
            }
            self.taker = Some((taker, rows));
            return Ok(more);
        }
        if self.left == 0 {
            // What is in the works is for nobody.
            (self.current, self.next) = (None, self.plan.paths.len());
            self.coming.clear();
        }
        if let Some((image, reader, rows)) = &mut self.current {
            let image = *image;
            match reader.next() {
                Some(Ok(batch)) => {
                    *rows += batch.num_rows() as u64;
                    self.order();
                    self.push(image, batch)?;
                }
                Some(Err(error)) => {
                    let rows = *rows;
                    self.current = None;
                    self.bad(image, error.into(), rows)?;
                }
                None => self.current = None,
            }
            return Ok(true);
        }
        match self.turn() {
            None => {
                let more = self.pile.rows > 0;
                self.flush()?;
                return Ok(more);
            }
            Some((image, Ok(Turn::Rows(batches)))) => {
                batches.into_iter().try_for_each(|batch| self.push(image, batch))?;
            }
            Some((image, Ok(Turn::Reader(reader)))) => self.current = Some((image, *reader, 0)),
            Some((image, Err(error))) => self.bad(image, error, 0)?,
        }
        Ok(true)
    }

    /// Takes rows of an image.
    fn push(&mut self, image: usize, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= rows as u64;
        if rows == 0 {
            return Ok(());
        }
        let most = usize::try_from(self.plan.batch_rows).unwrap_or(usize::MAX);
        if self.pile.rows + rows > most {
            self.flush()?;
        }
        self.pile.push(image, batch.slice(0, rows).columns().to_vec(), rows)?;
        // What is large enough need not be copied together with others.
        if self.pile.rows > most / 2 { self.flush() } else { Ok(()) }
    }

    /// Makes a batch of the rows that are there.
    fn flush(&mut self) -> Result<()> {
        let pile = std::mem::take(&mut self.pile);
        if pile.rows == 0 {
            return Ok(());
        }
        let windows = match &self.chosen {
            None => UInt64Array::from_iter_values(self.row..self.row + pile.rows as u64),
            Some(chosen) => UInt64Array::from(self.numbers(chosen, &pile.images)),
        };
        self.row += pile.rows as u64;
        if let Some(&(image, rows)) = pile.images.last() {
            let before = if self.given.0 == image { self.given.1 } else { 0 };
            self.given = (image, before + rows as u64);
        }
        self.ready.push_back(pile.batch(&self.plan, &self.schema, windows)?);
        Ok(())
    }

    /// The numbers of so many rows of these images, which follow on those that were given.
    fn numbers(&self, chosen: &Chosen, images: &[(i32, usize)]) -> Vec<u64> {
        let number = |&(image, rows): &(i32, usize)| {
            let before = if self.given.0 == image { self.given.1 } else { 0 };
            chosen.ids(image as usize, before, rows as u64)
        };
        images.iter().flat_map(number).collect()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() && self.advance()? {}
        Ok(self.ready.pop_front())
    }
}

impl Iterator for CollectionReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch();
        if batch.is_err() {
            self.left = 0;
            self.pile = Pile::default();
            self.coming.clear();
            self.current = None;
            self.next = self.plan.paths.len();
        }
        batch.map_err(ArrowError::from).transpose()
    }
}

impl RecordBatchReader for CollectionReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
