//! A leaf of a plan as a value: what another process needs to gather some of its rows.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::PatchTable;
use super::exec::PatchExec;
use super::filter::Kept;
use crate::rows::Step;
use crate::scan::Written;
use crate::{AnySource, Error, PatchScan, Result};

/// The most partitions of a leaf.
const MOST_SPLITS: usize = 100_000;

/// A leaf without its predicate.
#[derive(Serialize, Deserialize)]
struct Wire {
    /// Other versions of the program may gather other rows for the same words.
    version: String,
    table: Written,
    /// The files of the image, of the labels and of masks, as they were when the query was planned.
    stamps: Vec<Stamped>,
    kept: Option<Kept>,
    columns: Vec<usize>,
    rows: Range<u64>,
    splits: Vec<Split>,
    fetch: Option<usize>,
}

/// A file, and what tells it from others.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Stamped(String, Option<String>);

/// Rows, and the first and the last window that they are.
#[derive(Serialize, Deserialize)]
struct Split {
    rows: Range<u64>,
    ends: Option<(u64, u64)>,
}

/// # Elsewhere
/// For `windrow-distributed`, whose processes send each other leaves.
#[doc(hidden)]
impl PatchExec {
    /// Whether another process could make the same leaf: not of an array in memory.
    pub fn travels(&self) -> bool {
        self.table.told().is_ok()
    }

    /// About how much there is to be done, in batches.
    pub fn work(&self) -> u64 {
        self.fetch.map_or(u64::MAX, |fetch| fetch as u64).min(self.batches())
    }

    /// The leaf in so many parts, each of the same number of partitions: together they are its rows, and no two have one
    /// in common. Each is of neighbours.
    ///
    /// # Errors
    /// If they are none or too many.
    pub fn parts(&self, parts: usize, partitions: usize) -> Result<Vec<Self>> {
        let each = (partitions as u64).min(self.batches().div_ceil(parts.max(1) as u64)).max(1) as usize;
        let splits = self.scan.cuts((parts as u64).saturating_mul(each as u64), "partitions")?;
        Ok(splits.chunks(each).map(|splits| self.clone().in_splits(splits.to_vec())).collect())
    }

    /// What is computed on ids and coordinates, whose columns are those of [`known`](Self::known).
    pub fn predicate(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.predicate.as_ref()
    }

    /// What is known of windows before they are gathered.
    pub fn known(&self) -> SchemaRef {
        self.known.schema.clone()
    }

    /// The same with a predicate.
    pub fn with_predicate(mut self, predicate: Option<Arc<dyn PhysicalExpr>>) -> Self {
        self.predicate = predicate;
        self
    }

    /// The leaf as JSON, without its predicate.
    ///
    /// # Errors
    /// If the image, a mask or labels are an array in memory; if a mask can't be opened.
    pub fn to_json(&self) -> Result<String> {
        let selection = &self.scan.plan().selection;
        let split = |rows: &Range<u64>| {
            let ends = (!rows.is_empty()).then(|| (selection.id(rows.start), selection.id(rows.end - 1)));
            Split { rows: rows.clone(), ends }
        };
        let all = &self.table.plan().encoder.columns;
        let place = |column| all.iter().position(|own| own == column);
        let wire = Wire {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            table: self.table.written()?,
            stamps: stamps(&self.table)?,
            kept: self.kept.clone(),
            columns: self.encoder.columns.iter().filter_map(place).collect(),
            rows: self.scan.rows(),
            splits: self.splits.iter().map(split).collect(),
            fetch: self.fetch,
        };
        serde_json::to_string(&wire).map_err(|error| Error::format(WHAT, error.to_string()))
    }

