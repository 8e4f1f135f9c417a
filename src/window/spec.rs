//! [`WindowSpec`]: what the user asks for, before it meets an array.

use serde::{Deserialize, Serialize};

use super::pad::{PadMode, Pads};
use crate::Scalar;
use crate::named::named;

/// A sliding window, as the user describes it.
///
/// `window_shape`, `step` and `dilation` have one entry a window axis; `step` and `dilation` may have a single entry
/// for all. The window axes are the leading axes of the array, unless [`axes`](Self::axes) names them; axes that the
/// window doesn't name are taken whole.
///
/// ```
/// use windrow::{Edge, WindowSpec};
///
/// let spec = WindowSpec::new([8, 8]).step(4).edge(Edge::Shift);
/// assert_eq!(spec.step, [4]);
/// ```
///
/// On one axis of length n, a window of `w` pixels with dilation `d` and step `s` looks like this
/// (n = 10, w = 3, d = 2, s = 3; the extent is `d·(w − 1) + 1` = 5):
///
/// ```text
/// pixel     0 1 2 3 4 5 6 7 8 9
/// window 0  #   #   #
/// window 1        #   #   #
///                             ^ ^  edge: dropped, or covered by window 2 shifted to 5, or padded
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowSpec {
    /// Pixels a window on each window axis.
    pub window_shape: Vec<u64>,
    /// Distance between the starts of neighbouring windows. Default 1.
    pub step: Vec<u64>,
    /// Distance between neighbouring pixels of a window. Default 1.
    pub dilation: Vec<u64>,
    /// What happens at the far edge, where the step leaves a rest. Default [`Edge::Drop`].
    pub edge: Edge,
    /// Pixels added before and after each window axis, for [`Edge::Pad`]; `None` is TensorFlow's SAME.
    pub pad: Option<Pads>,
    /// What the added pixels are. Default [`PadMode::Constant`].
    pub pad_mode: PadMode,
    /// The value of constant padding. Default 0.
    pub pad_value: Scalar,
    /// The window axes, by name or number, in the order of `window_shape`; `None` for the leading ones.
    pub axes: Option<Vec<AxisRef>>,
}

impl Default for WindowSpec {
    fn default() -> Self {
        Self {
            window_shape: Vec::new(),
            step: vec![1],
            dilation: vec![1],
            edge: Edge::Drop,
            pad: None,
            pad_mode: PadMode::Constant,
            pad_value: Scalar::Int(0),
            axes: None,
        }
    }
}

impl WindowSpec {
    /// Dense windows of this shape at every position.
    pub fn new(window_shape: impl Into<Vec<u64>>) -> Self {
        Self { window_shape: window_shape.into(), ..Self::default() }
    }

    /// The same step on every window axis; see [`steps`](Self::steps) for one an axis.
    pub fn step(self, step: u64) -> Self {
        self.steps([step])
    }

    /// A step for each window axis, or one for all.
    pub fn steps(mut self, steps: impl Into<Vec<u64>>) -> Self {
        self.step = steps.into();
        self
    }

    /// The same dilation on every window axis; see [`dilations`](Self::dilations) for one an axis.
    pub fn dilation(self, dilation: u64) -> Self {
        self.dilations([dilation])
    }

    /// A dilation for each window axis, or one for all.
    pub fn dilations(mut self, dilations: impl Into<Vec<u64>>) -> Self {
        self.dilation = dilations.into();
        self
    }

    /// What happens at the far edge.
    pub fn edge(mut self, edge: Edge) -> Self {
        self.edge = edge;
        self
    }

    /// Pads, so that there are `ceil(n / step)` windows an axis (TensorFlow's SAME).
    pub fn pad_same(mut self, mode: PadMode) -> Self {
        self.edge = Edge::Pad;
        self.pad_mode = mode;
        self
    }

    /// Pads each window axis by (before, after) pixels; one entry serves all axes.
    pub fn pad(mut self, pads: impl Into<Vec<(u64, u64)>>, mode: PadMode) -> Self {
        self.pad = Some(Pads(pads.into()));
        self.pad_same(mode)
    }

    /// The value of constant padding.
    pub fn pad_value(mut self, value: impl Into<Scalar>) -> Self {
        self.pad_value = value.into();
        self
    }

    /// The axes that the window slides over, by name or number. Whatever their order here, the table and the pixels of
    /// a patch keep the order of the array.
    pub fn axes<A: Into<AxisRef>>(mut self, axes: impl IntoIterator<Item = A>) -> Self {
        self.axes = Some(axes.into_iter().map(Into::into).collect());
        self
    }
}

/// What happens at the far edge of an axis, where the step leaves a rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// The rest is dropped: `(n − extent) / step + 1` windows, rounded down (numpy, torch).
    #[default]
    Drop,
    /// One more window, moved inward to end with the array, so that every pixel is covered.
    Shift,
    /// The array is extended by [`WindowSpec::pad`] pixels of [`WindowSpec::pad_mode`].
    Pad,
}

named! { Edge, "edge": Drop = "drop", Shift = "shift", Pad = "pad" }

/// An axis, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AxisRef {
    /// The place of the axis in the array's shape; negative from the end.
    Number(i64),
    /// The name of the axis.
    Name(String),
}

impl From<i64> for AxisRef {
    fn from(number: i64) -> Self {
        AxisRef::Number(number)
    }
}

impl From<&str> for AxisRef {
    /// A text of digits is a number, anything else a name.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| AxisRef::Name(text.to_owned()), AxisRef::Number)
    }
}

impl From<String> for AxisRef {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}
