//! The file: row groups one behind the other, and the footer that says where everything is.
//!
//! The pages of the patch column go to the file as they are ready, since they are nearly all of it; the small columns
//! are collected and follow at the end of the row group. A reader finds each by its offset.

use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaDataBuilder, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::SchemaDescPtr;

use super::chunk::PatchChunk;
use super::coords::Coordinates;
use super::flat::Flat;
use super::patch::{Patches, is_patch};
use super::texts::{Texts, is_texts};
use super::{ParquetOptions, group_rows, properties, types};
use crate::Error;
use crate::sink::Compression;
use crate::sink::codec::{Compressors, Lz4};

/// What a file begins with; the footer ends with it too.
const MAGIC: &[u8; 4] = b"PAR1";

/// A Parquet file in the making.
pub(super) struct FileWriter<'a, W: Write> {
    out: TrackedWrite<&'a mut W>,
    schema: SchemaDescPtr,
    metadata: Vec<KeyValue>,
    properties: WriterPropertiesPtr,
    columns: Vec<Column>,
    compression: Compression,
    compressors: Compressors,
    /// Rows of a row group, and of this one so far.
    group_rows: usize,
    rows: usize,
    groups: Vec<RowGroupMetaData>,
    column_indexes: Vec<Vec<ColumnIndexMetaData>>,
    offset_indexes: Vec<Vec<OffsetIndexMetaData>>,
}

enum Column {
    Patches(Box<PatchChunk>),
    /// `None` until the row group has a row.
    Coordinates(Option<Box<Coordinates>>),
    Texts(Option<Box<Texts>>),
    Flat(Option<Box<Flat>>),
}

/// What the footer says of a column of a row group.
type Closed = (ColumnChunkMetaData, ColumnIndexMetaData, OffsetIndexMetaData);

