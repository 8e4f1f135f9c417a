//! Parquet files of any writer, by the columns' own readers.

mod column;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_buffer::Buffer;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;

use self::column::{Cells, Of};
use super::{Take, Wanted};
use crate::fold::values::{Column, missing, value_name};
use crate::{Error, METADATA_KEY, Result, TableInfo, collection};

/// Bytes of values that are read at once, about.
const PIECE_BYTES: usize = 1 << 20;

/// Rows that are read at once, however short they are.
const MOST_ROWS: usize = 1 << 16;

/// An open file.
pub(crate) struct ParquetInput {
    path: PathBuf,
    reader: Arc<SerializedFileReader<File>>,
}

impl ParquetInput {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, "open", error))?;
        let reader = crate::jobs::caught(|| SerializedFileReader::new(file).map_err(|error| fail(path, error)))?;
        Ok(Self { path: path.to_owned(), reader: Arc::new(reader) })
    }

    /// What the file says of its windows.
    pub(super) fn table(&self) -> Result<Option<TableInfo>> {
        let metadata = self.reader.metadata().file_metadata().key_value_metadata();
        let of_several = |pair: &KeyValue| pair.key == collection::METADATA_KEY;
        if metadata.is_some_and(|pairs| pairs.iter().any(of_several)) {
            return Err(collection::no_single_image(&self.path));
        }
        let value =
            metadata.into_iter().flatten().find(|pair| pair.key == METADATA_KEY).and_then(|pair| pair.value.as_ref());
        let Some(json) = value else { return Ok(None) };
        let table = serde_json::from_str(json).map_err(|error| {
            Error::format(self.path.display().to_string(), format!("metadata {METADATA_KEY:?}: {error}"))
        });
        table.map(Some)
    }

    /// Reads rows of the windows that are wanted, and perhaps others; says whether more are.
    pub(super) fn read(&self, wanted: &Wanted<'_>, take: Take<'_>) -> Result<bool> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let names: Vec<_> = schema.root_schema().get_fields().iter().map(|field| field.name()).collect();
        let name = value_name(&names, wanted.column, wanted.grid)?;
        let windows = self.leaf(schema, "window", &names)?;
        let values = self.leaf(schema, &name, &names)?;
        let window_of = Of::new(&schema.column(windows), schema.get_column_root(windows))
            .filter(|of| of.is_integer() && !of.is_list());
        let Some(window_of) = window_of else {
            return Err(Error::argument("values", "column \"window\" is no column of integers"));
        };
        let value_of = Of::new(&schema.column(values), schema.get_column_root(values)).ok_or_else(|| {
            let kind = schema.column(values).physical_type();
            let message = format!("column {name:?} is of type {kind}: expected numbers, or lists of numbers");
            Error::argument("values", message)
        })?;
        for group in 0..self.reader.num_row_groups() {
            let metadata = self.reader.metadata().row_group(group);
            let (first, end) = wanted.windows.get();
            if span(metadata, windows).is_some_and(|span| span.start >= end || span.end <= first) {
                continue;
            }
            let fail = |error| fail(&self.path, error);
            let reader = self.reader.get_row_group(group).map_err(fail)?;
            let mut windows = Cells::new(reader.get_column_reader(windows).map_err(fail)?, window_of.clone());
            let mut values = Cells::new(reader.get_column_reader(values).map_err(fail)?, value_of.clone());
            let mut left = usize::try_from(metadata.num_rows()).unwrap_or(0);
            // The first piece says how long values are.
            let mut rows = 64;
            while left > 0 {
                let piece = rows.min(left);
                let ids = windows.read(piece).map_err(fail)?.and_then(|ids| ids.whole());
                let ids = ids.map_err(|message| Error::argument("values", message))?;
                let read = values.read(piece).map_err(fail)?;
                let read = read.map_err(|message| Error::argument("values", format!("column {name:?} {message}")))?;
                if ids.len() != piece || read.rows != piece {
                    let message = format!("row group {group} has fewer rows than it says");
                    return Err(Error::format(self.path.display().to_string(), message));
                }
                left -= piece;
                let bytes = read.bytes.len() / read.valid.iter().filter(|valid| **valid).count().max(1);
                rows = (PIECE_BYTES / bytes.max(1)).clamp(1, MOST_ROWS);
                let column = read.column(ids, &name, wanted.table)?;
                if !column.ids.is_empty() && !take(column)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The column of numbers under this name.
    fn leaf(&self, schema: &SchemaDescriptor, name: &str, names: &[&str]) -> Result<usize> {
        let under = |&leaf: &usize| schema.get_column_root(leaf).name() == name;
        match (0..schema.num_columns()).filter(under).collect::<Vec<_>>()[..] {
            [leaf] => Ok(leaf),
            [] => Err(missing(name, names)),
            _ => Err(Error::argument(
                "values",
                format!("column {name:?} is of several: expected numbers, or lists of them"),
            )),
        }
    }
}

/// The windows that a row group says it is of.
fn span(metadata: &RowGroupMetaData, column: usize) -> Option<Range<u64>> {
    let (low, high) = match metadata.column(column).statistics()? {
        Statistics::Int64(stats) => (*stats.min_opt()?, *stats.max_opt()?),
        Statistics::Int32(stats) => (i64::from(*stats.min_opt()?), i64::from(*stats.max_opt()?)),
        _ => return None,
    };
    // A negative number may be a large one without a sign.
    let (low, high) = (u64::try_from(low).ok()?, u64::try_from(high).ok()?);
    (low <= high).then_some(low..high + 1)
}

fn fail(path: &Path, error: ParquetError) -> Error {
    let name = path.display().to_string();
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => Error::io(path, "read", *io),
            Err(inner) => Error::format(name, inner.to_string()),
        },
        error => Error::format(name, error.to_string()),
    }
}

