#![doc = include_str!("../README.md")]
//!
//! # How the crate is laid out
//!
//! Data goes one way, and each module knows nothing of the next:
//!
//! ```text
//! source  →  view  →  window  →  encode  →  reader  →  sink | polars | datafusion
//! files,     shape,   grid:      layouts    batches    Parquet,
//! arrays     strides  rows ↔                           Arrow IPC
//!                     coords
//! ```
//!
//! [`PatchScan`] puts the plan together. Start there, or at [`WindowSpec`] for what windows can be. [`fold`] is the way
//! back, from values of windows to an image.

mod boxes;
#[cfg(feature = "cloud")]
mod bucket;
mod buffer;
#[cfg(feature = "cli")]
pub mod cli;
pub mod collection;
#[cfg(feature = "datafusion")]
pub mod datafusion;
mod digest;
mod dtype;
mod encode;
mod error;
mod feed;
// The command line makes images in passes; without it, what that needs lies idle.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub mod fold;
#[cfg(feature = "parquet")]
pub mod folder;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod jobs;
mod matrix;
mod named;
#[cfg(any(feature = "cli", feature = "datafusion"))]
mod parse;
#[cfg(feature = "polars")]
pub mod polars;
mod reader;
mod rows;
mod scan;
mod schema;
#[cfg(feature = "image")]
mod sheet;
#[cfg(any(feature = "ipc", feature = "parquet"))]
pub mod sink;
pub mod source;
mod take;
mod view;
#[cfg(feature = "virtual")]
pub mod virtual_matrix;
mod window;

pub use buffer::{BufferPool, PoolBuf};
pub use digest::Digest;
pub use dtype::{DType, Pixel, Scalar};
pub use encode::{Coords, LabelAt, Layout, Nodata, Wrap};
pub use error::{Error, ErrorKind, Result};
pub use matrix::MatrixReader;
pub use reader::PatchReader;
pub use rows::{Amount, ClassCount, Permutation, Step};
pub use scan::{Explain, MaskAt, Parts, PatchScan, ScanBuilder, Split};
pub use schema::{METADATA_KEY, TableInfo, TableLabels, TableSource};
#[cfg(feature = "image")]
pub use sheet::ContactSheet;
pub use source::AnySource;
pub use take::PatchTaker;
pub use view::StridedView;
pub use window::{AxisRef, Edge, Grid, GridAxis, PadMode, Pads, Segment, WindowSpec};
