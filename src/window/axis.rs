//! One axis of the array under the grid: how many windows, and where they start.

use std::ops::Range;

use super::{Edge, PadMode};
use crate::{Error, Result};

/// One axis of the array: a window axis, or one that is taken whole (a window of its length, at one place).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridAxis {
    /// Its name.
    pub name: String,
    /// Its length in the array.
    pub len: u64,
    /// Pixels a window.
    pub window: u64,
    /// Distance between the starts of neighbouring windows.
    pub step: u64,
    /// Distance between neighbouring pixels of a window.
    pub dilation: u64,
    /// From the first pixel of a window to its last, both included: `dilation · (window − 1) + 1`.
    pub extent: u64,
    /// Pixels added before the axis.
    pub before: u64,
    /// Windows on this axis.
    pub count: u64,
    /// Whether the window slides over this axis; `false` if the axis is taken whole.
    pub sliding: bool,
    /// Whether the last window is moved inward.
    pub shifted: bool,
}

/// What [`GridAxis::sliding`] is asked for.
pub(super) struct AxisSpec {
    pub(super) window: u64,
    pub(super) step: u64,
    pub(super) dilation: u64,
    pub(super) edge: Edge,
    pub(super) pad: Option<(u64, u64)>,
}

impl GridAxis {
    /// An axis that every window takes whole.
    pub(super) fn whole(name: String, len: u64) -> Self {
        Self {
            name,
            len,
            window: len,
            step: 1,
            dilation: 1,
            extent: len,
            before: 0,
            count: 1,
            sliding: false,
            shifted: false,
        }
    }

    /// An axis that the window slides over.
    pub(super) fn sliding(name: String, len: u64, spec: &AxisSpec) -> Result<Self> {
        let &AxisSpec { window, step, dilation, edge, pad } = spec;
        for (what, value) in [("window", window), ("step", step), ("dilation", dilation)] {
            if value == 0 {
                return Err(Error::window(&name, format!("{what} 0: expected at least 1")));
            }
        }
        let too_large = |what: &str| {
            Error::window(
                &name,
                format!("{what} overflows: window {window}, step {step}, dilation {dilation}, length {len}"),
            )
        };
        // Everything stays below 2⁶², so that sums of two such numbers fit in an i64.
        let bound = |value: Option<u64>, what: &str| value.filter(|&v| v < 1 << 62).ok_or_else(|| too_large(what));
        let len = bound(Some(len), "the length")?;
        let step = bound(Some(step), "the step")?;
        let extent = bound((window - 1).checked_mul(dilation).and_then(|e| e.checked_add(1)), "the window")?;
        let mut axis = Self {
            name: name.clone(),
            len,
            window,
            step,
            dilation,
            extent,
            before: 0,
            count: 0,
            sliding: true,
            shifted: false,
        };
        match (edge, pad) {
            (Edge::Pad, None) => {
                // TensorFlow's SAME: as many windows as steps, and the padding that they need, more of it after.
                axis.count = len.div_ceil(step);
                let covered = bound(
                    axis.count.saturating_sub(1).checked_mul(step).and_then(|c| c.checked_add(extent)),
                    "the padding",
                )?;
                axis.before = covered.saturating_sub(len) / 2;
                if axis.count == 0 {
                    axis.before = 0;
                }
            }
            (Edge::Pad, Some((before, after))) => {
                let padded = bound(len.checked_add(before).and_then(|n| n.checked_add(after)), "the padding")?;
                axis.before = before;
                axis.count = axis.fitting(padded, &format!("{padded}, padded by {before} and {after}"))?;
            }
            (Edge::Drop, _) => axis.count = axis.fitting(len, &len.to_string())?,
            (Edge::Shift, _) => {
                axis.count = axis.fitting(len, &len.to_string())?;
                axis.shifted = !(len - extent).is_multiple_of(step);
                axis.count += u64::from(axis.shifted);
            }
        }
        Ok(axis)
    }

    /// How many windows fit into `n` pixels: torch's formula.
    fn fitting(&self, n: u64, n_text: &str) -> Result<u64> {
        if self.extent > n {
            let extent = if self.dilation == 1 {
                String::new()
            } else {
                format!(" (extent {} with dilation {})", self.extent, self.dilation)
            };
            return Err(Error::window(
                &self.name,
                format!("window {}{extent} is larger than the array: {n_text}", self.window),
            ));
        }
        Ok((n - self.extent) / self.step + 1)
    }

    /// Where window `i` starts, in the array's coordinates: negative in padding.
    pub fn start(&self, i: u64) -> i64 {
        if self.shifted && i + 1 == self.count {
            return (self.len - self.extent) as i64;
        }
        (i * self.step) as i64 - self.before as i64
    }

    /// The window that starts at `start`, if there is one.
    pub fn index_of(&self, start: i64) -> Option<u64> {
        if self.shifted && self.count > 0 && start == self.start(self.count - 1) {
            return Some(self.count - 1);
        }
        let distance = u64::try_from(i128::from(start) + i128::from(self.before)).ok()?;
        let i = distance / self.step;
        (distance % self.step == 0 && i < self.count && self.start(i) == start).then_some(i)
    }

    /// The windows that lie within the array, without padding.
    pub fn interior(&self) -> Range<u64> {
        let first = self.before.div_ceil(self.step).min(self.count);
        if self.extent > self.len {
            return first..first;
        }
        let fitting = (self.before + self.len - self.extent) / self.step + 1;
        // A shifted window lies inside by its making, though its place in the row of steps would not.
        let end = if self.shifted { self.count } else { fitting.min(self.count) };
        first..end.max(first)
    }

    /// The pixels that windows `i` touch, as one range of the array.
    pub(super) fn touched(&self, i: Range<u64>, mode: PadMode) -> Range<u64> {
        if i.is_empty() || self.window == 0 {
            return 0..0;
        }
        mode.hull(self.start(i.start), self.start(i.end - 1) + self.extent as i64, self.len)
    }
}
