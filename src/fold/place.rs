//! Where the values of windows lie in the image that is made of them: pure integer arithmetic.

use std::ops::Range;

use super::At;
use crate::window::by;
use crate::{DType, Error, Grid, Result};

/// Cells and bytes of a value are counted in an `i32`, as in Arrow.
const MOST_VALUE_BYTES: u64 = i32::MAX as u64;

/// Where windows start on an axis: at equal distances, but for the last one, which may be shifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Starts {
    pub(super) first: i64,
    pub(super) step: u64,
    pub(super) count: u64,
    /// Where the last one starts.
    pub(super) last: i64,
}

impl Starts {
    pub(super) fn at(&self, i: u64) -> i64 {
        if i + 1 == self.count { self.last } else { self.first + (i * self.step) as i64 }
    }

    /// The windows before the last one whose start is at or behind `from` and before `to`: starts at equal distances.
    pub(super) fn regular(&self, from: i64, to: i64) -> Range<u64> {
        let count = self.count.saturating_sub(1);
        let index = |at: i64| {
            let distance = (i128::from(at) - i128::from(self.first)).max(0) as u128;
            (distance.div_ceil(u128::from(self.step)).min(u128::from(count))) as u64
        };
        index(from)..index(to).max(index(from))
    }

    /// The windows whose start is at or behind `from` and before `to`.
    pub(super) fn between(&self, from: i64, to: i64) -> Range<u64> {
        let mut range = self.regular(from, to);
        // The last one starts behind all others.
        if self.count > 0 && (from..to).contains(&self.last) {
            range = if range.is_empty() { self.count - 1..self.count } else { range.start..self.count };
        }
        range
    }
}

/// One axis of the image that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlaceAxis {
    pub(super) name: String,
    /// Its length in the image.
    pub(super) len: u64,
    /// Cells of a value.
    pub(super) window: u64,
    /// Distance between the cells of a value.
    pub(super) dilation: u64,
    /// Where windows start; `None` for an axis that every value fills.
    pub(super) starts: Option<Starts>,
}

impl PlaceAxis {
    fn whole(name: String, len: u64) -> Self {
        Self { name, len, window: len, dilation: 1, starts: None }
    }

    /// From the first cell of a value to its last, both included.
    pub(super) fn extent(&self) -> u64 {
        (self.window - 1) * self.dilation + 1
    }

    /// The cells of a value that starts at `start` which lie before `len`, and not before 0.
    pub(super) fn clip(&self, start: i64, len: u64) -> Range<usize> {
        let d = self.dilation;
        let first = if start < 0 { start.unsigned_abs().div_ceil(d) } else { 0 };
        let end = if start >= len as i64 { 0 } else { (len as i64 - 1 - start) as u64 / d + 1 };
        let end = end.min(self.window) as usize;
        (first.min(self.window) as usize).min(end)..end
    }
}

/// The image that is made, and where values lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) axes: Vec<PlaceAxis>,
    /// The axes that windows slide over, by their number in the image.
    pub(super) sliding: Vec<usize>,
    /// Cells of a value.
    pub(super) cells: usize,
    /// How many windows there are.
    pub(super) windows: u64,
}

