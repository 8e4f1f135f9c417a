//! The arguments, as clap reads them. Values are texts here; [`resolve`](ScanArgs::resolve) gives them their meaning.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::parse;
#[cfg(feature = "parquet")]
use crate::folder::{Check, Cut};
use crate::{AnySource, DType, Edge, Error, Layout, PadMode, PatchScan, Result, ScanBuilder, WindowSpec};

const EXAMPLES: &str = "\
Examples:
  windrow info photo.png --window 8x8
      what the table of all 8x8 windows would be; reads no pixel
  windrow export photo.png --window 8x8 -o patches.parquet
      all 8x8 windows at every position, one row per window
  windrow export scene.tif --window 64x64 --step 32 --edge shift -o tiles.arrow
      half-overlapping tiles that cover every pixel, as an Arrow IPC file
  windrow stream volume.npy --window 4x4x4 --dtype float32 --lossy | python train.py
      3-D windows as an Arrow IPC stream
  windrow show photo.png --window 32x32 -o sheet.png
      some of the windows as a picture";

const INFO_EXAMPLES: &str = "\
Examples:
  windrow info photo.png
      the axes of the image, and the type of its pixels
  windrow info photo.png --window 8x8 --step 4 --json
      rows, columns, bytes and memory of a table, for a program";

const EXPORT_EXAMPLES: &str = "\
Examples:
  windrow export photo.png --window 8x8 -o patches.parquet
  windrow export photo.png --window 8x8 --layout binary -o patches.parquet
      the smallest file
  windrow export photo.png --window 8x8 --dtype float32 --scale 1/255 -o patches.arrow
  windrow export photo.png --window 3x3 --pad same --pad-mode reflect -o patches.arrow
      a window around every pixel
  windrow export scene.tif --window 64x64 -o tiles/ --file-bytes 1GiB
  windrow export scene.tif --window 64x64 -o tiles/ --file-bytes 1GiB --resume
      several Parquet files, continued after an interruption";

#[cfg(feature = "parquet")]
const VERIFY_EXAMPLES: &str = "\
Examples:
  windrow verify tiles/
      the checksum of every file; 1000 rows made again from the image
  windrow verify tiles/ --all --image /elsewhere/scene.tif";

const STREAM_EXAMPLES: &str = "\
Examples:
  windrow stream photo.png --window 8x8 | python -c \\
    'import sys, pyarrow as pa; print(pa.ipc.open_stream(sys.stdin.buffer).read_all())'
  windrow stream photo.png --window 8x8 --rows 0..1000 > first.arrows";

#[cfg(feature = "image")]
const SHOW_ROWS: &str = "These rows: 0..100 [default: 16, spread over the image]";

#[cfg(feature = "image")]
const SHOW_EXAMPLES: &str = "\
Examples:
  windrow show photo.png --window 32x32 -o sheet.png
      16 windows, spread over the image
  windrow show photo.png --window 8x8 --step 4 --rows 0..200 --across 20 -o first.png
      the first 200 windows";

