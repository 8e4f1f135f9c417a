//! What each command does.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatchReader;
use arrow_schema::Schema;
#[cfg(feature = "parquet")]
use indicatif::HumanCount;

use super::args::{Args, Command, FolderArgs, ScanArgs, is_folder};
use super::collection::Pass;
use super::fold;
use super::info::{ScanInfo, SourceInfo};
use super::progress::{Bar, summary};
use super::stop::Stop;
use super::text;
#[cfg(feature = "image")]
use crate::ContactSheet;
#[cfg(feature = "parquet")]
use crate::folder::{self, Check, Cut, FolderOptions};
use crate::sink::Compression;
use crate::sink::Written;
use crate::sink::ipc::{self, IpcOptions};
#[cfg(feature = "parquet")]
use crate::sink::parquet::{self, ParquetOptions};
use crate::{Error, ErrorKind, PatchScan, Result};

/// How standard output is named in errors.
pub(super) const STDOUT: &str = "standard output";

pub(super) fn run(args: Args) -> Result<()> {
    let interrupted = args.interrupted();
    match args.command {
        Command::Info { scan, json } if !scan.windows.is_one() => {
            let most = scan.max_memory()?;
            let tiles = scan.collection()?;
            let tiles = if let Some(most) = most { tiles.max_memory(most)? } else { tiles };
            let explain = tiles.explain()?;
            let text = if json { super::info::to_json(&explain)? } else { explain.to_string() };
            writeln!(io::stdout().lock(), "{text}").map_err(stdout_error)
        }
        Command::Info { scan, json } => info(&scan, json),
        Command::Export { scan, output, compression, store_columns, folder, quiet } if !scan.windows.is_one() => {
            let target = Target::of(&output, &folder, None)?;
            let compression = compression.map(|text| text.parse()).transpose()?.unwrap_or_default();
            let (report, most) = (scan.skip_bad.clone(), scan.max_memory()?);
            let mut tiles = scan.collection()?;
            if let Some(most) = most {
                let remote = target.upload_memory(&output);
                let (schema, batch) = (tiles.schema(), tiles.batch_bytes());
                let stored = Stored::new(compression, store_columns);
                tiles = tiles.fit(most, |rows| remote + target.memory_of(&schema, rows, batch, stored))?;
            }
            // What is not there yet is none of them.
            for written in [Some(&output), report.as_ref()].into_iter().flatten().filter(|path| path.exists()) {
                tiles.paths().iter().try_for_each(|image| refuse_itself("one of the images", image, written))?;
            }
            if !quiet {
                note_whole_axes(tiles.first());
            }
            let stop = Stop::listen(interrupted)?;
            let (pass, reader) = Pass::start(&tiles, quiet)?;
            let stored = Stored::new(compression, store_columns);
            let written = target.write(stop.watch(reader), &output, stored)?;
            pass.end(Some((&output, written)), report.as_deref(), quiet)
        }
        Command::Export { scan, output, compression, store_columns, folder, quiet } => {
            let target = Target::of(&output, &folder, scan.chosen.one_of()?)?;
            refuse_itself("the image", &scan.windows.images[0], &output)?;
            let compression = compression.map(|text| text.parse()).transpose()?.unwrap_or_default();
            let most = scan.max_memory()?;
            let (scan, notes) = if target.takes_all() { scan.resolve_all()? } else { scan.resolve()? };
            let stored = Stored::new(compression, store_columns);
            let (scan, stored) = match most {
                Some(most) => {
                    let remote = target.upload_memory(&output);
                    stored.that_fits(|stored| {
                        target.prepare(&scan, stored).fit(most, |scan| {
                            let explain = scan.explain();
                            remote + target.memory_of(&scan.schema(), explain.rows, explain.batch_bytes, stored)
                        })
                    })?
                }
                None => (scan, stored),
            };
            if !quiet {
                note_whole_axes(&scan);
                note(&scan.source().notes());
                note(&notes);
            }
            export(&scan, &output, target, stored, quiet, interrupted)
        }
        #[cfg(feature = "parquet")]
        Command::Verify { folder, image, sample, all, quiet } => {
            let check = super::args::check(sample.as_deref(), all)?;
            verify(&folder, image.as_deref(), check, quiet, interrupted)
        }
        Command::Stream { scan, compression, store_columns } if !scan.windows.is_one() => {
            let options = IpcOptions { compression: compression.parse()?, store_columns };
            let (report, most) = (scan.skip_bad.clone(), scan.max_memory()?);
            let mut tiles = scan.collection()?;
            if let Some(most) = most {
                let batch = tiles.batch_bytes();
                tiles = tiles.fit(most, |_| ipc_memory(batch, u64::MAX, options.compression))?;
            }
            let (pass, reader) = Pass::start(&tiles, true)?;
            stream(reader, options, interrupted)?;
            pass.end(None, report.as_deref(), false)
        }
        Command::Stream { scan, compression, store_columns } => {
            let options = IpcOptions { compression: compression.parse()?, store_columns };
            let most = scan.max_memory()?;
            let (mut scan, notes) = scan.resolve()?;
            if let Some(most) = most {
                scan = scan.fit(most, |scan| {
                    let explain = scan.explain();
                    ipc_memory(explain.batch_bytes, explain.rows, options.compression)
                })?;
            }
            note(&notes);
            stream(scan.reader()?, options, interrupted)
        }
        Command::Fold(args) => fold::run(&args, interrupted),
        #[cfg(feature = "datafusion")]
        Command::Sql(args) => super::sql::run(&args, interrupted, super::sql::local),
        #[cfg(feature = "image")]
        Command::Show { windows, chosen, output, across } => {
            if !output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
                return Err(Error::argument("output", format!("{}: its ending is not .png", output.display())));
            }
            refuse_itself("the image", &windows.images[0], &output)?;
            let across = crate::parse::number("across", &across)?;
            let (scan, notes) = chosen.choose(windows.resolve()?)?;
            note_whole_axes(&scan);
            note(&notes);
            // Rows that were named or drawn are all wanted.
            let all = windows.names_rows() || chosen.draws_few();
            show(&scan, all, across, &output)
        }
    }
}

