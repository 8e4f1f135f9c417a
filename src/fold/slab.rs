//! Some lines of the image in the making: what was piled up, and how often each window came.

use std::ops::Range;

use super::coverage::cover;
use super::pile::{self, Cover, Frame, Memory, Numbers, Pile, Values};
use super::place::Place;
use super::walk::Walk;
use super::{At, Blend};
use crate::dtype::with_pixel;
use crate::{DType, Error, Result};

/// Cells of a piece of the image that is finished at once.
const PIECE: usize = 1 << 17;

/// What is made of values, and for what.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) at: At,
    pub(super) place: Place,
    pub(super) blend: Blend,
    /// The type of values.
    pub(super) dtype: DType,
    /// The type of the image.
    pub(super) out: DType,
    /// A cell that no window covers.
    pub(super) fill: [u8; 8],
}

impl Recipe {
    /// Bytes of a line of the image.
    pub(super) fn line_bytes(&self) -> u64 {
        self.line_cells() * self.out.size() as u64
    }

    /// The lines that the values of these windows may fall on, of which there is at least one.
    pub(super) fn lines_of(&self, ids: &[u64]) -> Range<u64> {
        let (line, lead) = (self.place.line_windows(), &self.place.axes[self.place.lead()]);
        let places = ids.iter().map(|id| id / line);
        let (first, last) = places.fold((u64::MAX, 0), |(low, high), place| (low.min(place), high.max(place)));
        let clip = |at: i64| at.clamp(0, lead.len as i64) as u64;
        let starts = self.place.starts(0);
        clip(starts.at(first))..clip(starts.at(last) + lead.extent() as i64)
    }

    /// The first window that reaches into these lines, and one behind the last.
    pub(super) fn windows(&self, lines: &Range<u64>) -> (u64, u64) {
        let (reach, line) = (self.place.reaching(lines), self.place.line_windows());
        (reach.start * line, reach.end * line)
    }

    fn line_cells(&self) -> u64 {
        let lead = self.place.lead();
        self.place.axes.iter().enumerate().filter(|&(a, _)| a != lead).map(|(_, axis)| axis.len).product()
    }

    /// About how many bytes it takes to make so many lines at once.
    pub(super) fn bytes(&self, lines: u64) -> u64 {
        let reach = self.place.reaching(&(0..lines));
        let windows = reach.end.saturating_sub(reach.start).saturating_mul(self.place.line_windows());
        let cells = self.line_cells().saturating_mul(lines);
        let cell = pile::cell_bytes(&self.place, self.blend, self.dtype);
        cells.saturating_mul(cell).saturating_add(windows.saturating_mul(4))
    }

    /// How many lines can be made at once in so many bytes; at least one.
    pub(super) fn lines_in(&self, bytes: u64) -> u64 {
        let all = self.place.axes[self.place.lead()].len;
        let (mut low, mut high) = (1, all.max(1));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.bytes(middle) <= bytes { low = middle } else { high = middle - 1 }
        }
        low
    }
}

/// Lines of the image in the making.
pub(super) struct Slab {
    lines: Range<u64>,
    /// The windows that reach into them, by their place on the lead axis.
    reach: Range<u64>,
    /// How often each of these windows came.
    times: Memory<u32>,
    /// How often a window may come.
    most: u32,
    walk: Walk,
    weights: Option<Vec<Vec<f64>>>,
    pile: Box<dyn Pile>,
}

impl Slab {
    pub(super) fn new(recipe: &Recipe, lines: Range<u64>) -> Result<Self> {
        let Recipe { place, blend, dtype, out, .. } = recipe;
        let reach = place.reaching(&lines);
        let overlap = place.overlap();
        let most = pile::most_values(*blend, *dtype) / overlap;
        if most == 0 {
            let limit = pile::most_values(*blend, *dtype);
            return Err(Error::too_large("the number of windows that cover a pixel", overlap, limit));
        }
        let windows = reach.end.saturating_sub(reach.start).saturating_mul(place.line_windows());
        let weights = blend.is_weighted().then(|| {
            let axis = |axis: &super::place::PlaceAxis| match axis.starts {
                Some(_) => blend.weights(axis.window),
                None => Vec::new(),
            };
            place.axes.iter().map(axis).collect::<Vec<_>>()
        });
        let walk = Walk::new(place, lines.end - lines.start, weights.clone());
        let pile = pile::pile(place, &walk, *blend, *dtype, *out)?;
        let times = Memory::new(usize::try_from(windows).unwrap_or(usize::MAX))?;
        Ok(Self { lines, reach, times, most: most as u32, walk, weights, pile })
    }

    pub(super) fn lines(&self) -> Range<u64> {
        self.lines.clone()
    }

    /// Adds the values of windows, which are all of the grid.
    pub(super) fn add(&mut self, recipe: &Recipe, values: &Values<'_>) -> Result<()> {
        let first = self.reach.start * recipe.place.line_windows();
        let times = self.times.cells_mut();
        let mut seen = |i: usize, up: bool| {
            let slot = values.ids[i].checked_sub(first).and_then(|at| times.get_mut(usize::try_from(at).ok()?));
            match slot.filter(|_| values.has(i)) {
                Some(times) if up && *times == self.most => return false,
                Some(times) if up => *times += 1,
                Some(times) => *times -= 1,
                None => {}
            }
            true
        };
        if let Some(bad) = (0..values.ids.len()).find(|&i| !seen(i, true)) {
            // Nothing of these values is kept.
            (0..bad).for_each(|i| _ = seen(i, false));
            return Err(Error::too_large(
                "how often a window came",
                format!("{} of window {}", u64::from(self.most) + 1, values.ids[bad]),
                self.most,
            ));
        }
        let frame = Frame { place: &recipe.place, walk: &self.walk, line: self.lines.start };
        self.pile.add(&frame, values);
        Ok(())
    }