    /// The leaf that [`to_json`](Self::to_json) wrote down. Opens the image where it was.
    ///
    /// # Errors
    /// If the text is no such JSON, or of another version; if the image or the labels can't be opened, or are not the
    /// files that they were.
    pub fn from_json(json: &str) -> Result<Self> {
        let broken = |message: String| Error::format(WHAT, message);
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        let text = |error: serde_json::Error| broken(error.to_string());
        let Version { version } = serde_json::from_str(json).map_err(text)?;
        if version != env!("CARGO_PKG_VERSION") {
            let message = format!("of windrow {version}: this is windrow {}", env!("CARGO_PKG_VERSION"));
            return Err(Error::unsupported(WHAT, message));
        }
        let wire: Wire = serde_json::from_str(json).map_err(text)?;
        let table = PatchScan::of_written(&wire.table)?;
        check_stamps(&table, &wire.stamps)?;
        if wire.kept.as_ref().is_some_and(|kept| !kept.is_of(table.grid())) {
            return Err(broken("filters of another number of axes".to_owned()));
        }
        if let Some(&place) = wire.columns.iter().find(|&&place| place >= table.plan().encoder.columns.len()) {
            return Err(broken(format!("column {place} of {}", table.plan().encoder.columns.len())));
        }
        let made = PatchTable::new(&table)?;
        let encoder = made.encoder(Some(&wire.columns)).map_err(|error| broken(error.to_string()))?;
        let mut exec = Self::new(table, wire.kept, None, encoder, made.state(), None, 1)?;
        exec.scan = exec.scan.with_rows(wire.rows.clone())?;
        let splits = check_splits(&exec.scan, &wire.splits)?;
        Ok(exec.unordered().in_splits(splits).fetching(wire.fetch))
    }
}

const WHAT: &str = "a part of a query";

/// The files that say what a table is.
fn stamps(table: &PatchScan) -> Result<Vec<Stamped>> {
    let of = |source: &AnySource| Stamped(source.info().name.clone(), source.stamp());
    let labels = table.plan().encoder.labels.as_ref().map(|labels| of(&labels.source));
    let mut files: Vec<_> = std::iter::once(of(table.source())).chain(labels).collect();
    for step in table.steps() {
        if let Step::Mask { name, .. } = step {
            files.push(of(&AnySource::open(name, None)?));
        }
    }
    Ok(files)
}

/// The files are those that the query was planned with.
fn check_stamps(table: &PatchScan, there: &[Stamped]) -> Result<()> {
    let here = stamps(table)?;
    if here.len() != there.len() {
        return Err(Error::format(WHAT, format!("{} files there, {} here", there.len(), here.len())));
    }
    let Some((here, there)) = here.iter().zip(there).find(|(here, there)| here != there) else { return Ok(()) };
    let text = |stamp: &Option<String>| stamp.clone().unwrap_or_else(|| "no file".to_owned());
    let message = format!(
        "not the file that the query was planned with: {} there, {} here (a copy keeps the time of its original if it is \
         made so, by cp -p or rsync -t)",
        text(&there.1),
        text(&here.1)
    );
    Err(Error::format(here.0.clone(), message))
}

/// Partitions follow one another within the rows, and are of the windows that were meant.
fn check_splits(scan: &PatchScan, splits: &[Split]) -> Result<Vec<Range<u64>>> {
    let (all, selection) = (scan.rows(), &scan.plan().selection);
    if splits.is_empty() || splits.len() > MOST_SPLITS {
        return Err(Error::format(WHAT, format!("{} partitions: expected 1 to {MOST_SPLITS}", splits.len())));
    }
    let mut last = splits[0].rows.start.max(all.start);
    for Split { rows, ends } in splits {
        if rows.start != last || rows.end < rows.start || rows.end > all.end {
            let message = format!("rows {}..{} of {}..{}, after {last}", rows.start, rows.end, all.start, all.end);
            return Err(Error::format(WHAT, message));
        }
        last = rows.end;
        let here = (!rows.is_empty()).then(|| (selection.id(rows.start), selection.id(rows.end - 1)));
        if here != *ends {
            let message = format!("its rows are chosen by what has changed: windows {here:?} here, {ends:?} there");
            return Err(Error::format(scan.source().info().name.clone(), message));
        }
    }
    Ok(splits.iter().map(|split| split.rows.clone()).collect())
}
