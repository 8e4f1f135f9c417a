//! Ids that don't fall.

use std::ops::Range;

/// Ids that are looked at together.
const TOGETHER: usize = 32;

/// So many neighbours are copied as a line.
const NEIGHBOURS: usize = 32;

/// Ids of which none is less than the one before it. A kernel that has looked at the first and at the last of some has
/// looked at all: this type is what it relies on, so nothing but [`first_of`](Self::first_of) makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rising<'a>(&'a [u64]);

impl<'a> Rising<'a> {
    /// The first of these ids: as many as don't fall and are below `end`. There are fewer than 2⁶³ windows, and so ids.
    pub(super) fn first_of(ids: &'a [u64], end: u64) -> Self {
        let Some(last) = end.checked_sub(1).filter(|last| ids.first().is_some_and(|first| first <= last)) else {
            return Self(&[]);
        };
        let mut count = 1;
        // Many at a time, since ids that rise mostly go on to do so; told from signs, which vectors have at hand.
        while let Some(next) = ids.get(count..count + TOGETHER) {
            let pairs = ids[count - 1..].iter().zip(next);
            let signs = pairs.fold(0, |signs, (id, next)| signs | id | next.wrapping_sub(*id));
            let highest = next[TOGETHER - 1];
            if (signs | highest | last | last.wrapping_sub(highest)) >> 63 == 1 {
                break;
            }
            count += TOGETHER;
        }
        count += ids[count - 1..].windows(2).take_while(|pair| pair[0] <= pair[1] && pair[1] <= last).count();
        Self(&ids[..count])
    }

    /// How many.
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(super) fn ids(self) -> &'a [u64] {
        self.0
    }

    /// Those at some places.
    pub(super) fn slice(self, places: Range<usize>) -> Self {
        Self(&self.0[places])
    }

    /// The places of the first many that follow one another; those of none, at the end, if there are no such.
    pub(super) fn neighbours(self) -> Range<usize> {
        let follow = |pair: &&[u64]| pair[0] + 1 == pair[1];
        for (i, some) in self.0.chunks_exact(NEIGHBOURS).enumerate() {
            let last = NEIGHBOURS - 1;
            if some[last] - some[0] == last as u64 && some.windows(2).all(|pair| follow(&pair)) {
                let start = i * NEIGHBOURS;
                return start..start + 1 + self.0[start..].windows(2).take_while(follow).count();
            }
        }
        self.0.len()..self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_many_as_rise(
            mut ids in prop::collection::vec(prop_oneof![0..40u64, Just(u64::MAX), Just(1 << 63)], 0..60),
            sorted in 0..60usize,
            end in prop_oneof![0..50u64, Just(1 << 62)],
        ) {
            let sorted = sorted.min(ids.len());
            ids[..sorted].sort_unstable();
            let mut count = 0;
            while count < ids.len() && ids[count] < end && (count == 0 || ids[count - 1] <= ids[count]) {
                count += 1;
            }
            prop_assert_eq!(Rising::first_of(&ids, end).ids(), &ids[..count]);
        }
    }

    #[test]
    fn neighbours_are_found_where_there_are_many() {
        let ids: Vec<u64> = (0..40).map(|i| 2 * i).chain(100..190).chain([500]).collect();
        let rising = Rising::first_of(&ids, 1000);
        assert_eq!((rising.len(), rising.neighbours()), (131, 64..130));
        assert_eq!(rising.slice(0..60).neighbours(), 60..60);
    }
}
