//! The patch column of a row group: its pages are compressed on rayon's pool and written in order.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use arrow_array::{Array, ArrayRef};
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{CompressedPage, Page as Body, PageWriteSpec, PageWriter};
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::codec::codec;
use super::file::external;
use super::patch::{Page, Patches};
use super::{ParquetOptions, pages_ahead};
use crate::Error;
use crate::jobs::Job;
use crate::sink::codec::{Compressors, Holds, Lz4};

pub(super) struct PatchChunk {
    patches: Patches,
    column: ColumnDescPtr,
    options: ParquetOptions,
    compressors: Compressors,
    /// Pages in the making, the oldest first.
    jobs: VecDeque<Job<Ready>>,
    /// Memory of pages that were written.
    spare: Vec<Vec<u8>>,
    written: Written,
}

/// A page, and what the codec made of it.
struct Ready {
    page: Page,
    compressed: Option<Vec<u8>>,
}

/// What is in the file of this row group.
#[derive(Default)]
struct Written {
    dictionary: Option<i64>,
    pages: Vec<PageLocation>,
    rows: i64,
    values: i64,
    compressed: i64,
    uncompressed: i64,
}

impl PatchChunk {
    pub(super) fn new(patches: Patches, column: ColumnDescPtr, schema: &Schema, options: &ParquetOptions) -> Self {
        Self {
            patches,
            column,
            options: options.clone(),
            compressors: Compressors::new(options.compression, Lz4::Block, schema),
            jobs: VecDeque::new(),
            spare: Vec::new(),
            written: Written::default(),
        }
    }

    pub(super) fn page_rows(&self) -> usize {
        self.patches.page_rows()
    }

    /// Appends all rows of `column`.
    pub(super) fn push(&mut self, column: &ArrayRef, out: &mut TrackedWrite<impl Write + Send>) -> Result<()> {
        let mut start = 0;
        while start < column.len() {
            let rows = self.patches.room().min(column.len() - start);
            let spare = &mut self.spare;
            self.patches.push(&column.slice(start, rows), || spare.pop().unwrap_or_default()).map_err(external)?;
            start += rows;
            if self.patches.room() == 0 {
                self.end_page();
                while self.jobs.len() > pages_ahead() {
                    self.write_page(out)?;
                }
            }
        }
        Ok(())
    }

    fn end_page(&mut self) {
        let Some(page) = self.patches.page() else { return };
        let compressors = self.compressors.clone();
        self.jobs.push_back(Job::spawn(move || {
            let compressed = compressors
                .compress(&page.bytes, Holds::Patches(page.place))
                .map_err(|error| Error::io(Path::new("a page"), "compress", error))?;
            Ok(Ready { page, compressed })
        }));
    }

    /// Writes the oldest page.
    fn write_page(&mut self, out: &mut TrackedWrite<impl Write + Send>) -> Result<()> {
        let Some(job) = self.jobs.pop_front() else { return Ok(()) };
        let Ready { page, compressed } = job.wait().map_err(external)?;
        if self.written.pages.is_empty() && page.encoding == Encoding::RLE_DICTIONARY {
            self.write_dictionary(out)?;
        }
        let uncompressed = page.bytes.len();
        let (buf, spare) = match compressed {
            Some(compressed) => (Bytes::from(compressed), page.bytes),
            None => (Bytes::from(page.bytes), Vec::new()),
        };
        let body = Body::DataPage {
            buf: buf.clone(),
            num_values: page.values as u32,
            encoding: page.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = self.written.add(out, body, uncompressed)?;
        self.written.pages.push(PageLocation {
            offset: spec.offset as i64,
            compressed_page_size: spec.compressed_size as i32,
            first_row_index: self.written.rows,
        });
        self.written.rows += page.rows as i64;
        self.written.values += page.values as i64;
        // A page that was written as it is has its memory in `buf`.
        let spare = if spare.capacity() == 0 { Vec::from(buf) } else { spare };
        self.spare.push(spare);
        Ok(())
    }

    fn write_dictionary(&mut self, out: &mut TrackedWrite<impl Write + Send>) -> Result<()> {
        let Some(dictionary) = self.patches.dictionary() else { return Ok(()) };
        let compressed = self.compressors.compress(&dictionary.bytes, Holds::Other)?;
        let uncompressed = dictionary.bytes.len();
        let body = Body::DictionaryPage {
            buf: compressed.unwrap_or(dictionary.bytes).into(),
            num_values: dictionary.values as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let spec = self.written.add(out, body, uncompressed)?;
        self.written.dictionary = Some(spec.offset as i64);
        Ok(())
    }

    /// Ends the row group.
    pub(super) fn close(
        &mut self,
        out: &mut TrackedWrite<impl Write + Send>,
    ) -> Result<(ColumnChunkMetaData, OffsetIndexMetaData)> {
        self.end_page();
        while !self.jobs.is_empty() {
            self.write_page(out)?;
        }
        self.patches.new_group();
        let written = std::mem::take(&mut self.written);
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        encodings.extend(written.dictionary.map(|_| Encoding::RLE_DICTIONARY));
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(codec(self.options.compression))
            .set_encodings(encodings)
            .set_num_values(written.values)
            .set_total_compressed_size(written.compressed)
            .set_total_uncompressed_size(written.uncompressed)
            .set_data_page_offset(written.pages.first().map_or(0, |page| page.offset))
            .set_dictionary_page_offset(written.dictionary)
            .build()?;
        let index = OffsetIndexMetaData { page_locations: written.pages, unencoded_byte_array_data_bytes: None };
        Ok((metadata, index))
    }
}

impl Written {
    fn add(&mut self, out: &mut TrackedWrite<impl Write + Send>, body: Body, bytes: usize) -> Result<PageWriteSpec> {
        let spec = SerializedPageWriter::new(out).write_page(CompressedPage::new(body, bytes))?;
        self.compressed += spec.compressed_size as i64;
        self.uncompressed += spec.uncompressed_size as i64;
        Ok(spec)
    }
}
