//! From a band of pixels to Arrow arrays: one file a layout, and the gather under them.

mod apart;
mod border;
pub(crate) mod columns;
mod convert;
mod coords;
mod gather;
mod kernel;
mod labels;
mod map;
mod nodata;
mod rising;
mod scatter;
mod short;
mod stage;
mod tables;
mod tensor;
mod transposed;
#[cfg(test)]
mod ways;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, RecordBatchOptions};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

pub use columns::Wrap;
pub(crate) use convert::Conversion;
use gather::Gather;
pub use labels::LabelAt;
pub(crate) use labels::Labels;
pub use map::Coords;
pub(crate) use map::Map;
pub(crate) use nodata::Marker;
pub use nodata::Nodata;
#[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
pub(crate) use tables::{FILL, Lookup, copy_box};
pub(crate) use tensor::{flat_type, nested_type};
#[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
pub(crate) use transposed::ColumnFiller;

use crate::feed::Slab;
use crate::named::named;
use crate::rows::Rows;
use crate::source::Band;
use crate::{BufferPool, DType, Grid, Result, StridedView};

/// How the pixels of a patch are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Nested fixed-size lists, one level an axis: every engine reads them, Polars as `Array(T, shape)`.
    #[default]
    Tensor,
    /// One fixed-size list under the canonical extension type `arrow.fixed_shape_tensor`, with shape and dim_names.
    FixedShapeTensor,
    /// The bytes of the pixels, C order, as fixed-size binary: the fastest and smallest file.
    Binary,
    /// A column a pixel of the window, `p_0_0`, `p_0_1`, …: slices of the source, of which no pixel is copied. Windows
    /// that would wrap around the end of a line are rows too, told apart by [`Wrap`].
    Columns,
}

named! { Layout, "layout": Tensor = "tensor", FixedShapeTensor = "fixed-shape-tensor", Binary = "binary", Columns = "columns" }

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    /// The id of the window.
    Window,
    /// The start on one sliding axis, by its number among them.
    Start(usize),
    /// Where its middle is on the map: 0 easting or longitude, 1 northing or latitude.
    Map(usize),
    /// The pixels.
    Patch,
    /// One pixel of the window, by its C-order number.
    Pixel(usize),
    /// Whether the row is a window, in layout columns.
    Valid,
    /// The share of the patch's pixels that have a value, in the others.
    Share,
    /// What another array says of the window.
    Label,
}

/// Makes record batches out of bands: which columns, in which layout and type.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    pub(crate) grid: Grid,
    pub(crate) columns: Vec<Column>,
    pub(crate) layout: Layout,
    pub(crate) wrap: Wrap,
    /// The type of the source's pixels.
    pub(crate) dtype: DType,
    pub(crate) conversion: Option<Conversion>,
    /// One pixel of constant padding.
    pub(crate) fill: [u8; 8],
    /// The pixels that are null.
    pub(crate) nodata: Option<Marker>,
    pub(crate) labels: Option<Arc<Labels>>,
    /// Where windows lie on the map.
    pub(crate) map: Option<Map>,
    pub(crate) schema: SchemaRef,
}

/// What was gathered of some windows.
#[derive(Default)]
pub(crate) struct Gathered {
    /// Their pixels, which [`Encoder::fill`] wrote.
    pub(crate) patches: Option<Buffer>,
    /// Their labels, which [`Labels::fill`] wrote.
    pub(crate) labels: Option<Buffer>,
}

/// Gathered pixels are converted a piece of this many bytes at a time, so that they never leave the first cache.
const CONVERT_BYTES: usize = 16 << 10;

/// Converted pixels of a batch that are held beside it, before they are gathered: what stays in the second cache.
const CONVERTED_BYTES: u64 = 384 << 10;

/// How many of the windows `rows` are gathered from pixels that were converted before, and the bytes that those take in both
/// types; `None` if conversion before is not for these windows: they share too few pixels, or a few need too many.
pub(crate) fn converted_rows(grid: &Grid, rows: Range<u64>, from: DType, to: DType) -> Option<(u64, u64)> {
    let cells = grid.patch_shape().iter().product::<u64>();
    let mut count = rows.end - rows.start;
    loop {
        let pixels = grid.region(rows.start..rows.start + count).pixels();
        let bytes = pixels.saturating_mul((from.size() + to.size()) as u64);
        if pixels == 0 || pixels > cells.saturating_mul(count) / 2 {
            return None;
        }
        if bytes <= CONVERTED_BYTES {
            return Some((count, bytes));
        }
        count = count.div_ceil(2);
    }
}

impl Encoder {
    /// Whether pixels are needed at all.
    pub(crate) fn needs_pixels(&self) -> bool {
        self.columns.iter().any(|column| matches!(column, Column::Patch | Column::Pixel(_) | Column::Share))
    }

    /// The labels, if they are asked for.
    pub(crate) fn needed_labels(&self) -> Option<&Arc<Labels>> {
        self.labels.as_ref().filter(|_| self.columns.contains(&Column::Label))
    }

    /// The type of the pixels in the table.
    pub(crate) fn out_dtype(&self) -> DType {
        self.conversion.as_ref().map_or(self.dtype, |c| c.to())
    }

