//! The levels of dense lists: always the same, so they are packed once and not counted cell by cell. Where cells are
//! null, the definition levels say which.

use arrow_buffer::BooleanBuffer;

/// The repetition and definition levels of patches that have no null, as they stand at the head of a data page: see
/// "Nested Encoding" and "RLE / bit-packing hybrid" in the Parquet format's `README.md` and `Encodings.md`.
pub(super) struct Levels {
    /// Values of a row.
    cells: usize,
    /// Bits of a repetition level: none if a row is one value.
    bits: usize,
    /// The repetition levels of up to eight rows, bit-packed: eight rows of any width fill whole groups of eight.
    packed: Vec<u8>,
    /// The level of every cell: nothing is null.
    definition: u8,
}

/// Rows that are packed.
const UNIT: usize = 8;

impl Levels {
    /// The levels of lists of this shape (one list a length), for pages of at most `rows` rows.
    pub(super) fn new(shape: &[usize], definition: u8, rows: usize) -> Self {
        // The first cell of a row has level 0, the first cell of a list the level of what encloses it, any other cell
        // the depth of its list.
        let mut row = vec![0u8];
        for (depth, &n) in shape.iter().enumerate() {
            let depth = depth as u8 + 1;
            row = row.iter().flat_map(|&first| [first].into_iter().chain((1..n).map(move |_| depth))).collect();
        }
        let cells = row.len();
        let bits = bits_of(shape.len());
        let mut packed = vec![0; (rows.min(UNIT) * cells).div_ceil(8) * bits];
        for (i, &level) in row.iter().cycle().take(rows.min(UNIT) * cells).enumerate() {
            for bit in (0..bits).filter(|bit| level >> bit & 1 == 1) {
                let at = i * bits + bit;
                packed[at / 8] |= 1 << (at % 8);
            }
        }
        Self { cells, bits, packed, definition }
    }

    /// After how many bytes the levels repeat themselves.
    pub(super) fn period(&self) -> usize {
        self.packed.len()
    }

    /// Appends the levels of a page of so many rows.
    pub(super) fn write(&self, rows: usize, page: &mut Vec<u8>) {
        self.write_repetition(rows, page);
        if self.definition > 0 {
            prefixed(page, |page| {
                varint(rows as u64 * self.cells as u64 * 2, page);
                page.push(self.definition);
            });
        }
    }

    fn write_repetition(&self, rows: usize, page: &mut Vec<u8>) {
        if self.bits > 0 {
            let groups = (rows * self.cells).div_ceil(8);
            prefixed(page, |page| {
                varint(groups as u64 * 2 + 1, page);
                let mut left = groups * self.bits;
                while left > 0 {
                    let part = left.min(self.packed.len());
                    page.extend_from_slice(&self.packed[..part]);
                    left -= part;
                }
            });
        }
    }

    /// The same for a page in which some cells are null: `valid` has a bit for every cell of it.
    pub(super) fn write_nullable(&self, rows: usize, valid: &BooleanBuffer, page: &mut Vec<u8>) {
        self.write_repetition(rows, page);
        let bits = bits_of(self.definition.into());
        prefixed(page, |page| {
            let groups = valid.len().div_ceil(8);
            varint(groups as u64 * 2 + 1, page);
            let start = page.len();
            page.resize(start + groups * bits, 0);
            let packed = &mut page[start..];
            for (i, valid) in valid.iter().enumerate() {
                let level = self.definition - u8::from(!valid);
                for bit in (0..bits).filter(|bit| level >> bit & 1 == 1) {
                    let at = i * bits + bit;
                    packed[at / 8] |= 1 << (at % 8);
                }
            }
        });
    }
}

/// Bits that hold levels from 0 to `most`.
fn bits_of(most: usize) -> usize {
    (usize::BITS - most.leading_zeros()) as usize
}

/// Appends what `write` appends, with its length in front.
fn prefixed(page: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = page.len();
    page.extend_from_slice(&[0; 4]);
    write(page);
    let bytes = (page.len() - start - 4) as u32;
    page[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
}

/// Appends a number in seven bits a byte, the lowest first (ULEB128).
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The repetition levels that a page says.
    fn unpack(page: &[u8], bits: usize, n: usize) -> Vec<u8> {
        let head = 4 + page[4..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let bit = |i: usize| page[head + i / 8] >> (i % 8) & 1;
        (0..n).map(|i| (0..bits).map(|b| bit(i * bits + b) << b).sum()).collect()
    }

    #[test]
    fn levels_say_where_lists_begin() {
        let row = [0, 3, 2, 3, 1, 3, 2, 3];
        for rows in [1, 3, 8, 9, 21] {
            let mut page = Vec::new();
            Levels::new(&[2, 2, 2], 3, 16).write(rows, &mut page);
            assert_eq!(unpack(&page, 2, rows * 8), row.repeat(rows));
            // The definition levels are one run.
            assert_eq!(page[page.len() - 1], 3);
        }
    }

    #[test]
    fn rows_that_fill_no_byte() {
        for rows in 1..20 {
            let mut page = Vec::new();
            Levels::new(&[3], 1, 100).write(rows, &mut page);
            assert_eq!(unpack(&page, 1, rows * 3), [0, 1, 1].repeat(rows));
        }
    }

    #[test]
    fn a_value_a_row_has_no_levels() {
        let mut page = Vec::new();
        Levels::new(&[], 0, 8).write(5, &mut page);
        assert!(page.is_empty());
    }
}
