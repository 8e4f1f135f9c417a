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

use crate::{Error, Result};

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
            [first, .., last] if last.checked_sub(*first) == Some(ids.len() as u64 - 1) && follow(ids, *first) => {
                // Ids that are none may be as large as they like.
                last.checked_add(1).map_or(Rows::Ids(ids), |end| Rows::Range(*first..end))
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

    /// The window of one row.
    pub(crate) fn id(&self, row: usize) -> u64 {
        match self {
            Rows::Range(range) => range.start + row as u64,
            Rows::Ids(ids) => ids[row],
        }
    }

    /// Refuses rows of which one is none of so many windows.
    ///
    /// # Errors
    /// Which it is.
    pub(crate) fn check(&self, windows: u64) -> Result<()> {
        let outside = match self {
            Rows::Range(range) => range.end > windows,
            // Most are right, and looking at all of them is faster than stopping at the first that is not; fastest at their
            // signs. There are fewer than 2⁶² windows.
            Rows::Ids(ids) => {
                let last = windows.wrapping_sub(1);
                ids.iter().fold(0, |signs, &id| signs | id | last.wrapping_sub(id)) >> 63 == 1
            }
        };
        let first = || (0..self.len()).find(|&row| self.id(row) >= windows);
        outside.then(first).flatten().map_or(Ok(()), |row| Err(self.no_window(row, windows)))
    }

    /// That the id of a row is none of so many windows.
    pub(crate) fn no_window(&self, row: usize, windows: u64) -> Error {
        Error::argument("window", format!("no window {} (row {row}): there are {windows}", self.id(row)))
    }

    /// Those at some places.
    pub(crate) fn slice(&self, places: Range<usize>) -> Rows<'_> {
        match self {
            Rows::Range(range) => Rows::Range(range.start + places.start as u64..range.start + places.end as u64),
            Rows::Ids(ids) => Rows::Ids(&ids[places]),
        }
    }
}

/// Whether ids follow one another from `first` on. All of them are looked at, several at a time: their ends have said that it
/// is likely.
fn follow(ids: &[u64], first: u64) -> bool {
    ids.iter().zip(0..ids.len() as u64).fold(0, |lost, (&id, i)| lost | (id.wrapping_sub(first) ^ i)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_follow_one_another_are_a_range() {
        let range = |ids: &[u64]| match Rows::of(ids) {
            Rows::Range(range) => Some(range),
            Rows::Ids(_) => None,
        };
        assert_eq!(range(&[5, 6, 7]), Some(5..8));
        assert_eq!(range(&(9..1000).collect::<Vec<_>>()), Some(9..1000));
        const LAST: u64 = u64::MAX;
        for ids in [&[][..], &[3], &[5, 7, 7], &[5, 5, 7], &[7, 6, 5], &[5, LAST, 7], &[LAST - 1, LAST], &[LAST, 0]] {
            assert_eq!(range(ids), None, "{ids:?}");
        }
    }
}
