//! Blends that choose: a cell is that of one window.

use std::marker::PhantomData;

use super::cell::{Cell, Sum};
use super::pile::{Cover, Frame, Memory, Numbers, Pile, Values, cast};
use super::place::Place;
use super::walk::{Run, Sink, Walk};
use crate::Result;

/// Values that were chosen so far, and what they were chosen by.
pub(super) struct Chosen<T, C> {
    cells: Memory<T>,
    choice: C,
}

impl<T: Cell, C> Chosen<T, C> {
    pub(super) fn new(cells: usize, choice: C) -> Result<Self> {
        Ok(Self { cells: Memory::new(cells)?, choice })
    }
}

/// Chooses between what a cell is and what it may become.
pub(super) trait Choice<T>: Send + Sync {
    /// The cells from `run.to` of the slab, which are `cells`, may become `values` of this window.
    fn choose(&mut self, cells: &mut [T], values: &[T], window: u64, run: &Run);

    /// Forgets the first `lines` lines.
    fn forget(&mut self, walk: &Walk, lines: usize);
}

/// Whatever comes: each cell is that of one window, which may come again.
pub(super) struct Only;

impl<T: Copy> Choice<T> for Only {
    fn choose(&mut self, cells: &mut [T], values: &[T], _: u64, _: &Run) {
        cells.copy_from_slice(values);
    }

    fn forget(&mut self, _: &Walk, _: usize) {}
}

/// The largest or smallest.
pub(super) struct Extreme<O> {
    /// Which cells are values, and not yet nothing.
    set: Memory<u8>,
    of: PhantomData<O>,
}

impl<O> Extreme<O> {
    pub(super) fn new(cells: usize) -> Result<Self> {
        Ok(Self { set: Memory::new(cells)?, of: PhantomData })
    }
}

/// Which of two is wanted.
pub(super) trait Order: Send + Sync {
    fn wants<T: PartialOrd>(new: &T, old: &T) -> bool;
}

/// The larger.
pub(super) struct Larger;

impl Order for Larger {
    fn wants<T: PartialOrd>(new: &T, old: &T) -> bool {
        new > old
    }
}

/// The smaller.
pub(super) struct Smaller;

impl Order for Smaller {
    fn wants<T: PartialOrd>(new: &T, old: &T) -> bool {
        new < old
    }
}

impl<T: Cell, O: Order> Choice<T> for Extreme<O> {
    #[inline(always)]
    fn choose(&mut self, cells: &mut [T], values: &[T], _: u64, run: &Run) {
        let set = &mut self.set.cells_mut()[run.to..run.to + values.len()];
        for ((cell, &value), set) in cells.iter_mut().zip(values).zip(set) {
            // Once a cell is NaN, nothing is larger or smaller.
            let wanted = *set == 0 || O::wants(&value, cell) || value.is_nan();
            *cell = if wanted { value } else { *cell };
            *set = 1;
        }
    }

    fn forget(&mut self, walk: &Walk, lines: usize) {
        self.set.forget(walk, lines);
    }
}

/// That of the window with the highest id.
pub(super) struct Latest {
    /// One more than the id of the window that a cell is of; 0 is none.
    owners: Memory<u64>,
}

impl Latest {
    pub(super) fn new(cells: usize) -> Result<Self> {
        Ok(Self { owners: Memory::new(cells)? })
    }
}

impl<T: Copy> Choice<T> for Latest {
    #[inline(always)]
    fn choose(&mut self, cells: &mut [T], values: &[T], window: u64, run: &Run) {
        let owners = &mut self.owners.cells_mut()[run.to..run.to + values.len()];
        for ((cell, &value), owner) in cells.iter_mut().zip(values).zip(owners) {
            let wanted = window + 1 >= *owner;
            *cell = if wanted { value } else { *cell };
            *owner = (*owner).max(window + 1);
        }
    }

    fn forget(&mut self, walk: &Walk, lines: usize) {
        self.owners.forget(walk, lines);
    }
}

/// That of the window whose centre is the nearest.
pub(super) struct Nearest {
    owners: Latest,
    /// The square of the distance from the centre of the owner.
    far: Memory<u64>,
    /// That of the cells of a run on its own axis.
    run: Vec<u64>,
}

impl Nearest {
    pub(super) fn new(place: &Place, walk: &Walk, cells: usize) -> Result<Self> {
        Ok(Self { owners: Latest::new(cells)?, far: Memory::new(cells)?, run: walk.run_far(place) })
    }
}

impl<T: Copy> Choice<T> for Nearest {
    #[inline(always)]
    fn choose(&mut self, cells: &mut [T], values: &[T], window: u64, run: &Run) {
        let range = run.to..run.to + values.len();
        let owners = &mut self.owners.owners.cells_mut()[range.clone()];
        let fars = &mut self.far.cells_mut()[range];
        let cells = cells.iter_mut().zip(values).zip(owners).zip(fars);
        for ((((cell, &value), owner), far), here) in cells.zip(&self.run[run.skip..]) {
            let here = here + run.far;
            if *owner == 0 || here < *far || (here == *far && window + 1 >= *owner) {
                (*cell, *owner, *far) = (value, window + 1, here);
            }
        }
    }

    fn forget(&mut self, walk: &Walk, lines: usize) {
        Choice::<T>::forget(&mut self.owners, walk, lines);
        self.far.forget(walk, lines);
    }
}

/// Offers runs of values.
struct Offer<'a, T, C> {
    cells: &'a mut [T],
    values: &'a [T],
    choice: &'a mut C,
}

impl<T, C: Choice<T>> Sink for Offer<'_, T, C> {
    #[inline(always)]
    fn run(&mut self, window: u64, value: usize, run: Run) {
        let from = value + run.from;
        let cells = &mut self.cells[run.to..run.to + run.len];
        self.choice.choose(cells, &self.values[from..from + run.len], window, &run);
    }
}

impl<T: Cell, C: Choice<T>> Pile for Chosen<T, C> {
    fn add(&mut self, frame: &Frame<'_>, values: &Values<'_>) {
        let cells = cast::<T>(values.bytes);
        frame.each(values, &mut Offer { cells: self.cells.cells_mut(), values: &cells, choice: &mut self.choice });
    }

    fn numbers(&self, at: usize, cover: Cover<'_>, tail: usize, to: &mut Numbers) {
        let n = match cover {
            Cover::Times(times) => times.len(),
            Cover::Weight(weights) => weights.len(),
        };
        let cells = &self.cells.cells()[at..at + n * tail];
        if T::Sum::WHOLE {
            to.whole().extend(cells.iter().map(|cell| cell.sum().to_i128()));
        } else {
            to.float().extend(cells.iter().map(|cell| cell.to_f64()));
        }
    }

    fn forget(&mut self, walk: &Walk, lines: usize) {
        self.cells.forget(walk, lines);
        self.choice.forget(walk, lines);
    }
}
