//! Columns of one value a row: window ids, coordinates, pixels of layout `columns`. The library's own writer encodes
//! them; here their values and nulls are brought into its form.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::{
    BoolType, ByteArray, DataType as ParquetType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type as P32, Int64Type as P64,
};
use parquet::errors::Result;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The column of a row group, in memory until the group ends.
pub(super) struct Flat {
    writer: ColumnWriter<'static>,
    pages: Pages,
}

/// The pages of a column, shared with its writer.
#[derive(Clone)]
struct Pages(Arc<Mutex<TrackedWrite<Vec<u8>>>>);

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).write_page(page)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Values that are brought into Parquet's form at once.
const STEP: usize = 16 << 10;

impl Flat {
    pub(super) fn new(column: ColumnDescPtr, properties: WriterPropertiesPtr) -> Self {
        let pages = Pages(Arc::new(Mutex::new(TrackedWrite::new(Vec::new()))));
        Self { writer: get_column_writer(column, properties, Box::new(pages.clone())), pages }
    }

    /// Appends all rows of `column`, whose type is that of the schema.
    pub(super) fn push(&mut self, column: &ArrayRef) -> Result<()> {
        for start in (0..column.len()).step_by(STEP) {
            self.step(&column.slice(start, STEP.min(column.len() - start)))?;
        }
        Ok(())
    }

    fn step(&mut self, column: &ArrayRef) -> Result<()> {
        match column.data_type() {
            DataType::Int8 => self.primitive::<Int8Type, P32>(column, i32::from),
            DataType::Int16 => self.primitive::<Int16Type, P32>(column, i32::from),
            DataType::Int32 => self.primitive::<Int32Type, P32>(column, |value| value),
            DataType::Int64 => self.primitive::<Int64Type, P64>(column, |value| value),
            DataType::UInt8 => self.primitive::<UInt8Type, P32>(column, i32::from),
            DataType::UInt16 => self.primitive::<UInt16Type, P32>(column, i32::from),
            // Unsigned integers keep their bits.
            DataType::UInt32 => self.primitive::<UInt32Type, P32>(column, |value| value as i32),
            DataType::UInt64 => self.primitive::<UInt64Type, P64>(column, |value| value as i64),
            DataType::Float32 => self.primitive::<Float32Type, FloatType>(column, |value| value),
            DataType::Float64 => self.primitive::<Float64Type, DoubleType>(column, |value| value),
            DataType::Float16 => self.primitive::<Float16Type, FixedLenByteArrayType>(column, |value| {
                FixedLenByteArray::from(ByteArray::from(value.to_le_bytes().to_vec()))
            }),
            _ => {
                let bits = column.as_boolean();
                let values: Vec<_> = bits.iter().flatten().collect();
                self.write::<BoolType>(column, &values)
            }
        }
    }

    fn primitive<A: ArrowPrimitiveType, P: ParquetType>(
        &mut self,
        column: &ArrayRef,
        convert: impl Fn(A::Native) -> P::T,
    ) -> Result<()> {
        let array = column.as_primitive::<A>();
        let values: Vec<_> = match array.nulls() {
            Some(nulls) => nulls.valid_indices().map(|i| convert(array.value(i))).collect(),
            None => array.values().iter().map(|&value| convert(value)).collect(),
        };
        self.write::<P>(column, &values)
    }

    fn write<P: ParquetType>(&mut self, column: &ArrayRef, values: &[P::T]) -> Result<()> {
        let writer = parquet::column::writer::get_typed_column_writer_mut::<P>(&mut self.writer);
        let optional = writer.get_descriptor().max_def_level() > 0;
        let levels: Option<Vec<_>> =
            optional.then(|| (0..column.len()).map(|i| i16::from(column.is_valid(i))).collect());
        writer.write_batch(values, levels.as_deref(), None)?;
        Ok(())
    }

    /// The encoded column, whose offsets count from its own start.
    pub(super) fn close(self) -> Result<(Vec<u8>, ColumnCloseResult)> {
        let closed = self.writer.close()?;
        let mut pages = self.pages.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = std::mem::replace(&mut *pages, TrackedWrite::new(Vec::new()));
        Ok((pages.into_inner()?, closed))
    }
}