fn info(args: &ScanArgs, json: bool) -> Result<()> {
    let text = match args.scan()? {
        Some((mut scan, notes)) => {
            if let Some(most) = args.max_memory()? {
                scan = scan.max_memory(most)?;
            }
            if !json {
                note_whole_axes(&scan);
                note(&scan.source().notes());
                note(&notes);
            }
            ScanInfo::new(&scan).text(json)?
        }
        None => {
            let source = args.windows.source()?;
            if !json {
                note(&source.notes());
            }
            SourceInfo::new(source.info()).text(json)?
        }
    };
    writeln!(io::stdout().lock(), "{text}").map_err(stdout_error)
}

fn export(
    scan: &PatchScan,
    output: &Path,
    target: Target,
    stored: Stored,
    quiet: bool,
    interrupted: &'static str,
) -> Result<()> {
    let scan = &target.prepare(scan, stored);
    let (start, explain) = (Instant::now(), scan.explain());
    let (stop, bar) = (Stop::listen(interrupted)?, Bar::new(&explain, quiet));
    let watch = |reader| bar.watch(stop.watch(reader));
    let written = match target {
        #[cfg(feature = "parquet")]
        Target::Folder { cut, resume } => {
            let options = FolderOptions { parquet: stored.parquet(), cut, resume };
            folder::write(scan, output, &options, watch)?
        }
        #[cfg(feature = "parquet")]
        Target::Split { index, of } => {
            let options = FolderOptions { parquet: stored.parquet(), cut: Cut::Files(of), resume: false };
            folder::write_split(scan, output, index, &options, watch)?
        }
        file => file.write(watch(scan.reader()?), output, stored)?,
    };
    drop(bar);
    if !quiet {
        // Standard error may be closed; the file is written all the same.
        let _ = writeln!(io::stderr(), "{}", summary(output, written, &explain, start));
    }
    Ok(())
}