    /// The table of the windows `rows`. `slab` holds every pixel that they touch, if pixels are asked for.
    pub(crate) fn encode(&self, slab: &Slab, rows: &Rows<'_>, pool: &BufferPool) -> Result<RecordBatch> {
        if self.layout == Layout::Columns {
            let Rows::Range(range) = rows else { unreachable!("the builder gives this layout all windows of a range") };
            return columns::encode(self, slab.image.as_ref(), range.clone(), pool);
        }
        let mut gathered = Gathered::default();
        if let Some(band) = &slab.image {
            let mut values = pool.take(rows.len() * self.gathered_bytes())?;
            self.fill(band, rows, &mut values, pool)?;
            gathered.patches = Some(values.freeze());
        }
        if let (Some(band), Some(labels)) = (&slab.labels, &self.labels) {
            let mut records = pool.take(rows.len() * labels.record())?;
            labels.fill(band, rows, &mut records, pool)?;
            gathered.labels = Some(records.freeze());
        }
        self.batch(gathered, rows, pool)
    }

    /// Bytes of a patch as [`fill`](Self::fill) writes it: where pixels may be null they are told before they are
    /// converted.
    pub(crate) fn gathered_bytes(&self) -> usize {
        if self.nodata.is_some() { self.cells() * self.dtype.size() } else { self.patch_bytes() }
    }

    /// Bytes of a patch in the table.
    pub(crate) fn patch_bytes(&self) -> usize {
        self.cells() * self.out_dtype().size()
    }

    /// Pixels of a patch.
    pub(crate) fn cells(&self) -> usize {
        self.grid.patch_shape().iter().product::<u64>() as usize
    }

    /// Writes the pixels of the windows `rows`, densely, in the type of the table; if pixels may be null, in that of the
    /// source. `out` has exactly their bytes.
    ///
    /// # Errors
    /// If there is no memory, or a listed id is no window.
    pub(crate) fn fill(&self, band: &Band, rows: &Rows<'_>, out: &mut [u8], pool: &BufferPool) -> Result<()> {
        let conversion = self.conversion.as_ref().filter(|_| self.nodata.is_none());
        if let Rows::Ids(ids) = rows {
            let (width, image) = (self.gathered_bytes(), band.view.len() * self.dtype.size());
            let Some(order) = scatter::reading_order(ids, width, image, pool)? else {
                return self.fill_as_listed(conversion, band, rows, out, pool);
            };
            rows.check(self.grid.windows())?;
            let mut tile = pool.take(scatter::tile_bytes(width))?;
            let mut gather = Gather::new(&self.grid, band, self.fill);
            let mut scratch = pool.take(if conversion.is_some() {
                tile.len() / width * self.cells() * self.dtype.size()
            } else {
                0
            })?;
            return scatter::in_order(&order, width, &mut tile, out, |ids, tile| {
                let Some(conversion) = conversion else { return gather.copy(&Rows::Ids(ids), tile) };
                let scratch = &mut scratch[..ids.len() * self.cells() * self.dtype.size()];
                gather.copy(&Rows::Ids(ids), scratch)?;
                conversion.apply(scratch, tile);
                Ok(())
            });
        }
        let Some(conversion) = conversion else { return self.fill_as_listed(None, band, rows, out, pool) };
        let mut done = 0;
        if let Rows::Range(range) = rows {
            let rest = |done: usize| range.start + done as u64..range.end;
            while let Some((count, _)) = converted_rows(&self.grid, rest(done), self.dtype, conversion.to()) {
                let piece = done..done + count as usize;
                let band = self.converted(conversion, band, rest(done).start..rest(piece.end).start, pool)?;
                let out = &mut out[piece.start * self.patch_bytes()..piece.end * self.patch_bytes()];
                Gather::new(&self.grid, &band, conversion.cell(self.fill)).copy(&rows.slice(piece.clone()), out)?;
                done = piece.end;
            }
        }
        let (rows, out) = (rows.slice(done..rows.len()), &mut out[done * self.patch_bytes()..]);
        self.fill_as_listed(Some(conversion), band, &rows, out, pool)
    }

    /// The same for a few windows, for which it isn't worth to find out how many are copied fastest.
    #[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
    pub(crate) fn fill_few(&self, band: &Band, rows: &Rows<'_>, out: &mut [u8], pool: &BufferPool) -> Result<()> {
        let mut gather = Gather::of_cells(&self.grid, band, self.fill);
        let Some(conversion) = &self.conversion else { return gather.copy(rows, out) };
        let mut scratch = pool.take(rows.len() * self.cells() * self.dtype.size())?;
        gather.copy(rows, &mut scratch)?;
        conversion.apply(&scratch, out);
        Ok(())
    }