/// Sliding windows of an image as an Arrow table: rows are windows.
#[derive(Debug, Parser)]
#[command(name = "windrow", version, about, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What a scan would give and cost; reads no pixel
    #[command(after_help = INFO_EXAMPLES)]
    Info {
        #[command(flatten)]
        scan: ScanArgs,
        /// Print JSON
        #[arg(long, help_heading = "Output")]
        json: bool,
    },
    /// Write the table into a file
    #[command(after_help = EXPORT_EXAMPLES, mut_arg("window", |window| window.required(true)))]
    Export {
        #[command(flatten)]
        scan: ScanArgs,
        /// The file: .parquet, .arrow (Arrow IPC file; also .feather, .ipc) or .arrows (Arrow IPC stream); or a
        /// folder, out/, for several Parquet files; s3://bucket/name in builds with the feature "cloud"
        #[arg(short, long, value_name = "OUT", help_heading = "Output")]
        output: PathBuf,
        /// none, zstd, zstd:LEVEL, lz4 or (Parquet only) snappy [default: zstd:1]
        #[arg(long, value_name = "CODEC", help_heading = "Output")]
        compression: Option<String>,
        /// Store layout columns all the same: every column takes as much as the image
        #[arg(long, help_heading = "Output")]
        store_columns: bool,
        #[command(flatten)]
        folder: FolderArgs,
        /// No progress, no notes and no summary
        #[arg(short, long, help_heading = "Output")]
        quiet: bool,
    },
    /// Check a folder of Parquet files against its manifest and its image
    #[cfg(feature = "parquet")]
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// The folder that was exported
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The image, if it is no longer where it was
        #[arg(long, value_name = "IMAGE")]
        image: Option<PathBuf>,
        /// Make so many rows again from the image and compare, spread over all of them [default: 1000]
        #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with = "all")]
        sample: Option<String>,
        /// Make every row again
        #[arg(long)]
        all: bool,
        /// Say nothing when all is well
        #[arg(short, long)]
        quiet: bool,
    },
    /// Write the table to standard output, as an Arrow IPC stream
    #[command(after_help = STREAM_EXAMPLES, mut_arg("window", |window| window.required(true)))]
    Stream {
        #[command(flatten)]
        scan: ScanArgs,
        /// none, zstd, zstd:LEVEL or lz4
        #[arg(long, value_name = "CODEC", default_value = "none", help_heading = "Output")]
        compression: String,
        /// Send layout columns all the same: every column takes as much as the image
        #[arg(long, help_heading = "Output")]
        store_columns: bool,
    },
    /// Draw windows side by side into a picture
    #[cfg(feature = "image")]
    #[command(after_help = SHOW_EXAMPLES, mut_arg("window", |window| window.required(true)))]
    #[command(mut_arg("rows", |rows| rows.help(SHOW_ROWS).help_heading("Windows")))]
    Show {
        #[command(flatten)]
        windows: WindowArgs,
        /// The picture: .png
        #[arg(short, long, value_name = "OUT", help_heading = "Output")]
        output: PathBuf,
        /// Windows on a line
        #[arg(long, value_name = "N", allow_hyphen_values = true, default_value = "8", help_heading = "Output")]
        across: String,
    },
}

impl Args {
    /// What is said when the user stops this command.
    pub(super) fn interrupted(&self) -> &'static str {
        match self.command {
            // A pipe has what was sent before.
            Command::Stream { .. } => "interrupted",
            Command::Export { ref output, .. } if is_folder(output) => {
                "interrupted: what is written stays, --resume continues it"
            }
            #[cfg(feature = "parquet")]
            Command::Verify { .. } => "interrupted",
            _ => "interrupted: nothing was written",
        }
    }
}

/// Whether an output is a folder: by its name, or because it is one. What is called as a file ought to be one.
pub(super) fn is_folder(output: &Path) -> bool {
    let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    if ["parquet", "arrow", "feather", "ipc", "arrows"].contains(&&*ending) {
        return false;
    }
    if output.to_str().is_some_and(|output| output.starts_with("s3://")) {
        return true;
    }
    let last = output.as_os_str().as_encoded_bytes().last();
    last.is_some_and(|&last| std::path::is_separator(last.into())) || output.is_dir()
}

/// How a folder is filled.
#[derive(Debug, ClapArgs)]
pub(super) struct FolderArgs {
    /// Into a folder: so many files
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Output")]
    #[arg(conflicts_with = "file_bytes")]
    files: Option<String>,
    /// Into a folder: files of about so many bytes of dense rows, before compression [default: 4GiB]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, help_heading = "Output")]
    file_bytes: Option<String>,
    /// Into a folder: keep the files that are whole, make the others
    #[arg(long, help_heading = "Output")]
    pub(super) resume: bool,
}

impl FolderArgs {
    /// An argument that was given, by name.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given =
            [("files", self.files.is_some()), ("file_bytes", self.file_bytes.is_some()), ("resume", self.resume)];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    #[cfg(feature = "parquet")]
    pub(super) fn cut(&self) -> Result<Cut> {
        match (&self.files, &self.file_bytes) {
            (Some(files), _) => Ok(Cut::Files(parse::number("files", files)?)),
            (_, Some(bytes)) => Ok(Cut::Bytes(parse::bytes("file-bytes", bytes)?)),
            (None, None) => Ok(Cut::default()),
        }
    }
}

