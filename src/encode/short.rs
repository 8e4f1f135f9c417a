//! Windows of short runs, by the best way that this machine has.

use std::ops::Range;

use super::kernel::{Runs, Starts};

#[cfg(target_arch = "x86_64")]
pub(super) mod packs;
#[cfg(target_arch = "x86_64")]
pub(super) mod permute;
#[cfg(target_arch = "x86_64")]
pub(super) mod shuffle;

/// Ways to copy several short runs a store; where there is none, they are moved one by one.
#[cfg(target_arch = "x86_64")]
#[derive(Default)]
pub(super) struct Short {
    permute: Option<permute::Permute>,
    shuffle: Option<shuffle::Shuffle>,
}

#[cfg(target_arch = "x86_64")]
impl Short {
    /// The ways for windows `advance` bytes apart.
    pub(super) fn new(runs: &Runs, advance: isize) -> Self {
        let permute = permute::Permute::new(runs, advance);
        let shuffle = if permute.is_none() { shuffle::Shuffle::new(runs, advance) } else { None };
        Self { permute, shuffle }
    }

    /// Copies windows into `out`, in order, and returns how many: as many as can be had in one of these ways, without a
    /// load or a store that leaves its slice.
    pub(super) fn copy_windows(&self, src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) -> usize {
        let done = match (&self.permute, &self.shuffle, starts) {
            (Some(permute), _, Starts::Line(_)) => permute.copy_windows(src, starts, runs, out),
            (None, Some(shuffle), Starts::Line(line)) => shuffle.copy_windows(src, line, runs, out),
            _ => 0,
        };
        let (starts, out) = (starts.behind(done), &mut out[done * runs.bytes()..]);
        if out.is_empty() { done } else { done + packs::copy_windows(src, starts, runs, out) }
    }

    /// Copies windows by ids that nobody has looked at, and returns how many: as long as they are of one line of the grid,
    /// whose inner `windows` these are, and near each other. Window 0 would start at byte `first`.
    pub(super) fn copy_near(
        &self,
        src: &[u8],
        ids: &[u64],
        windows: &Range<u64>,
        first: isize,
        runs: &Runs,
        out: &mut [u8],
    ) -> usize {
        self.permute.as_ref().map_or(0, |permute| permute.copy_near(src, ids, windows, first, runs, out))
    }
}

/// Elsewhere there is none.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Default)]
pub(super) struct Short;

#[cfg(not(target_arch = "x86_64"))]
impl Short {
    pub(super) fn new(_: &Runs, _: isize) -> Self {
        Self
    }

    pub(super) fn copy_windows(&self, _: &[u8], _: Starts<'_>, _: &Runs, _: &mut [u8]) -> usize {
        0
    }

    pub(super) fn copy_near(&self, _: &[u8], _: &[u64], _: &Range<u64>, _: isize, _: &Runs, _: &mut [u8]) -> usize {
        0
    }
}
