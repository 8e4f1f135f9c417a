//! The arguments, as clap reads them. Values are texts here; [`resolve`](ScanArgs::resolve) gives them their meaning.

use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::rows::RowArgs;
use crate::collection::{self, PatchCollection, is_several};
#[cfg(feature = "parquet")]
use crate::folder::{Check, Cut};
use crate::parse::{self, SpecText};
use crate::source::OpenOptions;
use crate::{AnySource, DType, Error, Layout, Nodata, PatchScan, Result, ScanBuilder, WindowSpec};

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
  windrow fold predictions.parquet -o labels.tif
      an image of what a model said of each window
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
  windrow export photo.png --window 8x8 --sample 100000 --shuffle 42 -o sample.parquet
  windrow export photo.png --window 8x8 --labels classes.png --per-class 1000 \
    --split train=0.8,test=0.2 --block 256x256 --part train -o train.parquet
      1,000 windows of each class, of four fifths of the image that share no pixel with the rest
  windrow export scene.tif --window 64x64 --mask field.tif --nodata file --min-valid 0.9 -o field.parquet
  windrow export 'tiles/*.png' --window 8x8 -o patches.parquet
      many images as one table, with a column 'image'
  windrow export scene.bin --raw u16le:4096x4096 --window 64x64 -o scene.parquet
  windrow export scene.tif --window 64x64 -o tiles/ --file-bytes 1GiB
  windrow export scene.tif --window 64x64 -o tiles/ --file-bytes 1GiB --resume
      several Parquet files, continued after an interruption
  windrow export scene.tif --window 64x64 -o tiles/ --split 3/16
      one of 16 files, each made by itself, anywhere; verify tiles/ when all are there";

#[cfg(feature = "parquet")]
const VERIFY_EXAMPLES: &str = "\
Examples:
  windrow verify tiles/
      the checksum of every file; 1000 rows made again from the image
  windrow verify tiles/ --sample 0
      checksums alone; also gives a folder that --split has filled its manifest
  windrow verify tiles/ --all --image /elsewhere/scene.tif";

const STREAM_EXAMPLES: &str = "\
Examples:
  windrow stream photo.png --window 8x8 | python -c \\
    'import sys, pyarrow as pa; print(pa.ipc.open_stream(sys.stdin.buffer).read_all())'
  windrow stream photo.png --window 8x8 --rows 0..1000 > first.arrows";

const FOLD_EXAMPLES: &str = "\
Examples:
  windrow fold predictions.parquet -o labels.tif
      a column 'window' and one of values become an image; the file says of which windows they are
  windrow fold predictions.parquet --like patches.parquet -o labels.tif
      the same, where the program that made the predictions dropped what the file said
  windrow fold scores.arrow --like scene.tif --window 64x64 --step 32 --blend hann -o scores.npy
      overlapping patches of scores, blended by a Hann window
  windrow fold predictions.parquet --at center --fill -1 -o labels.npy
      each value at the middle of its window";

#[cfg(feature = "datafusion")]
const SQL_EXAMPLES: &str = "\
Examples:
  windrow sql \"SELECT count(*) FROM patches('photo.png', window => '8x8', step => 2)\"
  windrow sql 'SELECT y, x, patch_std(patch) AS s FROM t WHERE y < 100 ORDER BY s DESC LIMIT 5' \\
    --table t=photo.png,window=8x8
      the most textured windows of the first lines
  windrow sql 'SELECT \"window\", label, patch FROM t JOIN l USING (\"window\")' \\
    --table t=scene.tif,window=64x64 --table l=labels.parquet -o labelled.parquet";

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
    /// Make an image of values of windows: predictions, or patches
    #[command(after_help = FOLD_EXAMPLES)]
    Fold(FoldArgs),
    /// Ask in SQL: filters on coordinates are applied before a pixel is read
    #[cfg(feature = "datafusion")]
    #[command(after_help = SQL_EXAMPLES)]
    Sql(SqlArgs),
    /// Draw windows side by side into a picture
    #[cfg(feature = "image")]
    #[command(after_help = SHOW_EXAMPLES, mut_arg("window", |window| window.required(true)))]
    #[command(mut_arg("rows", |rows| rows.help(SHOW_ROWS).help_heading("Windows")))]
    Show {
        #[command(flatten)]
        windows: WindowArgs,
        #[command(flatten)]
        chosen: RowArgs,
        /// The picture: .png
        #[arg(short, long, value_name = "OUT", help_heading = "Output")]
        output: PathBuf,
        /// Windows on a line
        #[arg(long, value_name = "N", allow_hyphen_values = true, default_value = "8", help_heading = "Output")]
        across: String,
    },
}