/// Rows of values.
pub(super) struct Piece {
    pub(super) rows: usize,
    /// Which rows have a value.
    pub(super) valid: Vec<bool>,
    pub(super) dtype: Option<crate::DType>,
    /// The shape of a value, if it has one.
    pub(super) shape: Vec<u64>,
    /// The values that are there.
    pub(super) bytes: Vec<u8>,
}

impl Piece {
    /// The values as ids, none of which may be missing.
    fn whole(self) -> Result<Vec<u64>, String> {
        if self.valid.contains(&false) {
            return Err("a window is null: expected its id".to_owned());
        }
        let Some(dtype) = self.dtype else { return Err("is no column of integers".to_owned()) };
        let cells = self.bytes.chunks_exact(dtype.size());
        cells.map(|cell| id(dtype, cell).map_err(|id| format!("no window {id}: ids count from 0"))).collect()
    }

    fn column(self, ids: Vec<u64>, name: &str, table: &(crate::DType, Vec<u64>)) -> Result<Column> {
        let ids: Vec<_> = ids.into_iter().zip(&self.valid).filter(|(_, valid)| **valid).map(|(id, _)| id).collect();
        let Some(dtype) = self.dtype else {
            // Bytes of patches as the table had them.
            let patch = table.1.iter().product::<u64>() * table.0.size() as u64;
            if self.bytes.len() as u64 != patch.saturating_mul(ids.len() as u64) {
                let each = self.bytes.len() / ids.len().max(1);
                let message = format!(
                    "column {name:?} has values of {each} bytes: expected {patch}, {:?} of {}",
                    table.1, table.0
                );
                return Err(Error::argument("values", message));
            }
            return Ok(Column { ids, dtype: table.0, shape: Some(table.1.clone()), bytes: Buffer::from(self.bytes) });
        };
        // One list is not yet a shape: patches are often kept flat.
        let shape = if self.shape.len() == 1 { None } else { Some(self.shape) };
        Ok(Column { ids, dtype, shape, bytes: Buffer::from(self.bytes) })
    }
}

/// An integer as the id of a window, or else what it is.
fn id(dtype: crate::DType, cell: &[u8]) -> Result<u64, i64> {
    use crate::DType;
    macro_rules! of {
        ($t:ty) => {{
            let value: $t = bytemuck::pod_read_unaligned(cell);
            u64::try_from(value).map_err(|_| value as i64)
        }};
    }
    match dtype {
        DType::U8 => of!(u8),
        DType::U16 => of!(u16),
        DType::U32 => of!(u32),
        DType::U64 => of!(u64),
        DType::I8 => of!(i8),
        DType::I16 => of!(i16),
        DType::I32 => of!(i32),
        _ => of!(i64),
    }
}
