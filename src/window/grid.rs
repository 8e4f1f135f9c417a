//! [`Grid`]: all windows of an array, in C order; rows to coordinates and back in O(1).

use std::ops::Range;

use super::axis::AxisSpec;
use super::{AxisRef, Edge, GridAxis, PadMode, Pads, WindowSpec};
use crate::source::Region;
use crate::{Error, Result, StridedView};

/// The windows of an array: a [`WindowSpec`] that has met a shape.
///
/// ```
/// use windrow::{Grid, WindowSpec};
///
/// let grid = Grid::new(&WindowSpec::new([8, 8]).step(2), &[100, 60, 3], None)?;
/// assert_eq!(grid.grid_shape(), [47, 27]);
/// assert_eq!(grid.patch_shape(), [8, 8, 3]);
/// assert_eq!(grid.starts(28), [2, 2]);
/// assert_eq!(grid.window_at(&[2, 2]), Some(28));
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    axes: Vec<GridAxis>,
    /// The array's number of each sliding axis.
    sliding: Vec<usize>,
    windows: u64,
    pad_mode: PadMode,
}

/// As many axes as numpy's arrays may have; every one is a level of nested lists.
const MOST_AXES: usize = 64;

/// Consecutive windows of one line of the grid: they differ on its last axis only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The place in the grid of the first window, one number a sliding axis.
    pub index: Vec<u64>,
    /// How many windows.
    pub len: u64,
}

impl Grid {
    /// The windows of an array of this shape; `names` are the names of its axes, or `None` for the usual ones:
    /// the last window axes are `z, y, x`, and an axis taken whole is `c`.
    ///
    /// # Errors
    /// If a window, step or dilation is 0 or overflows, a window is larger than its axis, an axis does not exist or is
    /// named twice, or there are other numbers of entries than window axes.
    pub fn new(spec: &WindowSpec, shape: &[u64], names: Option<&[String]>) -> Result<Self> {
        let count = spec.window_shape.len();
        if count == 0 {
            return Err(Error::argument("window_shape", "no axis: expected a length for at least one axis"));
        }
        if shape.len() > MOST_AXES {
            return Err(Error::too_large("the number of axes of the array", shape.len(), MOST_AXES));
        }
        if count > shape.len() {
            return Err(Error::argument(
                "window_shape",
                format!("{} has {count} axes, but the array {} has {}", by(&spec.window_shape), by(shape), shape.len()),
            ));
        }
        let targets = resolve(spec, shape.len(), names)?;
        let step = per_axis("step", &spec.step, count)?;
        let dilation = per_axis("dilation", &spec.dilation, count)?;
        let pads = match (&spec.pad, spec.edge) {
            (Some(Pads(pads)), Edge::Pad) => Some(per_axis("pad", pads, count)?),
            (Some(_), edge) => {
                let message = format!("only goes with edge \"pad\", not with {edge:?}").to_lowercase();
                return Err(Error::argument("pad", message));
            }
            (None, _) => None,
        };
        let names = match names {
            Some(names) => names.to_vec(),
            None => default_names(shape.len(), &targets),
        };
        let mut axes = Vec::with_capacity(shape.len());
        for (number, (name, &len)) in names.into_iter().zip(shape).enumerate() {
            axes.push(match targets.iter().position(|&target| target == number) {
                None => GridAxis::whole(name, len),
                Some(i) => {
                    let axis = AxisSpec {
                        window: spec.window_shape[i],
                        step: step[i],
                        dilation: dilation[i],
                        edge: spec.edge,
                        pad: pads.as_ref().map(|pads| pads[i]),
                    };
                    let axis = GridAxis::sliding(name, len, &axis)?;
                    let padded = axis.interior() != (0..axis.count);
                    if padded && len == 0 && spec.pad_mode != PadMode::Constant {
                        let message = format!("has no pixel to pad from by {}", spec.pad_mode);
                        return Err(Error::window(axis.name, message));
                    }
                    axis
                }
            });
        }
        let windows = axes.iter().try_fold(1u64, |n, axis| n.checked_mul(axis.count)).filter(|&n| n < 1 << 62);
        let windows = windows.ok_or_else(|| {
            let counts: Vec<_> = axes.iter().map(|axis| axis.count).collect();
            Error::too_large("the number of windows", by(&counts), "2^62")
        })?;
        let mut sliding = targets;
        sliding.sort_unstable();
        Ok(Self { axes, sliding, windows, pad_mode: spec.pad_mode })
    }

