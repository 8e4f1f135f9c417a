//! The patch column: pages that are copies of the patches' own bytes.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::bit_mask::set_bits;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::{DataType, Field};
use parquet::basic::Encoding;

use super::levels::{Levels, varint};
use crate::sink::codec::Place;
use crate::{Error, Result};

/// How cells stand in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// Values of so many bytes, as in Arrow.
    Plain(usize),
    /// Integers of so many bytes, 1 or 2. Parquet's integers have at least 4, but its indices into a dictionary have
    /// as many bits as they need: with the dictionary of all values, the index of a cell is the cell itself.
    Index(usize),
    /// Bits, as in Arrow.
    Bits,
}

impl Cell {
    /// The values of the cells that have one: nulls have no place in a page.
    fn compact(self, values: &[u8], valid: &BooleanBuffer) -> Vec<u8> {
        let mut kept = Vec::with_capacity(values.len());
        match self {
            Cell::Plain(width) | Cell::Index(width) => {
                for (start, end) in valid.set_slices() {
                    kept.extend_from_slice(&values[start * width..end * width]);
                }
            }
            Cell::Bits => {
                let bits = BooleanBuffer::new(values.to_vec().into(), 0, valid.len());
                let set: BooleanBuffer = valid.set_indices().map(|i| bits.value(i)).collect();
                kept.extend_from_slice(&set.values()[..set.len().div_ceil(8)]);
            }
        }
        kept
    }
}

/// Collects patches until a page is full.
pub(super) struct Patches {
    cell: Cell,
    signed: bool,
    /// Cells of a row.
    cells: usize,
    levels: Levels,
    /// Rows of a full page.
    page_rows: usize,
    /// The page: levels and head for a full one, then the values.
    page: Vec<u8>,
    /// Where its values begin.
    values: usize,
    rows: usize,
    /// Which cells of the page have a value, once one has none.
    valid: Option<BooleanBufferBuilder>,
    /// Whether a page went out since the row group began.
    started: bool,
}

/// A page before it is compressed.
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: usize,
    pub(super) values: usize,
    pub(super) encoding: Encoding,
    /// Where the patches lie in it.
    pub(super) place: Place,
}

/// The values that indices stand for.
pub(super) struct Dictionary {
    pub(super) bytes: Vec<u8>,
    pub(super) values: usize,
}

/// The lengths of nested lists, and the field at the bottom.
fn lists(mut field: &Field) -> (Vec<usize>, &Field) {
    let mut shape = Vec::new();
    while let DataType::FixedSizeList(item, n) = field.data_type() {
        shape.push(*n as usize);
        field = item;
    }
    (shape, field)
}

/// Whether a column is one of patches: of lists or of bytes.
pub(super) fn is_patch(field: &Field) -> bool {
    matches!(field.data_type(), DataType::FixedSizeList(..) | DataType::FixedSizeBinary(_))
}

impl Patches {
    /// Pages of about `page_bytes` bytes for a column of which [`is_patch`] holds.
    pub(super) fn new(field: &Field, page_bytes: usize) -> Self {
        let (shape, leaf) = lists(field);
        let cell = match leaf.data_type() {
            DataType::Boolean => Cell::Bits,
            DataType::FixedSizeBinary(n) => Cell::Plain(*n as usize),
            other => match other.primitive_width().unwrap_or(1) {
                width @ (1 | 2) if *other != DataType::Float16 => Cell::Index(width),
                width => Cell::Plain(width),
            },
        };
        let cells = shape.iter().product::<usize>();
        let row_bytes = match cell {
            Cell::Plain(width) | Cell::Index(width) => width * cells,
            Cell::Bits => cells.div_ceil(8),
        };
        let page_rows = page_rows(row_bytes, page_bytes);
        let nullable = |field: &Field| usize::from(field.is_nullable());
        let definition = shape.len() + nullable(field) + if shape.is_empty() { 0 } else { nullable(leaf) };
        Self {
            cell,
            signed: leaf.data_type().is_signed_integer(),
            cells,
            levels: Levels::new(&shape, definition as u8, page_rows),
            page_rows,
            page: Vec::new(),
            values: 0,
            rows: 0,
            valid: None,
            started: false,
        }
    }

    pub(super) fn page_rows(&self) -> usize {
        self.page_rows
    }

    /// Rows that still fit into the page.
    pub(super) fn room(&self) -> usize {
        self.page_rows - self.rows
    }

    /// Appends all rows of `column`, at most [`room`](Self::room), to the page; `spare` is memory for a new one.
    pub(super) fn push(&mut self, column: &ArrayRef, spare: impl FnOnce() -> Vec<u8>) -> Result<()> {
        if self.page.is_empty() {
            self.page = spare();
            self.page.clear();
            self.values = self.head(self.page_rows, self.cell);
        }
        let leaf = leaf(column)?;
        let rows = column.len();
        if leaf.null_count() > 0 && self.valid.is_none() {
            let mut before = BooleanBufferBuilder::new(self.page_rows * self.cells);
            before.append_n(self.rows * self.cells, true);
            self.valid = Some(before);
        }
        if let Some(valid) = &mut self.valid {
            match leaf.nulls() {
                Some(nulls) => valid.append_buffer(nulls.inner()),
                None => valid.append_n(leaf.len(), true),
            }
        }
        match self.cell {
            Cell::Plain(width) | Cell::Index(width) => {
                let data = leaf.to_data();
                let start = data.offset() * width;
                let bytes = data.buffers()[0].as_slice();
                self.page.extend_from_slice(&bytes[start..start + leaf.len() * width]);
            }
            Cell::Bits => {
                let bits = leaf.as_boolean().values();
                let done = self.rows * self.cells;
                self.page.resize(self.values + (done + bits.len()).div_ceil(8), 0);
                set_bits(&mut self.page[self.values..], bits.values(), done, bits.offset(), bits.len());
            }
        }
        self.rows += rows;
        Ok(())
    }

