//! Many images as one table.
//!
//! A [`PatchCollection`] is a list of files, and a function that makes a [`ScanBuilder`] of each:
//! whatever a scan can be, a collection of scans can be. Their tables follow one another, in the order of the list.
//!
//! ```no_run
//! use windrow::collection::{PatchCollection, paths};
//! use windrow::sink::parquet::{self, ParquetOptions};
//! use windrow::{AnySource, PatchScan, WindowSpec};
//!
//! let tiles = PatchCollection::new(paths(["tiles/*.png"])?, |path| {
//!     Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([8, 8]).step(8)))
//! })?;
//! parquet::write(tiles.reader()?, "tiles.parquet", &ParquetOptions::default())?;
//! # Ok::<(), windrow::Error>(())
//! ```
//!
//! # The table
//! It has the columns of a scan, and `image` before them: the path of the image, as a dictionary of all paths. `window` is
//! the number of the row, through all images; `y` and `x` are within the image. Images may be of different sizes and
//! formats; types and shapes of patches must agree. A row stands where it stands whatever the number of threads and the
//! size of batches.
//!
//! # What is read when
//! [`PatchCollection::new`] opens one image, which says what the columns are. A reader starts with the first image at once:
//! headers of the others are read when they are near, a few ahead, on rayon's pool, and small images are made into rows
//! there and then. So the number of rows is not known before a pass is over. [`PatchCollection::num_rows`] reads all
//! headers (and no pixel), in parallel, once; nothing else waits for it.
//!
//! # Memory
//! A reader holds the paths; of large images the one that is read, as a scan of it does, and the next one, once it is
//! open; and a few small ones. A file is open while it is read: a few at a time, however many there are. Rows in another order
//! than that of the images are taken from images that stay open as long as
//! [there is room for them](crate::ScanBuilder::cache_bytes), and from at most 64 of them at a time.

mod choose;
mod explain;
mod info;
mod paths;
mod pile;
mod plan;
mod reader;
mod taker;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::SchemaRef;
use serde::Serialize;

pub use explain::ExplainCollection;
pub use info::{CollectionInfo, METADATA_KEY};
pub use paths::{is_several, paths};
pub use reader::CollectionReader;
pub use taker::CollectionTaker;

use self::choose::Chosen;
use self::plan::{First, Plan, Slot, is_of_image, named, shown};
use crate::{Error, ErrorKind, PatchScan, Result, ScanBuilder};

/// An image that a table does not have, or not all of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path.
    pub image: String,
    /// What is wrong with it.
    pub error: String,
    /// Its rows that are in the table: those before the place where a large file turned out to be broken.
    pub rows: u64,
}

/// Makes the scan of an image.
type Make = dyn Fn(&Path) -> Result<ScanBuilder> + Send + Sync;

/// Many images as one table, as a plan: cheap to clone, and every [`reader`](Self::reader) starts anew. See
/// [the module](self).
#[derive(Clone)]
pub struct PatchCollection {
    plan: Arc<Plan>,
    skip_bad: bool,
    most_rows: u64,
    prefetch: Option<usize>,
    /// Bytes of images that are kept open, where rows are in another order.
    cache_bytes: u64,
    chosen: Option<Arc<Chosen>>,
}

impl PatchCollection {
    /// The tables of all images at `paths`, in this order. `make` says what the table of an image is; the columns that it
    /// asks for may have `image` among them. Opens the first image.
    ///
    /// # Errors
    /// If there is no path, or no table can be made of the first image.
    pub fn new(
        paths: Vec<PathBuf>,
        make: impl Fn(&Path) -> Result<ScanBuilder> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::build(paths, Arc::new(make), false)
    }

    /// As [`new`](Self::new), but images of which no table can be made are left out, and told of by
    /// [`CollectionReader::skipped`]. Opens images until one is good.
    ///
    /// # Errors
    /// If none of the images is good.
    pub fn skipping_bad(
        paths: Vec<PathBuf>,
        make: impl Fn(&Path) -> Result<ScanBuilder> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::build(paths, Arc::new(make), true)
    }

