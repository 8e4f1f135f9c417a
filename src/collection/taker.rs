//! [`CollectionTaker`]: rows of all images by number, in any order.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_select::take::take_record_batch;

use super::explain::rows_of;
use super::pile::Pile;
use super::plan::{Plan, Slot, named, shown};
use crate::{Error, PatchScan, PatchTaker, Result};

/// Images that stay open at most, however small they are.
const MOST_OPEN: usize = 64;

/// What each of them may keep of its tiles, of all that may be kept.
const SHARE: u64 = 4;

/// Random access to the rows of a [`PatchCollection`](super::PatchCollection).
///
/// ```no_run
/// use windrow::collection::{PatchCollection, paths};
/// use windrow::{AnySource, PatchScan, WindowSpec};
///
/// let tiles = PatchCollection::new(paths(["tiles/*.png"])?, |path| {
///     Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([8, 8]).step(8)))
/// })?;
/// let last = tiles.num_rows()? - 1;
/// let batch = tiles.taker()?.take(&[last, 0, 17])?;
/// assert_eq!(batch.num_rows(), 3);
/// # Ok::<(), windrow::Error>(())
/// ```
///
/// Images stay open from call to call, as many as there is room for in [so many bytes](crate::ScanBuilder::cache_bytes), and
/// no more than 64. Rows of one call are read image by image, whatever their order, so that each image is opened once a call at
/// most.
pub struct CollectionTaker {
    plan: Arc<Plan>,
    rows: u64,
    /// Whether any column is made by the scans of the images.
    needs_scans: bool,
    /// The one that was used last is the last one.
    open: VecDeque<Open>,
    /// What those that are open may take, and about do.
    most: u64,
    bytes: u64,
}

/// An image that is open.
struct Open {
    image: usize,
    scan: PatchScan,
    taker: PatchTaker,
    bytes: u64,
}

impl CollectionTaker {
    /// Of images whose rows have been counted; as many of them stay open as about `most` bytes hold.
    pub(super) fn new(plan: Arc<Plan>, most: u64) -> Self {
        let rows = plan.counts.get().and_then(|counts| counts.last()).map_or(0, |last| last.end);
        let needs_scans = plan.slots.iter().any(|slot| matches!(slot, Slot::Inner(_)));
        Self { plan, rows, needs_scans, open: VecDeque::new(), most, bytes: 0 }
    }

    /// The rows of all images.
    pub fn num_rows(&self) -> u64 {
        self.rows
    }

    /// The table of the rows with these numbers, in this order; a number may be listed twice.
    ///
    /// # Errors
    /// If there is no such row, an image can't be read, or one has another number of rows than when they were counted.
    /// An image whose pixels are bad is an error, also where readers leave it out: its rows are counted by its header.
    pub fn take(&mut self, rows: &[u64]) -> Result<RecordBatch> {
        if let Some((place, row)) = rows.iter().enumerate().find(|(_, row)| **row >= self.rows) {
            let message = format!("no window {row} (row {place}): there are {}", self.rows);
            return Err(Error::argument("window", message));
        }
        if rows.is_sorted() {
            return self.forward(rows);
        }
        let mut order: Vec<u64> = (0..rows.len() as u64).collect();
        order.sort_by_key(|&place| rows[place as usize]);
        let sorted: Vec<u64> = order.iter().map(|&place| rows[place as usize]).collect();
        let mut places = vec![0; rows.len()];
        order.iter().zip(0..).for_each(|(&place, at)| places[place as usize] = at);
        Ok(take_record_batch(&self.forward(&sorted)?, &UInt64Array::from(places))?)
    }

    /// The table of rows whose numbers rise.
    fn forward(&mut self, rows: &[u64]) -> Result<RecordBatch> {
        let plan = self.plan.clone();
        let counts = plan.counts.get().map_or(&[][..], Vec::as_slice);
        let mut pile = Pile::default();
        let mut rest = rows;
        while let Some(&row) = rest.first() {
            let image = counts.partition_point(|count| count.end <= row);
            let of = rows_of(counts, image);
            let (these, others) = rest.split_at(rest.partition_point(|&row| row < of.end));
            let columns = if self.needs_scans {
                let (scan, taker) = self.image(image, of.end - of.start)?;
                let ids: Vec<u64> = these.iter().filter_map(|&row| scan.window(row - of.start)).collect();
                let batch = taker.take(&ids).map_err(|error| named(&plan.paths[image], error))?;
                batch.columns().to_vec()
            } else {
                Vec::new()
            };
            pile.push(image, columns, these.len())?;
            rest = others;
        }
        if pile.rows == 0 {
            return Ok(RecordBatch::new_empty(plan.schema.clone()));
        }
        pile.batch(&plan, &plan.schema, UInt64Array::from(rows.to_vec()))
    }

    /// An image, which shall have so many rows.
    fn image(&mut self, image: usize, rows: u64) -> Result<(&PatchScan, &mut PatchTaker)> {
        let open = match self.open.iter().position(|open| open.image == image) {
            Some(place) => self.open.remove(place),
            None => None,
        };
        let open = match open {
            Some(open) => open,
            None => {
                let path = &self.plan.paths[image];
                let scan = self.plan.scan(path)?;
                if scan.num_rows() != rows {
                    let message = format!("has {} rows, and had {rows} when they were counted", scan.num_rows());
                    return Err(Error::format(shown(path), message));
                }
                let bytes = taker_bytes(&scan, self.most);
                while self.open.len() == MOST_OPEN || self.bytes.saturating_add(bytes) > self.most {
                    let Some(oldest) = self.open.pop_front() else { break };
                    self.bytes -= oldest.bytes;
                }
                let taker = scan.taker_keeping(self.most / SHARE).map_err(|error| named(path, error))?;
                self.bytes = self.bytes.saturating_add(bytes);
                Open { image, scan, taker, bytes }
            }
        };
        self.open.push_back(open);
        let last = self.open.len() - 1;
        let Open { scan, taker, .. } = &mut self.open[last];
        Ok((scan, taker))
    }
}

/// What an open image takes of the `most` that all may, about.
fn taker_bytes(scan: &PatchScan, most: u64) -> u64 {
    let info = scan.source().info();
    if info.resident { info.bytes() } else { info.bytes().min(most / SHARE).saturating_add(info.working_bytes) }
}
