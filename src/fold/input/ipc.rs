//! Arrow IPC, as a file or a stream.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::{Take, Wanted, read_head};
use crate::fold::values::Column;
use crate::{Error, Result, TableInfo, collection};

/// Batches of a file that is opened anew each time, or of standard input.
pub(crate) struct IpcInput {
    path: PathBuf,
    /// Standard input, once its schema was read.
    once: Option<RefCell<Option<Batches>>>,
}

/// The batches of a file or stream.
struct Batches {
    schema: SchemaRef,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>,
}

impl IpcInput {
    pub(super) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), once: None }
    }

    pub(super) fn stdin() -> Self {
        Self { path: PathBuf::from("standard input"), once: Some(RefCell::new(None)) }
    }

    pub(super) fn is_once(&self) -> bool {
        self.once.is_some()
    }

    pub(super) fn table(&self) -> Result<Option<TableInfo>> {
        let table = |batches: &Batches| match batches.schema.metadata.contains_key(collection::METADATA_KEY) {
            true => Err(collection::no_single_image(&self.path)),
            false => TableInfo::from_schema(&batches.schema),
        };
        match &self.once {
            None => table(&self.open()?),
            Some(once) => {
                let mut once = once.borrow_mut();
                if once.is_none() {
                    *once = Some(self.open()?);
                }
                once.as_ref().map_or(Ok(None), table)
            }
        }
    }

    pub(super) fn read(&self, wanted: &Wanted<'_>, take: Take<'_>) -> Result<()> {
        let batches = match self.once.as_ref().and_then(|once| once.borrow_mut().take()) {
            Some(batches) => batches,
            None => self.open()?,
        };
        for batch in batches.batches {
            let batch = batch.map_err(|error| self.fail(error))?;
            if !take(Column::of(&batch, wanted.column, wanted.grid, wanted.table)?)? {
                break;
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Batches> {
        if self.is_once() {
            return self.stream(io::stdin());
        }
        let mut file = File::open(&self.path).map_err(|error| Error::io(&self.path, "open", error))?;
        let mut head = [0; 6];
        read_head(&mut file, &mut head).map_err(|error| Error::io(&self.path, "read", error))?;
        let file = File::open(&self.path).map_err(|error| Error::io(&self.path, "open", error))?;
        if &head != b"ARROW1" {
            return self.stream(file);
        }
        let reader = FileReader::try_new_buffered(file, None).map_err(|error| self.fail(error))?;
        Ok(Batches { schema: reader.schema(), batches: Box::new(reader) })
    }

    fn stream(&self, from: impl Read + 'static) -> Result<Batches> {
        let reader = StreamReader::try_new(BufReader::new(from), None).map_err(|error| self.fail(error))?;
        Ok(Batches { schema: reader.schema(), batches: Box::new(reader) })
    }

    fn fail(&self, error: ArrowError) -> Error {
        match error {
            ArrowError::IoError(_, io) => Error::io(&self.path, "read", io),
            other => Error::format(self.path.display().to_string(), other.to_string()),
        }
    }
}