impl Args {
    /// What is wrong with the arguments of this command together.
    pub(super) fn misused(&self) -> Option<String> {
        match &self.command {
            Command::Info { scan, .. } | Command::Export { scan, .. } | Command::Stream { scan, .. } => {
                scan.chosen.misused()
            }
            #[cfg(feature = "image")]
            Command::Show { chosen, .. } => chosen.misused(),
            _ => None,
        }
    }

    /// What is said when the user stops this command.
    pub(super) fn interrupted(&self) -> &'static str {
        match self.command {
            // A pipe has what was sent before.
            Command::Stream { .. } => "interrupted",
            Command::Export { ref output, ref scan, .. }
                if is_folder(output) && scan.chosen.one_of().is_ok_and(|s| s.is_some()) =>
            {
                "interrupted: this split was not written"
            }
            Command::Export { ref output, .. } if is_folder(output) => {
                "interrupted: what is written stays, --resume continues it"
            }
            #[cfg(feature = "parquet")]
            Command::Verify { .. } => "interrupted",
            #[cfg(feature = "datafusion")]
            Command::Sql(ref args) => args.interrupted(),
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

/// What windows are.
#[derive(Debug, ClapArgs)]
pub(super) struct SpecArgs {
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
}

/// Which windows.
#[derive(Debug, ClapArgs)]
pub(super) struct WindowArgs {
    /// The image: .npy, .npz (also scene.npz/name), TIFF, PNG, JPEG, BMP, GIF (its first frame), WebP, PNM, TGA, QOI. Several
    /// images, a folder of them, or a pattern such as 'tiles/*.png' are one table with a column 'image'
    #[arg(value_name = "IMAGE", required = true, num_args = 1..)]
    pub(super) images: Vec<PathBuf>,
    #[command(flatten)]
    spec: SpecArgs,
    /// Only these rows: 0..1000
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, help_heading = "Table")]
    rows: Option<String>,
    /// The image of a file with several, from 0 [default: 0]
    #[arg(long, value_name = "K", allow_hyphen_values = true, help_heading = "Pixels")]
    page: Option<String>,
    /// A reduced copy of the image: the overview K of a TIFF file, from 0, as GDAL counts them
    #[arg(long, value_name = "K", allow_hyphen_values = true, help_heading = "Pixels")]
    overview: Option<String>,
    /// All pages of a TIFF as one array, with an axis 'page' in front
    #[arg(long, help_heading = "Pixels")]
    stack: bool,
    /// The array of an archive with several, by name
    #[arg(long, value_name = "NAME", help_heading = "Pixels")]
    member: Option<String>,
    /// What a file without a header holds: type, byte order and shape: u16le:4096x4096; @512 behind it is where it starts
    #[arg(long, value_name = "SPEC", allow_hyphen_values = true, help_heading = "Pixels")]
    raw: Option<String>,
}