    fn build(paths: Vec<PathBuf>, make: Arc<Make>, skip_bad: bool) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::argument("image", "none given: expected at least one"));
        }
        if i32::try_from(paths.len()).is_err() {
            return Err(Error::too_large("the number of images", paths.len(), i32::MAX));
        }
        let (mut bad, mut good) = (None, None);
        for (place, path) in paths.iter().enumerate() {
            match make(path).and_then(First::new).map_err(|error| named(path, error)) {
                Ok(first) => {
                    good = Some((place, first));
                    break;
                }
                Err(error) if skip_bad && is_of_image(&error) => bad = bad.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let (first_good, first) = match (good, bad) {
            (Some(good), _) => good,
            (None, Some(error)) => {
                return Err(Error::argument("image", format!("none of the {} images is good: {error}", paths.len())));
            }
            (None, None) => unreachable!("there is a path, which is good or bad"),
        };
        let names: Vec<_> = paths.iter().map(|path| shown(path)).collect();
        if names.iter().try_fold(0i32, |sum, name| sum.checked_add(i32::try_from(name.len()).ok()?)).is_none() {
            return Err(Error::too_large("the length of all paths together", "more", i32::MAX));
        }
        let names = Arc::new(StringArray::from(names)) as ArrayRef;
        let plan = Plan::new(paths.into(), make, (first_good, first), names, Arc::default())?;
        let cache_bytes = plan.first.cache_bytes();
        Ok(Self { plan: Arc::new(plan), skip_bad, most_rows: u64::MAX, prefetch: None, cache_bytes, chosen: None })
    }

    /// The same rows with these columns alone. Opens the first image again.
    ///
    /// # Errors
    /// If there is no such column, or the first image can't be opened.
    pub fn select<S: Into<String>>(&self, columns: impl IntoIterator<Item = S>) -> Result<Self> {
        let plan = &self.plan;
        let path = &plan.paths[plan.first_good];
        let first = (plan.make)(path).and_then(|builder| First::new(builder.columns(columns)));
        let first = (plan.first_good, first.map_err(|error| named(path, error))?);
        let plan = Plan::new(plan.paths.clone(), plan.make.clone(), first, plan.names.clone(), plan.counts.clone())?;
        let chosen = self.chosen.as_ref().map(|chosen| chosen.in_table(&plan.schema)).transpose()?;
        Ok(Self { plan: Arc::new(plan), chosen: chosen.map(Arc::new), ..self.clone() })
    }

    /// The first rows alone. A pass opens no more images than it needs for them.
    pub fn head(mut self, rows: u64) -> Self {
        self.most_rows = self.most_rows.min(rows);
        self
    }

    /// How many images are prepared ahead, on other threads; 0 does all on the caller's thread. Default: two more than
    /// rayon's pool has threads.
    pub fn prefetch(mut self, images: usize) -> Self {
        self.prefetch = Some(images);
        self
    }

    /// The images, in the order of the table.
    pub fn paths(&self) -> &[PathBuf] {
        &self.plan.paths
    }

    /// The table of the first image (of the first good one): what those of all others are like.
    pub fn first(&self) -> &PatchScan {
        &self.plan.first
    }

    /// The schema that every batch has.
    pub fn schema(&self) -> SchemaRef {
        self.chosen.as_ref().map_or(&self.plan.schema, |chosen| &chosen.schema).clone()
    }

    /// The number of rows. Reads the headers of all images when it is first asked for; images that will be left out count
    /// nothing, unless it takes their pixels to know that they are bad.
    ///
    /// # Errors
    /// If an image is bad, unless these are left out.
    pub fn num_rows(&self) -> Result<u64> {
        if let Some(chosen) = &self.chosen {
            return Ok(chosen.len().min(self.most_rows));
        }
        Ok(self.counts()?.last().map_or(0, |last| last.end).min(self.most_rows))
    }

    /// Whether rows are in another order than the images.
    fn is_mixed(&self) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| !chosen.is_forward())
    }

    /// Bytes of a batch, at most.
    #[cfg(feature = "cli")]
    pub(crate) fn batch_bytes(&self) -> u64 {
        self.plan.batch_rows.saturating_mul(self.row_bytes())
    }

    /// Images that are prepared ahead.
    fn ahead(&self) -> usize {
        self.prefetch.unwrap_or_else(|| rayon::current_num_threads() + 2)
    }

    /// Bytes of a row, the key of the image among them.
    pub fn row_bytes(&self) -> u64 {
        let own = |slot: &Slot| match slot {
            Slot::Image => 4,
            Slot::Window => 8,
            Slot::Inner(_) => 0,
        };
        let explain = self.plan.first.explain();
        let inner =
            if self.plan.slots.iter().any(|slot| matches!(slot, Slot::Inner(_))) { explain.row_bytes } else { 0 };
        inner + self.plan.slots.iter().map(own).sum::<u64>()
    }

    /// Opens the images for rows by their numbers (the column `window`), in any order: any row of any image, whatever the
    /// rows of this collection. Reads the headers of all images when that was not done yet.
    ///
    /// # Errors
    /// As [`num_rows`](Self::num_rows).
    pub fn taker(&self) -> Result<CollectionTaker> {
        self.counts()?;
        Ok(CollectionTaker::new(self.plan.clone(), self.cache_bytes))
    }

    /// The number that the column `window` has in row `row` of this collection, counted from 0; `None` if there are fewer
    /// rows.
    ///
    /// # Errors
    /// As [`num_rows`](Self::num_rows).
    pub fn window(&self, row: u64) -> Result<Option<u64>> {
        let id = || self.chosen.as_ref().map_or(row, |chosen| chosen.id(row));
        Ok((row < self.num_rows()?).then(id))
    }

    /// The numbers of the rows from one of this collection to another.
    ///
    /// # Errors
    /// If there are fewer rows; as [`num_rows`](Self::num_rows).
    pub fn windows(&self, rows: Range<u64>) -> Result<Vec<u64>> {
        let count = self.num_rows()?;
        if rows.start > rows.end || rows.end > count {
            return Err(ErrorKind::Rows { start: rows.start, end: rows.end.max(rows.start), rows: count }.into());
        }
        Ok(match &self.chosen {
            Some(chosen) => chosen.windows(rows),
            None => rows.collect(),
        })
    }

    /// The rows that were chosen, in terms of what they were chosen of, and that.
    #[cfg(feature = "polars")]
    pub(crate) fn selection(&self) -> Result<(Range<u64>, Option<&crate::rows::Selection>)> {
        let count = self.num_rows()?;
        Ok(match &self.chosen {
            Some(chosen) => chosen.selected(count),
            None => (0..count, None),
        })
    }

    /// Starts reading. Any number of readers may run at once.
    ///
    /// # Errors
    /// None so far: an image that can't be opened is an error of the stream.
    pub fn reader(&self) -> Result<CollectionReader> {
        let most = self.chosen.as_ref().map_or(u64::MAX, |chosen| chosen.len()).min(self.most_rows);
        let (plan, chosen) = (self.plan.clone(), self.chosen.clone());
        let taker = self.is_mixed().then(|| CollectionTaker::new(plan.clone(), self.cache_bytes));
        Ok(CollectionReader::new(plan, chosen, taker, self.schema(), self.skip_bad, most, self.ahead()))
    }
}

impl fmt::Debug for PatchCollection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatchCollection({} images, {:?})", self.plan.paths.len(), self.plan.first)
    }
}

/// That a file of values is of several images, and so of none of them.
#[cfg(feature = "cli")]
pub(crate) fn no_single_image(path: &Path) -> Error {
    let message = format!(
        "{} is a table of several images, whose rows are numbered through all of them: expected the values of one",
        path.display()
    );
    Error::argument("values", message)
}
