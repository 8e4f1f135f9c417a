//! The arguments, as clap reads them. Values are texts here; [`resolve`](ScanArgs::resolve) gives them their meaning.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::parse;
use crate::{AnySource, DType, Edge, Error, Layout, PatchScan, Result, ScanBuilder, WindowSpec};

const EXAMPLES: &str = "\
Examples:
  windrow info photo.png --window 8x8
      what the table of all 8x8 windows would be; reads no pixel
  windrow export photo.png --window 8x8 -o patches.parquet
      all 8x8 windows at every position, a row each
  windrow export scene.tif --window 64x64 --step 32 --edge shift -o tiles.arrow
      half-overlapping tiles that cover every pixel, as an Arrow IPC file
  windrow stream volume.npy --window 4x4x4 --dtype float32 --lossy | python train.py
      3-D windows as an Arrow IPC stream";

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
    Info {
        #[command(flatten)]
        scan: ScanArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the table into a file
    Export {
        #[command(flatten)]
        scan: ScanArgs,
        /// The file: .parquet, .arrow (Arrow IPC file) or .arrows (Arrow IPC stream)
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
        /// none, zstd, zstd:LEVEL, lz4 or (Parquet only) snappy [default: zstd:1]
        #[arg(long, value_name = "CODEC")]
        compression: Option<String>,
        /// Store layout columns all the same: every column takes as much as the image
        #[arg(long)]
        store_columns: bool,
        /// No progress and no summary
        #[arg(short, long)]
        quiet: bool,
    },
    /// Write the table to standard output, as an Arrow IPC stream
    Stream {
        #[command(flatten)]
        scan: ScanArgs,
        /// none, zstd, zstd:LEVEL or lz4
        #[arg(long, value_name = "CODEC", default_value = "none")]
        compression: String,
        /// Send layout columns all the same: every column takes as much as the image
        #[arg(long)]
        store_columns: bool,
    },
}

/// Which table.
#[derive(Debug, ClapArgs)]
pub(super) struct ScanArgs {
    /// The image: .npy, TIFF, PNG, JPEG, BMP, GIF, WebP, PNM, TGA, QOI
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Pixels of a window on each axis: 8x8
    #[arg(short, long, value_name = "SHAPE", allow_hyphen_values = true)]
    window: String,
    /// Distance between windows, for all axes or each: 2 or 2x1 [default: 1]
    #[arg(short, long, value_name = "N", allow_hyphen_values = true)]
    step: Option<String>,
    /// Distance between the pixels of a window, for all axes or each [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    dilation: Option<String>,
    /// At the far edge: drop the rest, shift the last window inward, or pad [default: drop]
    #[arg(long, value_name = "drop|shift|pad")]
    edge: Option<String>,
    /// Pixels added before,after each axis: 1,2x0,0; or 'same' for ceil(n / step) windows [default: same]
    #[arg(long, value_name = "WIDTHS", allow_hyphen_values = true)]
    pad: Option<String>,
    /// What is added: constant, edge, reflect, symmetric or wrap, as np.pad has them [default: constant]
    #[arg(long, value_name = "MODE")]
    pad_mode: Option<String>,
    /// The value of constant padding [default: 0]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pad_value: Option<String>,
    /// The axes that the window slides over, by name or number: y,x [default: the leading ones]
    #[arg(long, value_name = "AXES", allow_hyphen_values = true)]
    axes: Option<String>,
    /// Only these rows: 0..1000
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    rows: Option<String>,
    /// Only these columns: window,y,x,patch
    #[arg(long, value_name = "NAMES")]
    columns: Option<String>,
    /// How patches are held: tensor, fixed-shape-tensor, binary or columns
    #[arg(long, value_name = "LAYOUT", default_value = "tensor")]
    layout: String,
    /// In layout columns, rows that are no windows are null, or false in a column 'valid' [default: null]
    #[arg(long, value_name = "null|column")]
    wrap: Option<String>,
    /// Convert pixels: float32, uint8, …
    #[arg(long, value_name = "TYPE")]
    dtype: Option<String>,
    /// Multiply pixels
    #[arg(long, value_name = "FACTOR", allow_hyphen_values = true)]
    scale: Option<String>,
    /// Add to pixels, after scaling
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    offset: Option<String>,
    /// Allow a conversion that rounds or saturates
    #[arg(long)]
    lossy: bool,
    /// Bytes of a batch, about [default: 4MiB]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    batch_bytes: Option<String>,
    /// Rows of a batch, exactly
    #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with = "batch_bytes")]
    batch_rows: Option<String>,
    /// The image of a file with several, from 0 [default: 0]
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    page: Option<String>,
}

impl ScanArgs {
    /// The scan that was asked for. Opens the image, but reads no pixel.
    pub(super) fn resolve(&self) -> Result<PatchScan> {
        let spec = self.spec()?;
        let page = self.page.as_deref().map(|text| parse::number("page", text)).transpose()?;
        let source = AnySource::open(&self.image, page)?;
        let builder = self.options(PatchScan::builder(source, spec))?;
        builder.build()
    }

    fn spec(&self) -> Result<WindowSpec> {
        let mut spec = WindowSpec::new(parse::shape("window", &self.window)?);
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
            spec.pad_value = value.parse()?;
        }
        if let Some(axes) = &self.axes {
            spec = spec.axes(axes.split(',').map(str::trim));
        }
        Ok(spec)
    }

    fn options(&self, mut builder: ScanBuilder) -> Result<ScanBuilder> {
        builder = builder.layout(self.layout.parse::<Layout>()?).lossy(self.lossy);
        if let Some(wrap) = &self.wrap {
            builder = builder.wrap(wrap.parse()?);
        }
        if let Some(rows) = &self.rows {
            builder = builder.rows(parse::rows(rows)?);
        }
        if let Some(columns) = &self.columns {
            builder = builder.columns(columns.split(',').map(str::trim));
        }
        if let Some(dtype) = &self.dtype {
            builder = builder.dtype(dtype.parse::<DType>()?);
        }
        if let Some(scale) = &self.scale {
            builder = builder.scale(parse::number("scale", scale)?);
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
