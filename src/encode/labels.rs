//! Labels: a value, or a patch, of another array for every window.

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::Field;
use serde::{Deserialize, Serialize};

use super::gather::Gather;
use super::nodata::Marker;
use super::tensor;
use crate::dtype::with_pixel;
use crate::named::named;
use crate::rows::Rows;
use crate::source::Band;
use crate::{AnySource, BufferPool, DType, Grid, PadMode, Pixel, Result, Segment};

/// What of the labels in a window is its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelAt {
    /// That of the pixel in its middle, number `window / 2` (rounded down) on each axis.
    #[default]
    Center,
    /// The most frequent one; of several the least.
    Majority,
    /// Their mean, in `float64`.
    Mean,
    /// All of them, as nested fixed-size lists.
    Patch,
}

named! { LabelAt, "label_at": Center = "center", Majority = "majority", Mean = "mean", Patch = "patch" }

/// The labels of the windows of a grid.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) source: AnySource,
    /// The same windows, over the labels.
    pub(crate) grid: Grid,
    pub(crate) at: LabelAt,
    pub(crate) nodata: Option<Marker>,
}

/// Bytes of labels that are gathered at once, to become a value a window.
const PIECE_BYTES: usize = 16 << 10;

impl Labels {
    /// The type of a label in the table.
    pub(crate) fn dtype(&self) -> DType {
        if self.at == LabelAt::Mean { DType::F64 } else { self.source.info().dtype }
    }

    /// The column of a table.
    pub(crate) fn field(&self) -> Field {
        match self.at {
            LabelAt::Patch => {
                let of = tensor::nested_type(self.dtype(), &self.grid.patch_shape(), self.nodata.is_some());
                Field::new("label", of, false)
            }
            _ => Field::new("label", self.dtype().arrow(), self.has_nulls()),
        }
    }

    /// Whether a window may have no label.
    fn has_nulls(&self) -> bool {
        let padded = self.grid.sliding().any(|axis| axis.interior() != (0..axis.count));
        self.nodata.is_some() || padded && (self.at == LabelAt::Center || self.grid.pad_mode() == PadMode::Constant)
    }

    /// Bytes of a record, which is what [`fill`](Self::fill) writes for a window: a patch; or a value, and a byte that is
    /// 0 if there is none.
    pub(crate) fn record(&self) -> usize {
        match self.at {
            LabelAt::Patch => self.cells() * self.dtype().size(),
            _ => self.dtype().size() + 1,
        }
    }

    /// Bytes of a label in the table.
    pub(crate) fn bytes(&self) -> u64 {
        (self.record() - usize::from(self.at != LabelAt::Patch)) as u64
    }

    fn cells(&self) -> usize {
        self.grid.patch_shape().iter().product::<u64>() as usize
    }

    /// One pixel of constant padding.
    fn padding(&self) -> [u8; 8] {
        self.nodata.map_or([0; 8], |marker| marker.cell)
    }

    /// Writes the records of the windows `rows`, whose labels are in `band`. `out` has exactly their bytes.
    pub(crate) fn fill(&self, band: &Band, rows: &Rows<'_>, out: &mut [u8], pool: &BufferPool) -> Result<()> {
        match self.at {
            LabelAt::Patch => Gather::new(&self.grid, band, self.padding()).copy(rows, out),
            LabelAt::Center => {
                self.centers(band, rows, out);
                Ok(())
            }
            LabelAt::Majority => with_pixel!(self.dtype(), T => self.reduced(band, rows, out, pool, majority::<T>)),
            LabelAt::Mean => self.reduced(band, rows, out, pool, |cells, value| {
                let count = cells.len() / self.source.info().dtype.size();
                value.copy_from_slice(&(sum(self.source.info().dtype, cells) / count as f64).to_ne_bytes());
            }),
        }
    }

