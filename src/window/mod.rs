//! Which windows there are, and where: pure integer arithmetic, no pixels.

mod axis;
mod divide;
mod grid;
mod pad;
mod spec;

pub use axis::GridAxis;
pub(crate) use divide::Divisor;
pub(crate) use grid::by;
pub use grid::{Grid, Segment};
pub use pad::{PadMode, Pads};
pub use spec::{AxisRef, Edge, WindowSpec};
