//! A table cut into parts that are read alone.

use std::ops::Range;

use super::PatchScan;
use super::rows::first_that;
use crate::{Error, Result};

/// The most splits: whoever makes them lists them all.
const MOST_SPLITS: u64 = 100_000;

/// # For several readers
impl PatchScan {
    /// The table in `of` parts, to be read by several threads, processes or machines: together they are all rows, in
    /// order, and no two have one in common. They follow from the scan alone, and where they can, they begin where a
    /// strip or tile of the file does, so that few are decoded by two readers.
    ///
    /// Splits have about the same number of rows: one may have half as many again as the mean, or as few as half, to
    /// begin where it should. Of fewer rows than splits some have none.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 10_000], &[100, 100])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([8, 8]))?;
    /// let splits = scan.splits(16)?;
    /// assert_eq!(splits.iter().map(PatchScan::num_rows).sum::<u64>(), scan.num_rows());
    /// // Each begins a line of windows.
    /// assert!(splits.iter().all(|split| split.rows().start % 93 == 0));
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If they are 0, or more than 100,000.
    pub fn splits(&self, of: u64) -> Result<Vec<Self>> {
        self.cuts(of, "splits")?.into_iter().map(|rows| self.with_rows(rows)).collect()
    }

    /// As many [`splits`](Self::splits) as it takes for about so many bytes of dense rows each.
    ///
    /// # Errors
    /// If `bytes` is 0, or that would be more than 100,000.
    pub fn splits_of_bytes(&self, bytes: u64) -> Result<Vec<Self>> {
        self.splits(self.count_of_bytes(bytes, "bytes")?)
    }

    /// How many parts of so many bytes there are.
    pub(crate) fn count_of_bytes(&self, bytes: u64, name: &'static str) -> Result<u64> {
        if bytes == 0 {
            return Err(Error::argument(name, "0: expected at least 1"));
        }
        Ok(self.num_rows().div_ceil((bytes / self.explain().row_bytes.max(1)).max(1)).max(1))
    }

    /// The rows of each of so many parts; `name` is what asks for them.
    pub(crate) fn cuts(&self, of: u64, name: &'static str) -> Result<Vec<Range<u64>>> {
        if of == 0 {
            return Err(Error::argument(name, "0: expected at least 1"));
        }
        if of > MOST_SPLITS {
            let what = if name == "files" { "the number of files" } else { "the number of splits" };
            return Err(Error::too_large(what, of, MOST_SPLITS));
        }
        let rows = self.rows();
        let count = u128::from(rows.end - rows.start);
        let even = |i: u64| rows.start + (count * u128::from(i) / u128::from(of)) as u64;
        // So far from there each keeps its place among the others.
        let reach = (count / u128::from(of) / 4) as u64;
        let places = (reach > 0 && self.0.selection.is_sorted()).then(|| Places::of(self));
        let cut = |i: u64| match &places {
            Some(places) if i > 0 && i < of => places.near(even(i), reach),
            _ => even(i),
        };
        Ok((0..of).map(|i| cut(i)..cut(i + 1)).collect())
    }
}

/// Where a reader begins best.
struct Places<'a> {
    scan: &'a PatchScan,
    /// Windows of one place on the leading axis.
    line: u64,
    /// Places on the leading axis, and where each starts.
    count: u64,
    chunk: u64,
}

impl<'a> Places<'a> {
    fn of(scan: &'a PatchScan) -> Self {
        let grid = scan.grid();
        let lead = grid.sliding_axes()[0];
        let line = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>().max(1);
        let info = scan.source().info();
        // What is decoded as a whole is so for each reader.
        let chunk = if info.resident { 1 } else { info.chunk[lead].max(1) };
        Self { scan, line, count: grid.axes()[lead].count, chunk }
    }

    /// The best row to begin at that is not further from `row` than `reach`: the nearest that begins a chunk, or else a
    /// line of the grid, or else `row` itself.
    fn near(&self, row: u64, reach: u64) -> u64 {
        let place = self.scan.0.selection.id(row) / self.line;
        let chunk = self.chunk_of(place);
        let first = first_that(place, |place| self.chunk_of(place) >= chunk);
        let next = place + first_that(self.count - place, |i| self.chunk_of(place + i) > chunk);
        let nearest = |places: [u64; 2]| {
            let rows = places.into_iter().filter_map(|place| self.first_row(place, row, reach));
            rows.min_by_key(|&there| (there.abs_diff(row), there))
        };
        nearest([first, next]).or_else(|| nearest([place, place + 1])).unwrap_or(row)
    }

    /// The chunk that the windows of a place begin in.
    fn chunk_of(&self, place: u64) -> u64 {
        let grid = self.scan.grid();
        let start = grid.axes()[grid.sliding_axes()[0]].start(place);
        start.max(0) as u64 / self.chunk
    }

    /// The first row of this place or a later one, if it is not further from `row` than `reach`.
    fn first_row(&self, place: u64, row: u64, reach: u64) -> Option<u64> {
        let id = place.saturating_mul(self.line);
        let rows = self.scan.rows();
        let (low, high) = (row.saturating_sub(reach).max(rows.start), row.saturating_add(reach).min(rows.end));
        let found = low + first_that(high - low, |i| self.scan.0.selection.id(low + i) >= id);
        // Where it is the lowest, an earlier one may be the first.
        let first = found < high && (found > low || self.scan.0.selection.id(found) == id);
        first.then_some(found)
    }
}