    /// The label in the middle of each window.
    fn centers(&self, band: &Band, rows: &Rows<'_>, out: &mut [u8]) {
        let (view, size) = (&band.view, self.dtype().size());
        let axes = self.grid.axes();
        let record = |record: &mut [u8], index: &[u64]| {
            let at = index.iter().enumerate().try_fold(view.offset() as isize, |at, (number, &i)| {
                let pixel = axes[number].start(i) + (axes[number].window / 2 * axes[number].dilation) as i64;
                let inside = (0..axes[number].len as i64).contains(&pixel);
                let from = pixel - band.region.0[number].start as i64;
                inside.then(|| at + from as isize * view.strides()[number])
            });
            let cell = at.map(|at| &view.buffer()[at as usize * size..][..size]);
            self.put(record, cell.filter(|cell| self.is_label(cell)));
        };
        match rows {
            Rows::Range(range) => {
                let mut rest = out;
                for Segment { mut index, len } in self.grid.segments(range.clone()) {
                    let (line, behind) = rest.split_at_mut(len as usize * (size + 1));
                    rest = behind;
                    let last = index.len() - 1;
                    for slot in line.chunks_exact_mut(size + 1) {
                        record(slot, &index);
                        index[last] += 1;
                    }
                }
            }
            Rows::Ids(ids) => {
                for (slot, &id) in out.chunks_exact_mut(size + 1).zip(*ids) {
                    record(slot, &self.grid.index(id));
                }
            }
        }
    }

    /// Writes a record.
    fn put(&self, record: &mut [u8], cell: Option<&[u8]>) {
        let (value, flag) = record.split_at_mut(record.len() - 1);
        flag[0] = u8::from(cell.is_some());
        match cell {
            Some(cell) => value.copy_from_slice(cell),
            None => value.fill(0),
        }
    }

    fn is_label(&self, cell: &[u8]) -> bool {
        self.nodata.is_none_or(|marker| marker.is_valid(cell))
    }

    /// A value from the labels in each window, those without one left out.
    fn reduced(
        &self,
        band: &Band,
        rows: &Rows<'_>,
        out: &mut [u8],
        pool: &BufferPool,
        reduce: impl Fn(&[u8], &mut [u8]),
    ) -> Result<()> {
        let size = self.source.info().dtype.size();
        let patch = self.cells() * size;
        let piece = (PIECE_BYTES / patch).clamp(1, rows.len().max(1));
        let mut gather = Gather::new(&self.grid, band, self.padding());
        let mut memory = pool.take(piece * patch)?;
        let mut labels = Vec::with_capacity(patch);
        for (i, records) in out.chunks_mut(piece * self.record()).enumerate() {
            let count = records.len() / self.record();
            let some = rows.slice(i * piece..i * piece + count);
            gather.copy(&some, &mut memory[..count * patch])?;
            for (row, record) in records.chunks_exact_mut(self.record()).enumerate() {
                labels.clear();
                let cells = &memory[row * patch..][..patch];
                let outside = self.outside(&some, row);
                if self.nodata.is_none() && outside.is_none() {
                    labels.extend_from_slice(cells);
                } else {
                    let outside = outside.unwrap_or_default();
                    let inside = |i: &usize| outside.binary_search(i).is_err();
                    for i in (0..self.cells()).filter(inside) {
                        let cell = &cells[i * size..(i + 1) * size];
                        if self.is_label(cell) {
                            labels.extend_from_slice(cell);
                        }
                    }
                }
                let (value, flag) = record.split_at_mut(record.len() - 1);
                flag[0] = u8::from(!labels.is_empty());
                value.fill(0);
                if !labels.is_empty() {
                    reduce(&labels, value);
                }
            }
        }
        Ok(())
    }

    /// The pixels of a window that lie in constant padding, if there are any, by number.
    fn outside(&self, rows: &Rows<'_>, row: usize) -> Option<Vec<usize>> {
        if self.grid.pad_mode() != PadMode::Constant
            || self.grid.sliding().all(|axis| axis.interior() == (0..axis.count))
        {
            return None;
        }
        let id = match rows {
            Rows::Range(range) => range.start + row as u64,
            Rows::Ids(ids) => ids[row],
        };
        let index = self.grid.index(id);
        if index.iter().zip(self.grid.sliding()).all(|(i, axis)| axis.interior().contains(i)) {
            return None;
        }
        let outside = |&cell: &usize| {
            let mut rest = cell as u64;
            self.grid.axes().iter().zip(&index).rev().any(|(axis, &i)| {
                let at = axis.start(i) + (rest % axis.window * axis.dilation) as i64;
                rest /= axis.window;
                !(0..axis.len as i64).contains(&at)
            })
        };
        Some((0..self.cells()).filter(outside).collect())
    }

