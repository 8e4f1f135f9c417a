//! Where the answer of a query goes: into a file, or as a text.

use std::io::Write;
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::sqlparser::parser::ParserError;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::runtime::Handle;

use super::ROW_GROUP_BYTES;
use crate::sink::{AtomicFile, Written, ipc};
use crate::{Error, ErrorKind, Result};

/// The batches of a query for a thread that waits for them.
pub(crate) struct Answer {
    stream: SendableRecordBatchStream,
    runtime: Handle,
}

impl Answer {
    pub(crate) fn new(stream: SendableRecordBatchStream, runtime: Handle) -> Self {
        Self { stream, runtime }
    }
}

impl Iterator for Answer {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.runtime.block_on(self.stream.next())?;
        Some(batch.map_err(|error| plain(error).into()))
    }
}

impl RecordBatchReader for Answer {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

/// An error of DataFusion as ours, in its own words alone.
pub(crate) fn plain(error: DataFusionError) -> Error {
    if let DataFusionError::External(inner) = error {
        return match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(inner) => Error::format("SQL", inner.to_string()),
        };
    }
    let root = match error.find_root() {
        DataFusionError::External(inner) => inner.to_string(),
        DataFusionError::SQL(error, _) => match &**error {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message.clone(),
            other => other.to_string(),
        },
        DataFusionError::ResourcesExhausted(_) => {
            format!("no more memory: {}", error.find_root().message())
        }
        // All of what is wrong with a query.
        DataFusionError::Collection(errors) => {
            errors.iter().map(|error| error.find_root().message().into_owned()).collect::<Vec<_>>().join("; ")
        }
        root => root.message().into_owned(),
    };
    Error::format("SQL", root.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What a file is, by the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Parquet,
    IpcFile,
    IpcStream,
    Csv,
}

impl Kind {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "parquet" => Ok(Kind::Parquet),
            "arrow" | "feather" | "ipc" => Ok(Kind::IpcFile),
            "arrows" => Ok(Kind::IpcStream),
            "csv" => Ok(Kind::Csv),
            _ => {
                let message = format!("{}: its ending is none of .parquet, .arrow, .arrows, .csv", path.display());
                Err(Error::argument("output", message))
            }
        }
    }
}

/// Writes an answer into a file, which appears when it is whole.
///
/// # Memory
/// A row group of 64 MiB, or a few batches.
pub(crate) fn write(answer: impl RecordBatchReader, path: &Path, kind: Kind) -> Result<Written> {
    match kind {
        Kind::Parquet => write_parquet(answer, path),
        Kind::IpcFile => ipc::write_file(answer, path, &ipc::IpcOptions::default()),
        Kind::IpcStream => ipc::write_stream_file(answer, path, &ipc::IpcOptions::default()),
        Kind::Csv => write_csv(answer, path),
    }
}

/// The most rows of a row group, as other writers have it.
const MOST_ROWS: usize = 1 << 20;

fn write_parquet(answer: impl RecordBatchReader, path: &Path) -> Result<Written> {
    let fail = |error| Error::from(ErrorKind::Parquet { name: path.display().to_string(), error });
    let level = ZstdLevel::try_new(1).map_err(fail)?;
    let schema = answer.schema();
    let mut answer = answer.peekable();
    // What a row group takes before it is compressed; the writer itself counts what it takes after.
    let row = answer
        .peek()
        .and_then(|batch| batch.as_ref().ok())
        .map_or(1, |batch| batch.get_array_memory_size() / batch.num_rows().max(1));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_max_row_group_row_count(Some((ROW_GROUP_BYTES / row.max(1)).clamp(1, MOST_ROWS)))
        .build();
    let mut rows = 0;
    let mut writer = ArrowWriter::try_new(AtomicFile::create(path)?, schema, Some(properties)).map_err(fail)?;
    for batch in answer {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(fail)?;
    }
    let bytes = writer.into_inner().map_err(fail)?.commit()?;
    Ok(Written { rows, bytes })
}

fn write_csv(answer: impl RecordBatchReader, path: &Path) -> Result<Written> {
    let schema = answer.schema();
    if let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
        let message = format!(
            "{} is a list, which CSV has not: choose .parquet or .arrow, or a value of it such as patch_mean",
            field.name()
        );
        return Err(Error::argument("output", message));
    }
    let mut file = AtomicFile::create(path)?;
    let mut rows = 0;
    let mut header = true;
    let mut lines = |batch: &RecordBatch, file: &mut AtomicFile| -> Result<()> {
        WriterBuilder::new().with_header(std::mem::take(&mut header)).build(file).write(batch)?;
        Ok(())
    };
    for batch in answer {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        lines(&batch, &mut file)?;
    }
    if rows == 0 {
        lines(&RecordBatch::new_empty(schema), &mut file)?;
    }
    file.flush().map_err(|error| Error::io(path, "write", error))?;
    Ok(Written { rows, bytes: file.commit()? })
}

/// The most letters of a cell in a text.
const CELL: usize = 60;

/// Batches as a table to be read; long cells are cut off.
pub(crate) fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String> {
    let names = schema.fields().iter().map(|field| vec![field.name().clone()]);
    let mut columns: Vec<Vec<String>> = names.collect();
    let options = FormatOptions::default().with_null("null");
    for batch in batches {
        for (cells, array) in columns.iter_mut().zip(batch.columns()) {
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
            for row in 0..batch.num_rows() {
                cells.push(cut(&formatter.value(row).to_string()));
            }
        }
    }
    let right: Vec<bool> = schema.fields().iter().map(|field| is_number(field.data_type())).collect();
    let widths: Vec<usize> =
        columns.iter().map(|cells| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in 0..columns.first().map_or(0, Vec::len) {
        let cells = columns.iter().zip(&widths).zip(&right).map(|((cells, &width), &right)| {
            if right { format!("{:>width$}", cells[row]) } else { format!("{:<width$}", cells[row]) }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    Ok(text)
}

fn is_number(dtype: &DataType) -> bool {
    dtype.is_numeric()
}

/// A cell on one line, and not too long. The plans of `EXPLAIN` are lines of their own.
fn cut(cell: &str) -> String {
    if cell.contains('\n') {
        return format!("\n{}", cell.trim_end());
    }
    match cell.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.to_owned(),
    }
}
