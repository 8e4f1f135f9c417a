//! What each command does.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use super::args::{Args, Command};
use super::progress::{Progress, summary};
use super::stop::Stoppable;
use crate::sink::Written;
use crate::sink::ipc::{self, IpcOptions};
use crate::{Error, ErrorKind, PatchScan, Result};

/// How standard output is named in errors.
pub(super) const STDOUT: &str = "standard output";

pub(super) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Info { scan, json } => info(&scan.resolve()?, json),
        Command::Export { scan, output, compression, store_columns, quiet } => {
            let target = Target::of(&output)?;
            let compression = compression.map(|text| text.parse()).transpose()?.unwrap_or_default();
            export(&scan.resolve()?, &output, target, IpcOptions { compression, store_columns }, quiet)
        }
        Command::Stream { scan, compression, store_columns } => {
            stream(&scan.resolve()?, IpcOptions { compression: compression.parse()?, store_columns })
        }
    }
}

fn info(scan: &PatchScan, json: bool) -> Result<()> {
    let explain = scan.explain();
    let text = if json {
        serde_json::to_string_pretty(&explain)
            .map_err(|error| Error::format("info", format!("can't be written as JSON: {error}")))?
    } else {
        explain.to_string()
    };
    writeln!(io::stdout().lock(), "{text}").map_err(stdout_error)
}

fn export(scan: &PatchScan, output: &Path, target: Target, options: IpcOptions, quiet: bool) -> Result<()> {
    let (start, explain) = (Instant::now(), scan.explain());
    let reader = Progress::new(Stoppable::new(scan.reader()?)?, &explain, quiet);
    let written = target.write(reader, output, options)?;
    if !quiet {
        // Standard error may be closed; the file is written all the same.
        let _ = writeln!(io::stderr(), "{}", summary(output, written, &explain, start));
    }
    Ok(())
}

fn stream(scan: &PatchScan, options: IpcOptions) -> Result<()> {
    let reader = Stoppable::new(scan.reader()?)?;
    let mut out = io::stdout().lock();
    ipc::write_stream(reader, &mut out, &options, STDOUT)?;
    out.flush().map_err(stdout_error)
}

fn stdout_error(error: io::Error) -> Error {
    ErrorKind::Io { name: STDOUT.to_owned(), action: "write", error }.into()
}

/// The format of an output file.
#[derive(Clone, Copy)]
enum Target {
    #[cfg(feature = "parquet")]
    Parquet,
    IpcFile,
    IpcStream,
}

impl Target {
    /// By the ending of the file's name.
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            #[cfg(feature = "parquet")]
            "parquet" => Ok(Target::Parquet),
            "arrow" | "feather" | "ipc" => Ok(Target::IpcFile),
            "arrows" => Ok(Target::IpcStream),
            _ => {
                let message = format!("{}: its ending is none of .parquet, .arrow, .arrows", path.display());
                Err(Error::argument("output", message))
            }
        }
    }

    fn write(self, reader: impl arrow_array::RecordBatchReader, path: &Path, options: IpcOptions) -> Result<Written> {
        match self {
            #[cfg(feature = "parquet")]
            Target::Parquet => {
                use crate::sink::parquet::{ParquetOptions, write};
                let IpcOptions { compression, store_columns } = options;
                write(reader, path, &ParquetOptions { compression, store_columns, ..Default::default() })
            }
            Target::IpcFile => ipc::write_file(reader, path, &options),
            Target::IpcStream => ipc::write_stream_file(reader, path, &options),
        }
    }
}