/// What `verify` makes again.
#[cfg(feature = "parquet")]
pub(super) fn check(sample: Option<&str>, all: bool) -> Result<Check> {
    match sample {
        _ if all => Ok(Check::All),
        Some(rows) => Ok(Check::Rows(parse::number("sample", rows)?)),
        None => Ok(Check::default()),
    }
}

/// Which windows.
#[derive(Debug, ClapArgs)]
pub(super) struct WindowArgs {
    /// The image: .npy, TIFF, PNG, JPEG, BMP, GIF (its first frame), WebP, PNM, TGA, QOI
    #[arg(value_name = "IMAGE")]
    pub(super) image: PathBuf,
    /// Pixels of a window on each axis: 8x8
    #[arg(short, long, value_name = "SHAPE", allow_hyphen_values = true, help_heading = "Windows")]
    #[arg(visible_alias = "size", alias = "window-shape")]
    window: Option<String>,
    /// Distance between windows, for all axes or each: 2 or 2x1 [default: 1]
    #[arg(short, long, value_name = "N", allow_hyphen_values = true, help_heading = "Windows")]
    #[arg(visible_alias = "stride")]
    step: Option<String>,
    /// Distance between the pixels of a window, for all axes or each [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Windows")]
    dilation: Option<String>,
    /// The axes that the window slides over, by name or number: y,x [default: the leading ones]
    #[arg(long, value_name = "AXES", allow_hyphen_values = true, help_heading = "Windows")]
    axes: Option<String>,
    /// At the far edge: drop the remainder, shift the last window inward, or pad [default: drop]
    #[arg(long, value_name = "drop|shift|pad", help_heading = "Padding")]
    edge: Option<String>,
    /// Pixels added to each axis, as np.pad has them: 3, 3x0, or before,after: 1,2x0,0; or 'same' for ceil(n / step)
    /// windows [default with --edge pad: same]
    #[arg(long, value_name = "WIDTHS", allow_hyphen_values = true, help_heading = "Padding")]
    pad: Option<String>,
    /// What is added: constant, edge, reflect, symmetric or wrap, as np.pad has them [default: constant]
    #[arg(long, value_name = "MODE", help_heading = "Padding")]
    pad_mode: Option<String>,
    /// The value of constant padding [default: 0]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Padding")]
    pad_value: Option<String>,
    /// Only these rows: 0..1000
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, help_heading = "Table")]
    rows: Option<String>,
    /// The image of a file with several, from 0 [default: 0]
    #[arg(long, value_name = "K", allow_hyphen_values = true, help_heading = "Pixels")]
    page: Option<String>,
}

/// Which table.
#[derive(Debug, ClapArgs)]
pub(super) struct ScanArgs {
    #[command(flatten)]
    pub(super) windows: WindowArgs,
    /// Only these columns: window,y,x,patch
    #[arg(long, value_name = "NAMES", help_heading = "Table")]
    columns: Option<String>,
    /// How patches are held: tensor, fixed-shape-tensor, binary or columns
    #[arg(long, value_name = "LAYOUT", default_value = "tensor", help_heading = "Table")]
    layout: String,
    /// In layout columns, rows that are no windows are null, or false in a column 'valid' [default: null]
    #[arg(long, value_name = "null|column", help_heading = "Table")]
    wrap: Option<String>,
    /// Convert pixels: float32 (f32), uint8 (u8), …
    #[arg(long, value_name = "TYPE", help_heading = "Pixels")]
    dtype: Option<String>,
    /// Multiply pixels: 0.5, or 1/255
    #[arg(long, value_name = "FACTOR", allow_hyphen_values = true, help_heading = "Pixels")]
    scale: Option<String>,
    /// Add to pixels, after scaling
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Pixels")]
    offset: Option<String>,
    /// Allow a conversion that rounds or saturates
    #[arg(long, help_heading = "Pixels")]
    lossy: bool,
    /// Bytes of a batch, about [default: 4MiB]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, help_heading = "Batches")]
    batch_bytes: Option<String>,
    /// Rows of a batch, exactly
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        conflicts_with = "batch_bytes",
        help_heading = "Batches"
    )]
    batch_rows: Option<String>,
}

impl WindowArgs {
    /// The image. Reads no pixel.
    pub(super) fn source(&self) -> Result<AnySource> {
        let page = self.page.as_deref().map(|text| parse::number("page", text)).transpose()?;
        AnySource::open(&self.image, page)
    }

