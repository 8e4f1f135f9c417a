//! From a band of pixels to Arrow arrays: one file a layout, and the gather under them.

mod apart;
mod border;
pub(crate) mod columns;
mod convert;
mod coords;
mod gather;
mod kernel;
mod pairs;
mod shuffle;
mod stage;
mod tables;
mod tensor;
mod transposed;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

pub use columns::Wrap;
pub(crate) use convert::Conversion;
use gather::Gather;
#[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
pub(crate) use tables::{FILL, Lookup, copy_box};
pub(crate) use tensor::{flat_type, nested_type};
#[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
pub(crate) use transposed::ColumnFiller;

use crate::rows::Rows;
use crate::source::{Band, Region};
use crate::{BufferPool, DType, Error, Grid, Result, StridedView};

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

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 4] = [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary, Layout::Columns];

    /// The name that users type.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Tensor => "tensor",
            Layout::FixedShapeTensor => "fixed-shape-tensor",
            Layout::Binary => "binary",
            Layout::Columns => "columns",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Layout::ALL.into_iter().find(|layout| layout.name() == text).ok_or_else(|| {
            let names = Layout::ALL.map(Layout::name).join(", ");
            Error::argument("layout", format!("{text:?} is not one of {names}"))
        })
    }
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    /// The id of the window.
    Window,
    /// The start on one sliding axis, by its number among them.
    Start(usize),
    /// The pixels.
    Patch,
    /// One pixel of the window, by its C-order number.
    Pixel(usize),
    /// Whether the row is a window.
    Valid,
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
    pub(crate) schema: SchemaRef,
}

/// Gathered pixels are converted a piece of this many bytes at a time, so that they never leave the first cache.
const CONVERT_BYTES: usize = 16 << 10;

/// Converted pixels of a batch that are held beside it, before they are gathered: what stays in the second cache.
const CONVERTED_BYTES: u64 = 384 << 10;

/// The bytes that it takes to convert the pixels of a region before so many windows are gathered from it, in both types;
/// `None` if they are more than that is for, or more than the windows' own.
pub(crate) fn converted_bytes(grid: &Grid, region: &Region, windows: u64, from: DType, to: DType) -> Option<u64> {
    let pixels = region.pixels();
    let cells = grid.patch_shape().iter().product::<u64>().saturating_mul(windows);
    let bytes = pixels.saturating_mul((from.size() + to.size()) as u64);
    (pixels > 0 && pixels <= cells / 2 && bytes <= CONVERTED_BYTES).then_some(bytes)
}

impl Encoder {
    /// Whether pixels are needed at all.
    pub(crate) fn needs_pixels(&self) -> bool {
        self.columns.iter().any(|column| matches!(column, Column::Patch | Column::Pixel(_)))
    }

    /// The type of the pixels in the table.
    pub(crate) fn out_dtype(&self) -> DType {
        self.conversion.as_ref().map_or(self.dtype, |c| c.to())
    }

    /// The table of the windows `rows`. `band` holds every pixel that they touch, if pixels are asked for.
    pub(crate) fn encode(&self, band: Option<&Band>, rows: Range<u64>, pool: &BufferPool) -> Result<RecordBatch> {
        if self.layout == Layout::Columns {
            return columns::encode(self, band, rows, pool);
        }
        let rows = Rows::Range(rows);
        let values = match band {
            Some(band) => {
                let mut values = pool.take(rows.len() * self.patch_bytes())?;
                self.fill(band, &rows, &mut values, pool)?;
                Some(values.freeze())
            }
            None => None,
        };
        self.batch(values, &rows, pool)
    }

    /// Bytes of a patch in the table.
    pub(crate) fn patch_bytes(&self) -> usize {
        self.cells() * self.out_dtype().size()
    }

    /// Pixels of a patch.
    pub(crate) fn cells(&self) -> usize {
        self.grid.patch_shape().iter().product::<u64>() as usize
    }

