//! A box of an array: a range on every axis.

use std::fmt;
use std::ops::Range;

/// A box of an array: one half-open range an axis, in the array's coordinates.
#[derive(Clone, PartialEq, Eq)]
pub struct Region(pub Vec<Range<u64>>);

impl Region {
    /// All of an array.
    pub fn whole(shape: &[u64]) -> Self {
        Self(shape.iter().map(|&n| 0..n).collect())
    }

    /// The length of each axis.
    pub fn shape(&self) -> Vec<usize> {
        self.0.iter().map(|range| (range.end - range.start) as usize).collect()
    }

    /// Whether every pixel of `other` is in this region.
    pub fn contains(&self, other: &Region) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a.start <= b.start && b.end <= a.end)
    }

    /// The number of pixels, saturating.
    pub fn pixels(&self) -> u64 {
        self.0.iter().fold(1, |n, range| u64::saturating_mul(n, range.end - range.start))
    }

    /// This region with another range on one axis.
    pub fn with(&self, axis: usize, range: Range<u64>) -> Self {
        let mut region = self.clone();
        region.0[axis] = range;
        region
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<_> = self.0.iter().map(|range| format!("{range:?}")).collect();
        write!(f, "[{}]", ranges.join(", "))
    }
}
