//! How many windows cover each cell, and with what weight: found from how often each window came, axis by axis, and not
//! counted cell by cell.

use std::ops::{AddAssign, Mul, Range};

use super::place::{Place, PlaceAxis};

/// A number that covers are counted in.
pub(super) trait Count: Copy + Default + AddAssign + Mul<Output = Self> {
    const ONE: Self;
    fn of(times: u32) -> Self;
}

impl Count for u32 {
    const ONE: Self = 1;
    fn of(times: u32) -> Self {
        times
    }
}

impl Count for f64 {
    const ONE: Self = 1.0;
    fn of(times: u32) -> Self {
        times.into()
    }
}

/// The cover of the cells of `lines`, over the sliding axes in C order. `times` says how often each window came, of those
/// at the places `reach` on the lead axis; `weights` are those of each axis of the image.
pub(super) fn cover<N: Count>(
    place: &Place,
    lines: Range<u64>,
    reach: Range<u64>,
    times: &[u32],
    weights: Option<&[Vec<f64>]>,
    weight: impl Fn(f64) -> N,
) -> Vec<N> {
    // Only the windows that reach into the lines.
    let line = place.line_windows() as usize;
    let wanted = place.reaching(&lines);
    let wanted = wanted.start.max(reach.start)..wanted.end.min(reach.end);
    let height = (lines.end - lines.start) as usize;
    let mut cover: Vec<N> = if wanted.is_empty() {
        Vec::new()
    } else {
        let first = (wanted.start - reach.start) as usize * line;
        let len = (wanted.end - wanted.start) as usize * line;
        times[first..first + len].iter().map(|&times| N::of(times)).collect()
    };
    // The last axis first, so that what is spread over the lead axis is as wide as the image.
    for (s, &a) in place.sliding.iter().enumerate().rev() {
        let axis = &place.axes[a];
        let weights: Vec<N> = match weights {
            Some(weights) => weights[a].iter().map(|&w| weight(w)).collect(),
            None => vec![N::ONE; axis.window as usize],
        };
        let before: usize = if s == 0 {
            1
        } else {
            (wanted.end.saturating_sub(wanted.start)) as usize
                * (1..s).map(|s| place.starts(s).count as usize).product::<usize>()
        };
        let after: usize = place.sliding[s + 1..].iter().map(|&a| place.axes[a].len as usize).product();
        let (from, windows, len) = if s == 0 {
            (lines.start as i64, wanted.clone(), height)
        } else {
            (0, 0..place.starts(s).count, axis.len as usize)
        };
        let spread = Spread { axis, from, windows, len, after };
        cover = spread.all(&cover, before, &weights);
    }
    cover
}

/// Spreads what belongs to windows over the cells that they cover, on one axis.
struct Spread<'a> {
    axis: &'a PlaceAxis,
    /// The cell of the axis that is the first of `len`.
    from: i64,
    windows: Range<u64>,
    len: usize,
    /// Values of a place on the axis.
    after: usize,
}

impl Spread<'_> {
    fn all<N: Count>(&self, of: &[N], before: usize, weights: &[N]) -> Vec<N> {
        let count = self.windows.end.saturating_sub(self.windows.start) as usize;
        let mut cells = vec![N::default(); before * self.len * self.after];
        if count == 0 || self.after == 0 || self.len == 0 {
            return cells;
        }
        for (of, cells) in of.chunks_exact(count * self.after).zip(cells.chunks_exact_mut(self.len * self.after)) {
            self.one(of, cells, weights);
        }
        cells
    }

    fn one<N: Count>(&self, of: &[N], cells: &mut [N], weights: &[N]) {
        let Some(starts) = &self.axis.starts else { return };
        let (first, after) = (self.windows.start, self.after);
        for (k, &weight) in weights.iter().enumerate() {
            // Windows whose cell k is one of `cells` start here.
            let shift = k as i64 * self.axis.dilation as i64 - self.from;
            let regular = starts.regular(-shift, self.len as i64 - shift);
            let regular = regular.start.max(first)..regular.end.min(self.windows.end);
            if !regular.is_empty() {
                let from = (regular.start - first) as usize;
                let of = &of[from * after..][..(regular.end - regular.start) as usize * after];
                let cells = &mut cells[(starts.at(regular.start) + shift) as usize * after..];
                if starts.step == 1 {
                    add(cells, of, weight);
                } else {
                    for (cells, of) in cells.chunks_mut(starts.step as usize * after).zip(of.chunks_exact(after)) {
                        add(cells, of, weight);
                    }
                }
            }
            let last = starts.count - 1;
            let at = starts.last + shift;
            if self.windows.contains(&last) && (0..self.len as i64).contains(&at) {
                add(&mut cells[at as usize * after..], &of[(last - first) as usize * after..][..after], weight);
            }
        }
    }
}

fn add<N: Count>(cells: &mut [N], of: &[N], weight: N) {
    for (cell, &of) in cells.iter_mut().zip(of) {
        *cell += of * weight;
    }
}