impl<'a, W: Write + Send> FileWriter<'a, W> {
    pub(super) fn new(out: &'a mut W, arrow: &Schema, options: &ParquetOptions) -> Result<Self> {
        let schema = Arc::new(types::schema(arrow).map_err(external)?);
        let (mut columns, mut page_rows) = (Vec::new(), None);
        for (field, column) in arrow.fields().iter().zip(schema.columns()) {
            columns.push(if is_patch(field) {
                let chunk =
                    PatchChunk::new(Patches::new(field, options.page_bytes(arrow)), column.clone(), arrow, options);
                if page_rows.replace(chunk.page_rows()).is_some() {
                    // Their pages would stand between each other's.
                    let message = format!("column {:?} is a second one of patches: expected one", field.name());
                    return Err(external(Error::argument("schema", message)));
                }
                Column::Patches(Box::new(chunk))
            } else if matches!(field.data_type(), DataType::Int64 | DataType::UInt64) && !field.is_nullable() {
                Column::Coordinates(None)
            } else if is_texts(field) {
                Column::Texts(None)
            } else {
                Column::Flat(None)
            });
        }
        let mut out = TrackedWrite::new(out);
        out.write_all(MAGIC)?;
        Ok(Self {
            out,
            metadata: types::metadata(arrow),
            properties: Arc::new(properties(arrow, options)),
            columns,
            compression: options.compression,
            compressors: Compressors::new(options.compression, Lz4::Block, arrow),
            schema,
            // Pages are full but for the last of the file.
            group_rows: group_rows(arrow, options).next_multiple_of(page_rows.unwrap_or(1)),
            rows: 0,
            groups: Vec::new(),
            column_indexes: Vec::new(),
            offset_indexes: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = (self.group_rows - self.rows).min(batch.num_rows() - start);
            self.push(&batch.slice(start, rows))?;
            start += rows;
            if self.rows == self.group_rows {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Appends rows to the row group.
    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        for (i, (column, values)) in self.columns.iter_mut().zip(batch.columns()).enumerate() {
            match column {
                Column::Patches(chunk) => chunk.push(values, &mut self.out)?,
                Column::Coordinates(numbers) => {
                    let new = || Box::new(Coordinates::new(self.schema.column(i), values.data_type()));
                    numbers.get_or_insert_with(new).push(values);
                }
                Column::Texts(texts) => {
                    texts.get_or_insert_with(|| Box::new(Texts::new(self.schema.column(i)))).push(values);
                }
                Column::Flat(flat) => {
                    let new = || Box::new(Flat::new(self.schema.column(i), self.properties.clone()));
                    flat.get_or_insert_with(new).push(values)?;
                }
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let mut closed: Vec<Option<Closed>> = (0..self.columns.len()).map(|_| None).collect();
        // Patches first: their pages are in the file already.
        for (column, closed) in self.columns.iter_mut().zip(&mut closed) {
            if let Column::Patches(chunk) = column {
                let (metadata, offsets) = chunk.close(&mut self.out)?;
                *closed = Some((metadata, ColumnIndexMetaData::NONE, offsets));
            }
        }
        for (column, closed) in self.columns.iter_mut().zip(&mut closed) {
            let encoded = match column {
                Column::Patches(_) => None,
                Column::Coordinates(numbers) => numbers.take().map(|n| n.close(&self.compressors, self.compression)),
                Column::Texts(texts) => texts.take().map(|texts| texts.close(&self.compressors, self.compression)),
                Column::Flat(flat) => flat.take().map(|flat| flat.close()),
            };
            if let Some(encoded) = encoded {
                let (bytes, result) = encoded?;
                let start = self.out.bytes_written() as i64;
                self.out.write_all(&bytes)?;
                *closed = Some(moved(result, start)?);
            }
        }
        let (mut chunks, mut column_indexes, mut offset_indexes) = (Vec::new(), Vec::new(), Vec::new());
        for (chunk, columns, offsets) in closed.into_iter().flatten() {
            chunks.push(chunk);
            column_indexes.push(columns);
            offset_indexes.push(offsets);
        }
        let bytes = chunks.iter().map(ColumnChunkMetaData::uncompressed_size).sum();
        let start = chunks.iter().map(|chunk| chunk.byte_range().0).min().unwrap_or_default();
        let mut group = RowGroupMetaData::builder(self.schema.clone())
            .set_num_rows(self.rows as i64)
            .set_total_byte_size(bytes)
            .set_file_offset(start as i64)
            .set_column_metadata(chunks);
        // A number that says nothing new, and is too small for the largest files.
        if let Ok(ordinal) = i16::try_from(self.groups.len()) {
            group = group.set_ordinal(ordinal);
        }
        self.groups.push(group.build()?);
        self.column_indexes.push(column_indexes);
        self.offset_indexes.push(offset_indexes);
        self.rows = 0;
        Ok(())
    }

    /// Writes the footer. `out` has to remember a write that failed: the last one has nobody to tell.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.rows > 0 {
            self.end_group()?;
        }
        let rows = self.groups.iter().map(RowGroupMetaData::num_rows).sum();
        let created_by = Some(concat!("windrow ", env!("CARGO_PKG_VERSION")).to_owned());
        let file = FileMetaData::new(1, rows, created_by, Some(self.metadata), self.schema, None);
        let metadata = ParquetMetaDataBuilder::new(file)
            .set_row_groups(self.groups)
            .set_column_index(Some(self.column_indexes))
            .set_offset_index(Some(self.offset_indexes))
            .build();
        ParquetMetaDataWriter::new_with_tracked(self.out, &metadata).finish()
    }
}

/// A column that was encoded apart, at its place in the file.
fn moved(result: ColumnCloseResult, start: i64) -> Result<Closed> {
    let metadata = result.metadata;
    let data = metadata.data_page_offset() + start;
    let dictionary = metadata.dictionary_page_offset().map(|offset| offset + start);
    let builder = metadata.into_builder().set_data_page_offset(data).set_dictionary_page_offset(dictionary);
    let mut offsets = result
        .offset_index
        .unwrap_or(OffsetIndexMetaData { page_locations: Vec::new(), unencoded_byte_array_data_bytes: None });
    for page in &mut offsets.page_locations {
        page.offset += start;
    }
    Ok((builder.build()?, result.column_index.unwrap_or(ColumnIndexMetaData::NONE), offsets))
}

/// An error of ours on its way through the library's.
pub(super) fn external(error: Error) -> ParquetError {
    ParquetError::External(error.into())
}