/// Checks a folder against its manifest and its image.
#[cfg(feature = "parquet")]
fn verify(path: &Path, image: Option<&Path>, check: Check, quiet: bool, interrupted: &'static str) -> Result<()> {
    let manifest = folder::Manifest::read(path)?;
    let image = image.unwrap_or(Path::new(&manifest.table.source.name));
    let stop = Stop::listen(interrupted)?;
    let image = crate::AnySource::open_with(image, &manifest.opened())?;
    let found = folder::verify(image, path, check, |reader| stop.watch(reader))?;
    if !quiet {
        let (path, rows) = (text::printable(&path.display().to_string()), HumanCount(found.rows));
        let but = if found.same_image { "" } else { "; the file of the image has changed, its pixels have not" };
        let files = found.files;
        let line = format!(
            "{path}: {files} files are as they were written; {rows} rows made again from the image are the same{but}"
        );
        writeln!(io::stdout().lock(), "{line}").map_err(stdout_error)?;
    }
    Ok(())
}

fn stream(reader: impl RecordBatchReader, options: IpcOptions, interrupted: &'static str) -> Result<()> {
    if io::stdout().is_terminal() {
        return Err(Error::format(format!("{STDOUT} is a terminal"), "pipe it, or use export -o FILE"));
    }
    let stop = Stop::listen(interrupted)?;
    let reader = stop.watch(reader);
    let mut out = io::stdout().lock();
    ipc::write_stream(reader, &mut out, &options, STDOUT)?;
    out.flush().map_err(stdout_error)
}

/// How files are written.
#[derive(Clone, Copy)]
struct Stored {
    ipc: IpcOptions,
    /// Pages as small as they get, to take less memory.
    #[cfg(feature = "parquet")]
    small_pages: bool,
}

impl Stored {
    fn new(compression: Compression, store_columns: bool) -> Self {
        Self {
            ipc: IpcOptions { compression, store_columns },
            #[cfg(feature = "parquet")]
            small_pages: false,
        }
    }

    #[cfg(feature = "parquet")]
    fn parquet(self) -> ParquetOptions {
        let IpcOptions { compression, store_columns } = self.ipc;
        let page_bytes = self.small_pages.then_some(parquet::PAGE_BYTES.0);
        ParquetOptions { compression, store_columns, page_bytes, ..Default::default() }
    }

    /// What `fit` makes of these, or else of smaller pages.
    fn that_fits<T>(self, fit: impl Fn(Self) -> Result<T>) -> Result<(T, Self)> {
        let first = fit(self);
        #[cfg(feature = "parquet")]
        if first.is_err() {
            let small = Self { small_pages: true, ..self };
            return Ok((fit(small)?, small));
        }
        Ok((first?, self))
    }
}

/// Draws all rows of a scan, or some that stand for them.
#[cfg(feature = "image")]
fn show(scan: &PatchScan, all: bool, across: usize, output: &Path) -> Result<()> {
    let sheet = if all {
        ContactSheet::all(scan, across)?
    } else {
        ContactSheet::of(scan, &ContactSheet::sample(scan), across)?
    };
    crate::sink::write_whole(output, &sheet.to_png()?)
}