/// What becomes of values.
#[derive(Debug, ClapArgs)]
pub(super) struct FoldArgs {
    /// The values: Parquet, an Arrow IPC file or stream, a folder of Parquet files, or - for a stream on standard input
    #[arg(value_name = "VALUES")]
    pub(super) values: PathBuf,
    /// The image: .npy, .tif, .png or .zarr (a folder, chunk by chunk)
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(super) output: PathBuf,
    /// The column of values [default: prediction, patch, or the only one besides window, y, x]
    #[arg(long, value_name = "NAME", help_heading = "Values")]
    pub(super) column: Option<String>,
    /// patch: at the pixels of the window; grid: an image with a cell a window; center: at the middle of the window
    /// [default: patch for values of the window's shape, grid for others]
    #[arg(long, value_name = "PLACE", help_heading = "Values")]
    pub(super) at: Option<String>,
    /// Where windows overlap: mean, sum, max, min, last (the highest id), center-crop (the nearest centre), gaussian or
    /// hann (weighted means)
    #[arg(long, value_name = "BLEND", default_value = "mean", help_heading = "Values")]
    pub(super) blend: String,
    /// The shape of a value: 64x64x3 [default: as the file has it]
    #[arg(long, value_name = "SHAPE", allow_hyphen_values = true, help_heading = "Values")]
    pub(super) value_shape: Option<String>,
    /// A file that says of which windows the values are, if VALUES does not; or, with --window, the image
    #[arg(long, value_name = "FILE", help_heading = "Windows")]
    pub(super) like: Option<PathBuf>,
    #[command(flatten)]
    pub(super) spec: SpecArgs,
    /// Where the TIFF that was scanned is now, for its georeference [default: where it was]
    #[arg(long, value_name = "IMAGE", help_heading = "Windows")]
    pub(super) image: Option<PathBuf>,
    /// The image of a file with several, from 0 [default: 0]
    #[arg(long, value_name = "K", allow_hyphen_values = true, help_heading = "Windows")]
    pub(super) page: Option<String>,
    /// The reduced copy of the image that was scanned, from 0 [default: as the file of values says]
    #[arg(long, value_name = "K", allow_hyphen_values = true, help_heading = "Windows")]
    pub(super) overview: Option<String>,
    /// What cells are that no window covers [default: the value for missing pixels of the image that was scanned, or else
    /// NaN, or 0 for integers]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Output")]
    pub(super) fill: Option<String>,
    /// The type of the image [default: as the values; sums of integers have 64 bits]
    #[arg(long, value_name = "TYPE", help_heading = "Output")]
    pub(super) dtype: Option<String>,
    /// Memory for the image, about; a larger one is made in several passes over the file, or of a pipe whose windows
    /// come in order
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, default_value = "1GiB", help_heading = "Output")]
    pub(super) memory: String,
    /// No notes and no summary
    #[arg(short, long, help_heading = "Output")]
    pub(super) quiet: bool,
}

/// What is asked.
#[cfg(feature = "datafusion")]
#[derive(Debug, ClapArgs)]
pub struct SqlArgs {
    /// A query, or another statement of SQL as DataFusion has it: EXPLAIN, COPY, DESCRIBE
    #[arg(value_name = "QUERY")]
    pub(super) query: String,
    /// A table: name=IMAGE,window=8x8,step=2 with the options of a table, or name=FILE of Parquet, Arrow IPC or CSV, or a
    /// folder of Parquet files. Can be given several times
    #[arg(short, long, value_name = "NAME=IMAGE,…")]
    pub(super) table: Vec<String>,
    /// The file that the answer goes to: .parquet, .arrow, .arrows or .csv [default: a table on standard output]
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
    /// So many rows are printed; 0 is all
    #[arg(long, value_name = "N", allow_hyphen_values = true, default_value = "40")]
    pub(super) limit: String,
    /// Memory for sorts, joins and groups, about; what is more goes to a temporary folder
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, default_value = "1GiB")]
    pub(super) memory: String,
    /// No summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[cfg(feature = "datafusion")]
impl SqlArgs {
    /// What is said when the user stops the query.
    pub(super) fn interrupted(&self) -> &'static str {
        if self.output.is_none() { "interrupted" } else { "interrupted: nothing was written" }
    }
}

