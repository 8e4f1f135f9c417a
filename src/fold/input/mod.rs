//! Files of (window, value) rows: what other programs made of a table, or the table itself.

mod ipc;
#[cfg(feature = "parquet")]
mod parquet;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use self::ipc::IpcInput;
#[cfg(feature = "parquet")]
use self::parquet::ParquetInput;
use super::values::Column;
use crate::jobs::caught;
use crate::{DType, Error, Grid, Result, TableInfo};

/// What is to be read of a file.
pub(super) struct Wanted<'a> {
    /// The column of values, if it was named.
    pub(super) column: Option<&'a str>,
    pub(super) grid: &'a Grid,
    /// What a binary value is.
    pub(super) table: &'a (DType, Vec<u64>),
    /// Only rows of these windows matter: from the first to one behind the last.
    pub(super) windows: Cell<(u64, u64)>,
}

/// Takes some rows, and says whether more are wanted.
pub(super) type Take<'a> = &'a mut dyn FnMut(Column) -> Result<bool>;

/// Rows that can be read any number of times.
pub(crate) enum Input {
    #[cfg(feature = "parquet")]
    Parquet(Vec<ParquetInput>),
    Ipc(IpcInput),
}

impl Input {
    /// The rows of a file, of a folder of Parquet files, or (`-`) of standard input.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Input::Ipc(IpcInput::stdin()));
        }
        let fail = |error| Error::io(path, "open", error);
        if fs::metadata(path).map_err(fail)?.is_dir() {
            return Self::folder(path);
        }
        let mut file = File::open(path).map_err(fail)?;
        let mut head = [0; 8];
        let length = read_head(&mut file, &mut head).map_err(fail)?;
        file.rewind().map_err(fail)?;
        match &head[..length] {
            #[cfg(feature = "parquet")]
            [b'P', b'A', b'R', b'1', ..] => Ok(Input::Parquet(vec![ParquetInput::open(path)?])),
            b"ARROW1\0\0" | [0xff, 0xff, 0xff, 0xff, ..] => Ok(Input::Ipc(IpcInput::file(path))),
            start => {
                let start = start.escape_ascii();
                let message = format!("neither Parquet nor Arrow IPC (it starts with \"{start}\")");
                Err(Error::unsupported(path.display().to_string(), message))
            }
        }
    }

    /// All Parquet files of a folder, by name.
    fn folder(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        #[cfg(not(feature = "parquet"))]
        return Err(Error::unsupported(name, "a folder of Parquet files: this build doesn't read them"));
        #[cfg(feature = "parquet")]
        {
            let entries = fs::read_dir(path).map_err(|error| Error::io(path, "open", error))?;
            let is_part = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
            let mut parts: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_part).collect();
            parts.sort();
            if parts.is_empty() {
                return Err(Error::unsupported(name, "a folder without any .parquet file"));
            }
            Ok(Input::Parquet(parts.iter().map(|part| ParquetInput::open(part)).collect::<Result<_>>()?))
        }
    }

    /// What a file says of the windows that its rows are of.
    pub(crate) fn table(&self) -> Result<Option<TableInfo>> {
        match self {
            #[cfg(feature = "parquet")]
            Input::Parquet(parts) => {
                for part in parts {
                    if let Some(table) = part.table()? {
                        return Ok(Some(table));
                    }
                }
                Ok(None)
            }
            Input::Ipc(input) => caught(|| input.table()),
        }
    }

    /// Whether rows come a single time.
    pub(super) fn is_once(&self) -> bool {
        matches!(self, Input::Ipc(input) if input.is_once())
    }

    /// Reads rows; those of other windows than wanted may be left out.
    pub(super) fn read(&self, wanted: &Wanted<'_>, take: Take<'_>) -> Result<()> {
        // What a reader does with broken bytes is up to its crate.
        caught(|| match self {
            #[cfg(feature = "parquet")]
            Input::Parquet(parts) => {
                for part in parts {
                    if !part.read(wanted, take)? {
                        break;
                    }
                }
                Ok(())
            }
            Input::Ipc(input) => input.read(wanted, take),
        })
    }
}

/// The first bytes, as many as there are.
fn read_head(file: &mut File, head: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < head.len() {
        match file.read(&mut head[length..])? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}