    /// Writes the pixels of the windows `rows`, densely, in the type of the table. `out` has exactly their bytes.
    pub(crate) fn fill(&self, band: &Band, rows: &Rows<'_>, out: &mut [u8], pool: &BufferPool) -> Result<()> {
        let Some(conversion) = &self.conversion else {
            Gather::new(&self.grid, band, self.fill).copy(rows, out);
            return Ok(());
        };
        if let Some(band) = self.converted(conversion, band, rows, pool)? {
            let mut fill = [0u64; 1];
            let fill: &mut [u8] = bytemuck::cast_slice_mut(&mut fill);
            let cell = [u64::from_ne_bytes(self.fill)];
            let (from, to) = (self.dtype.size(), conversion.to().size());
            conversion.apply(&bytemuck::cast_slice(&cell)[..from], &mut fill[..to]);
            let mut pixel = [0; 8];
            pixel.copy_from_slice(fill);
            Gather::new(&self.grid, &band, pixel).copy(rows, out);
            return Ok(());
        }
        let mut gather = Gather::new(&self.grid, band, self.fill);
        let (from, to) = (self.cells() * self.dtype.size(), self.patch_bytes());
        let piece = (CONVERT_BYTES / from).clamp(1, rows.len().max(1));
        let mut scratch = pool.take(piece * from)?;
        for (i, target) in out.chunks_mut(piece * to).enumerate() {
            let count = target.len() / to;
            let scratch = &mut scratch[..count * from];
            gather.copy(&rows.slice(i * piece..i * piece + count), scratch);
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
        let gather = Gather::new(&self.grid, band, self.fill);
        let Some(conversion) = &self.conversion else {
            gather.cells(ids, pixel, out);
            return Ok(());
        };
        let mut scratch = pool.take(ids.len() * self.dtype.size())?;
        gather.cells(ids, pixel, &mut scratch);
        conversion.apply(&scratch, out);
        Ok(())
    }

    /// The pixels that neighbouring windows touch in the type of the table, where they are few: overlapping windows have
    /// each pixel converted once, and not once a window.
    fn converted(
        &self,
        conversion: &Conversion,
        band: &Band,
        rows: &Rows<'_>,
        pool: &BufferPool,
    ) -> Result<Option<Band>> {
        let Rows::Range(range) = rows else { return Ok(None) };
        let (region, to) = (self.grid.region(range.clone()), conversion.to());
        let Some(bytes) = converted_bytes(&self.grid, &region, range.end - range.start, self.dtype, to) else {
            return Ok(None);
        };
        let mut view = band.view.clone();
        for (axis, (want, have)) in region.0.iter().zip(&band.region.0).enumerate() {
            view = view.slice(axis, (want.start - have.start) as usize..(want.end - have.start) as usize, 1)?;
        }
        let mut read = pool.take(view.len() * self.dtype.size())?;
        let mut made = pool.take(view.len() * to.size())?;
        debug_assert_eq!(bytes as usize, read.len() + made.len());
        view.copy_to(&mut read);
        conversion.apply(&read, &mut made);
        let view = StridedView::from_buffer(made.freeze(), to, view.shape())?;
        Ok(Some(Band { view, region }))
    }

    /// The table of the windows `rows` around their pixels, which [`fill`](Self::fill) wrote.
    pub(crate) fn batch(&self, values: Option<Buffer>, rows: &Rows<'_>, pool: &BufferPool) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            arrays.push(match (column, &values) {
                (Column::Window, _) => coords::windows(rows, pool)?,
                (Column::Start(axis), _) => coords::starts(&self.grid, *axis, rows, pool)?,
                (Column::Patch, Some(values)) => self.patches(values.clone(), rows.len())?,
                (Column::Patch, None) => unreachable!("patches are asked for, so the reader brings a band"),
                (Column::Pixel(_) | Column::Valid, _) => unreachable!("columns of layout columns only"),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }

    fn patches(&self, values: Buffer, count: usize) -> Result<ArrayRef> {
        let dtype = self.out_dtype();
        match self.layout {
            Layout::Tensor => tensor::nested(values, dtype, count, &self.grid),
            Layout::FixedShapeTensor => tensor::flat(values, dtype, count, self.cells()),
            Layout::Binary => {
                let values = values.slice_with_length(0, count * self.patch_bytes());
                Ok(Arc::new(FixedSizeBinaryArray::try_new(self.patch_bytes() as i32, values, None)?))
            }
            Layout::Columns => unreachable!("encoded on its own"),
        }
    }
}
