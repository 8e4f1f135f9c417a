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
mod paths;
mod pile;
mod reader;
mod taker;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use paths::{is_several, paths};
pub use reader::CollectionReader;
pub use taker::CollectionTaker;

use self::choose::Chosen;
use self::reader::SMALL;
use crate::scan::{PROGRAM_BYTES, mib, with_margin};
use crate::source::without_query;
use crate::window::by;
use crate::{DType, Error, ErrorKind, Layout, PatchScan, Result, ScanBuilder, Step, TableInfo, WindowSpec};

/// The key of the schema metadata under which [`CollectionInfo`] stands, as JSON.
pub const METADATA_KEY: &str = "windrow.collection";

/// How a table of many images was made; it stands in the schema metadata of every batch and file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionInfo {
    /// The version of windrow that made the table.
    pub version: String,
    /// How many images were listed.
    pub images: u64,
    /// The windows.
    pub window: WindowSpec,
    /// The pixels of a patch on each axis.
    pub patch_shape: Vec<u64>,
    /// The type of the pixels in the table.
    pub dtype: DType,
    /// How the patches are held.
    pub layout: Layout,
    /// What pixels were multiplied with, before `offset` was added.
    pub scale: f64,
    /// What was added to pixels.
    pub offset: f64,
    /// What was done to the rows, by their numbers through all images; empty if it was nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selection: Vec<Step>,
}

impl CollectionInfo {
    /// A schema that says this.
    fn put_into(&self, schema: &Schema) -> Result<SchemaRef> {
        let json = serde_json::to_string(self)
            .map_err(|error| Error::format("schema metadata", format!("can't be written: {error}")))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        Ok(Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata)))
    }

    /// Reads how a table was made from its schema; `None` if it is not one of many images.
    ///
    /// # Errors
    /// If the metadata is there, but broken.
    pub fn from_schema(schema: &Schema) -> Result<Option<Self>> {
        let Some(json) = schema.metadata.get(METADATA_KEY) else { return Ok(None) };
        let info = serde_json::from_str(json);
        info.map(Some).map_err(|error| Error::format(format!("schema metadata {METADATA_KEY:?}"), error.to_string()))
    }
}

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

/// What all readers share.
struct Plan {
    paths: Arc<[PathBuf]>,
    make: Arc<Make>,
    /// The first image that is none of the bad ones, and its place.
    first: PatchScan,
    first_good: usize,
    /// The columns that scans make.
    inner: Vec<String>,
    /// Where the columns of the table come from.
    slots: Vec<Slot>,
    schema: SchemaRef,
    batch_rows: u64,
    /// All paths, as the dictionary of the column `image`.
    names: ArrayRef,
    counts: Arc<OnceLock<Vec<Count>>>,
}

