//! Which windows, in what order. Nothing here knows pixels.

mod permutation;
mod selection;
mod set;
mod step;

use std::ops::Range;

pub use permutation::Permutation;
pub(crate) use selection::Selection;
pub(crate) use set::{IdSet, IdSetBuilder};
pub use step::{Amount, ClassCount, Step};

/// Windows, by id, in the order in which they become rows.
#[derive(Clone, Debug)]
pub(crate) enum Rows<'a> {
    /// One after the other.
    Range(Range<u64>),
    /// Any, as they are listed.
    Ids(&'a [u64]),
}

impl<'a> Rows<'a> {
    /// Listed windows. Ids that follow one another are a range: the kernels for lines are faster than those for windows
    /// anywhere.
    pub(crate) fn of(ids: &'a [u64]) -> Self {
        match ids {
            [first, .., last]
                if last.wrapping_sub(*first) == ids.len() as u64 - 1
                    && ids.windows(2).all(|pair| pair[0] + 1 == pair[1]) =>
            {
                Rows::Range(*first..last + 1)
            }
            _ => Rows::Ids(ids),
        }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::Range(range) => (range.end - range.start) as usize,
            Rows::Ids(ids) => ids.len(),
        }
    }

    /// Those at some places.
    pub(crate) fn slice(&self, places: Range<usize>) -> Rows<'_> {
        match self {
            Rows::Range(range) => Rows::Range(range.start + places.start as u64..range.start + places.end as u64),
            Rows::Ids(ids) => Rows::Ids(&ids[places]),
        }
    }
}
