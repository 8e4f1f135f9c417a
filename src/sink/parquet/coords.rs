//! Window ids and coordinates: 64-bit integers without nulls, of which most are one more than the last. The library's
//! encoder takes as long for them as the codec for their patches.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_schema::DataType;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{CompressedPage, Page as Body, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::codec::codec;
use super::levels::varint;
use crate::sink::Compression;
use crate::sink::codec::{Compressors, Holds};

/// Values of a block, and of each of its parts that have a width of their own: as other writers have it.
const BLOCK: usize = 128;
const PART: usize = 32;

/// The column of a row group: one page, delta-encoded as in "Delta Encoding" of the Parquet format's `Encodings.md`.
pub(super) struct Coordinates {
    column: ColumnDescPtr,
    unsigned: bool,
    rows: usize,
    first: i64,
    last: i64,
    /// Least and greatest, in the order of the column's type.
    least: i64,
    greatest: i64,
    /// Differences that fill no block yet.
    deltas: Vec<i64>,
    blocks: Vec<u8>,
}

impl Coordinates {
    /// A column of `Int64` or `UInt64` without nulls.
    pub(super) fn new(column: ColumnDescPtr, of: &DataType) -> Self {
        let unsigned = *of == DataType::UInt64;
        let (least, greatest) = (i64::MAX, i64::MIN);
        let deltas = Vec::with_capacity(BLOCK);
        Self { column, unsigned, rows: 0, first: 0, last: 0, least, greatest, deltas, blocks: Vec::new() }
    }

    pub(super) fn push(&mut self, column: &ArrayRef) {
        match column.data_type() {
            DataType::UInt64 => self.values(bytemuck::cast_slice(column.as_primitive::<UInt64Type>().values())),
            _ => self.values(column.as_primitive::<Int64Type>().values()),
        }
    }

