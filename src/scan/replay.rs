//! A table again, from what its metadata says.

use super::{PatchScan, Split};
use crate::rows::Step;
use crate::{AnySource, Error, Result, TableInfo};

/// What the metadata of a table leaves out.
#[derive(Clone, Copy, Default)]
pub(crate) struct More<'a> {
    /// The windows that were listed.
    pub(crate) windows: Option<&'a [u64]>,
    /// The rows of a batch; by default those that fit best.
    pub(crate) batch_rows: Option<u64>,
}

impl PatchScan {
    /// The table that `table` tells of, of the same image: its windows, columns and rows. Masks and labels are read from
    /// where they were.
    ///
    /// # Errors
    /// As the methods that made the table; if its mask or labels were an array in memory, or its windows were listed
    /// and are not in `more`, since the metadata does not repeat them.
    pub(crate) fn again<S: Into<String>>(
        source: impl Into<AnySource>,
        table: &TableInfo,
        columns: impl IntoIterator<Item = S>,
        more: More<'_>,
    ) -> Result<Self> {
        let mut builder = Self::builder(source, table.window.clone()).layout(table.layout).wrap(table.wrap);
        builder = builder.dtype(table.dtype).scale(table.scale).offset(table.offset).lossy(true);
        if let Some(nodata) = table.nodata {
            builder = builder.nodata(nodata);
        }
        if let Some(labels) = &table.labels {
            builder = builder.labels(open("labels", &labels.name)?, labels.at);
            if let Some(nodata) = labels.nodata {
                builder = builder.label_nodata(nodata);
            }
        }
        builder = builder.columns(columns);
        if let Some(rows) = more.batch_rows {
            builder = builder.batch_rows(rows);
        }
        let mut scan = builder.build()?;
        for step in &table.selection {
            scan = match (step, more.windows) {
                (Step::Windows { .. }, Some(ids)) => scan.with_windows(ids)?,
                _ => scan.step(step)?,
            };
        }
        scan.with_rows(table.rows.0..table.rows.1)
    }

    fn step(&self, step: &Step) -> Result<Self> {
        match step {
            Step::Rows { start, end } => self.with_rows(*start..*end),
            Step::Windows { .. } => {
                Err(Error::argument("ids", "the windows of this table were listed, and the list is nowhere but in it"))
            }
            Step::Within { axes } => self.within(axes.iter().map(|(name, start, end)| (name.as_str(), *start..*end))),
            Step::Mask { name, at } => self.mask(open("mask", name)?, *at),
            Step::MinValid { share } => self.min_valid(*share),
            Step::Split { part, parts, block, seed, stratified } => {
                let split = Split::new(parts.iter().cloned(), block.clone()).seed(*seed).stratified(*stratified);
                self.split(&split)?.part(part)
            }
            Step::PerClass { count, seed, .. } => self.per_class(*count, *seed),
            Step::Sample { count, seed } => self.sample(*count, *seed),
            Step::Shuffle { seed, epoch, .. } => self.shuffle(*seed, *epoch),
        }
    }
}

/// A file that a table was made with.
fn open(what: &'static str, name: &str) -> Result<AnySource> {
    if name == "array" {
        return Err(Error::argument(what, "it was an array in memory, of which a table has only the name"));
    }
    AnySource::open(name, None)
}
