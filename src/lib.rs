//! x
mod buffer;
#[cfg(feature = "cli")]
pub mod cli;
mod dtype;
mod encode;
mod error;
mod reader;
mod scan;
mod schema;
#[cfg(any(feature = "ipc", feature = "parquet"))]
pub mod sink;
pub mod source;
mod view;
pub mod window;

pub use buffer::{BufferPool, PoolBuf};
pub use dtype::{DType, Pixel, Scalar};
pub use encode::Layout;
pub use error::{Error, ErrorKind, Result};
pub use reader::PatchReader;
pub use scan::{Explain, PatchScan, ScanBuilder};
pub use schema::{METADATA_KEY, TableInfo, TableSource};
pub use source::AnySource;
pub use view::StridedView;
pub use window::{AxisRef, Edge, Grid, GridAxis, PadMode, Pads, Segment, WindowSpec};