/// What the header of an image says: its rows, and what they take while they are read.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// The number of the row behind its last one; at first, of its rows.
    end: u64,
    bytes: u64,
    small: bool,
}

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Image,
    Window,
    /// A column of the scan.
    Inner(usize),
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

    /// The rows of each image, and what they take.
    fn counts(&self) -> Result<&[Count]> {
        if let Some(counts) = self.plan.counts.get() {
            return Ok(counts);
        }
        let count = |path: &PathBuf| match self.plan.scan(path) {
            Ok(scan) => Ok(Count::of(&scan)),
            Err(error) if self.skip_bad && is_of_image(&error) => Ok(Count::default()),
            Err(error) => Err(error),
        };
        let counts: Vec<Result<Count>> = if self.prefetch == Some(0) {
            self.plan.paths.iter().map(count).collect()
        } else {
            self.plan.paths.par_iter().map(count).collect()
        };
        let mut end = 0u64;
        // Of several bad images the first by name is told of, whichever thread was the faster.
        let counts = counts.into_iter().map(|count| {
            let count = count?;
            let more = || Error::too_large("the rows of all images", "more", u64::MAX);
            end = end.checked_add(count.end).ok_or_else(more)?;
            Ok(Count { end, ..count })
        });
        let counts = counts.collect::<Result<_>>()?;
        Ok(self.plan.counts.get_or_init(|| counts))
    }

    /// What the table will be and cost. Reads the headers of all images.
    ///
    /// # Errors
    /// As [`num_rows`](Self::num_rows).
    pub fn explain(&self) -> Result<ExplainCollection> {
        let counts = self.counts()?;
        let rows = self.num_rows()?;
        let first = self.plan.first.explain();
        let images = self.plan.paths.len() as u64;
        Ok(ExplainCollection {
            images,
            without_rows: (0..counts.len()).filter(|&image| rows_of(counts, image).is_empty()).count() as u64,
            patch_shape: first.patch_shape,
            columns: self.plan.schema.fields().iter().map(|field| field.name().clone()).collect(),
            layout: first.layout,
            dtype: first.dtype,
            rows,
            row_bytes: self.row_bytes(),
            dense_bytes: rows.saturating_mul(self.row_bytes()),
            batch_rows: self.plan.batch_rows,
            peak_bytes: self.peak_bytes(counts),
        })
    }

    /// The most memory of a process that reads the table.
    fn peak_bytes(&self, counts: &[Count]) -> u64 {
        let ahead = self.ahead() as u64;
        let small = counts.iter().filter(|count| count.small).map(|count| count.bytes).max().unwrap_or(0);
        let mut large = [0; 2];
        for count in counts.iter().filter(|count| !count.small) {
            let [first, second] = large;
            large = if count.bytes > first { [count.bytes, first] } else { [first, second.max(count.bytes)] };
        }
        let largest = large[0].max(small);
        // While one large image is read the next one is opened.
        let large = if ahead > 0 { large[0].saturating_add(large[1]) } else { large[0] };
        // What is piled up, what is made of it, and what was given away.
        let batches = self.plan.batch_rows.saturating_mul(self.row_bytes()).saturating_mul(3);
        // A path is kept twice.
        let names = self.plan.names.get_array_memory_size() as u64;
        let lists = names.saturating_mul(2).saturating_add(counts.len() as u64 * 96);
        let chosen = self.chosen.as_ref().map_or(0, |chosen| chosen.bytes());
        if self.is_mixed() {
            // Images that stay open, the one that is opened, and the rows of a batch in two orders.
            let image = largest.saturating_add(self.cache_bytes);
            let numbers = self.plan.batch_rows.saturating_mul(64);
            return [image, batches, numbers, lists, chosen].into_iter().fold(PROGRAM_BYTES, u64::saturating_add);
        }
        [small.saturating_mul(ahead.max(1)), large, batches, lists, chosen]
            .into_iter()
            .fold(PROGRAM_BYTES, u64::saturating_add)
    }

    /// Whether rows are in another order than the images.
    fn is_mixed(&self) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| !chosen.is_forward())
    }

    /// The same table, read in at most so many bytes of memory, the program itself included: with fewer images prepared
    /// ahead, or fewer kept open, if that is needed. Reads the headers of all images.
    ///
    /// # Errors
    /// If even one image at a time takes more: the error says how much. As [`num_rows`](Self::num_rows), too.
    pub fn max_memory(self, bytes: u64) -> Result<Self> {
        self.fit(bytes, |_| 0)
    }

    /// As [`max_memory`](Self::max_memory), of a reader whose consumer takes `more` besides for so many rows.
    pub(crate) fn fit(mut self, bytes: u64, more: impl Fn(u64) -> u64) -> Result<Self> {
        let more = more(self.num_rows()?);
        loop {
            let needs = with_margin(self.peak_bytes(self.counts()?).saturating_add(more));
            if needs <= bytes {
                return Ok(self);
            }
            if self.is_mixed() && self.cache_bytes > 0 {
                self.cache_bytes = if self.cache_bytes > 1 << 20 { self.cache_bytes / 2 } else { 0 };
                continue;
            }
            let ahead = self.ahead();
            if ahead == 0 {
                let message = format!(
                    "{}: it takes {} at the least: expected {} or more, or smaller batches, or fewer threads \
                     (RAYON_NUM_THREADS=1)",
                    bytesize::ByteSize(bytes),
                    bytesize::ByteSize(needs),
                    mib(needs),
                );
                return Err(Error::argument("max_memory", message));
            }
            self.prefetch = Some(ahead - 1);
        }
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

impl Plan {
    fn new(
        paths: Arc<[PathBuf]>,
        make: Arc<Make>,
        (first_good, first): (usize, First),
        names: ArrayRef,
        counts: Arc<OnceLock<Vec<Count>>>,
    ) -> Result<Self> {
        let First { scan, inner, columns, batch_rows } = first;
        let schema = schema(&scan, &columns, paths.len())?;
        let slots = columns.iter().map(|name| slot(name, &inner)).collect();
        Ok(Self { paths, make, first: scan, first_good, inner, slots, schema, batch_rows, names, counts })
    }

    /// The scan of an image, if its table is like that of the first.
    fn scan(&self, path: &Path) -> Result<PatchScan> {
        let scan = (self.make)(path).and_then(|builder| builder.only_columns(&self.inner).build());
        let scan = scan.map_err(|error| match error.kind() {
            // What can be had of the first image can't be had of this one.
            ErrorKind::Argument { .. } => Error::unsupported(shown(path), error.to_string()),
            _ => named(path, error),
        })?;
        match self.differs(&scan) {
            None => Ok(scan),
            Some(message) => Err(Error::unsupported(shown(path), message)),
        }
    }

    /// In what the table of an image is another one than that of the first.
    fn differs(&self, scan: &PatchScan) -> Option<String> {
        let first = &self.first;
        let name = &first.source().info().name;
        let types = [scan, first].map(|scan| scan.pixel_type());
        if types[0] != types[1] {
            let [here, there] = types;
            return Some(format!(
                "its pixels are {here}, those of {name} {there}: expected one type in all images, which dtype (--dtype) \
                 makes of them"
            ));
        }
        let shapes = [scan, first].map(|scan| scan.grid().patch_shape());
        if shapes[0] != shapes[1] {
            let [here, there] = shapes.map(|shape| by(&shape));
            return Some(format!(
                "its patches are {here}, those of {name} {there}: expected as many bands in all images"
            ));
        }
        let (here, there) = (scan.schema(), first.schema());
        if here.fields() != there.fields() {
            let names = |schema: &SchemaRef| {
                let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                names.join(", ")
            };
            return Some(format!("its columns are {}, those of {name} {}", names(&here), names(&there)));
        }
        let map = ["easting", "longitude", "northing", "latitude"];
        let systems = [scan, first].map(|scan| scan.source().georeference().and_then(|place| place.epsg));
        if systems[0] != systems[1] && here.fields().iter().any(|field| map.contains(&field.name().as_str())) {
            let [here, there] =
                systems.map(|epsg| epsg.map_or("none that it names".to_owned(), |n| format!("EPSG:{n}")));
            return Some(format!("its coordinates are of {here}, those of {name} of {there}: expected one system"));
        }
        None
    }
}

impl Count {
    fn of(scan: &PatchScan) -> Self {
        let explain = scan.explain();
        let small = explain.dense_bytes.max(explain.base_bytes) <= SMALL;
        let peak = explain.peak_bytes.saturating_sub(PROGRAM_BYTES);
        // A small image is made into rows as a whole.
        let bytes = if small { peak.saturating_add(explain.dense_bytes) } else { peak };
        Self { end: explain.rows, bytes, small }
    }
}

/// What the first image says of all.
struct First {
    scan: PatchScan,
    inner: Vec<String>,
    /// The columns of the table.
    columns: Vec<String>,
    batch_rows: u64,
}

impl First {
    fn new(mut builder: ScanBuilder) -> Result<Self> {
        if builder.asked_layout() == Layout::Columns {
            let message = "columns are slices of one image: expected layout tensor, fixed-shape-tensor or binary";
            return Err(Error::argument("layout", message));
        }
        let asked = builder.take_columns();
        let columns = match asked {
            Some(columns) => columns,
            None => {
                let all = builder.clone().build()?;
                let names = all.schema();
                let names = names.fields().iter().map(|field| field.name().clone());
                ["image".to_owned()].into_iter().chain(names).collect()
            }
        };
        let mut inner: Vec<_> = columns.iter().filter(|name| *name != "image" && *name != "window").cloned().collect();
        if columns.iter().filter(|name| *name == "image").count() > 1 {
            let message =
                "\"image\" is asked for twice, or an axis has this name, which is that of the column of paths";
            return Err(Error::argument("columns", message));
        }
        if inner.is_empty() {
            inner.push("window".to_owned());
        }
        let builder = builder.only_columns(&inner);
        let scan = builder.clone().build()?;
        // The key of the image, and the number of the row.
        let batch_rows = builder.rows_of_batches(&scan, 12)?;
        Ok(Self { scan, inner, columns, batch_rows })
    }
}

/// The rows of an image.
fn rows_of(counts: &[Count], image: usize) -> Range<u64> {
    image.checked_sub(1).map_or(0, |before| counts[before].end)..counts[image].end
}

fn slot(name: &str, inner: &[String]) -> Slot {
    match name {
        "image" => Slot::Image,
        "window" => Slot::Window,
        name => Slot::Inner(inner.iter().position(|inner| inner == name).unwrap_or_default()),
    }
}

/// The schema of the table with these columns.
fn schema(first: &PatchScan, columns: &[String], images: usize) -> Result<SchemaRef> {
    let inner = first.schema();
    let field = |name: &String| match name.as_str() {
        "image" => {
            let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Ok(Arc::new(Field::new("image", names, false)))
        }
        "window" => Ok(Arc::new(Field::new("window", DataType::UInt64, false))),
        name => {
            let found = inner.fields().iter().find(|field| field.name() == name).cloned();
            found.ok_or_else(|| Error::argument("columns", format!("no column {name:?}")))
        }
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    let table = TableInfo::from_schema(&inner)?;
    let table = table.ok_or_else(|| Error::format("schema metadata", "a scan does not say how it was made"))?;
    let info = CollectionInfo {
        version: table.version,
        images: images as u64,
        window: table.window,
        patch_shape: table.patch_shape,
        dtype: table.dtype,
        layout: table.layout,
        scale: table.scale,
        offset: table.offset,
        selection: Vec::new(),
    };
    info.put_into(&Schema::new(fields))
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

/// What an image is called.
fn shown(path: &Path) -> String {
    without_query(path).display().to_string()
}

/// An error of an image that says which.
fn named(path: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Window { .. } | ErrorKind::View(_) | ErrorKind::TooLarge { .. } | ErrorKind::Memory { .. } => {
            Error::unsupported(shown(path), error.to_string())
        }
        _ => error,
    }
}

/// Whether an error is one of an image, and not of what was asked for, or of the system.
fn is_of_image(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io { .. } | ErrorKind::Format { .. } | ErrorKind::Unsupported { .. })
}

/// The facts of a [`PatchCollection`], from the headers of its images.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainCollection {
    /// The images.
    pub images: u64,
    /// Those of them that have no window, or are left out.
    pub without_rows: u64,
    /// Pixels of a patch on each axis.
    pub patch_shape: Vec<u64>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// How patches are held.
    pub layout: Layout,
    /// The type of the pixels in the table.
    pub dtype: DType,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes a row.
    pub row_bytes: u64,
    /// Bytes of all rows, if they were made at once.
    pub dense_bytes: u64,
    /// Rows of a batch, at most.
    pub batch_rows: u64,
    /// The most memory that the process takes while a reader is drained.
    pub peak_bytes: u64,
}

impl fmt::Display for ExplainCollection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = bytesize::ByteSize;
        let without =
            if self.without_rows == 0 { String::new() } else { format!(", {} without rows", self.without_rows) };
        writeln!(f, "images      {}{without}", self.images)?;
        writeln!(f, "windows     of {}", by(&self.patch_shape))?;
        writeln!(f, "rows        {}", self.rows)?;
        writeln!(f, "columns     {}  ({}, {})", self.columns.join(", "), self.layout, self.dtype)?;
        writeln!(f, "row         {}", bytes(self.row_bytes))?;
        writeln!(f, "all rows    {}", bytes(self.dense_bytes))?;
        writeln!(f, "batch       at most {} rows", self.batch_rows)?;
        write!(f, "peak memory {}, whatever the number of rows", bytes(self.peak_bytes))
    }
}
