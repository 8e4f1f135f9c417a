//! Which windows, in what order.

use std::ops::Range;

/// Windows, by id, in the order in which they become rows.
#[derive(Clone, Debug)]
pub(crate) enum Rows<'a> {
    /// One after the other.
    Range(Range<u64>),
    /// Any, as they are listed.
    Ids(&'a [u64]),
}

impl Rows<'_> {
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
