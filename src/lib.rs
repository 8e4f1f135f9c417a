//! x
mod buffer;
mod dtype;
mod error;
pub mod source;
mod view;

pub use buffer::{BufferPool, PoolBuf};
pub use dtype::{DType, Pixel, Scalar};
pub use error::{Error, ErrorKind, Result};
pub use view::StridedView;
