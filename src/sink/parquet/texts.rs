//! The column of images' names: a dictionary of texts, of which long runs of rows have the same one. The library's own
//! writer would hash the text of every row.

use std::collections::HashMap;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_schema::{DataType, Field};
use parquet::basic::{Encoding, Type};
use parquet::column::page::{CompressedPage, Page as Body, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
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

/// Whether a column is one of texts as they are written here.
pub(super) fn is_texts(field: &Field) -> bool {
    let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    !field.is_nullable() && *field.data_type() == texts
}

/// The column of a row group: a page of the texts that are in it, and one that says which each row has.
pub(super) struct Texts {
    column: ColumnDescPtr,
    /// The number of each text.
    numbers: HashMap<String, u32>,
    /// The texts, each behind its length, in the order of their numbers.
    dictionary: Vec<u8>,
    /// Runs of rows with the same text: its number, and how many.
    runs: Vec<(u32, u64)>,
    rows: u64,
}

impl Texts {
    pub(super) fn new(column: ColumnDescPtr) -> Self {
        Self { column, numbers: HashMap::new(), dictionary: Vec::new(), runs: Vec::new(), rows: 0 }
    }

    pub(super) fn push(&mut self, column: &ArrayRef) {
        let array = column.as_dictionary::<Int32Type>();
        let texts = array.values().as_string::<i32>();
        for run in array.keys().values().chunk_by(|a, b| a == b) {
            let text = texts.value(run[0] as usize);
            let number = match self.numbers.get(text) {
                Some(&number) => number,
                None => {
                    let number = self.numbers.len() as u32;
                    self.numbers.insert(text.to_owned(), number);
                    self.dictionary.extend((text.len() as u32).to_le_bytes());
                    self.dictionary.extend(text.as_bytes());
                    number
                }
            };
            let count = run.len() as u64;
            self.rows += count;
            match self.runs.last_mut() {
                Some((last, so_far)) if *last == number => *so_far += count,
                _ => self.runs.push((number, count)),
            }
        }
    }

    /// The encoded column, whose offsets count from its own start.
    pub(super) fn close(self, compressors: &Compressors, of: Compression) -> Result<(Vec<u8>, ColumnCloseResult)> {
        // Readers are not of one mind about numbers of no bits.
        let bits = (u32::BITS - (self.numbers.len() as u32).saturating_sub(1).leading_zeros()).max(1);
        let mut page = vec![bits as u8];
        for (number, count) in &self.runs {
            varint(count << 1, &mut page);
            page.extend(&number.to_le_bytes()[..bits.div_ceil(8) as usize]);
        }
        let mut out = TrackedWrite::new(Vec::new());
        let plain = [self.dictionary.len(), page.len()];
        let dictionary = Body::DictionaryPage {
            buf: compressors.compress(&self.dictionary, Holds::Other)?.unwrap_or(self.dictionary).into(),
            num_values: self.numbers.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let body = Body::DataPage {
            buf: compressors.compress(&page, Holds::Other)?.unwrap_or(page).into(),
            num_values: self.rows as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let first = SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(dictionary, plain[0]))?;
        let spec = SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(body, plain[1]))?;
        let least = self.numbers.keys().min().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        let greatest = self.numbers.keys().max().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        let statistics = Statistics::byte_array(
            Some(ByteArray::from(least.clone())),
            Some(ByteArray::from(greatest.clone())),
            None,
            Some(0),
            false,
        );
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(codec(of))
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_num_values(self.rows as i64)
            .set_total_compressed_size((first.compressed_size + spec.compressed_size) as i64)
            .set_total_uncompressed_size((first.uncompressed_size + spec.uncompressed_size) as i64)
            .set_dictionary_page_offset(Some(first.offset as i64))
            .set_data_page_offset(spec.offset as i64)
            .set_statistics(statistics)
            .build()?;
        let mut index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
        index.append(false, least, greatest, 0);
        let (offset, compressed_page_size) = (spec.offset as i64, spec.compressed_size as i32);
        let result = ColumnCloseResult {
            bytes_written: first.bytes_written + spec.bytes_written,
            rows_written: self.rows,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Array, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt64Array};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use crate::sink::parquet::ParquetOptions;
    use crate::sink::parquet::file::FileWriter;

    #[test]
    fn any_texts_come_back() {
        for (texts, rows) in [(1, 1), (1, 5000), (2, 77), (300, 3000), (70_000, 70_000)] {
            let names: Vec<_> = (0..texts).map(|i| format!("folder/é{i:05}.png")).collect();
            let names = Arc::new(StringArray::from(names)) as Arc<dyn Array>;
            let keys: Vec<i32> = (0..rows).map(|i| (i as i64 * texts as i64 / rows as i64) as i32).collect();
            let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let fields = vec![Field::new("image", text, false), Field::new("window", DataType::UInt64, false)];
            let schema = Arc::new(Schema::new(fields));
            let columns: Vec<Arc<dyn Array>> = vec![
                Arc::new(DictionaryArray::try_new(Int32Array::from(keys.clone()), names).unwrap()),
                Arc::new(UInt64Array::from_iter_values(0..rows as u64)),
            ];
            let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
            let mut file = Vec::new();
            let mut writer = FileWriter::new(&mut file, &schema, &ParquetOptions::default()).unwrap();
            for start in (0..rows).step_by(1000) {
                writer.write(&batch.slice(start, 1000.min(rows - start))).unwrap();
            }
            writer.finish().unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
            assert_eq!(reader.schema().field(0), schema.field(0));
            let got = reader.with_batch_size(1 << 20).build().unwrap().next().unwrap().unwrap();
            let cast = arrow_array::cast::as_dictionary_array::<arrow_array::types::Int32Type>(got.column(0));
            let values = cast.downcast_dict::<StringArray>().unwrap();
            let expected = keys.iter().map(|key| Some(format!("folder/é{key:05}.png")));
            assert!(values.into_iter().map(|text| text.map(str::to_owned)).eq(expected), "{texts} {rows}");
        }
    }
}