/// The rename at the end would put the result in the place of what it is made from.
pub(super) fn refuse_itself(what: &str, input: &Path, output: &Path) -> Result<()> {
    match (identity(input), identity(output)) {
        (Ok(input), Ok(out)) if input == out => {
            Err(Error::argument("output", format!("{} is {what} itself", output.display())))
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

/// Says what rows are not there, and why.
fn note(notes: &[String]) {
    for note in notes {
        let _ = writeln!(io::stderr(), "{}", text::printable(&format!("note: {note}")));
    }
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

/// What a writer of Arrow IPC takes besides batches of so many bytes; there are as many as rows at most.
fn ipc_memory(batch_bytes: u64, rows: u64, compression: Compression) -> u64 {
    match compression {
        // Batches are written as they are.
        Compression::None => 1 << 20,
        _ => ipc::memory(batch_bytes, rows),
    }
}

/// What is written.
#[derive(Clone, Copy)]
enum Target {
    #[cfg(feature = "parquet")]
    Parquet,
    #[cfg(feature = "parquet")]
    Folder {
        cut: Cut,
        resume: bool,
    },
    /// One of the files of a folder.
    #[cfg(feature = "parquet")]
    Split {
        index: u64,
        of: u64,
    },
    IpcFile,
    IpcStream,
}

impl Target {
    /// Whether it takes the table of all splits, and chooses among them.
    fn takes_all(self) -> bool {
        match self {
            #[cfg(feature = "parquet")]
            Target::Folder { .. } | Target::Split { .. } => true,
            _ => false,
        }
    }

    /// By the ending of the name; a folder is one that is there, or whose name ends as that of one. `split` is that
    /// which is meant, if one is.
    fn of(path: &Path, folder: &FolderArgs, split: Option<(u64, u64)>) -> Result<Self> {
        if path == Path::new("-") {
            return Err(Error::argument("output", "- is no file: windrow stream writes to standard output"));
        }
        #[cfg(not(feature = "cloud"))]
        if path.to_str().is_some_and(|path| path.starts_with("s3://")) {
            let message =
                format!("{}: this build has no object stores: it needs the feature \"cloud\"", path.display());
            return Err(Error::argument("output", message));
        }
        if is_folder(path) {
            #[cfg(feature = "parquet")]
            if let Some((index, of)) = split {
                if let Some(name) = folder.given() {
                    let message = "goes with all files of a folder, not with --split, which makes one of them";
                    return Err(Error::argument(name, message));
                }
                return Ok(Target::Split { index, of });
            }
            #[cfg(feature = "parquet")]
            return Ok(Target::Folder { cut: folder.cut()?, resume: folder.resume });
            #[cfg(not(feature = "parquet"))]
            return Err(Error::argument("output", format!("{} is a folder, expected a file", path.display())));
        }
        if let Some(name) = folder.given() {
            let message = format!("goes with a folder (-o {}/), not with a file", path.display());
            return Err(Error::argument(name, message));
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            #[cfg(feature = "parquet")]
            "parquet" => Ok(Target::Parquet),
            "arrow" | "feather" | "ipc" => Ok(Target::IpcFile),
            "arrows" => Ok(Target::IpcStream),
            _ => {
                let name = path.display();
                let message = format!("{name}: its ending is none of .parquet, .arrow, .arrows; a folder is {name}/");
                Err(Error::argument("output", message))
            }
        }
    }

    /// The scan in batches that suit the target.
    fn prepare(self, scan: &PatchScan, stored: Stored) -> PatchScan {
        match self {
            Target::IpcFile | Target::IpcStream => {
                scan.prefer_batch_bytes(ipc::batch_bytes(&scan.schema(), stored.ipc.compression))
            }
            #[cfg(feature = "parquet")]
            Target::Parquet | Target::Folder { .. } | Target::Split { .. } => scan.clone(),
        }
    }

    /// What writing so many rows takes besides reading them, in batches of so many bytes.
    fn memory_of(self, schema: &Schema, rows: u64, batch_bytes: u64, stored: Stored) -> u64 {
        match self {
            Target::IpcFile | Target::IpcStream => ipc_memory(batch_bytes, rows, stored.ipc.compression),
            #[cfg(feature = "parquet")]
            Target::Parquet | Target::Folder { .. } | Target::Split { .. } => {
                parquet::memory(schema, rows, &stored.parquet())
            }
        }
    }

    /// What an upload takes, if it is one.
    fn upload_memory(self, output: &Path) -> u64 {
        const UPLOAD: u64 = 24 << 20;
        if output.to_str().is_some_and(|output| output.starts_with("s3://")) { UPLOAD } else { 0 }
    }

    fn write(self, reader: impl RecordBatchReader, path: &Path, stored: Stored) -> Result<Written> {
        match self {
            #[cfg(feature = "parquet")]
            Target::Folder { .. } | Target::Split { .. } => {
                let message =
                    format!("{} is a folder, which holds the table of one image: expected a file", path.display());
                Err(Error::argument("output", message))
            }
            #[cfg(feature = "parquet")]
            Target::Parquet => parquet::write(reader, path, &stored.parquet()),
            Target::IpcFile => ipc::write_file(reader, path, &stored.ipc),
            Target::IpcStream => ipc::write_stream_file(reader, path, &stored.ipc),
        }
    }
}
