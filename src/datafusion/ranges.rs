//! Sets of whole numbers as ranges: what filters say of one column.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Whole numbers, as ranges that rise and don't touch. Wide enough for ids and coordinates alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<[String; 2]>", into = "Vec<[String; 2]>")]
pub(super) struct Ranges(Vec<Range<i128>>);

/// Beyond all ids and coordinates.
const FAR: i128 = 1 << 100;

impl Ranges {
    /// All numbers.
    pub(super) fn all() -> Self {
        Self::of(-FAR..FAR)
    }

    /// None.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Those of one range.
    pub(super) fn of(range: Range<i128>) -> Self {
        if range.is_empty() { Self::none() } else { Self(vec![range]) }
    }

    /// Listed numbers.
    pub(super) fn listed(numbers: impl IntoIterator<Item = i128>) -> Self {
        Self::joined(numbers.into_iter().map(|n| n..n + 1).collect())
    }

    /// Numbers below `n`.
    pub(super) fn below(n: i128) -> Self {
        Self::of(-FAR..n)
    }

    /// Numbers from `n` on.
    pub(super) fn from(n: i128) -> Self {
        Self::of(n..FAR)
    }

    /// What of the ranges lies in one, rising.
    pub(super) fn within(&self, range: Range<i128>) -> impl Iterator<Item = Range<i128>> {
        let first = self.0.partition_point(|own| own.end <= range.start);
        let met = self.0[first..].iter().take_while(move |own| own.start < range.end);
        met.map(move |own| own.start.max(range.start)..own.end.min(range.end))
    }

    /// The ranges, which rise.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<i128>> {
        self.0.iter()
    }

    /// Ranges in any order.
    fn joined(mut ranges: Vec<Range<i128>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<i128>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// Numbers of either.
    pub(super) fn or(self, other: Self) -> Self {
        Self::joined(self.0.into_iter().chain(other.0).collect())
    }

    /// Numbers of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let range = x.start.max(y.start)..x.end.min(y.end);
            if x.end < y.end {
                a.next();
            } else {
                b.next();
            }
            if !range.is_empty() {
                both.push(range);
            }
        }
        Self(both)
    }

    /// All others.
    pub(super) fn not(&self) -> Self {
        let starts = std::iter::once(-FAR).chain(self.0.iter().map(|range| range.end));
        let ends = self.0.iter().map(|range| range.start).chain([FAR]);
        Self(starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect())
    }
}

/// As texts: JSON has no numbers of such a size.
impl From<Ranges> for Vec<[String; 2]> {
    fn from(ranges: Ranges) -> Self {
        ranges.0.iter().map(|range| [range.start.to_string(), range.end.to_string()]).collect()
    }
}

impl TryFrom<Vec<[String; 2]>> for Ranges {
    type Error = String;

    fn try_from(texts: Vec<[String; 2]>) -> Result<Self, String> {
        let number = |text: &String| match text.parse::<i128>() {
            Ok(n) if (-FAR..=FAR).contains(&n) => Ok(n),
            _ => Err(format!("{text:?}: expected a number from {} to {FAR}", -FAR)),
        };
        let ranges = texts.iter().map(|[start, end]| Ok(number(start)?..number(end)?));
        Ok(Self::joined(ranges.collect::<Result<_, String>>()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Ranges> {
        proptest::collection::vec((-20i128..20, 0i128..8), 0..5)
            .prop_map(|all| Ranges::joined(all.into_iter().map(|(start, len)| start..start + len).collect()))
    }

    fn has(ranges: &Ranges, n: i128) -> bool {
        ranges.iter().any(|range| range.contains(&n))
    }

    proptest! {
        #[test]
        fn sets_are_sets(a in ranges(), b in ranges()) {
            for n in -30..30 {
                prop_assert_eq!(has(&a.and(&b), n), has(&a, n) && has(&b, n));
                prop_assert_eq!(has(&a.clone().or(b.clone()), n), has(&a, n) || has(&b, n));
                prop_assert_eq!(has(&a.not(), n), !has(&a, n));
            }
            for range in b.iter() {
                prop_assert_eq!(a.within(range.clone()).collect::<Vec<_>>(), a.and(&Ranges::of(range.clone())).0);
            }
            for set in [a.and(&b), a.clone().or(b.clone()), a.not()] {
                prop_assert!(set.0.windows(2).all(|pair| pair[0].end < pair[1].start), "{set:?}");
            }
            prop_assert_eq!(a.not().not(), a.clone());
            let text = serde_json::to_string(&a.not()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ranges>(&text).unwrap(), a.not());
        }
    }
}