    /// Goes on to the lines from `line` on, and as many more at the end.
    pub(super) fn advance(&mut self, recipe: &Recipe, line: u64) -> Result<()> {
        let gone = line - self.lines.start;
        let height = self.lines.end - self.lines.start;
        let lines = line..line + height;
        let reach = recipe.place.reaching(&lines);
        let windows = recipe.place.line_windows();
        let mut times = Memory::new(((reach.end - reach.start) * windows) as usize)?;
        let kept = reach.start.max(self.reach.start)..reach.end.min(self.reach.end);
        if !kept.is_empty() {
            let stretch = |reach: &Range<u64>| {
                ((kept.start - reach.start) * windows) as usize..((kept.end - reach.start) * windows) as usize
            };
            times.cells_mut()[stretch(&reach)].copy_from_slice(&self.times.cells()[stretch(&self.reach)]);
        }
        self.pile.forget(&self.walk, gone.min(height) as usize);
        (self.times, self.lines, self.reach) = (times, lines, reach);
        Ok(())
    }

    /// How many windows cover each cell of some of the lines, over the sliding axes.
    pub(super) fn coverage(&self, recipe: &Recipe, lines: Range<u64>) -> Vec<u32> {
        cover(&recipe.place, lines, self.reach.clone(), self.times.cells(), None, |_| 1)
    }

    /// Writes some of the lines of the image, in C order, into `out`, which has exactly their bytes.
    pub(super) fn finish(&self, recipe: &Recipe, lines: Range<u64>, out: &mut [u8]) -> Result<()> {
        let place = &recipe.place;
        let sliding: u64 = place.sliding[1..].iter().map(|&a| place.axes[a].len).product();
        let step = (PIECE as u64 / sliding.max(1)).max(1);
        let mut numbers = Numbers::Whole(Vec::new());
        let mut start = lines.start;
        while start < lines.end {
            let piece = start..lines.end.min(start + step);
            self.finish_piece(recipe, &lines, piece.clone(), out, &mut numbers)?;
            start = piece.end;
        }
        Ok(())
    }

    fn finish_piece(
        &self,
        recipe: &Recipe,
        all: &Range<u64>,
        lines: Range<u64>,
        out: &mut [u8],
        numbers: &mut Numbers,
    ) -> Result<()> {
        let Recipe { place, dtype, out: to, fill, .. } = recipe;
        let times = self.coverage(recipe, lines.clone());
        let weights = self.weights.as_ref().map(|weights| {
            cover::<f64>(place, lines.clone(), self.reach.clone(), self.times.cells(), Some(weights), |w| w)
        });
        let (lead, tail, size) = (place.lead(), self.walk.tail(), to.size());
        let inner = place.sliding[place.sliding.len() - 1];
        let height = |a: usize| if a == lead { lines.end - lines.start } else { place.axes[a].len };
        // The distances of neighbours in `out` and in the cover.
        let (mut strides, mut covers) = (vec![0; place.axes.len()], vec![0; place.axes.len()]);
        let (mut stride, mut cover) = (1, 1);
        for a in (0..place.axes.len()).rev() {
            (strides[a], covers[a]) = (stride, cover);
            stride *= if a == lead { all.end - all.start } else { place.axes[a].len } as usize;
            cover *= if place.axes[a].starts.is_some() { height(a) as usize } else { 1 };
            if place.axes[a].starts.is_none() {
                covers[a] = 0;
            }
        }
        let width = height(inner) as usize;
        if stride == 0 || cover == 0 {
            return Ok(());
        }
        let first = (lines.start - self.lines.start) as usize * self.walk.stride(lead);
        let first_out = (lines.start - all.start) as usize * strides[lead];
        let mut index = vec![0u64; inner];
        loop {
            let sum = |strides: &dyn Fn(usize) -> usize| -> usize {
                index.iter().enumerate().map(|(a, &i)| i as usize * strides(a)).sum()
            };
            let at = first + sum(&|a| self.walk.stride(a));
            let line = first_out + sum(&|a| strides[a]);
            let over = sum(&|a| covers[a]);
            let line = &mut out[line * size..][..width * tail * size];
            let times = &times[over..over + width];
            let cover = match &weights {
                Some(weights) => Cover::Weight(&weights[over..over + width]),
                None => Cover::Times(times),
            };
            self.pile.numbers(at, cover, tail, numbers);
            for (lot, _) in line.chunks_exact_mut(tail * size).zip(times).filter(|(_, times)| **times == 0) {
                lot.chunks_exact_mut(size).for_each(|cell| cell.copy_from_slice(&fill[..size]));
            }
            if let Some(number) = with_pixel!(*to, T => numbers.store::<T>(times, tail, line)) {
                let message = format!("a cell is {number}, which no {to} is; values are {dtype}");
                return Err(Error::argument("dtype", message));
            }
            let Some(a) = (0..inner).rev().find(|&a| index[a] + 1 < height(a)) else { return Ok(()) };
            index[a] += 1;
            index[a + 1..].fill(0);
        }
    }
}
