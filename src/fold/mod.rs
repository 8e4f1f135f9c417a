//! The way back: the values of windows become an image.
//!
//! A [`Fold`] takes (window id, value) pairs in any order and any subset, batch by batch. A value is a patch, whose
//! overlap with others is [blended](Blend), or a number or a few at one place of the image ([`At`]). It is made for a
//! scan, or for what the schema of a file says of one.
//!
//! ```
//! use windrow::fold::Fold;
//! use windrow::{PatchScan, StridedView, WindowSpec};
//!
//! let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
//! let scan = PatchScan::new(image.clone(), WindowSpec::new([3, 3]).step(2).edge(windrow::Edge::Shift))?;
//! let mut fold = Fold::new(&scan);
//! for batch in scan.reader()? {
//!     fold.add_batch(&batch?)?;
//! }
//! assert_eq!(fold.image()?.to_vec::<u8>()?, image.to_vec::<u8>()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Types
//! | blend | is kept in | the image is, by default |
//! |---|---|---|
//! | mean | integers: exactly, in 32 bits for 8, 64 for up to 32, 128 for 64; floats: `float64` | as the values; of integers the nearest, ties to even |
//! | sum | the same | `int64` or `uint64` for integers, `int64` for `bool` (as numpy), as the values for floats |
//! | gaussian, hann | `float64` | as the values; of integers the nearest |
//! | max, min, last, center-crop | as the values | as the values |
//!
//! [`Fold::dtype`] chooses another type. What it can't hold is an error. NaN is a value: what is blended with it is NaN,
//! unless it is not chosen. Null is no value.

mod blend;
mod cell;
mod choose;
#[cfg(feature = "cli")]
mod convert;
mod coverage;
#[cfg(feature = "cli")]
pub(crate) mod input;
mod pile;
mod place;
mod slab;
mod sum;
#[cfg(any(feature = "ipc", feature = "parquet"))]
pub(crate) mod target;
mod values;
mod walk;
#[cfg(any(feature = "ipc", feature = "parquet"))]
mod write;

use std::fmt;
use std::ops::Range;

use arrow_array::RecordBatch;

pub use blend::{At, Blend};

use self::pile::Values;
use self::place::Place;
use self::slab::{Recipe, Slab};
use self::values::Column;
#[cfg(feature = "tiff")]
use crate::source::GeoTags;
use crate::source::Georeference;
use crate::{DType, Error, Grid, PatchScan, Pixel, PoolBuf, Result, Scalar, StridedView, TableInfo};

/// Values that don't lie together are copied, so many bytes at a time.
const COPIED_BYTES: usize = 1 << 20;

/// An image in the making, of values of windows.
///
/// Options come first, then values: once there are some, options are what they are.
///
/// # Memory
/// A few bytes a cell of the image (see [`memory`](Self::memory)) and four a window; of some [`lines`](Self::lines)
/// alone, for these lines. The number of values does not matter.
pub struct Fold {
    grid: Grid,
    /// The values of the table that this was made for.
    table: (DType, Vec<u64>),
    at: Option<At>,
    blend: Blend,
    fill: Option<Scalar>,
    out: Option<DType>,
    shape: Option<Vec<u64>>,
    lines: Option<Range<u64>>,
    column: Option<String>,
    #[cfg(feature = "tiff")]
    geo: Option<GeoTags>,
    made: Option<(Recipe, Slab)>,
}

impl Fold {
    /// For values of the windows of a scan.
    pub fn new(scan: &PatchScan) -> Self {
        Self::of(scan.grid().clone(), scan.explain().dtype, scan.source().georeference())
    }

