//! Copies windows that lie within a band: the inner loop of everything.

use crate::StridedView;
use crate::window::Grid;

/// How the pixels of one window lie in memory: `outer × rows` runs of contiguous bytes, in the order of the patch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Runs {
    /// Bytes of one run.
    run: usize,
    /// Runs at equal distances, and that distance in bytes.
    rows: usize,
    row_stride: isize,
    /// Where each group of `rows` runs starts, in bytes from the window's first pixel.
    outer: Vec<isize>,
}

impl Runs {
    /// The runs of a window of `grid` in `view`. Axes that lie together in memory become one.
    pub(super) fn new(grid: &Grid, view: &StridedView) -> Self {
        let size = view.dtype().size();
        let mut dims: Vec<(usize, isize)> = Vec::new();
        for (axis, &stride) in grid.axes().iter().zip(view.strides()) {
            let (n, stride) = (axis.window as usize, (axis.dilation as isize).wrapping_mul(stride * size as isize));
            match dims.last_mut() {
                _ if n == 1 => {}
                Some(last) if last.1 == stride.wrapping_mul(n as isize) => *last = (last.0 * n, stride),
                _ => dims.push((n, stride)),
            }
        }
        let run = match dims.last() {
            Some(&(n, stride)) if stride == size as isize => {
                dims.pop();
                n * size
            }
            _ => size,
        };
        let (rows, row_stride) = dims.pop().unwrap_or((1, 0));
        let mut outer = vec![0];
        for (n, stride) in dims {
            outer = outer.iter().flat_map(|&base| (0..n as isize).map(move |i| base + i * stride)).collect();
        }
        Self { run, rows, row_stride, outer }
    }

    fn bytes(&self) -> usize {
        self.run * self.rows * self.outer.len()
    }
}

/// A line of windows: the first starts at byte `first` of the band's buffer, the next ones `advance` bytes apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) first: isize,
    pub(super) advance: isize,
}

/// Copies the windows of a line one behind the other until `out` is full.
pub(super) fn copy_windows(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) {
    match runs.run {
        1 => fixed::<1>(src, line, runs, out),
        2 => fixed::<2>(src, line, runs, out),
        3 => fixed::<3>(src, line, runs, out),
        4 => fixed::<4>(src, line, runs, out),
        5 => fixed::<5>(src, line, runs, out),
        6 => fixed::<6>(src, line, runs, out),
        7 => fixed::<7>(src, line, runs, out),
        8 => fixed::<8>(src, line, runs, out),
        9 => fixed::<9>(src, line, runs, out),
        12 => fixed::<12>(src, line, runs, out),
        16 => fixed::<16>(src, line, runs, out),
        20 => fixed::<20>(src, line, runs, out),
        24 => fixed::<24>(src, line, runs, out),
        28 => fixed::<28>(src, line, runs, out),
        32 => fixed::<32>(src, line, runs, out),
        64 => fixed::<64>(src, line, runs, out),
        _ => any(src, line, runs, out),
    }
}

/// Runs of a length that the compiler knows: a few moves instead of a call.
fn fixed<const N: usize>(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) {
    let mut start = line.first;
    for patch in out.chunks_exact_mut(runs.bytes()) {
        let mut groups = patch.chunks_exact_mut(N * runs.rows);
        for (&group, target) in runs.outer.iter().zip(&mut groups) {
            let mut at = start + group;
            for run in target.chunks_exact_mut(N) {
                run.copy_from_slice(&src[at as usize..at as usize + N]);
                at += runs.row_stride;
            }
        }
        start += line.advance;
    }
}

fn any(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) {
    let mut start = line.first;
    for patch in out.chunks_exact_mut(runs.bytes()) {
        let mut groups = patch.chunks_exact_mut(runs.run * runs.rows);
        for (&group, target) in runs.outer.iter().zip(&mut groups) {
            let mut at = start + group;
            for run in target.chunks_exact_mut(runs.run) {
                run.copy_from_slice(&src[at as usize..at as usize + runs.run]);
                at += runs.row_stride;
            }
        }
        start += line.advance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WindowSpec;

    fn runs(spec: WindowSpec, view: &StridedView) -> Runs {
        let shape: Vec<_> = view.shape().iter().map(|&n| n as u64).collect();
        Runs::new(&Grid::new(&spec, &shape, None).unwrap(), view)
    }

    #[test]
    fn axes_that_lie_together_are_one_run() {
        let image = StridedView::from_vec(vec![0u16; 6 * 5 * 3], &[6, 5, 3]).unwrap();
        let spec = WindowSpec::new([2, 4]);
        assert_eq!(runs(spec.clone(), &image), Runs { run: 24, rows: 2, row_stride: 30, outer: vec![0] });
        assert_eq!(
            runs(WindowSpec::new([2, 5]), &image),
            Runs { run: 60, rows: 1, row_stride: 0, outer: vec![0] },
            "whole lines"
        );
        let planar = image.transpose(&[2, 0, 1]).unwrap();
        assert_eq!(
            runs(spec.axes([1, 2]), &planar),
            Runs { run: 2, rows: 4, row_stride: 6, outer: vec![0, 30, 2, 32, 4, 34] }
        );
    }
}