impl Place {
    /// The image of values of this shape.
    ///
    /// A patch has either an axis for each of the array, in its order, where those that the window doesn't slide over
    /// may have any length; or the window's axes, and any after them. Values at one place have any axes.
    pub(super) fn new(grid: &Grid, at: At, shape: &[u64], dtype: DType) -> Result<Self> {
        let bytes = shape.iter().try_fold(dtype.size() as u64, |bytes, &n| bytes.checked_mul(n));
        if shape.len() > 64 || bytes.is_none_or(|bytes| bytes > MOST_VALUE_BYTES) {
            let got = format!("{} of {dtype}", by(shape));
            return Err(Error::too_large("a value", got, format!("{MOST_VALUE_BYTES} bytes")));
        }
        if shape.contains(&0) {
            return Err(Error::argument("values", format!("of shape {} have no cell", by(shape))));
        }
        let slide: Vec<_> = grid.sliding().collect();
        let starts = |i: usize| {
            let axis = slide[i];
            let offset = match at {
                At::Patch => 0,
                At::Center => (axis.extent - 1) / 2,
                At::Grid => return Starts { first: 0, step: 1, count: axis.count, last: axis.count as i64 - 1 },
            } as i64;
            let last = axis.count.checked_sub(1).map_or(0, |last| axis.start(last) + offset);
            Starts { first: axis.start(0) + offset, step: axis.step, count: axis.count, last }
        };
        let sliding = |i: usize| {
            let axis = slide[i];
            let (window, dilation) = if at == At::Patch { (axis.window, axis.dilation) } else { (1, 1) };
            let len = if at == At::Grid { axis.count } else { axis.len };
            PlaceAxis { name: axis.name.clone(), len, window, dilation, starts: Some(starts(i)) }
        };
        let window: Vec<_> = slide.iter().map(|axis| axis.window).collect();
        let in_order =
            shape.len() == grid.axes().len() && grid.sliding_axes().iter().all(|&a| shape[a] == grid.axes()[a].window);
        let axes: Vec<_> = if at == At::Patch && in_order {
            let place = |a: usize| grid.sliding_axes().iter().position(|&s| s == a);
            let whole = |a: usize| PlaceAxis::whole(grid.axes()[a].name.clone(), shape[a]);
            (0..shape.len()).map(|a| place(a).map_or_else(|| whole(a), sliding)).collect()
        } else {
            let rest = match at {
                At::Patch => shape.strip_prefix(&window[..]).ok_or_else(|| {
                    let whole = by(&grid.patch_shape());
                    let message =
                        format!("of shape {} are no patches of windows {}: expected {whole}", by(shape), by(&window));
                    Error::argument("values", message)
                })?,
                At::Grid | At::Center => shape,
            };
            let channel = |i: usize| if rest.len() == 1 { "c".to_owned() } else { format!("c{i}") };
            let rest = rest.iter().enumerate().map(|(i, &n)| PlaceAxis::whole(channel(i), n));
            (0..slide.len()).map(sliding).chain(rest).collect()
        };
        let sliding = axes.iter().enumerate().filter(|(_, axis)| axis.starts.is_some()).map(|(i, _)| i).collect();
        // Below 2⁶² cells of at most 16 bytes, so that no sum of theirs overflows.
        let total = axes.iter().try_fold(16u64, |bytes, axis| bytes.checked_mul(axis.len.max(1)));
        if total.is_none_or(|bytes| bytes >= 1 << 62) {
            let lens: Vec<_> = axes.iter().map(|axis| axis.len).collect();
            return Err(Error::too_large("the image", by(&lens), "2^58 cells"));
        }
        let cells = shape.iter().product::<u64>() as usize;
        Ok(Self { axes, sliding, cells, windows: grid.windows() })
    }

    /// The axis that slabs are cut from: the first that windows slide over.
    pub(super) fn lead(&self) -> usize {
        self.sliding[0]
    }

    /// Where windows start on a sliding axis, by its number among them.
    pub(super) fn starts(&self, sliding: usize) -> &Starts {
        // Sliding axes are those that have starts.
        self.axes[self.sliding[sliding]].starts.as_ref().unwrap_or_else(|| unreachable!("a sliding axis"))
    }