    /// The column of records that [`fill`](Self::fill) wrote.
    pub(crate) fn array(&self, records: Buffer, count: usize, pool: &BufferPool) -> Result<ArrayRef> {
        if self.at == LabelAt::Patch {
            let nulls = self.nodata.and_then(|marker| marker.nulls(&records[..count * self.record()]));
            return tensor::nested(
                records,
                self.dtype(),
                count,
                &self.grid.patch_shape(),
                self.nodata.is_some(),
                nulls,
            );
        }
        let size = self.dtype().size();
        let mut values = pool.take(count * size)?;
        for (value, record) in values.chunks_exact_mut(size).zip(records.chunks_exact(size + 1)) {
            value.copy_from_slice(&record[..size]);
        }
        let valid = BooleanBuffer::collect_bool(count, |i| records[i * (size + 1) + size] != 0);
        let nulls = Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
        tensor::primitive(values.freeze(), self.dtype(), count, nulls)
    }
}

/// The most frequent cell; of several the least, and NaN last.
fn majority<T: Pixel>(cells: &[u8], value: &mut [u8]) {
    let size = size_of::<T>();
    if size == 1 {
        let mut counts = [0u32; 256];
        cells.iter().for_each(|&cell| counts[usize::from(cell)] += 1);
        let signed = T::DTYPE == DType::I8;
        // In the order of the values.
        let order = (0..=255u8).map(|i| if signed { i ^ 0x80 } else { i });
        let most = order.rev().max_by_key(|&cell| counts[usize::from(cell)]);
        value[0] = most.unwrap_or(0);
        return;
    }
    let mut keys: Vec<u64> = cells.chunks_exact(size).map(|cell| key(T::DTYPE, cell)).collect();
    keys.sort_unstable();
    let most = keys.chunk_by(|a, b| a == b).rev().max_by_key(|run| run.len()).map_or(0, |run| run[0]);
    if let Some(cell) = cells.chunks_exact(size).find(|cell| key(T::DTYPE, cell) == most) {
        value.copy_from_slice(cell);
    }
}

/// A number that orders cells as their values are ordered.
fn key(dtype: DType, cell: &[u8]) -> u64 {
    const SIGN: u64 = 1 << 63;
    let float = |value: f64| {
        // -0 is 0, and every NaN the same.
        let bits = if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() };
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    };
    match dtype {
        DType::Bool | DType::U8 => cell[0].into(),
        DType::U16 => u16::from_cell(cell).into(),
        DType::U32 => u32::from_cell(cell).into(),
        DType::U64 => u64::from_cell(cell),
        DType::I8 => i64::from(i8::from_cell(cell)) as u64 ^ SIGN,
        DType::I16 => i64::from(i16::from_cell(cell)) as u64 ^ SIGN,
        DType::I32 => i64::from(i32::from_cell(cell)) as u64 ^ SIGN,
        DType::I64 => i64::from_cell(cell) as u64 ^ SIGN,
        DType::F16 => float(half::f16::from_cell(cell).to_f64()),
        DType::F32 => float(f32::from_cell(cell).into()),
        DType::F64 => float(f64::from_cell(cell)),
    }
}

/// The sum of the cells.
fn sum(dtype: DType, cells: &[u8]) -> f64 {
    let of = |cell: &[u8]| match dtype {
        DType::Bool => f64::from(u8::from(cell[0] != 0)),
        DType::U8 => cell[0].into(),
        DType::U16 => u16::from_cell(cell).into(),
        DType::U32 => u32::from_cell(cell).into(),
        DType::U64 => u64::from_cell(cell) as f64,
        DType::I8 => i8::from_cell(cell).into(),
        DType::I16 => i16::from_cell(cell).into(),
        DType::I32 => i32::from_cell(cell).into(),
        DType::I64 => i64::from_cell(cell) as f64,
        DType::F16 => half::f16::from_cell(cell).to_f64(),
        DType::F32 => f32::from_cell(cell).into(),
        DType::F64 => f64::from_cell(cell),
    };
    cells.chunks_exact(dtype.size()).map(of).sum()
}