    /// The windows that were asked for, if there is a shape. Opens the image, but reads no pixel.
    fn builder(&self) -> Result<Option<ScanBuilder>> {
        let Some(window) = &self.window else { return Ok(None) };
        let spec = self.spec(window)?;
        let mut builder = PatchScan::builder(self.source()?, spec);
        if let Some(rows) = &self.rows {
            builder = builder.rows(parse::rows(rows)?);
        }
        Ok(Some(builder))
    }

    /// The windows that were asked for, and whether they are all to be shown, as rows were named.
    #[cfg(feature = "image")]
    pub(super) fn resolve(&self) -> Result<(PatchScan, bool)> {
        Ok((self.builder()?.ok_or_else(no_window)?.build()?, self.rows.is_some()))
    }

    fn spec(&self, window: &str) -> Result<WindowSpec> {
        let mut spec = WindowSpec::new(parse::shape("window", window)?);
        if let Some(step) = &self.step {
            spec.step = parse::shape("step", step)?;
        }
        if let Some(dilation) = &self.dilation {
            spec.dilation = parse::shape("dilation", dilation)?;
        }
        let padding = [("pad", &self.pad), ("pad-mode", &self.pad_mode), ("pad-value", &self.pad_value)];
        let given = padding.iter().find(|(_, value)| value.is_some());
        spec.edge = match (self.edge.as_deref(), given) {
            (Some("pad"), _) | (None, Some(_)) => Edge::Pad,
            (Some(edge), Some((name, _))) => {
                return Err(Error::argument("edge", format!("--{name} goes with --edge pad, not with {edge:?}")));
            }
            (None | Some("drop"), None) => Edge::Drop,
            (Some("shift"), None) => Edge::Shift,
            (Some(other), None) => {
                return Err(Error::argument("edge", format!("{other:?} is not one of drop, shift, pad")));
            }
        };
        if let Some(pad) = &self.pad {
            spec.pad = parse::pads(pad)?;
        }
        if let Some(mode) = &self.pad_mode {
            spec.pad_mode = mode.parse()?;
        }
        if let Some(value) = &self.pad_value {
            if spec.pad_mode != PadMode::Constant {
                let message = format!("only --pad-mode constant adds a value, not {}", spec.pad_mode);
                return Err(Error::argument("pad_value", message));
            }
            spec.pad_value = value.parse()?;
        }
        if let Some(axes) = &self.axes {
            spec = spec.axes(axes.split(',').map(str::trim));
        }
        Ok(spec)
    }
}

fn no_window() -> Error {
    Error::argument("window", "expected pixels of a window on each axis, such as 8x8")
}

impl ScanArgs {
    /// The scan that was asked for, if there is a window. Opens the image, but reads no pixel.
    pub(super) fn scan(&self) -> Result<Option<PatchScan>> {
        self.windows.builder()?.map(|builder| self.options(builder)?.build()).transpose()
    }

    /// The scan that was asked for, of a command that can't do without.
    pub(super) fn resolve(&self) -> Result<PatchScan> {
        self.scan()?.ok_or_else(no_window)
    }

    fn options(&self, mut builder: ScanBuilder) -> Result<ScanBuilder> {
        builder = builder.layout(self.layout.parse::<Layout>()?).lossy(self.lossy);
        if let Some(wrap) = &self.wrap {
            builder = builder.wrap(wrap.parse()?);
        }
        if let Some(columns) = &self.columns {
            builder = builder.columns(columns.split(',').map(str::trim));
        }
        if let Some(dtype) = &self.dtype {
            builder = builder.dtype(dtype.parse::<DType>()?);
        }
        if let Some(scale) = &self.scale {
            builder = builder.scale(parse::factor("scale", scale)?);
        }
        if let Some(offset) = &self.offset {
            builder = builder.offset(parse::number("offset", offset)?);
        }
        if let Some(bytes) = &self.batch_bytes {
            builder = builder.batch_bytes(parse::bytes("batch-bytes", bytes)?);
        }
        if let Some(rows) = &self.batch_rows {
            builder = builder.batch_rows(parse::number("batch-rows", rows)?);
        }
        Ok(builder)
    }
}