    /// The same windows over an array that has the sliding axes alone.
    pub(crate) fn over_sliding(&self) -> Self {
        let axes: Vec<_> = self.sliding().cloned().collect();
        let sliding = (0..axes.len()).collect();
        Self { axes, sliding, windows: self.windows, pad_mode: self.pad_mode }
    }

    /// Every axis of the array, in its order.
    pub fn axes(&self) -> &[GridAxis] {
        &self.axes
    }

    /// The axes that the window slides over, in the order of the array.
    pub fn sliding(&self) -> impl ExactSizeIterator<Item = &GridAxis> {
        self.sliding.iter().map(|&axis| &self.axes[axis])
    }

    /// The array's numbers of the axes that the window slides over.
    pub fn sliding_axes(&self) -> &[usize] {
        &self.sliding
    }

    /// How many windows there are.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Windows on each sliding axis.
    pub fn grid_shape(&self) -> Vec<u64> {
        self.sliding().map(|axis| axis.count).collect()
    }

    /// Pixels of a patch on each axis of the array.
    pub fn patch_shape(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.window).collect()
    }

    /// What stands outside of the array.
    pub fn pad_mode(&self) -> PadMode {
        self.pad_mode
    }

    /// The place in the grid of a window: C order, the last axis varies fastest. The window must be of the grid.
    pub fn index(&self, window: u64) -> Vec<u64> {
        let mut rest = window;
        let mut index = vec![0; self.sliding.len()];
        for (slot, &number) in index.iter_mut().zip(&self.sliding).rev() {
            let count = self.axes[number].count;
            *slot = rest % count;
            rest /= count;
        }
        index
    }

    /// Where a window of the grid starts on each sliding axis, in the array's coordinates.
    pub fn starts(&self, window: u64) -> Vec<i64> {
        self.sliding().zip(self.index(window)).map(|(axis, i)| axis.start(i)).collect()
    }

    /// The window that starts at these coordinates, if there is one.
    pub fn window_at(&self, starts: &[i64]) -> Option<u64> {
        if starts.len() != self.sliding.len() {
            return None;
        }
        self.sliding()
            .zip(starts)
            .try_fold(0, |window, (axis, &start)| Some(window * axis.count + axis.index_of(start)?))
    }

    /// The windows `rows` line by line of the grid.
    pub fn segments(&self, rows: Range<u64>) -> impl Iterator<Item = Segment> + '_ {
        let line = self.sliding().last().map_or(1, |axis| axis.count);
        let mut next = rows.start;
        std::iter::from_fn(move || {
            if next >= rows.end {
                return None;
            }
            let len = (line - next % line).min(rows.end - next);
            let segment = Segment { index: self.index(next), len };
            next += len;
            Some(segment)
        })
    }

    /// The places that the windows `rows` take on each sliding axis, as ranges. There is at least one row.
    pub(crate) fn spans(&self, rows: Range<u64>) -> Vec<Range<u64>> {
        let (first, last) = (self.index(rows.start), self.index(rows.end - 1));
        // Until the first axis on which the ends differ all windows share their place; behind it they take all.
        let mut together = true;
        let ends = first.into_iter().zip(last).zip(self.sliding());
        ends.map(|((first, last), axis)| {
            let range = if together { first..last + 1 } else { 0..axis.count };
            together &= first == last;
            range
        })
        .collect()
    }

    /// The pixels of a sliding axis, by its number among them, that window `i` of it touches.
    pub(crate) fn touched(&self, sliding: usize, i: u64) -> Range<u64> {
        self.axes[self.sliding[sliding]].touched(i..i + 1, self.pad_mode)
    }

    /// The pixels that the windows `rows` touch, as one box of the array (their hull).
    pub fn region(&self, rows: Range<u64>) -> Region {
        if rows.is_empty() {
            return Region(vec![0..0; self.axes.len()]);
        }
        let mut region = Region::whole(&self.axes.iter().map(|axis| axis.len).collect::<Vec<_>>());
        for (range, &number) in self.spans(rows).into_iter().zip(&self.sliding) {
            region.0[number] = self.axes[number].touched(range, self.pad_mode);
        }
        region
    }

    /// All windows as one strided view, grid axes first: numpy's `sliding_window_view`, with step and dilation. It
    /// shares the memory of `array`.
    ///
    /// ```
    /// use windrow::{Grid, StridedView, WindowSpec};
    ///
    /// let array = StridedView::from_vec((0..9u8).collect(), &[3, 3])?;
    /// let windows = Grid::new(&WindowSpec::new([2, 2]), &[3, 3], None)?.window_view(&array)?;
    /// assert_eq!(windows.shape(), [2, 2, 2, 2]);
    /// assert_eq!(windows.to_vec::<u8>()?, [0, 1, 3, 4, 1, 2, 4, 5, 3, 4, 6, 7, 4, 5, 7, 8]);
    /// assert!(windows.shares_memory(&array));
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the array has another shape than the grid was made for, or the edge is shifted or padded: no strides express
    /// that.
    pub fn window_view(&self, array: &StridedView) -> Result<StridedView> {
        let shape: Vec<_> = self.axes.iter().map(|axis| axis.len as usize).collect();
        if array.shape() != shape {
            return Err(Error::view(format!("the grid is of an array of shape {shape:?}, not {:?}", array.shape())));
        }
        if self.sliding().any(|axis| axis.shifted || axis.interior() != (0..axis.count)) {
            return Err(Error::argument("edge", "no strides express shifted or padded windows: expected \"drop\""));
        }
        let strides = array.strides();
        let grid = self.sliding.iter().map(|&a| (self.axes[a].count as usize, strides[a] * self.axes[a].step as isize));
        let patch = self.axes.iter().zip(strides).map(|(axis, &s)| (axis.window as usize, s * axis.dilation as isize));
        let (shape, strides) = grid.chain(patch).unzip();
        array.restride(shape, strides)
    }
}

