//! Some of the rows of a collection, chosen by their numbers through all images.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use rayon::prelude::*;

use super::{CollectionInfo, PatchCollection};
use crate::rows::{IdSetBuilder, Selection};
use crate::scan::first_that;
use crate::{Amount, Error, ErrorKind, PatchScan, Result, Step};

/// The rows that were chosen.
#[derive(Clone)]
pub(super) struct Chosen {
    selection: Selection,
    /// The rows that are left, of those of the selection.
    rows: Range<u64>,
    /// The first row of each image among those of all, and their number.
    starts: Arc<[u64]>,
    /// What says so.
    pub(super) schema: SchemaRef,
}

impl Chosen {
    /// How many rows.
    pub(super) fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// Whether rows come image by image, in the order of the list.
    pub(super) fn is_forward(&self) -> bool {
        self.selection.is_sorted()
    }

    /// Bytes that the choice takes.
    pub(super) fn bytes(&self) -> u64 {
        self.selection.bytes().saturating_add(self.starts.len() as u64 * 8)
    }

    /// The rows that an image has in all.
    pub(super) fn rows_in(&self, image: usize) -> u64 {
        self.starts[image + 1] - self.starts[image]
    }

    /// The rows of the choice that are of an image.
    fn rows_of(&self, image: usize) -> Range<u64> {
        let at = |first: u64| self.rows.start + first_that(self.len(), |row| self.id(row) >= first);
        at(self.starts[image])..at(self.starts[image + 1])
    }

    /// The number of a row of the choice.
    pub(super) fn id(&self, row: u64) -> u64 {
        self.selection.id(self.rows.start + row)
    }

    /// Whether no row of an image was chosen.
    pub(super) fn has_none_of(&self, image: usize) -> bool {
        self.rows_of(image).is_empty()
    }

    /// The rows of an image that were chosen.
    pub(super) fn of(&self, image: usize, scan: PatchScan) -> Result<PatchScan> {
        if scan.num_rows() != self.rows_in(image) {
            return Err(changed(&scan, self.rows_in(image)));
        }
        let (rows, start) = (self.rows_of(image), self.starts[image]);
        if self.selection.is_all() {
            return scan.with_rows(rows.start - start..rows.end - start);
        }
        scan.with_windows(self.selection.ids(rows).into_iter().map(|id| id - start).collect::<Vec<_>>())
    }

    /// The numbers of some of the rows.
    pub(super) fn windows(&self, rows: Range<u64>) -> Vec<u64> {
        self.selection.ids(self.rows.start + rows.start..self.rows.start + rows.end)
    }

    /// The first rows of the choice, in terms of what they were chosen of, and that.
    #[cfg(feature = "polars")]
    pub(super) fn selected(&self, count: u64) -> (Range<u64>, Option<&Selection>) {
        let rows = self.rows.start..self.rows.start + count;
        (rows, (!self.selection.is_all()).then_some(&self.selection))
    }

    /// The same rows of a table with other columns.
    pub(super) fn in_table(&self, table: &SchemaRef) -> Result<Self> {
        let steps = CollectionInfo::from_schema(&self.schema)?.map(|info| info.selection).unwrap_or_default();
        Ok(Self { schema: told(table, steps)?, ..self.clone() })
    }

    /// The numbers of some rows of an image: so many, behind those before them.
    pub(super) fn ids(&self, image: usize, before: u64, rows: u64) -> Vec<u64> {
        let start = self.rows_of(image).start + before;
        self.selection.ids(start..start + rows)
    }
}

impl PatchCollection {
    /// Some rows alone, by their numbers. They are counted for this: the headers of all images are read. Of images that
    /// have none of them nothing more is read.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let mut pgm = b"P5 9 9 255\n".to_vec();
    /// # pgm.extend([7; 81]);
    /// # for name in ["a.pgm", "b.pgm"] { std::fs::write(folder.path().join(name), &pgm)?; }
    /// # #[cfg(feature = "image")] {
    /// use windrow::collection::{PatchCollection, paths};
    /// use windrow::{AnySource, PatchScan, WindowSpec};
    ///
    /// let make = |path: &std::path::Path| Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([3, 3])));
    /// let both = PatchCollection::new(paths([folder.path()])?, make)?;
    /// assert_eq!(both.num_rows()?, 2 * 49);
    /// assert_eq!(both.clone().rows(40..60)?.num_rows()?, 20);
    /// assert_eq!(both.sample(0.5, 42)?.shard(0, 7)?.num_rows()?, 7);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there are fewer rows; as [`num_rows`](Self::num_rows).
    pub fn rows(self, rows: Range<u64>) -> Result<Self> {
        let count = self.num_rows()?;
        if rows.start > rows.end || rows.end > count {
            return Err(ErrorKind::Rows { start: rows.start, end: rows.end.max(rows.start), rows: count }.into());
        }
        let Chosen { selection, rows: all, .. } = self.chosen()?;
        self.choose(selection, all.start + rows.start..all.start + rows.end)
    }

