//! What each command does.

#[cfg(feature = "image")]
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use super::args::{Args, Command, ScanArgs};
use super::info::{ScanInfo, SourceInfo};
use super::progress::{Progress, summary};
use super::stop::Stoppable;
use super::text;
#[cfg(feature = "image")]
use crate::ContactSheet;
use crate::sink::Written;
use crate::sink::ipc::{self, IpcOptions};
use crate::{Error, ErrorKind, PatchScan, Result};

/// How standard output is named in errors.
pub(super) const STDOUT: &str = "standard output";

pub(super) fn run(args: Args) -> Result<()> {
    let interrupted = args.interrupted();
    match args.command {
        Command::Info { scan, json } => info(&scan, json),
        Command::Export { scan, output, compression, store_columns, quiet } => {
            let target = Target::of(&output)?;
            refuse_itself(&scan.windows.image, &output)?;
            let compression = compression.map(|text| text.parse()).transpose()?.unwrap_or_default();
            let scan = scan.resolve()?;
            if !quiet {
                note_whole_axes(&scan);
            }
            export(&scan, &output, target, IpcOptions { compression, store_columns }, quiet, interrupted)
        }
        Command::Stream { scan, compression, store_columns } => {
            let options = IpcOptions { compression: compression.parse()?, store_columns };
            stream(&scan.resolve()?, options, interrupted)
        }
        #[cfg(feature = "image")]
        Command::Show { windows, output, across } => {
            if !output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
                return Err(Error::argument("output", format!("{}: its ending is not .png", output.display())));
            }
            refuse_itself(&windows.image, &output)?;
            let across = super::parse::number("across", &across)?;
            let (scan, all) = windows.resolve()?;
            note_whole_axes(&scan);
            show(&scan, all, across, &output)
        }
    }
}

fn info(args: &ScanArgs, json: bool) -> Result<()> {
    let text = match args.scan()? {
        Some(scan) => {
            if !json {
                note_whole_axes(&scan);
            }
            ScanInfo::new(&scan).text(json)?
        }
        None => SourceInfo::new(args.windows.source()?.info()).text(json)?,
    };
    writeln!(io::stdout().lock(), "{text}").map_err(stdout_error)
}

fn export(
    scan: &PatchScan,
    output: &Path,
    target: Target,
    options: IpcOptions,
    quiet: bool,
    interrupted: &'static str,
) -> Result<()> {
    let (start, explain) = (Instant::now(), scan.explain());
    let reader = Progress::new(Stoppable::new(scan.reader()?, interrupted)?, &explain, quiet);
    let written = target.write(reader, output, options)?;
    if !quiet {
        // Standard error may be closed; the file is written all the same.
        let _ = writeln!(io::stderr(), "{}", summary(output, written, &explain, start));
    }
    Ok(())
}

fn stream(scan: &PatchScan, options: IpcOptions, interrupted: &'static str) -> Result<()> {
    if io::stdout().is_terminal() {
        return Err(Error::format(format!("{STDOUT} is a terminal"), "pipe it, or use export -o FILE"));
    }
    let reader = Stoppable::new(scan.reader()?, interrupted)?;
    let mut out = io::stdout().lock();
    ipc::write_stream(reader, &mut out, &options, STDOUT)?;
    out.flush().map_err(stdout_error)
}

/// Draws all rows of a scan, or some that stand for them.
#[cfg(feature = "image")]
fn show(scan: &PatchScan, all: bool, across: usize, output: &Path) -> Result<()> {
    let sheet = if all {
        ContactSheet::all(scan, across)?
    } else {
        ContactSheet::of(scan, &ContactSheet::sample(scan), across)?
    };
    write_whole(output, &sheet.to_png()?)
}

/// Writes a small file beside its target, and gives it its name when it is whole.
#[cfg(feature = "image")]
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    // Made by us, as the umask has it: the builder's own files are open to nobody else.
    let create = |path: &Path| File::create_new(path);
    let file = tempfile::Builder::new().prefix(".windrow-").suffix(".tmp").make_in(folder, create);
    let mut file = file.map_err(|error| Error::io(path, "create", error))?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(|error| Error::io(path, "write", error))?;
    file.persist(path).map_err(|error| Error::io(path, "rename", error.error))?;
    Ok(())
}

/// The rename at the end would put the table in the place of the image.
fn refuse_itself(image: &Path, output: &Path) -> Result<()> {
    match (identity(image), identity(output)) {
        (Ok(image), Ok(out)) if image == out => {
            Err(Error::argument("output", format!("{} is the image itself", output.display())))
        }
        _ => Ok(()),
    }
}

/// What tells a file from others, whatever its name.
#[cfg(unix)]
fn identity(path: &Path) -> io::Result<impl PartialEq + use<>> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<impl PartialEq + use<>> {
    path.canonicalize()
}

/// Says which long axes a window takes whole, as whoever typed `--window 8` for squares doesn't expect it. Channels are
/// short, and whoever named the axes knows.
fn note_whole_axes(scan: &PatchScan) {
    const CHANNELS: u64 = 4;
    if scan.spec().axes.is_some() {
        return;
    }
    let squares = match scan.spec().window_shape[..] {
        [n] => format!("; for squares say {n}x{n}"),
        _ => String::new(),
    };
    for axis in scan.grid().axes().iter().filter(|axis| !axis.sliding && axis.len > CHANNELS) {
        let note = format!("note: {} is not in the window and is taken whole ({}){squares}", axis.name, axis.len);
        let _ = writeln!(io::stderr(), "{}", text::printable(&note));
    }
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
        if path == Path::new("-") {
            return Err(Error::argument("output", "- is no file: windrow stream writes to standard output"));
        }
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