/// The array's number of each window axis, in the order of the spec.
fn resolve(spec: &WindowSpec, ndim: usize, names: Option<&[String]>) -> Result<Vec<usize>> {
    let count = spec.window_shape.len();
    let Some(axes) = &spec.axes else { return Ok((0..count).collect()) };
    if axes.len() != count {
        let window = by(&spec.window_shape);
        return Err(Error::argument("axes", format!("{} axes for a window {window} of {count}", axes.len())));
    }
    let leading: Vec<_> = (0..count).collect();
    let names = names.map_or_else(|| default_names(ndim, &leading), <[String]>::to_vec);
    let mut targets = Vec::with_capacity(count);
    for axis in axes {
        let target = match axis {
            AxisRef::Name(name) => names.iter().position(|n| n == name),
            AxisRef::Number(i) if *i < 0 => usize::try_from(ndim as i64 + i).ok(),
            AxisRef::Number(i) => usize::try_from(*i).ok().filter(|&i| i < ndim),
        };
        let got = match axis {
            AxisRef::Name(name) => format!("{name:?}"),
            AxisRef::Number(i) => i.to_string(),
        };
        let Some(target) = target else {
            let known = names.join(", ");
            return Err(Error::argument("axes", format!("the array has no axis {got}: its {ndim} axes are {known}")));
        };
        if targets.contains(&target) {
            return Err(Error::argument("axes", format!("axis {got} is named twice")));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// One entry an axis, from one for all or one an axis.
fn per_axis<T: Copy>(name: &'static str, values: &[T], count: usize) -> Result<Vec<T>> {
    match values {
        [one] => Ok(vec![*one; count]),
        many if many.len() == count => Ok(many.to_vec()),
        many => Err(Error::argument(name, format!("{} entries for {count} window axes", many.len()))),
    }
}

/// Names for the axes of an array that has none: sliding axes end in `z, y, x`, the others are channels.
fn default_names(ndim: usize, sliding: &[usize]) -> Vec<String> {
    const LAST: [&str; 4] = ["t", "z", "y", "x"];
    let mut sorted = sliding.to_vec();
    sorted.sort_unstable();
    let whole = ndim - sorted.len();
    let mut channel = 0;
    (0..ndim)
        .map(|axis| match sorted.iter().position(|&s| s == axis) {
            Some(i) => match (LAST.len() + i).checked_sub(sorted.len()) {
                Some(letter) => LAST[letter].to_owned(),
                None => format!("axis_{axis}"),
            },
            None => {
                channel += 1;
                if whole == 1 { "c".to_owned() } else { format!("c{}", channel - 1) }
            }
        })
        .collect()
}

/// `8x8`: how people write a shape.
pub(crate) fn by(shape: &[u64]) -> String {
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests;
