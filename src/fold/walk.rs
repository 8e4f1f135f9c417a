//! How the cells of a value lie in a slab: as runs of neighbouring cells.

use std::ops::Range;

use super::pile::{Frame, Values};
use super::place::Place;

/// Runs of a value that are listed; a value of more is walked axis by axis.
const MOST_RUNS: usize = 1 << 12;

/// Cells that lie together in a value and in the slab.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The first of them in the value.
    pub(super) from: usize,
    /// The first of them in the slab; in a list, from the window's start.
    pub(super) to: usize,
    /// The weight of their place on the axes before the run's, if there are weights.
    pub(super) weight: f64,
    /// The square of the distance from the centre of the window on these axes, in half cells.
    pub(super) far: u64,
    /// Cells of the run that are cut off before the first.
    pub(super) skip: usize,
    /// How many.
    pub(super) len: usize,
}

/// Values of a place on a slab: some lines of the image, and all of its other axes.
#[derive(Debug)]
pub(super) struct Walk {
    /// Of each axis: cells in the slab, and the distance of neighbours in the slab and in a value.
    axes: Vec<Dim>,
    /// The axis that lines are counted on.
    lead: usize,
    /// The axis that runs lie on, and the axes before it.
    inner: usize,
    /// Cells of a place on that axis.
    tail: usize,
    /// Whether runs are along the axis; if not, each place on it is a run.
    along: bool,
    /// Cells of a run.
    run: usize,
    /// The runs of a value that lies in the slab as a whole; none if there are too many.
    runs: Vec<Run>,
    /// The weights of the cells of a window on each axis, if there are any.
    weights: Option<Vec<Vec<f64>>>,
}

#[derive(Clone, Copy, Debug)]
struct Dim {
    len: u64,
    slab: usize,
    value: usize,
}

/// Takes the runs of values.
pub(super) trait Sink {
    /// The cells `run.len` from `run.from` of `value` belong to those from `run.to` of the slab.
    fn run(&mut self, window: u64, value: usize, run: Run);
}

impl Walk {
    pub(super) fn new(place: &Place, lines: u64, weights: Option<Vec<Vec<f64>>>) -> Self {
        let mut axes: Vec<_> = place.axes.iter().map(|axis| Dim { len: axis.len, slab: 0, value: 0 }).collect();
        axes[place.lead()].len = lines;
        let (mut slab, mut value) = (1, 1);
        for (dim, axis) in axes.iter_mut().zip(&place.axes).rev() {
            (dim.slab, dim.value) = (slab, value);
            slab *= dim.len as usize;
            value *= axis.window as usize;
        }
        let inner = place.sliding[place.sliding.len() - 1];
        let axis = &place.axes[inner];
        let tail = axes[inner].value;
        let along = axis.dilation == 1 || axis.window == 1;
        let run = if along { axis.window as usize * tail } else { tail };
        let mut walk = Self { axes, lead: place.lead(), inner, tail, along, run, runs: Vec::new(), weights };
        if place.cells / run <= MOST_RUNS {
            let whole: Vec<_> = place.axes.iter().map(|axis| 0..axis.window as usize).collect();
            let mut runs = Vec::with_capacity(place.cells / run);
            walk.cut(place, &vec![0; place.axes.len()], &whole, &mut runs);
            walk.runs = runs;
        }
        walk
    }

    /// Cells of the slab.
    pub(super) fn cells(&self) -> usize {
        self.axes[0].slab * self.axes[0].len as usize
    }

    /// Cells of a run that nothing is cut off from.
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Cells of a place on the axis that runs lie on.
    pub(super) fn tail(&self) -> usize {
        self.tail
    }

    /// The weights of the cells of a run, if there are weights.
    pub(super) fn run_weights(&self) -> Vec<f64> {
        match &self.weights {
            Some(weights) if self.along => {
                weights[self.inner].iter().flat_map(|&w| std::iter::repeat_n(w, self.tail)).collect()
            }
            _ => vec![1.0; self.run],
        }
    }

    /// The squares of the distances of the cells of a run from the centre of the window on the run's axis.
    pub(super) fn run_far(&self, place: &Place) -> Vec<u64> {
        if !self.along {
            return vec![0; self.run];
        }
        let window = place.axes[self.inner].window;
        (0..window).flat_map(|k| std::iter::repeat_n(far(k, window), self.tail)).collect()
    }

    /// The distance of neighbours in the slab on an axis.
    pub(super) fn stride(&self, axis: usize) -> usize {
        self.axes[axis].slab
    }

    /// Drops the first `lines` lines of a slab; `empty` cells follow behind the last.
    pub(super) fn forget<T: Copy>(&self, cells: &mut [T], lines: usize, empty: T) {
        let Dim { len, slab, .. } = self.axes[self.lead];
        let (block, gone) = (len as usize * slab, lines * slab);
        for block in cells.chunks_exact_mut(block.max(1)) {
            block.copy_within(gone.., 0);
            let kept = block.len() - gone;
            block[kept..].fill(empty);
        }
    }

