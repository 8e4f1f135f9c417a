//! x
mod buffer;
mod dtype;
mod error;
pub mod source;
mod view;
pub mod window;

pub use buffer::{BufferPool, PoolBuf};
pub use dtype::{DType, Pixel, Scalar};
pub use error::{Error, ErrorKind, Result};
pub use view::StridedView;
pub use window::{AxisRef, Edge, Grid, GridAxis, PadMode, Pads, WindowSpec};
