//! The rows of a scan: which windows, in what order. Each choice is another scan, and reads no pixel.

use std::ops::Range;

use super::PatchScan;
use crate::encode::Layout;
use crate::rows::{Amount, IdSet, IdSetBuilder, Selection, Step};
use crate::{Error, ErrorKind, Result};

/// # Which windows, in what order
/// Every method gives a scan of some of the rows of this one, or of all in another order. They can be chained, and follow
/// from their arguments alone: the same rows in every language, on every machine, in every version.
impl PatchScan {
    /// The numbers of the rows of this scan. As long as rows are neighbours of the grid, these are the ids of their
    /// windows; otherwise they count the rows of the last choice that was made, from 0.
    pub fn rows(&self) -> Range<u64> {
        self.0.rows.clone()
    }

    /// Whether rows are neighbours of the grid, and their numbers the ids of their windows.
    pub fn is_range(&self) -> bool {
        self.0.selection.is_all()
    }

    /// The same table with these rows alone: numbers as in [`rows`](Self::rows).
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// let part = scan.with_rows(10..30)?;
    /// assert_eq!(part.num_rows(), 20);
    /// assert!(scan.with_rows(10..65).is_err());
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are no such rows.
    pub fn with_rows(&self, rows: Range<u64>) -> Result<Self> {
        let all = self.0.selection.len();
        if rows.start > rows.end || rows.end > all {
            return Err(ErrorKind::Rows { start: rows.start, end: rows.end, rows: all }.into());
        }
        self.selected(self.0.selection.clone(), rows)
    }