    /// The same, one window after the other.
    fn fill_as_listed(
        &self,
        conversion: Option<&Conversion>,
        band: &Band,
        rows: &Rows<'_>,
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<()> {
        let mut gather = Gather::new(&self.grid, band, self.fill);
        let Some(conversion) = conversion else { return gather.copy(rows, out) };
        rows.check(self.grid.windows())?;
        let (from, to) = (self.cells() * self.dtype.size(), self.patch_bytes());
        let piece = (CONVERT_BYTES / from).clamp(1, rows.len().max(1));
        let mut scratch = pool.take(piece * from)?;
        for (i, target) in out.chunks_mut(piece * to).enumerate() {
            let count = target.len() / to;
            let scratch = &mut scratch[..count * from];
            gather.copy(&rows.slice(i * piece..i * piece + count), scratch)?;
            conversion.apply(scratch, target);
        }
        Ok(())
    }

    /// Writes one pixel of the windows `ids`, all inside of the array, in the type of the table.
    #[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
    pub(crate) fn fill_cells(
        &self,
        band: &Band,
        ids: &[u64],
        pixel: usize,
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<()> {
        let gather = Gather::of_cells(&self.grid, band, self.fill);
        let Some(conversion) = &self.conversion else {
            gather.cells(ids, pixel, out);
            return Ok(());
        };
        let mut scratch = pool.take(ids.len() * self.dtype.size())?;
        gather.cells(ids, pixel, &mut scratch);
        conversion.apply(&scratch, out);
        Ok(())
    }

    /// The pixels that neighbouring windows touch, in the type of the table: overlapping windows have each pixel converted
    /// once, and not once a window.
    fn converted(&self, conversion: &Conversion, band: &Band, rows: Range<u64>, pool: &BufferPool) -> Result<Band> {
        let region = self.grid.region(rows);
        let mut view = band.view.clone();
        for (axis, (want, have)) in region.0.iter().zip(&band.region.0).enumerate() {
            view = view.slice(axis, (want.start - have.start) as usize..(want.end - have.start) as usize, 1)?;
        }
        let mut read = pool.take(view.len() * self.dtype.size())?;
        let mut made = pool.take(view.len() * conversion.to().size())?;
        view.copy_to(&mut read);
        conversion.apply(&read, &mut made);
        let view = StridedView::from_buffer(made.freeze(), conversion.to(), view.shape())?;
        Ok(Band { view, region })
    }

    /// The table of the windows `rows` around what was gathered of them.
    pub(crate) fn batch(&self, gathered: Gathered, rows: &Rows<'_>, pool: &BufferPool) -> Result<RecordBatch> {
        let Gathered { mut patches, labels } = gathered;
        let mut nulls = None;
        if let (Some(marker), Some(raw)) = (&self.nodata, &patches) {
            let raw = &raw[..rows.len() * self.gathered_bytes()];
            nulls = marker.nulls(raw);
            if let Some(conversion) = &self.conversion {
                let mut converted = pool.take(rows.len() * self.patch_bytes())?;
                conversion.apply(raw, &mut converted);
                patches = Some(converted.freeze());
            }
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            arrays.push(match (column, &patches, &labels) {
                (Column::Window, ..) => coords::windows(rows, pool)?,
                (Column::Start(axis), ..) => coords::starts(&self.grid, *axis, rows, pool)?,
                (Column::Map(coordinate), ..) => self.known_map().column(&self.grid, *coordinate, rows, pool)?,
                (Column::Patch, Some(values), _) => self.patches(values.clone(), rows.len(), nulls.clone())?,
                (Column::Share, ..) => Arc::new(self.shares(rows.len(), nulls.as_ref())),
                (Column::Label, _, Some(records)) => match &self.labels {
                    Some(labels) => labels.array(records.clone(), rows.len(), pool)?,
                    None => unreachable!("the column is there because labels are"),
                },
                (Column::Patch, None, _) => unreachable!("patches are asked for, so the reader brings a band"),
                (Column::Label, _, None) => unreachable!("labels are asked for, so the reader brings a band"),
                (Column::Pixel(_) | Column::Valid, ..) => unreachable!("columns of layout columns only"),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }

    /// Where windows lie on the map, if columns of it are asked for.
    fn known_map(&self) -> &Map {
        match &self.map {
            Some(map) => map,
            None => unreachable!("the columns are there because the map is known"),
        }
    }

    /// The share of each patch that is not null.
    fn shares(&self, count: usize, nulls: Option<&NullBuffer>) -> Float64Array {
        let cells = self.cells();
        let share = |row: usize| match nulls {
            None => 1.0,
            Some(nulls) => nulls.inner().slice(row * cells, cells).count_set_bits() as f64 / cells as f64,
        };
        (0..count).map(share).collect()
    }

    fn patches(&self, values: Buffer, count: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        let dtype = self.out_dtype();
        match self.layout {
            Layout::Tensor => {
                tensor::nested(values, dtype, count, &self.grid.patch_shape(), self.nodata.is_some(), nulls)
            }
            Layout::FixedShapeTensor => tensor::flat(values, dtype, count, self.cells(), nulls),
            Layout::Binary => {
                let values = values.slice_with_length(0, count * self.patch_bytes());
                Ok(Arc::new(FixedSizeBinaryArray::try_new(self.patch_bytes() as i32, values, None)?))
            }
            Layout::Columns => unreachable!("encoded on its own"),
        }
    }
}