    /// All rows but the first `rows`, as [`rows`](Self::rows).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn skip(self, rows: u64) -> Result<Self> {
        let count = self.num_rows()?;
        if rows > count {
            return Err(Error::argument("skip", format!("{rows} rows of {count}")));
        }
        self.rows(rows..count)
    }

    /// Part `index` of `of` parts of about the same number of rows, counted from 0, as [`PatchScan::shard`].
    ///
    /// # Errors
    /// If there is no such part; as [`num_rows`](Self::num_rows).
    pub fn shard(self, index: u64, of: u64) -> Result<Self> {
        if index >= of {
            let message = format!("{index} of {of}: expected a number from 0, less than that of the parts");
            return Err(Error::argument("shard", message));
        }
        let count = u128::from(self.num_rows()?);
        let at = |i: u64| (count * u128::from(i) / u128::from(of)) as u64;
        self.rows(at(index)..at(index + 1))
    }

    /// Some rows, a number of them or a share, drawn without replacement from all images; exactly so many, in the order
    /// that they have, as [`PatchScan::sample`].
    ///
    /// # Errors
    /// If there are fewer rows, or the share is not from 0 to 1; as [`num_rows`](Self::num_rows).
    pub fn sample(self, amount: impl Into<Amount>, seed: u64) -> Result<Self> {
        let count = amount.into().of(self.num_rows()?)?;
        let Chosen { selection, rows, .. } = self.chosen()?;
        let rows = rows.start..(rows.start + self.num_rows()?).min(rows.end);
        self.choose(selection.sample(rows, count, seed)?, 0..count)
    }

    /// The rows whose windows start in a box of their image, as [`PatchScan::within`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let mut pgm = b"P5 9 9 255\n".to_vec();
    /// # pgm.extend([7; 81]);
    /// # for name in ["a.pgm", "b.pgm"] { std::fs::write(folder.path().join(name), &pgm)?; }
    /// # #[cfg(feature = "image")] {
    /// use windrow::collection::{PatchCollection, paths};
    /// use windrow::{AnySource, PatchScan, WindowSpec};
    ///
    /// let make = |path: &std::path::Path| Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([3, 3])));
    /// let both = PatchCollection::new(paths([folder.path()])?, make)?;
    /// assert_eq!(both.within([("y", 0..1), ("x", 2..4)])?.windows(0..4)?, [2, 3, 51, 52]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Memory
    /// 16 bytes a line of each image in the box, and never much more than a bit a row.
    ///
    /// # Errors
    /// If the window slides over no such axis, or over one that is named twice; if the rows are shuffled already; as
    /// [`num_rows`](Self::num_rows).
    pub fn within<'a>(self, axes: impl IntoIterator<Item = (&'a str, Range<i64>)>) -> Result<Self> {
        /// Images that are looked at together.
        const SOME: usize = 1 << 12;
        let axes: Vec<_> = axes.into_iter().collect();
        let (_, step) = self.plan.first.windows_within(axes.clone())?;
        let count = self.num_rows()?;
        let Chosen { selection, rows, starts, .. } = self.chosen()?;
        selection.check_unshuffled("within")?;
        let images = self.plan.paths.len();
        let of_image = |image: usize| -> Result<Vec<Range<u64>>> {
            let (first, rows) = (starts[image], starts[image + 1] - starts[image]);
            if rows == 0 {
                return Ok(Vec::new());
            }
            let scan = self.plan.scan(&self.plan.paths[image])?;
            if scan.num_rows() != rows {
                return Err(changed(&scan, rows));
            }
            let (set, _) = scan.windows_within(axes.clone())?;
            let of = scan.rows();
            if scan.is_range() {
                let inside = |run: Range<u64>| run.start.max(of.start)..run.end.min(of.end);
                let runs = set.runs(0..set.len()).map(inside).filter(|run| run.start < run.end);
                return Ok(runs.map(|run| first + run.start - of.start..first + run.end - of.start).collect());
            }
            let is_in = |row: &u64| scan.window(*row).is_some_and(|id| set.contains(id));
            Ok((0..rows).filter(is_in).map(|row| first + row..first + row + 1).collect())
        };
        let mut set = IdSetBuilder::new(starts[images]);
        for some in (0..images).step_by(SOME) {
            let some = some..(some + SOME).min(images);
            let runs: Vec<Result<Vec<_>>> = if self.prefetch == Some(0) {
                some.map(of_image).collect()
            } else {
                some.into_par_iter().map(of_image).collect()
            };
            for run in runs.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten() {
                set.push(run)?;
            }
        }
        let rows = rows.start..rows.start + count;
        let selection = selection.retain(rows, set.finish()?, "within", step)?;
        let count = selection.len();
        self.choose(selection, 0..count)
    }

    /// All rows in an order that looks random, through all images, as [`PatchScan::shuffle`]. It takes no memory, whatever
    /// the number of rows.
    ///
    /// A batch has rows of many images then, each of which is opened once for it: images stay open as long as there is room
    /// for them, in [so many bytes](crate::ScanBuilder::cache_bytes). Large batches take less time.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let mut pgm = b"P5 9 9 255\n".to_vec();
    /// # pgm.extend([7; 81]);
    /// # for name in ["a.pgm", "b.pgm"] { std::fs::write(folder.path().join(name), &pgm)?; }
    /// # #[cfg(feature = "image")] {
    /// use windrow::collection::{PatchCollection, paths};
    /// use windrow::{AnySource, PatchScan, Permutation, WindowSpec};
    ///
    /// let make = |path: &std::path::Path| Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([3, 3])));
    /// let both = PatchCollection::new(paths([folder.path()])?, make)?;
    /// assert_eq!(both.shuffle(42, 7)?.windows(5..6)?, [Permutation::new(98, 42, 7).get(5)]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`num_rows`](Self::num_rows). In a pass, an image whose pixels are bad is an error, also if such are
    /// [left out](Self::skipping_bad) otherwise: its rows are counted by its header.
    pub fn shuffle(self, seed: u64, epoch: u64) -> Result<Self> {
        let count = self.num_rows()?;
        let Chosen { selection, rows, .. } = self.chosen()?;
        self.choose(selection.shuffle(rows.start..rows.start + count, seed, epoch), 0..count)
    }

    /// What is chosen so far.
    fn chosen(&self) -> Result<Chosen> {
        if let Some(chosen) = &self.chosen {
            return Ok((**chosen).clone());
        }
        let counts = self.counts()?;
        let starts: Arc<[u64]> = std::iter::once(0).chain(counts.iter().map(|count| count.end)).collect();
        let sum = counts.last().map_or(0, |last| last.end);
        let (selection, schema) = (Selection::all(sum), self.plan.schema.clone());
        Ok(Chosen { selection, rows: 0..sum.min(self.most_rows), starts, schema })
    }

    fn choose(mut self, selection: Selection, rows: Range<u64>) -> Result<Self> {
        let Chosen { starts, .. } = self.chosen()?;
        let mut steps = selection.steps().to_vec();
        if rows != (0..selection.len()) {
            steps.push(Step::Rows { start: rows.start, end: rows.end });
        }
        let schema = told(&self.plan.schema, steps)?;
        self.most_rows = u64::MAX;
        self.chosen = Some(Arc::new(Chosen { selection, rows, starts, schema }));
        Ok(self)
    }
}

/// That an image is no longer the one whose rows were counted.
fn changed(scan: &PatchScan, rows: u64) -> Error {
    let message = format!("it has {} rows, and had {rows}: the file changed", scan.num_rows());
    Error::format(&scan.source().info().name, message)
}

/// The schema of a table, and by which steps its rows were chosen.
fn told(table: &SchemaRef, steps: Vec<Step>) -> Result<SchemaRef> {
    let info = CollectionInfo::from_schema(table)?;
    let schema = info.map(|info| CollectionInfo { selection: steps, ..info }.put_into(table)).transpose()?;
    Ok(schema.unwrap_or_else(|| table.clone()))
}