    /// The length of each axis of the image.
    pub(super) fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.len).collect()
    }

    /// Windows that share their place on the lead axis.
    pub(super) fn line_windows(&self) -> u64 {
        (1..self.sliding.len()).map(|i| self.starts(i).count).product()
    }

    /// The most windows that may cover one cell.
    pub(super) fn overlap(&self) -> u64 {
        let axis = |&a: &usize| {
            let axis = &self.axes[a];
            let count = axis.starts.as_ref().map_or(1, |starts| starts.count);
            axis.window.min(count).max(1)
        };
        self.sliding.iter().map(axis).fold(1, u64::saturating_mul)
    }

    /// Whether no cell is covered by two windows.
    pub(super) fn is_disjoint(&self) -> bool {
        self.sliding.iter().enumerate().all(|(i, &a)| {
            let (axis, starts) = (&self.axes[a], self.starts(i));
            let near = starts.count > 1 && starts.last - starts.at(starts.count - 2) < axis.extent() as i64;
            starts.count <= 1 || (starts.step >= axis.extent() && !near)
        })
    }

    /// The places on the lead axis of the windows that reach into `lines`.
    pub(super) fn reaching(&self, lines: &Range<u64>) -> Range<u64> {
        let extent = self.axes[self.lead()].extent() as i64;
        self.starts(0).between(lines.start as i64 - extent + 1, lines.end as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edge, WindowSpec};

    fn grid(spec: WindowSpec, shape: &[u64]) -> Grid {
        Grid::new(&spec, shape, None).unwrap()
    }

    #[test]
    fn a_patch_may_have_the_arrays_axes_or_the_windows() {
        let grid = grid(WindowSpec::new([4, 4]), &[9, 8, 3]);
        let shape = |at, shape: &[u64]| Place::new(&grid, at, shape, DType::F32).map(|place| place.shape());
        assert_eq!(shape(At::Patch, &[4, 4, 3]).unwrap(), [9, 8, 3]);
        assert_eq!(shape(At::Patch, &[4, 4, 7]).unwrap(), [9, 8, 7]);
        assert_eq!(shape(At::Patch, &[4, 4]).unwrap(), [9, 8]);
        assert_eq!(shape(At::Patch, &[4, 4, 2, 5]).unwrap(), [9, 8, 2, 5]);
        assert_eq!(shape(At::Grid, &[]).unwrap(), [6, 5]);
        assert_eq!(shape(At::Center, &[10]).unwrap(), [9, 8, 10]);
        let message = shape(At::Patch, &[4, 5, 3]).unwrap_err().to_string();
        assert!(message.contains("4x5x3") && message.contains("4x4x3"), "{message}");
        assert!(shape(At::Patch, &[4, 4, 0]).is_err() && shape(At::Grid, &[1 << 40]).is_err());
    }

    #[test]
    fn channels_first_stay_first() {
        let grid = grid(WindowSpec::new([4, 4]).axes([1, 2]), &[3, 9, 8]);
        let place = Place::new(&grid, At::Patch, &[3, 4, 4], DType::U8).unwrap();
        assert_eq!((place.shape(), place.lead()), (vec![3, 9, 8], 1));
        let scores = Place::new(&grid, At::Patch, &[4, 4, 6, 2], DType::U8).unwrap();
        assert_eq!((scores.shape(), scores.lead()), (vec![9, 8, 6, 2], 0));
    }

    #[test]
    fn windows_that_reach_into_lines() {
        for spec in [
            WindowSpec::new([3]).step(2),
            WindowSpec::new([3]).step(4).edge(Edge::Shift),
            WindowSpec::new([2]).dilation(3).step(2).edge(Edge::Shift),
            WindowSpec::new([4]).step(3).pad([(5, 6)], crate::PadMode::Edge),
            WindowSpec::new([2]).step(5),
        ] {
            let grid = grid(spec, &[12]);
            let place = Place::new(&grid, At::Patch, &grid.patch_shape(), DType::U8).unwrap();
            let (axis, starts) = (&place.axes[0], place.starts(0));
            for start in 0..12u64 {
                for end in start + 1..=12 {
                    let reaches = |i: &u64| {
                        let at = starts.at(*i);
                        at < end as i64 && at + axis.extent() as i64 > start as i64
                    };
                    let expected: Vec<_> = (0..grid.windows()).filter(reaches).collect();
                    assert_eq!(place.reaching(&(start..end)).collect::<Vec<_>>(), expected, "{axis:?} {start}..{end}");
                }
            }
            for i in 0..grid.windows() {
                let inside = |k: &usize| (0..12).contains(&(starts.at(i) + *k as i64 * axis.dilation as i64));
                let expected: Vec<_> = (0..axis.window as usize).filter(inside).collect();
                assert_eq!(axis.clip(starts.at(i), 12).collect::<Vec<_>>(), expected);
            }
        }
    }
}
