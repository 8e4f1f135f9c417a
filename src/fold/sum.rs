//! Blends that add: the sum, the mean, and the weighted means.

use std::marker::PhantomData;

use super::cell::{Cell, Sum};
use super::pile::{Cover, Frame, Memory, Numbers, Pile, Values, cast};
use super::walk::{Run, Sink, Walk};
use crate::Result;

/// Sums of values.
pub(super) struct Summed<T, S, K> {
    sums: Memory<S>,
    kind: K,
    /// Whether sums are divided by the cover, and whether a whole number may get a fraction by that.
    mean: Option<bool>,
    of: PhantomData<fn(T)>,
}

impl<T, S: Sum, K> Summed<T, S, K> {
    pub(super) fn new(cells: usize, kind: K, mean: Option<bool>) -> Result<Self> {
        Ok(Self { sums: Memory::new(cells)?, kind, mean, of: PhantomData })
    }
}

/// How values become summands.
pub(super) trait Kind<T, S>: Send + Sync {
    fn add(&self, sums: &mut [S], values: &[T], run: &Run);
}

/// As they are.
pub(super) struct Plain;

impl<T: Cell> Kind<T, T::Sum> for Plain {
    #[inline(always)]
    fn add(&self, sums: &mut [T::Sum], values: &[T], _: &Run) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            sum.add(value.sum());
        }
    }
}

/// Times the weight of their place, which is that of the run times that in the run.
pub(super) struct Weighted(Vec<f64>);

impl Weighted {
    pub(super) fn new(walk: &Walk) -> Self {
        Self(walk.run_weights())
    }
}

impl<T: Cell> Kind<T, f64> for Weighted {
    #[inline(always)]
    fn add(&self, sums: &mut [f64], values: &[T], run: &Run) {
        for ((sum, &value), weight) in sums.iter_mut().zip(values).zip(&self.0[run.skip..]) {
            *sum += value.to_f64() * (weight * run.weight);
        }
    }
}

/// Adds runs of values.
struct Adder<'a, T, S, K> {
    sums: &'a mut [S],
    values: &'a [T],
    kind: &'a K,
}

impl<T, S, K: Kind<T, S>> Sink for Adder<'_, T, S, K> {
    #[inline(always)]
    fn run(&mut self, _: u64, value: usize, run: Run) {
        let sums = &mut self.sums[run.to..run.to + run.len];
        let from = value + run.from;
        self.kind.add(sums, &self.values[from..from + run.len], &run);
    }
}

impl<T: Cell, S: Sum, K: Kind<T, S>> Pile for Summed<T, S, K> {
    fn add(&mut self, frame: &Frame<'_>, values: &Values<'_>) {
        let cells = cast::<T>(values.bytes);
        frame.each_unrolled(values, &mut Adder { sums: self.sums.cells_mut(), values: &cells, kind: &self.kind });
    }

    fn numbers(&self, at: usize, cover: Cover<'_>, tail: usize, to: &mut Numbers) {
        let sums = |n: usize| &self.sums.cells()[at..at + n * tail];
        match (cover, self.mean) {
            (Cover::Times(times), None) if S::WHOLE => {
                to.whole().extend(sums(times.len()).iter().map(|sum| sum.to_i128()))
            }
            (Cover::Times(times), None) => to.float().extend(sums(times.len()).iter().map(|sum| sum.to_f64())),
            (Cover::Times(times), Some(false)) if S::WHOLE => {
                let mean = |sum: S, n: u32| sum.mean(n.max(1)).to_i128();
                each(sums(times.len()), times, tail, mean, to.whole());
            }
            (Cover::Times(times), Some(_)) => {
                let mean = |sum: S, n: u32| sum.to_f64() / f64::from(n);
                each(sums(times.len()), times, tail, mean, to.float());
            }
            (Cover::Weight(weights), _) => {
                let mean = |sum: S, weight: f64| sum.to_f64() / weight;
                each(sums(weights.len()), weights, tail, mean, to.float());
            }
        }
    }

    fn forget(&mut self, walk: &Walk, lines: usize) {
        self.sums.forget(walk, lines);
    }
}

/// What `of` makes of sums and the cover of their place, which `tail` of them share.
fn each<S: Copy, C: Copy, N>(sums: &[S], cover: &[C], tail: usize, of: impl Fn(S, C) -> N, to: &mut Vec<N>) {
    if tail == 1 {
        to.extend(sums.iter().zip(cover).map(|(&sum, &cover)| of(sum, cover)));
    } else {
        for (sums, &cover) in sums.chunks_exact(tail).zip(cover) {
            to.extend(sums.iter().map(|&sum| of(sum, cover)));
        }
    }
}