    /// The id of the window that is row `row`, counted from 0; `None` if there are fewer rows.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?.shuffle(42, 0)?;
    /// let first: Vec<_> = (0..4).filter_map(|row| scan.window(row)).collect();
    /// assert_eq!(first, scan.windows(0..4)?);
    /// assert_eq!(scan.window(64), None);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    pub fn window(&self, row: u64) -> Option<u64> {
        (row < self.num_rows()).then(|| self.0.selection.id(self.0.rows.start + row))
    }

    /// The ids of the windows that are these rows, counted from 0.
    ///
    /// # Errors
    /// If there are fewer rows.
    pub fn windows(&self, rows: Range<u64>) -> Result<Vec<u64>> {
        if rows.start > rows.end || rows.end > self.num_rows() {
            return Err(ErrorKind::Rows { start: rows.start, end: rows.end, rows: self.num_rows() }.into());
        }
        let first = self.0.rows.start;
        Ok(self.0.selection.ids(first + rows.start..first + rows.end))
    }

    /// What was done to the rows, as the metadata of files tells it.
    pub fn steps(&self) -> &[Step] {
        self.0.selection.steps()
    }

    /// All rows in an order that looks random: that of [`Permutation`](crate::Permutation) for the number of rows, the
    /// seed and the epoch. It takes no memory, whatever the number of rows.
    ///
    /// An array in memory is gathered in any order nearly as fast as in its own. Of a file, strips, tiles or chunks are kept
    /// once they are decoded, in [so many bytes](crate::ScanBuilder::cache_bytes); of a larger one they are decoded again and
    /// again, once a batch at most if windows are smaller than these: large batches take less time then.
    ///
    /// ```
    /// use windrow::{PatchScan, Permutation, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// let epoch = scan.shuffle(42, 7)?;
    /// assert_eq!(epoch.window(5), Some(Permutation::new(64, 42, 7).get(5)));
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the layout is `columns`, which has no other order than that of the image.
    pub fn shuffle(&self, seed: u64, epoch: u64) -> Result<Self> {
        self.choose(self.0.selection.shuffle(self.rows(), seed, epoch))
    }

    /// Some rows, a number of them or a share, drawn without replacement; exactly so many, in the order that they have.
    /// They are those that [`shuffle`](Self::shuffle) would put first, with this seed and epoch 0.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// let sample = scan.sample(16, 42)?;
    /// assert_eq!(sample.num_rows(), 16);
    /// assert!(sample.windows(0..16)?.is_sorted());
    /// assert_eq!(scan.sample(0.5, 42)?.num_rows(), 32);
    /// assert!(scan.sample(1.5, 42).is_err());
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Memory
    /// 8 bytes a row that is drawn, and never much more than a bit a row that is drawn from.
    ///
    /// # Errors
    /// If there are fewer rows, the share is not from 0 to 1, or the layout is `columns`.
    pub fn sample(&self, amount: impl Into<Amount>, seed: u64) -> Result<Self> {
        let count = amount.into().of(self.num_rows())?;
        self.choose(self.0.selection.sample(self.rows(), count, seed)?)
    }

    /// Part `index` of `of` parts of about the same number of rows, counted from 0: together they are all rows, and no
    /// two have one in common.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?.shuffle(42, 0)?;
    /// let rows = (0..3).map(|index| Ok(scan.shard(index, 3)?.num_rows())).collect::<windrow::Result<Vec<_>>>()?;
    /// assert_eq!(rows, [21, 21, 22]);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such part.
    pub fn shard(&self, index: u64, of: u64) -> Result<Self> {
        if index >= of {
            let message = format!("{index} of {of}: expected a number from 0, less than that of the parts");
            return Err(Error::argument("shard", message));
        }
        let rows = self.rows();
        let count = u128::from(rows.end - rows.start);
        let at = |i: u64| rows.start + (count * u128::from(i) / u128::from(of)) as u64;
        self.with_rows(at(index)..at(index + 1))
    }

    /// All rows but the first `rows`: what is left of a pass that ended there.
    ///
    /// # Errors
    /// If there are fewer rows.
    pub fn skip(&self, rows: u64) -> Result<Self> {
        let all = self.rows();
        if rows > all.end - all.start {
            return Err(Error::argument("skip", format!("{rows} rows of {}", all.end - all.start)));
        }
        self.with_rows(all.start + rows..all.end)
    }

    /// The windows with these ids, in this order, of any rows of the grid; an id may be listed twice.
    ///
    /// # Memory
    /// 8 bytes a row.
    ///
    /// # Errors
    /// If an id is not one of the grid, or the layout is `columns`.
    pub fn with_windows(&self, windows: impl Into<Vec<u64>>) -> Result<Self> {
        let (ids, count) = (windows.into(), self.grid().windows());
        if let Some((row, id)) = ids.iter().enumerate().find(|(_, id)| **id >= count) {
            return Err(Error::argument("window", format!("no window {id} (row {row}): there are {count}")));
        }
        self.choose(Selection::list(ids))
    }

    /// The windows that start in a box: on each named axis at a coordinate of the range. What a filter on the coordinate
    /// columns would keep, by arithmetic.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// let part = scan.within([("x", 2..4), ("y", 5..100)])?;
    /// assert_eq!(part.windows(0..6)?, [42, 43, 50, 51, 58, 59]);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Memory
    /// 16 bytes a line of the grid in the box, and never much more than a bit a window.
    ///
    /// # Errors
    /// If the window slides over no such axis, or over one that is named twice; if the rows are shuffled already, or the
    /// layout is `columns`.
    pub fn within<'a>(&self, axes: impl IntoIterator<Item = (&'a str, Range<i64>)>) -> Result<Self> {
        let (set, step) = self.windows_within(axes)?;
        self.choose(self.0.selection.retain(self.rows(), set, "within", step)?)
    }

    /// The windows of the grid that start in a box, and what is said of them.
    pub(crate) fn windows_within<'a>(
        &self,
        axes: impl IntoIterator<Item = (&'a str, Range<i64>)>,
    ) -> Result<(IdSet, Step)> {
        let grid = self.grid();
        let mut places: Vec<_> = grid.sliding().map(|axis| 0..axis.count).collect();
        let mut said: Vec<(String, i64, i64)> = Vec::new();
        for (name, range) in axes {
            let Some(number) = grid.sliding().position(|axis| axis.name == name) else {
                let names: Vec<_> = grid.sliding().map(|axis| axis.name.as_str()).collect();
                let message = format!("no axis {name:?}: the window slides over {}", names.join(", "));
                return Err(Error::argument("within", message));
            };
            if said.iter().any(|(known, ..)| known == name) {
                return Err(Error::argument("within", format!("axis {name:?} is named twice")));
            }
            let axis = &grid.axes()[grid.sliding_axes()[number]];
            // Starts rise with the place.
            let first = |bound: i64| first_that(axis.count, |i| axis.start(i) >= bound);
            places[number] = first(range.start)..first(range.end).max(first(range.start));
            said.push((name.to_owned(), range.start, range.end));
        }
        let mut set = IdSetBuilder::new(grid.windows());
        let (last, outer) = places.split_last().map_or((0..0, &[][..]), |(last, outer)| (last.clone(), outer));
        let line = grid.sliding().last().map_or(1, |axis| axis.count);
        let mut index: Vec<u64> = outer.iter().map(|range| range.start).collect();
        let mut left = !places.iter().any(Range::is_empty);
        while left {
            let outer_id = index.iter().zip(grid.sliding()).fold(0, |id, (&i, axis)| id * axis.count + i);
            set.push(outer_id * line + last.start..outer_id * line + last.end)?;
            left = false;
            for (i, range) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < range.end {
                    left = true;
                    break;
                }
                *i = range.start;
            }
        }
        Ok((set.finish()?, Step::Within { axes: said }))
    }

    /// The rows of another choice.
    pub(crate) fn choose(&self, selection: Selection) -> Result<Self> {
        let len = selection.len();
        self.selected(selection, 0..len)
    }

    fn selected(&self, selection: Selection, rows: Range<u64>) -> Result<Self> {
        check_layout(self.0.encoder.layout, &selection)?;
        let encoder = self.relabelled(|table| {
            table.rows = (rows.start, rows.end);
            table.selection = selection.steps().to_vec();
        })?;
        Ok(self.0.with(selection, rows, encoder))
    }
}

/// Slices of the image are in its order.
pub(super) fn check_layout(layout: Layout, selection: &Selection) -> Result<()> {
    if selection.is_all() { Ok(()) } else { check_chosen(layout) }
}

/// As if windows were chosen already.
pub(super) fn check_chosen(layout: Layout) -> Result<()> {
    if layout == Layout::Columns {
        let message = "its columns are slices of the image, and so all windows from one to another: expected layout \
                       tensor or binary for a choice of windows";
        return Err(Error::argument("layout", message));
    }
    Ok(())
}

/// The first number below `count` of which something holds, as it then does of all that follow; `count` if there is none.
pub(crate) fn first_that(count: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}