    /// Gives the runs of the values of windows that reach into the slab to `sink`. `N` is the length of a run, or 0 for
    /// any.
    ///
    /// There is an instance for each type and blend, so it holds nothing but the loops over runs.
    #[inline(always)]
    pub(super) fn each<const N: usize>(&self, frame: &Frame<'_>, values: &Values<'_>, sink: &mut impl Sink) {
        let mut reach = Reach::new(self, frame);
        for (i, &id) in values.ids.iter().enumerate() {
            let whole = reach.go(id);
            if !values.has(i) {
                continue;
            }
            let value = i * frame.place.cells;
            if let Some(at) = whole {
                for run in &self.runs {
                    let len = if N > 0 { N } else { run.len };
                    sink.run(id, value, Run { to: at + run.to, len, ..*run });
                }
            }
            for run in &reach.runs {
                sink.run(id, value, *run);
            }
        }
    }

    /// Lists the runs of a value that starts at `starts`, of which the cells `cut` lie in the slab.
    fn cut(&self, place: &Place, starts: &[i64], cut: &[Range<usize>], runs: &mut Vec<Run>) {
        if cut.iter().any(Range::is_empty) {
            return;
        }
        let outer = if self.along { self.inner } else { self.inner + 1 };
        let (skip, len) = if self.along {
            (cut[self.inner].start * self.tail, cut[self.inner].len() * self.tail)
        } else {
            (0, self.run)
        };
        let mut index: Vec<_> = cut[..outer].iter().map(|range| range.start).collect();
        loop {
            let mut run = Run { from: skip, to: 0, weight: 1.0, far: 0, skip, len };
            for (a, axis) in place.axes.iter().enumerate().take(self.inner + 1) {
                let k = if a < outer { index[a] } else { cut[a].start };
                run.to += (starts[a] + (k as u64 * axis.dilation) as i64) as usize * self.axes[a].slab;
                if a < outer {
                    run.from += k * self.axes[a].value;
                    if axis.starts.is_some() {
                        run.far += far(k as u64, axis.window);
                        run.weight *= self.weights.as_ref().map_or(1.0, |weights| weights[a][k]);
                    }
                }
            }
            runs.push(run);
            let Some(a) = (0..outer).rev().find(|&a| index[a] + 1 < cut[a].end) else { return };
            index[a] += 1;
            for b in a + 1..outer {
                index[b] = cut[b].start;
            }
        }
    }
}

/// The square of the distance of a cell from the centre of a window, in half cells.
fn far(k: u64, window: u64) -> u64 {
    (2 * k).abs_diff(window - 1).pow(2)
}

/// How far the values of windows reach into a slab.
struct Reach<'a> {
    walk: &'a Walk,
    place: &'a Place,
    /// The first line of the slab.
    line: i64,
    index: Index,
    starts: Vec<i64>,
    cut: Vec<Range<usize>>,
    /// The runs of the last window, unless it lies in the slab as a whole.
    runs: Vec<Run>,
}

impl<'a> Reach<'a> {
    fn new(walk: &'a Walk, frame: &Frame<'a>) -> Self {
        let (place, axes) = (frame.place, frame.place.axes.len());
        let (starts, cut) = (vec![0; axes], Vec::with_capacity(axes));
        Self { walk, place, line: frame.line as i64, index: Index::new(place), starts, cut, runs: Vec::new() }
    }

    /// Where a window starts in the slab, if all of it lies there and its runs are those of the walk; `runs` are those of
    /// any other.
    #[inline(never)]
    fn go(&mut self, id: u64) -> Option<usize> {
        let Self { walk, place, index, starts, cut, runs, .. } = self;
        index.go(id);
        runs.clear();
        let (mut at, mut whole, mut outside) = (0usize, !walk.runs.is_empty(), false);
        for (s, &a) in place.sliding.iter().enumerate() {
            let axis = &place.axes[a];
            let start = place.starts(s).at(index.index[s]) - if s == 0 { self.line } else { 0 };
            let end = start + axis.extent() as i64;
            let len = walk.axes[a].len as i64;
            outside |= end <= 0 || start >= len;
            whole &= start >= 0 && end <= len;
            starts[a] = start;
            at = at.wrapping_add((start as usize).wrapping_mul(walk.axes[a].slab));
        }
        if whole {
            return Some(at);
        }
        if !outside {
            let clip = |(a, &start): (usize, &i64)| match place.axes[a].starts {
                Some(_) => place.axes[a].clip(start, walk.axes[a].len),
                None => 0..place.axes[a].window as usize,
            };
            cut.clear();
            cut.extend(starts.iter().enumerate().map(clip));
            walk.cut(place, starts, cut, runs);
        }
        None
    }
}

/// The place of a window in the grid, which is found quickly for the window behind another one.
struct Index {
    counts: Vec<u64>,
    index: Vec<u64>,
    /// The window that is next.
    next: Option<u64>,
}

impl Index {
    fn new(place: &Place) -> Self {
        let counts: Vec<_> = (0..place.sliding.len()).map(|s| place.starts(s).count).collect();
        Self { index: vec![0; counts.len()], counts, next: None }
    }

    fn go(&mut self, id: u64) {
        let last = self.index.len() - 1;
        if self.next == Some(id) && self.index[last] + 1 < self.counts[last] {
            self.index[last] += 1;
        } else {
            let mut rest = id;
            for (slot, &count) in self.index.iter_mut().zip(&self.counts).rev() {
                *slot = rest % count;
                rest /= count;
            }
        }
        self.next = Some(id + 1);
    }
}