/// Which table.
#[derive(Debug, ClapArgs)]
pub(super) struct ScanArgs {
    #[command(flatten)]
    pub(super) windows: WindowArgs,
    #[command(flatten)]
    pub(super) chosen: RowArgs,
    /// Of several images: leave out those that are broken or unlike the first one, and write which they are into this
    /// file, as JSON
    #[arg(long, value_name = "REPORT", help_heading = "Table")]
    pub(super) skip_bad: Option<PathBuf>,
    /// Only these columns: window,y,x,patch
    #[arg(long, value_name = "NAMES", help_heading = "Table")]
    columns: Option<String>,
    /// pixel: where windows start; map: also where their middles lie on the map, as easting and northing or longitude
    /// and latitude [default: pixel]
    #[arg(long, value_name = "pixel|map", help_heading = "Table")]
    coords: Option<String>,
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
    /// The value of pixels that have none: they are null, and a column 'valid' says which share is not. A number, nan,
    /// or file for what a TIFF says
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Pixels")]
    nodata: Option<String>,
    /// A column 'label': an image with the axes of the window
    #[arg(long, value_name = "IMAGE", help_heading = "Labels")]
    labels: Option<PathBuf>,
    /// What of the labels in a window is its own: center, majority, mean or patch [default: center]
    #[arg(long, value_name = "WHAT", requires = "labels", help_heading = "Labels")]
    label_at: Option<String>,
    /// The label of pixels that have none: a number, nan, or file
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, requires = "labels", help_heading = "Labels")]
    label_nodata: Option<String>,
    /// Bytes of a batch, about [default: 2MiB; in Arrow files from 4MiB to 8MiB, by the width of the image]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, help_heading = "Batches")]
    batch_bytes: Option<String>,
    /// A limit for the memory of the whole process: fewer and smaller batches are made at once, and what can't be held
    /// to it is refused before it starts
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, help_heading = "Batches")]
    max_memory: Option<String>,
    /// Bytes of a file that are kept, decoded, where windows are read in no order [default: 64MiB]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, help_heading = "Batches")]
    cache: Option<String>,
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
    /// Whether this is one image.
    pub(super) fn is_one(&self) -> bool {
        // Of a folder that has a member it is the member that is meant.
        let member = self.member.is_some() && self.images[0].is_dir();
        self.images.len() == 1 && (member || !is_several(&self.images[0]))
    }

    /// The image. Reads no pixel.
    pub(super) fn source(&self) -> Result<AnySource> {
        if !self.is_one() {
            let message = "several images: expected one (export, stream and info take a folder or pattern)";
            return Err(Error::argument("image", message));
        }
        self.open(&self.images[0])
    }

    /// An image of several, or the one.
    fn open(&self, image: &Path) -> Result<AnySource> {
        let page = self.page.as_deref().map(|text| parse::number("page", text)).transpose()?;
        let overview = self.overview.as_deref().map(|text| parse::number("overview", text)).transpose()?;
        let raw = self.raw.as_deref().map(str::parse).transpose()?;
        let options = OpenOptions { page, overview, stack: self.stack, raw, member: self.member.clone() };
        AnySource::open_with(image, &options)
    }

    /// The windows that were asked for, if there is a shape. Opens the image, but reads no pixel.
    fn builder(&self) -> Result<Option<ScanBuilder>> {
        let Some(spec) = self.spec.resolve()? else { return Ok(None) };
        let mut builder = PatchScan::builder(self.source()?, spec);
        if let Some(rows) = &self.rows {
            builder = builder.rows(parse::rows(rows)?);
        }
        Ok(Some(builder))
    }

    /// The windows that were asked for.
    #[cfg(feature = "image")]
    pub(super) fn resolve(&self) -> Result<PatchScan> {
        self.builder()?.ok_or_else(no_window)?.build()
    }

    /// Whether rows were named.
    #[cfg(feature = "image")]
    pub(super) fn names_rows(&self) -> bool {
        self.rows.is_some()
    }
}

impl SpecArgs {
    /// The windows that were asked for, if there is a shape.
    pub(super) fn resolve(&self) -> Result<Option<WindowSpec>> {
        let text = SpecText {
            window: self.window.as_deref(),
            step: self.step.as_deref(),
            dilation: self.dilation.as_deref(),
            axes: self.axes.as_deref(),
            edge: self.edge.as_deref(),
            pad: self.pad.as_deref(),
            pad_mode: self.pad_mode.as_deref(),
            pad_value: self.pad_value.as_deref(),
        };
        text.resolve()
    }
}

fn no_window() -> Error {
    Error::argument("window", "expected pixels of a window on each axis, such as 8x8")
}

impl ScanArgs {
    /// The scan that was asked for, if there is a window, and what is to be said about its rows. Reads no pixel, unless
    /// rows are chosen by their pixels.
    pub(super) fn scan(&self) -> Result<Option<(PatchScan, Vec<String>)>> {
        if self.skip_bad.is_some() {
            return Err(Error::argument("skip_bad", "goes with several images, a folder or a pattern"));
        }
        let Some(builder) = self.windows.builder()? else { return Ok(None) };
        let (scan, notes) = self.chosen.choose(self.options(builder)?.build()?)?;
        Ok(Some((scan, notes)))
    }