    /// For values of the windows of a table, of which the schema of its file says how it was made.
    ///
    /// ```
    /// use windrow::fold::{At, Fold};
    /// use windrow::{PatchScan, StridedView, TableInfo, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 64], &[8, 8])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([4, 4]).step(2))?;
    /// let table = TableInfo::from_schema(&scan.schema())?.expect("made by windrow");
    ///
    /// let mut fold = Fold::from_table(&table)?.at(At::Grid).fill(-1);
    /// fold.add(&[0, 4, 8], &[10i32, 20, 30])?;
    /// assert_eq!(fold.image()?.to_vec::<i32>()?, [10, -1, -1, -1, 20, -1, -1, -1, 30]);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the windows don't fit the array that the table speaks of.
    pub fn from_table(table: &TableInfo) -> Result<Self> {
        let source = &table.source;
        let broken = |message: String| Error::format("schema metadata", message);
        if source.axes.len() != source.shape.len() {
            return Err(broken(format!("{} names for {} axes", source.axes.len(), source.shape.len())));
        }
        let grid = Grid::new(&table.window, &source.shape, Some(&source.axes))?;
        if table.patch_shape != grid.patch_shape() {
            let (got, expected) = (&table.patch_shape, grid.patch_shape());
            return Err(broken(format!("patches of {got:?}, but the windows have {expected:?}")));
        }
        Ok(Self::of(grid, table.dtype, source.georeference))
    }

    #[cfg_attr(not(feature = "tiff"), expect(unused_variables, reason = "only files of this feature have a place"))]
    fn of(grid: Grid, dtype: DType, place: Option<Georeference>) -> Self {
        let table = (dtype, grid.patch_shape());
        Self {
            grid,
            table,
            at: None,
            blend: Blend::Mean,
            fill: None,
            out: None,
            shape: None,
            lines: None,
            column: None,
            #[cfg(feature = "tiff")]
            geo: place.as_ref().map(GeoTags::of_georeference),
            made: None,
        }
    }

    /// Where values lie. Default: [`At::Patch`] for values of the window's shape, [`At::Grid`] for all others.
    pub fn at(mut self, at: At) -> Self {
        self.at = Some(at);
        self
    }

    /// What becomes of a cell that several windows cover. Default: [`Blend::Mean`].
    pub fn blend(mut self, blend: Blend) -> Self {
        self.blend = blend;
        self
    }

    /// What a cell is that no window covers. Default: NaN, or 0 where the image is of integers.
    pub fn fill(mut self, fill: impl Into<Scalar>) -> Self {
        self.fill = Some(fill.into());
        self
    }

