//! The cells of two Parquet files side by side, by the columns' own readers.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::schema::types::Type;

/// What a column reader of any type does.
macro_rules! each {
    ($column:expr, |$reader:ident| $work:expr) => {
        match $column {
            ColumnReader::BoolColumnReader($reader) => $work,
            ColumnReader::Int32ColumnReader($reader) => $work,
            ColumnReader::Int64ColumnReader($reader) => $work,
            ColumnReader::Int96ColumnReader($reader) => $work,
            ColumnReader::FloatColumnReader($reader) => $work,
            ColumnReader::DoubleColumnReader($reader) => $work,
            ColumnReader::ByteArrayColumnReader($reader) => $work,
            ColumnReader::FixedLenByteArrayColumnReader($reader) => $work,
        }
    };
}
/// A file that is read from its first row to its last.
pub(super) struct Cells {
    file: Box<dyn FileReader>,
    /// The row group that comes after this one.
    next: usize,
    /// The columns of this one, and their rows that are left.
    columns: Vec<ColumnReader>,
    left: usize,
}

impl Cells {
    pub(super) fn open(file: impl ChunkReader + 'static) -> Result<Self> {
        // Whole pages are skipped by their places.
        let options = ReadOptionsBuilder::new().with_page_index().build();
        let file = SerializedFileReader::new_with_options(file, options)?;
        Ok(Self { file: Box::new(file), next: 0, columns: Vec::new(), left: 0 })
    }

    pub(super) fn schema(&self) -> &Type {
        self.file.metadata().file_metadata().schema()
    }

    /// Rows of this row group that are left: none after the last one.
    pub(super) fn left(&mut self) -> Result<usize> {
        while self.left == 0 && self.next < self.file.num_row_groups() {
            let group = self.file.get_row_group(self.next)?;
            self.columns = (0..group.num_columns()).map(|i| group.get_column_reader(i)).collect::<Result<_>>()?;
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.next += 1;
        }
        Ok(self.left)
    }

    /// Passes by so many rows, or by all that are left.
    pub(super) fn skip(&mut self, mut rows: usize) -> Result<()> {
        while rows > 0 && self.left()? > 0 {
            let some = rows.min(self.left);
            for column in &mut self.columns {
                if each!(column, |reader| reader.skip_records(some))? != some {
                    return Err(short());
                }
            }
            self.left -= some;
            rows -= some;
        }
        Ok(())
    }

    /// Reads so many rows of both, which both have [left](Self::left), and gives the first that differs and its column.
    pub(super) fn difference(&mut self, other: &mut Cells, rows: usize) -> Result<Option<(usize, String)>> {
        let mut first: Option<(usize, usize)> = None;
        for (i, pair) in self.columns.iter_mut().zip(&mut other.columns).enumerate() {
            let row = match pair {
                (ColumnReader::BoolColumnReader(a), ColumnReader::BoolColumnReader(b)) => differs(a, b, rows)?,
                (ColumnReader::Int32ColumnReader(a), ColumnReader::Int32ColumnReader(b)) => differs(a, b, rows)?,
                (ColumnReader::Int64ColumnReader(a), ColumnReader::Int64ColumnReader(b)) => differs(a, b, rows)?,
                (ColumnReader::Int96ColumnReader(a), ColumnReader::Int96ColumnReader(b)) => differs(a, b, rows)?,
                (ColumnReader::FloatColumnReader(a), ColumnReader::FloatColumnReader(b)) => differs(a, b, rows)?,
                (ColumnReader::DoubleColumnReader(a), ColumnReader::DoubleColumnReader(b)) => differs(a, b, rows)?,
                (ColumnReader::ByteArrayColumnReader(a), ColumnReader::ByteArrayColumnReader(b)) => {
                    differs(a, b, rows)?
                }
                (ColumnReader::FixedLenByteArrayColumnReader(a), ColumnReader::FixedLenByteArrayColumnReader(b)) => {
                    differs(a, b, rows)?
                }
                _ => Some(0),
            };
            first = first.into_iter().chain(row.map(|row| (row, i))).min();
        }
        self.left -= rows;
        other.left -= rows;
        let name = |column: usize| self.schema().get_fields()[column].name().to_owned();
        let root = |leaf: usize| self.file.metadata().file_metadata().schema_descr().get_column_root_idx(leaf);
        Ok(first.map(|(row, leaf)| (row, name(root(leaf)))))
    }
}

/// The values of some rows, and where they are.
struct Rows<T> {
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: Vec<T>,
}

fn read<T: DataType>(reader: &mut ColumnReaderImpl<T>, rows: usize) -> Result<Rows<T::T>> {
    let mut some = Rows { definitions: Vec::new(), repetitions: Vec::new(), values: Vec::new() };
    let mut read = 0;
    while read < rows {
        let levels = (Some(&mut some.definitions), Some(&mut some.repetitions));
        match reader.read_records(rows - read, levels.0, levels.1, &mut some.values)?.0 {
            0 => return Err(short()),
            n => read += n,
        }
    }
    Ok(some)
}

fn short() -> ParquetError {
    ParquetError::EOF("a row group has fewer rows than it says".to_owned())
}

/// The first of so many rows in which two columns differ: numbers by their bits, so that NaN is itself.
fn differs<T: DataType>(
    a: &mut ColumnReaderImpl<T>,
    b: &mut ColumnReaderImpl<T>,
    rows: usize,
) -> Result<Option<usize>> {
    let (a, b) = (read(a, rows)?, read(b, rows)?);
    let level = a.levels().zip(b.levels()).position(|(a, b)| a != b);
    let value = a.values.iter().zip(&b.values).position(|(a, b)| a.as_bytes() != b.as_bytes());
    let value = value.map(|value| a.level_of(value));
    let shorter = (a.levels().count() != b.levels().count()).then(|| a.levels().count().min(b.levels().count()));
    let first = level.into_iter().chain(value).chain(shorter).min();
    Ok(first.map(|level| a.row_of(level).min(rows - 1)))
}

impl<T> Rows<T> {
    /// The levels of each value, and of each place without one; none if every row is a value.
    fn levels(&self) -> impl Iterator<Item = (i16, i16)> {
        let n = self.definitions.len().max(self.repetitions.len());
        let of = |levels: &[i16], i: usize| levels.get(i).copied().unwrap_or(0);
        (0..n).map(move |i| (of(&self.definitions, i), of(&self.repetitions, i)))
    }

    /// Where among the levels a value is.
    fn level_of(&self, value: usize) -> usize {
        let there = self.definitions.iter().max().copied().unwrap_or(0);
        let mut present = self.definitions.iter().enumerate().filter(|(_, level)| **level == there);
        present.nth(value).map_or(value, |(level, _)| level)
    }

    /// The row that a level is of: each begins with a repetition of 0.
    fn row_of(&self, level: usize) -> usize {
        if self.repetitions.is_empty() {
            return level;
        }
        let levels = &self.repetitions[..self.repetitions.len().min(level + 1)];
        levels.iter().filter(|level| **level == 0).count().saturating_sub(1)
    }
}