    fn values(&mut self, mut values: &[i64]) {
        // Unsigned numbers have the order of signed ones whose highest bit is turned.
        let turn = if self.unsigned { i64::MIN } else { 0 };
        let (least, greatest) =
            values.iter().fold((i64::MAX, i64::MIN), |(a, b), &v| (a.min(v ^ turn), b.max(v ^ turn)));
        (self.least, self.greatest) = (self.least.min(least), self.greatest.max(greatest));
        if self.rows == 0
            && let Some((&first, rest)) = values.split_first()
        {
            (self.first, self.last, self.rows, values) = (first, first, 1, rest);
        }
        while !values.is_empty() {
            let (some, rest) = values.split_at(values.len().min(BLOCK - self.deltas.len()));
            let before = std::iter::once(&self.last).chain(some);
            self.deltas.extend(some.iter().zip(before).map(|(value, before)| value.wrapping_sub(*before)));
            (self.last, self.rows, values) = (some[some.len() - 1], self.rows + some.len(), rest);
            if self.deltas.len() == BLOCK {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        let Some(&first) = self.deltas.first() else { return };
        let same = self.deltas.iter().fold(0, |differ, delta| differ | (delta ^ first)) == 0;
        let least = if same { first } else { self.deltas.iter().copied().min().unwrap_or(first) };
        zigzag(least, &mut self.blocks);
        let widths = self.blocks.len();
        self.blocks.resize(widths + BLOCK / PART, 0);
        if same {
            // Parts of no width, as nearly everywhere.
            return self.deltas.clear();
        }
        for (i, part) in self.deltas.chunks(PART).enumerate() {
            let most = part.iter().map(|delta| delta.wrapping_sub(least) as u64).max().unwrap_or_default();
            let width = (u64::BITS - most.leading_zeros()) as usize;
            self.blocks[widths + i] = width as u8;
            let start = self.blocks.len();
            // A last part that is not full is filled with zeros.
            self.blocks.resize(start + PART * width / 8, 0);
            for (j, delta) in part.iter().enumerate().filter(|_| width > 0) {
                pack(delta.wrapping_sub(least) as u64, j * width, &mut self.blocks[start..]);
            }
        }
        self.deltas.clear();
    }

    /// The encoded column, whose offsets count from its own start.
    pub(super) fn close(
        mut self,
        compressors: &Compressors,
        codec_of: Compression,
    ) -> Result<(Vec<u8>, ColumnCloseResult)> {
        self.end_block();
        let mut page = Vec::new();
        varint(BLOCK as u64, &mut page);
        varint((BLOCK / PART) as u64, &mut page);
        varint(self.rows as u64, &mut page);
        zigzag(self.first, &mut page);
        page.append(&mut self.blocks);
        let uncompressed = page.len();
        let body = Body::DataPage {
            buf: compressors.compress(&page, Holds::Other)?.unwrap_or(page).into(),
            num_values: self.rows as u32,
            encoding: Encoding::DELTA_BINARY_PACKED,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let mut out = TrackedWrite::new(Vec::new());
        let spec = SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(body, uncompressed))?;
        let turn = if self.unsigned { i64::MIN } else { 0 };
        let (least, greatest) = (self.least ^ turn, self.greatest ^ turn);
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(codec(codec_of))
            .set_encodings(vec![Encoding::RLE, Encoding::DELTA_BINARY_PACKED])
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(spec.compressed_size as i64)
            .set_total_uncompressed_size(spec.uncompressed_size as i64)
            .set_data_page_offset(spec.offset as i64)
            .set_statistics(Statistics::int64(Some(least), Some(greatest), None, Some(0), false))
            .build()?;
        let mut index = ColumnIndexBuilder::new(Type::INT64);
        index.append(false, least.to_le_bytes().to_vec(), greatest.to_le_bytes().to_vec(), 0);
        let (offset, compressed_page_size) = (spec.offset as i64, spec.compressed_size as i32);
        let result = ColumnCloseResult {
            bytes_written: spec.bytes_written,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: Some(index.build()?),
            offset_index: Some(OffsetIndexMetaData {
                page_locations: vec![PageLocation { offset, compressed_page_size, first_row_index: 0 }],
                unencoded_byte_array_data_bytes: None,
            }),
        };
        Ok((out.into_inner()?, result))
    }
}

/// A signed number, near ones short.
fn zigzag(number: i64, out: &mut Vec<u8>) {
    varint((number << 1 ^ number >> 63) as u64, out);
}

/// Writes a number from a bit on into zeros; it is narrower than what is left.
fn pack(number: u64, bit: usize, out: &mut [u8]) {
    let wide = u128::from(number) << (bit % 8);
    for (byte, out) in wide.to_le_bytes().into_iter().zip(&mut out[bit / 8..]).take(9) {
        *out |= byte;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Array, Int64Array, RecordBatch, UInt64Array};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use crate::sink::parquet::ParquetOptions;
    use crate::sink::parquet::file::FileWriter;

    #[test]
    fn any_numbers_come_back() {
        let noise = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in [1, 2, 32, 33, 128, 129, 130, 1000, 70_000] {
            let kinds: [Box<dyn Fn(u64) -> u64>; 5] = [
                Box::new(|i| i),
                Box::new(|i| i % 37),
                Box::new(noise),
                Box::new(|i| noise(i) >> (i % 64)),
                Box::new(|i| if i % 2 == 0 { u64::MAX } else { i64::MAX as u64 }),
            ];
            for kind in kinds {
                let unsigned: Vec<_> = (0..n).map(&kind).collect();
                let signed: Vec<_> = unsigned.iter().map(|&v| v as i64).collect();
                let (least, greatest) = (*unsigned.iter().min().unwrap(), *signed.iter().max().unwrap());
                let fields = vec![Field::new("u", DataType::UInt64, false), Field::new("i", DataType::Int64, false)];
                let schema = Arc::new(Schema::new(fields));
                let columns: Vec<Arc<dyn Array>> =
                    vec![Arc::new(UInt64Array::from(unsigned)), Arc::new(Int64Array::from(signed))];
                let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
                let mut file = Vec::new();
                let mut writer = FileWriter::new(&mut file, &schema, &ParquetOptions::default()).unwrap();
                // Blocks take no notice of batches.
                for start in (0..n as usize).step_by(77) {
                    writer.write(&batch.slice(start, 77.min(n as usize - start))).unwrap();
                }
                writer.finish().unwrap();
                let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
                let group = reader.metadata().row_group(0);
                let bytes = |column: usize| group.column(column).statistics().unwrap().clone();
                assert_eq!(bytes(0).min_bytes_opt().unwrap(), least.to_le_bytes());
                assert_eq!(bytes(1).max_bytes_opt().unwrap(), greatest.to_le_bytes());
                let got = reader.with_batch_size(1 << 20).build().unwrap().next().unwrap().unwrap();
                assert!(got.columns() == batch.columns(), "{n}");
            }
        }
    }
}
