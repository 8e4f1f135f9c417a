//! Padding without a padded array: where the pixel at a position outside of the array is taken from.

use serde::{Deserialize, Serialize};

use crate::named::named;

/// What stands outside of the array, under `np.pad`'s names. For an axis `a b c d`:
///
/// | mode | before | | after |
/// |---|---|---|---|
/// | constant | `v v v` | `a b c d` | `v v v` |
/// | edge | `a a a` | `a b c d` | `d d d` |
/// | reflect | `d c b` | `a b c d` | `c b a` |
/// | symmetric | `c b a` | `a b c d` | `d c b` |
/// | wrap | `b c d` | `a b c d` | `a b c` |
///
/// Padding wider than the array goes on by the same rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PadMode {
    /// One value, [`WindowSpec::pad_value`](super::WindowSpec::pad_value).
    #[default]
    Constant,
    /// The nearest pixel.
    Edge,
    /// Mirrored at the edge pixel, which is not repeated.
    Reflect,
    /// Mirrored behind the edge pixel, which is repeated.
    Symmetric,
    /// The array again.
    Wrap,
}

named! {
    PadMode, "pad_mode":
    Constant = "constant",
    Edge = "edge",
    Reflect = "reflect",
    Symmetric = "symmetric",
    Wrap = "wrap",
}

impl PadMode {
    /// The pixel of an axis of length `n > 0` that stands at `position`; `None` for a constant outside of the axis.
    pub fn source(self, position: i64, n: u64) -> Option<u64> {
        if position >= 0 && (position as u64) < n {
            return Some(position as u64);
        }
        let (p, n) = (position as i128, n as i128);
        let source = match self {
            PadMode::Constant => return None,
            PadMode::Edge => p.clamp(0, n - 1),
            PadMode::Wrap => p.rem_euclid(n),
            PadMode::Symmetric => {
                let p = p.rem_euclid(2 * n);
                p.min(2 * n - 1 - p)
            }
            PadMode::Reflect if n == 1 => 0,
            PadMode::Reflect => {
                let p = p.rem_euclid(2 * n - 2);
                p.min(2 * n - 2 - p)
            }
        };
        Some(source as u64)
    }

    /// The smallest range that holds every pixel which stands at a position from `start` to `end`; empty if none does.
    pub(crate) fn hull(self, start: i64, end: i64, n: u64) -> std::ops::Range<u64> {
        let inside = start.clamp(0, n as i64) as u64..end.clamp(0, n as i64) as u64;
        if n == 0 || self == PadMode::Constant || (start >= 0 && end <= n as i64) {
            return inside;
        }
        // Mirrors run back and forth: only up to the length of the axis is the image of a run a run with the same ends.
        let distance = (-(start as i128)).max(end as i128 - n as i128);
        if self == PadMode::Wrap || (self != PadMode::Edge && distance >= n as i128) {
            return 0..n;
        }
        let mut hull = inside;
        for (crossed, at) in [(start < 0, start), (end > n as i64, end - 1)] {
            if crossed {
                let near = if at < 0 { (end - 1).min(-1) } else { start.max(n as i64) };
                for position in [at, near] {
                    let source = self.source(position, n).unwrap_or(0);
                    hull = if hull.is_empty() {
                        source..source + 1
                    } else {
                        hull.start.min(source)..hull.end.max(source + 1)
                    };
                }
            }
        }
        hull
    }
}

/// Pixels added (before, after) each window axis; one entry serves all axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pads(pub Vec<(u64, u64)>);

#[cfg(test)]
mod tests {
    use super::*;

    /// np.pad(np.arange(n), p, mode), by numpy 2.2.
    #[test]
    fn equals_numpy() {
        let row = |mode: PadMode, n: u64, pad: i64| -> Vec<u64> {
            (-pad..n as i64 + pad).map(|p| mode.source(p, n).unwrap_or(99)).collect()
        };
        assert_eq!(row(PadMode::Constant, 3, 2), [99, 99, 0, 1, 2, 99, 99]);
        assert_eq!(row(PadMode::Edge, 3, 2), [0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(row(PadMode::Reflect, 3, 5), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(row(PadMode::Symmetric, 3, 5), [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        assert_eq!(row(PadMode::Wrap, 3, 5), [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]);
        for mode in PadMode::ALL.into_iter().skip(1) {
            assert_eq!(row(mode, 1, 3), [0; 7], "{mode}");
        }
    }

    #[test]
    fn a_hull_holds_its_pixels() {
        for mode in PadMode::ALL {
            for n in 1..6u64 {
                for start in -12..12i64 {
                    for end in start + 1..14 {
                        let hull = mode.hull(start, end, n);
                        let sources: Vec<_> = (start..end).filter_map(|p| mode.source(p, n)).collect();
                        assert!(
                            sources.iter().all(|s| hull.contains(s)),
                            "{mode} n {n} {start}..{end}: {hull:?} {sources:?}"
                        );
                        // Exact but for wrap, where both ends of the axis are wanted at once.
                        if start >= 0 && end <= n as i64 {
                            assert_eq!(hull, start as u64..end as u64);
                        }
                    }
                }
            }
        }
        assert_eq!(PadMode::Reflect.hull(-3, 5, 1000), 0..5);
        assert_eq!(PadMode::Reflect.hull(-3, 1, 1000), 0..4);
        assert_eq!(PadMode::Edge.hull(-9, -3, 1000), 0..1);
        assert_eq!(PadMode::Symmetric.hull(998, 1004, 1000), 996..1000);
    }

    #[test]
    fn extremes_do_not_overflow() {
        for mode in PadMode::ALL.into_iter().skip(1) {
            for p in [i64::MIN, i64::MAX] {
                assert!(mode.source(p, 7).unwrap() < 7);
                assert!(mode.source(p, i64::MAX as u64).unwrap() < i64::MAX as u64);
            }
        }
    }
}