    /// Ends the page, if there is one.
    pub(super) fn page(&mut self) -> Option<Page> {
        if self.rows == 0 {
            return None;
        }
        let (mut cell, mut start) = (self.cell, self.values);
        let valid = self.valid.take().map(|mut valid| valid.finish());
        let whole = self.rows == self.page_rows && valid.is_none();
        let mut present = self.rows * self.cells;
        if !whole {
            // The head was that of a full page. A dictionary of 65,536 values is more than what few rows take.
            if self.rows < self.page_rows && cell == Cell::Index(2) && !self.started {
                cell = Cell::Plain(4);
                let values: Vec<_> = self.page[self.values..].chunks_exact(2).flat_map(|b| self.widen(b)).collect();
                self.page.truncate(self.values);
                self.page.extend_from_slice(&values);
            }
            let mut values = self.page.split_off(self.values);
            self.page.clear();
            start = match &valid {
                None => self.head(self.rows, cell),
                Some(valid) => {
                    present = valid.count_set_bits();
                    values = cell.compact(&values, valid);
                    self.levels.write_nullable(self.rows, valid, &mut self.page);
                    self.index_head(present, cell)
                }
            };
            self.page.extend_from_slice(&values);
        }
        if let Cell::Index(width) = cell {
            // Indices come in groups of eight.
            let odd = present.next_multiple_of(8) - present;
            self.page.resize(self.page.len() + odd * width, 0);
        }
        let encoding = if let Cell::Index(_) = cell { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        let rows = std::mem::take(&mut self.rows);
        self.started = true;
        let place = Place { start, period: self.levels.period() };
        Some(Page { bytes: std::mem::take(&mut self.page), rows, values: rows * self.cells, encoding, place })
    }

    /// What comes next is of another row group.
    pub(super) fn new_group(&mut self) {
        self.started = false;
    }

    /// Writes what stands before the values of `rows` rows, and says how long it is.
    fn head(&mut self, rows: usize, cell: Cell) -> usize {
        self.levels.write(rows, &mut self.page);
        self.index_head(rows * self.cells, cell)
    }

    /// Writes what stands before so many indices, if cells are indices.
    fn index_head(&mut self, cells: usize, cell: Cell) -> usize {
        if let Cell::Index(width) = cell {
            self.page.push(8 * width as u8);
            varint(cells.div_ceil(8) as u64 * 2 + 1, &mut self.page);
        }
        self.page.len()
    }

    /// The dictionary of all values in the order of their bits, if cells are indices.
    pub(super) fn dictionary(&self) -> Option<Dictionary> {
        let Cell::Index(width) = self.cell else { return None };
        let values = 1usize << (8 * width);
        let bytes = (0..values).flat_map(|i| self.widen(&i.to_le_bytes()[..width])).collect();
        Some(Dictionary { bytes, values })
    }

    /// One or two bytes as an integer of Parquet.
    fn widen(&self, cell: &[u8]) -> [u8; 4] {
        let value = match *cell {
            [byte] if self.signed => i32::from(byte as i8),
            [byte] => i32::from(byte),
            [low, high, ..] if self.signed => i32::from(i16::from_le_bytes([low, high])),
            [low, high, ..] => i32::from(u16::from_le_bytes([low, high])),
            [] => 0,
        };
        value.to_le_bytes()
    }
}

/// Rows of a page: their number of values has to fit a Parquet integer.
fn page_rows(row_bytes: usize, page_bytes: usize) -> usize {
    // Eight rows fill whole bytes, whatever their cells.
    let rows = page_bytes.min(MOST_PAGE_BYTES) / row_bytes.max(1);
    if rows < 8 { rows.max(1) } else { rows / 8 * 8 }
}

/// The largest page: its header counts bytes and values in 32 bits, and a patch of bits has eight values a byte.
const MOST_PAGE_BYTES: usize = 128 << 20;

/// The values under all lists.
fn leaf(column: &ArrayRef) -> Result<&ArrayRef> {
    let mut array = column;
    loop {
        match array.data_type() {
            DataType::FixedSizeList(..) if array.null_count() > 0 => {
                return Err(Error::argument("patch", "is null as a whole, which a patch can't be in Parquet"));
            }
            DataType::FixedSizeList(..) => array = array.as_fixed_size_list().values(),
            DataType::FixedSizeBinary(_) if array.null_count() > 0 => {
                return Err(Error::argument("patch", "is null, which a patch can't be in Parquet"));
            }
            _ => return Ok(array),
        }
    }
}