    /// The type of the image. Default: see [the module](self#types).
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.out = Some(dtype);
        self
    }

    /// The shape of a value. Default: that of the first values; without one (as by [`add`](Self::add)), the patch of the
    /// scan, or the window and channels, or channels alone, whichever has as many cells.
    pub fn value_shape(mut self, shape: impl Into<Vec<u64>>) -> Self {
        self.shape = Some(shape.into());
        self
    }

    /// Only these lines of the image, counted on the first axis that windows slide over: what makes an image that is
    /// larger than memory. Values elsewhere are passed over. Default: all.
    ///
    /// ```
    /// use windrow::fold::Fold;
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec((0..60u8).collect(), &[10, 6])?;
    /// let scan = PatchScan::new(image.clone(), WindowSpec::new([3, 3]))?;
    /// for lines in [0..4, 4..8, 8..10] {
    ///     let mut fold = Fold::new(&scan).lines(lines.clone());
    ///     for batch in scan.reader()? {
    ///         fold.add_batch(&batch?)?;
    ///     }
    ///     let expected = image.slice(0, lines.start as usize..lines.end as usize, 1)?;
    ///     assert_eq!(fold.image()?.to_vec::<u8>()?, expected.to_vec::<u8>()?);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lines(mut self, lines: Range<u64>) -> Self {
        self.lines = Some(lines);
        self
    }

    /// The column of values, for [`add_batch`](Self::add_batch). Default: `prediction`, `patch`, or the only one besides
    /// the window and its coordinates.
    pub fn column(mut self, name: impl Into<String>) -> Self {
        self.column = Some(name.into());
        self
    }

    /// The georeference of the image that was scanned, which goes to TIFF files and arrays of Zarr: as it is, or for an image
    /// with a cell a window, as these cells lie (a last window that was shifted inward lies a little elsewhere). Its value
    /// for missing pixels is what cells are that no window covers, unless they are [filled](Self::fill) with another.
    ///
    /// Default: what the scan or the table knows of it, which is the transform and the number of the coordinate reference
    /// system; the tags of the file say all.
    #[cfg(feature = "tiff")]
    pub fn georeference(mut self, geo: GeoTags) -> Self {
        self.geo = Some(geo);
        self
    }

    /// The windows.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Adds the values of windows, one behind the other in C order: `values` has a value for each of `ids`.
    ///
    /// # Errors
    /// If there is no such window, or the values are of another shape or type than expected. Then none of them is added.
    pub fn add<T: Pixel>(&mut self, ids: &[u64], values: &[T]) -> Result<()> {
        self.add_bytes(ids, None, T::DTYPE, None, bytemuck::cast_slice(values))
    }

    /// Adds the values of windows: an array in any layout, whose first axis counts `ids`. Values with one axis may be
    /// patches that were made flat.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_array(&mut self, ids: &[u64], values: &StridedView) -> Result<()> {
        let [n, shape @ ..] = values.shape() else {
            return Err(Error::argument("values", "no axis: expected one for the windows, and those of a value"));
        };
        if *n != ids.len() {
            return Err(Error::argument("values", format!("{n} of them for {} windows", ids.len())));
        }
        let shape: Vec<_> = shape.iter().map(|&n| n as u64).collect();
        let known = Some(&shape[..]).filter(|shape| shape.len() != 1);
        let value = shape.iter().product::<u64>() as usize * values.dtype().size();
        let rows = if values.is_contiguous() { ids.len() } else { (COPIED_BYTES / value.max(1)).max(1) };
        let mut copy = Vec::new();
        for (i, ids) in ids.chunks(rows.max(1)).enumerate() {
            let part = values.slice(0, i * rows..i * rows + ids.len(), 1)?;
            let bytes = if part.is_contiguous() {
                let start = part.offset() * part.dtype().size();
                &part.buffer()[start..start + ids.len() * value]
            } else {
                copy.resize(ids.len() * value, 0);
                part.copy_to(&mut copy);
                &copy
            };
            self.add_bytes(ids, None, values.dtype(), known, bytes)?;
        }
        Ok(())
    }

    /// Adds the values of a batch: a column `window`, and one of values, nested lists or binary as in a table, lists of
    /// any kind, or plain numbers. Where a value is null, the window is passed over.
    ///
    /// # Errors
    /// If a column is missing, or as [`add`](Self::add).
    pub fn add_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = Column::of(batch, self.column.as_deref(), &self.grid, &self.table)?;
        self.add_column(column)
    }

    fn add_column(&mut self, column: Column) -> Result<()> {
        if column.ids.is_empty() {
            return Ok(());
        }
        let Column { ids, dtype, shape, bytes } = column;
        self.add_bytes(&ids, None, dtype, shape.as_deref(), &bytes)
    }

    /// Adds the values of windows, of which some may be missing. `shape` is that of a value, if it is known.
    pub(crate) fn add_bytes(
        &mut self,
        ids: &[u64],
        valid: Option<&[bool]>,
        dtype: DType,
        shape: Option<&[u64]>,
        bytes: &[u8],
    ) -> Result<()> {
        if ids.is_empty() {
            return if bytes.is_empty() { Ok(()) } else { Err(count(0, bytes.len() / dtype.size())) };
        }
        if !bytes.len().is_multiple_of(ids.len() * dtype.size()) {
            return Err(count(ids.len(), bytes.len() / dtype.size()));
        }
        self.check_ids(ids)?;
        let cells = bytes.len() / ids.len() / dtype.size();
        self.prepare(dtype, shape, cells as u64)?;
        let Some((recipe, slab)) = &mut self.made else { return Ok(()) };
        let normal;
        let bytes = if dtype == DType::Bool && bytes.iter().any(|&byte| byte > 1) {
            normal = bytes.iter().map(|&byte| u8::from(byte != 0)).collect::<Vec<_>>();
            &normal
        } else {
            bytes
        };
        slab.add(recipe, &Values { ids, valid, bytes })
    }

    fn check_ids(&self, ids: &[u64]) -> Result<()> {
        let windows = self.grid.windows();
        match ids.iter().find(|&&id| id >= windows) {
            None => Ok(()),
            Some(id) => Err(Error::argument("values", format!("no window {id}: there are {windows}, 0..{windows}"))),
        }
    }

    /// Says what values there will be: makes [`image`](Self::image) work before there are any.
    ///
    /// # Errors
    /// If such values have no place, or memory is short.
    pub fn expect(&mut self, dtype: DType, shape: &[u64]) -> Result<()> {
        let cells = shape.iter().fold(1u64, |cells, &n| cells.saturating_mul(n));
        self.prepare(dtype, Some(shape), cells)
    }

    /// Makes room for values, or checks that they are as those before.
    fn prepare(&mut self, dtype: DType, shape: Option<&[u64]>, cells: u64) -> Result<()> {
        if let Some((recipe, _)) = &self.made {
            let have = recipe.place.cells as u64;
            if (recipe.dtype, have) == (dtype, cells) {
                return Ok(());
            }
            let message = format!("{cells} {dtype} a window, but those before were {have} {}", recipe.dtype);
            return Err(Error::argument("values", message));
        }
        let recipe = self.recipe(dtype, shape, cells)?;
        let len = recipe.place.axes[recipe.place.lead()].len;
        let lines = self.lines.clone().unwrap_or(0..len);
        if lines.start > lines.end || lines.end > len {
            return Err(Error::argument("lines", format!("{lines:?}: the image has {len}, 0..{len}")));
        }
        let slab = Slab::new(&recipe, lines)?;
        self.made = Some((recipe, slab));
        Ok(())
    }

    /// What is made of values of so many cells.
    fn recipe(&self, dtype: DType, shape: Option<&[u64]>, cells: u64) -> Result<Recipe> {
        let shape = self.shape_of(shape, cells)?;
        let window: Vec<_> = self.grid.sliding().map(|axis| axis.window).collect();
        let is_patch = |shape: &[u64]| shape.starts_with(&window) || shape == self.table.1;
        let at = self.at.unwrap_or(if is_patch(&shape) { At::Patch } else { At::Grid });
        let place = Place::new(&self.grid, at, &shape, dtype)?;
        let out = match (self.out, self.blend, dtype) {
            (Some(out), ..) => out,
            (None, Blend::Sum, DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::I64) => DType::I64,
            (None, Blend::Sum, dtype) if !dtype.is_float() => DType::U64,
            (None, _, dtype) => dtype,
        };
        let usual = if out.is_float() { Scalar::Float(f64::NAN) } else { Scalar::Int(0) };
        let fill = self.fill.or(self.nodata(out)).unwrap_or(usual);
        Ok(Recipe { at, place, blend: self.blend, dtype, out, fill: fill.to_cell_of("fill", out)? })
    }

    /// The value for missing pixels of the image that was scanned, if cells can be that.
    fn nodata(&self, out: DType) -> Option<Scalar> {
        #[cfg(feature = "tiff")]
        return self.geo.as_ref()?.nodata()?.parse::<Scalar>().ok().filter(|value| value.to_cell(out).is_ok());
        #[cfg(not(feature = "tiff"))]
        return Some(out).and(None);
    }

    /// The georeference of the image that is made.
    #[cfg(all(feature = "tiff", any(feature = "ipc", feature = "parquet")))]
    fn geo_of(&self, recipe: &Recipe) -> Option<GeoTags> {
        use crate::source::AxisMap;
        let nodata = self.fill.or(self.nodata(recipe.out)).map(|value| value.to_string());
        let (old, new) = (self.grid.axes(), &recipe.place.axes);
        let places = self.geo.as_ref().filter(|_| {
            new.len() >= 2
                && old.len() >= 2
                && old[0].name == "y"
                && (0..2).all(|axis| old[axis].name == new[axis].name)
        });
        let Some(geo) = places else { return nodata.as_deref().map(GeoTags::of_nodata) };
        let map = |axis: usize| match new[axis].starts {
            Some(_) if recipe.at == At::Grid => {
                let (step, extent, first) = (old[axis].step as f64, old[axis].extent as f64, old[axis].start(0) as f64);
                AxisMap { scale: step, offset: first + (extent - step) / 2.0, center: first + (extent - 1.0) / 2.0 }
            }
            _ => AxisMap::SAME,
        };
        Some(geo.mapped(map(0), map(1)).with_nodata(nodata.as_deref()))
    }

    /// The shape of a value of so many cells.
    fn shape_of(&self, shape: Option<&[u64]>, cells: u64) -> Result<Vec<u64>> {
        let product = |shape: &[u64]| shape.iter().fold(1u64, |cells, &n| cells.saturating_mul(n));
        if let Some(wanted) = &self.shape {
            if product(wanted) != cells {
                let message = format!("have {cells} cells, but {wanted:?} are {}", product(wanted));
                return Err(Error::argument("values", message));
            }
            return Ok(wanted.clone());
        }
        if let Some(shape) = shape {
            return Ok(shape.to_vec());
        }
        let window: Vec<_> = self.grid.sliding().map(|axis| axis.window).collect();
        let patch = self.at.is_none_or(|at| at == At::Patch);
        Ok(if patch && cells == product(&self.table.1) {
            self.table.1.clone()
        } else if patch && cells == product(&window) {
            window
        } else if self.at == Some(At::Patch) && cells.is_multiple_of(product(&window)) {
            [window.clone(), vec![cells / product(&window)]].concat()
        } else if cells == 1 {
            Vec::new()
        } else {
            vec![cells]
        })
    }

    fn made(&self) -> Result<(&Recipe, &Slab)> {
        let made = self.made.as_ref().map(|(recipe, slab)| (recipe, slab));
        made.ok_or_else(|| Error::argument("values", "none came yet, so that their shape and type are unknown"))
    }

    /// The type of the image, and its shape: of the [`lines`](Self::lines) that are made.
    ///
    /// # Errors
    /// If no value came yet.
    pub fn image_type(&self) -> Result<(DType, Vec<u64>)> {
        let (recipe, slab) = self.made()?;
        let mut shape = recipe.place.shape();
        shape[recipe.place.lead()] = slab.lines().end - slab.lines().start;
        Ok((recipe.out, shape))
    }

    /// The image of all values so far. More may come after.
    ///
    /// # Errors
    /// If no value came yet, a cell does not fit the type of the image, or memory is short.
    pub fn image(&self) -> Result<StridedView> {
        let (dtype, shape) = self.image_type()?;
        let shape: Vec<_> = shape.iter().map(|&n| n as usize).collect();
        let mut memory = memory(&shape, dtype)?;
        self.image_into(&mut memory)?;
        StridedView::from_buffer(memory.freeze(), dtype, &shape)
    }

    /// Writes the image into `out`, which has exactly its bytes, in C order.
    ///
    /// # Errors
    /// As [`image`](Self::image), and if `out` has another length.
    pub fn image_into(&self, out: &mut [u8]) -> Result<()> {
        let (recipe, slab) = self.made()?;
        let lines = slab.lines();
        let bytes = recipe.line_bytes() * (lines.end - lines.start);
        if out.len() as u64 != bytes {
            return Err(Error::argument("out", format!("{} bytes: the image has {bytes}", out.len())));
        }
        slab.finish(recipe, lines, out)
    }

    /// How many windows cover each cell, as `uint32`, over the axes that windows slide over: 0 where the image is what it
    /// was [filled](Self::fill) with.
    ///
    /// # Errors
    /// If no value came yet.
    pub fn coverage(&self) -> Result<StridedView> {
        let (recipe, slab) = self.made()?;
        let (place, lines) = (&recipe.place, slab.lines());
        let len = |a: &usize| if *a == place.lead() { lines.end - lines.start } else { place.axes[*a].len };
        let shape: Vec<_> = place.sliding.iter().map(|a| len(a) as usize).collect();
        StridedView::from_vec(slab.coverage(recipe, lines.clone()), &shape)
    }

    /// About how many bytes are kept for the image.
    ///
    /// # Errors
    /// If no value came yet.
    pub fn memory(&self) -> Result<u64> {
        let (recipe, slab) = self.made()?;
        Ok(recipe.bytes(slab.lines().end - slab.lines().start))
    }
}

impl fmt::Debug for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = self.grid.windows();
        write!(f, "Fold({windows} windows, {}", self.blend)?;
        match self.image_type() {
            Ok((dtype, shape)) => write!(f, ", {dtype} {shape:?})"),
            Err(_) => write!(f, ", no value yet)"),
        }
    }
}

fn count(ids: usize, cells: usize) -> Error {
    Error::argument("values", format!("{cells} cells for {ids} windows: expected as many for each"))
}

/// Memory for an array.
fn memory(shape: &[usize], dtype: DType) -> Result<PoolBuf> {
    let bytes = shape.iter().try_fold(dtype.size(), |bytes, &n| bytes.checked_mul(n));
    let bytes = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
    let bytes = bytes.ok_or_else(|| Error::too_large("the image", format!("{shape:?} of {dtype}"), isize::MAX))?;
    crate::BufferPool::new(0).take(bytes)
}