    /// The scan that was asked for, of a command that can't do without.
    pub(super) fn resolve(&self) -> Result<(PatchScan, Vec<String>)> {
        self.scan()?.ok_or_else(no_window)
    }

    /// The table of several images. Opens the first one.
    pub(super) fn collection(self) -> Result<PatchCollection> {
        let spec = self.windows.spec.resolve()?.ok_or_else(no_window)?;
        if let Some(name) = self.chosen.of_one_image() {
            let message = "chooses rows of one image: of several, expected --rows, --within, --sample, --shuffle, --shard or --skip";
            return Err(Error::argument(name, message));
        }
        if self.labels.is_some() {
            return Err(Error::argument("labels", "are those of one image, not of several"));
        }
        let rows = self.windows.rows.as_deref().map(parse::rows).transpose()?;
        let (chosen, skip_bad) = (self.chosen.clone(), self.skip_bad.is_some());
        let paths = collection::paths(&self.windows.images)?;
        let make = move |image: &Path| self.options(PatchScan::builder(self.windows.open(image)?, spec.clone()));
        let all =
            if skip_bad { PatchCollection::skipping_bad(paths, make)? } else { PatchCollection::new(paths, make)? };
        let all = match rows.map(|rows| (rows.start_bound().cloned(), rows.end_bound().cloned())) {
            None => all,
            // For the first rows nobody needs to know how many there are.
            Some((Bound::Unbounded | Bound::Included(0), Bound::Excluded(end))) => all.head(end),
            Some((start, end)) => {
                let bound = |bound, more| match bound {
                    Bound::Included(row) => Some(u64::saturating_add(row, more)),
                    Bound::Excluded(row) => Some(row.saturating_add(1 - more)),
                    Bound::Unbounded => None,
                };
                let end = bound(end, 1).map_or_else(|| all.num_rows(), Ok)?;
                all.rows(bound(start, 0).unwrap_or(0)..end)?
            }
        };
        chosen.choose_of_all(all)
    }

    /// The most memory that the process may take.
    pub(super) fn max_memory(&self) -> Result<Option<u64>> {
        self.max_memory.as_deref().map(|text| parse::bytes("max-memory", text)).transpose()
    }

    /// The scan that was asked for, all splits of it together.
    pub(super) fn resolve_all(&self) -> Result<(PatchScan, Vec<String>)> {
        let builder = self.windows.builder()?.ok_or_else(no_window)?;
        self.chosen.choose_all(self.options(builder)?.build()?)
    }

    fn options(&self, mut builder: ScanBuilder) -> Result<ScanBuilder> {
        builder = builder.layout(self.layout.parse::<Layout>()?).lossy(self.lossy);
        if let Some(wrap) = &self.wrap {
            builder = builder.wrap(wrap.parse()?);
        }
        if let Some(columns) = &self.columns {
            builder = builder.columns(columns.split(',').map(str::trim));
        }
        if let Some(coords) = &self.coords {
            builder = builder.coords(coords.parse()?);
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
        if let Some(nodata) = &self.nodata {
            builder = builder.nodata(nodata.parse::<Nodata>()?);
        }
        if let Some(labels) = &self.labels {
            let at = self.label_at.as_deref().unwrap_or("center").parse()?;
            builder = builder.labels(AnySource::open(labels, None)?, at);
        }
        if let Some(nodata) = &self.label_nodata {
            builder = builder.label_nodata(nodata.parse::<Nodata>()?);
        }
        if let Some(bytes) = &self.batch_bytes {
            builder = builder.batch_bytes(parse::bytes("batch-bytes", bytes)?);
        }
        if let Some(bytes) = &self.cache {
            builder = builder.cache_bytes(parse::bytes("cache", bytes)?);
        }
        if let Some(rows) = &self.batch_rows {
            builder = builder.batch_rows(parse::number("batch-rows", rows)?);
        }
        Ok(builder)
    }
}
