//! [`IdSet`]: some of the numbers below a bound, in order, in little memory.

use std::ops::Range;

use crate::{ErrorKind, Result};

/// Some of the numbers `0..bound`: the n-th of them and whether one is among them are found fast.
///
/// # Memory
/// 16 bytes a run of neighbours, but never much more than a bitmap takes: 9 bits for every 8 numbers below the bound.
#[derive(Clone, Debug)]
pub(crate) struct IdSet {
    bound: u64,
    len: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Runs(Vec<Run>),
    Bits(Bits),
}

/// Neighbours, up to the number of those before the next run.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    /// How many numbers come before the run.
    before: u64,
}

/// A bit a number, and how many are set before each block.
#[derive(Clone, Debug)]
struct Bits {
    words: Vec<u64>,
    before: Vec<u64>,
}

/// Words of a block: its bits are counted one word after the other.
const BLOCK: usize = 8;

/// Collects numbers in rising order.
pub(crate) struct IdSetBuilder {
    bound: u64,
    len: u64,
    /// The run that may still grow.
    last: Range<u64>,
    runs: Vec<Run>,
    bits: Option<Vec<u64>>,
}

impl IdSetBuilder {
    pub(crate) fn new(bound: u64) -> Self {
        Self { bound, len: 0, last: 0..0, runs: Vec::new(), bits: None }
    }

    /// Adds numbers that are larger than all before, and below the bound.
    pub(crate) fn push(&mut self, ids: Range<u64>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        debug_assert!(self.last.end <= ids.start && ids.end <= self.bound);
        if self.last.end == ids.start && !self.last.is_empty() {
            self.last.end = ids.end;
            return Ok(());
        }
        self.end_run()?;
        self.last = ids;
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        let run = std::mem::take(&mut self.last);
        if run.is_empty() {
            return Ok(());
        }
        if let Some(words) = &mut self.bits {
            set(words, run.clone());
        } else {
            if self.runs.len() == self.runs.capacity() {
                let more = self.runs.len().max(16);
                reserve(&mut self.runs, more)?;
            }
            self.runs.push(Run { start: run.start, before: self.len });
        }
        self.len += run.end - run.start;
        if self.bits.is_none() && self.runs.len() as u64 > self.bound / 64 * 9 / 16 + 64 {
            self.use_bits()?;
        }
        Ok(())
    }

    /// More runs than what a bitmap takes.
    fn use_bits(&mut self) -> Result<()> {
        let mut words = Vec::new();
        let count = self.bound.div_ceil(64) as usize;
        reserve(&mut words, count)?;
        words.resize(count, 0);
        let runs = std::mem::take(&mut self.runs);
        for (i, run) in runs.iter().enumerate() {
            let end = runs.get(i + 1).map_or(self.len, |next| next.before);
            set(&mut words, run.start..run.start + (end - run.before));
        }
        self.bits = Some(words);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<IdSet> {
        self.end_run()?;
        let kind = match self.bits {
            None => {
                self.runs.shrink_to_fit();
                Kind::Runs(self.runs)
            }
            Some(words) => {
                let mut before = Vec::new();
                reserve(&mut before, words.len().div_ceil(BLOCK))?;
                let mut count = 0;
                for block in words.chunks(BLOCK) {
                    before.push(count);
                    count += block.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
                }
                Kind::Bits(Bits { words, before })
            }
        };
        Ok(IdSet { bound: self.bound, len: self.len, kind })
    }
}

fn reserve<T>(memory: &mut Vec<T>, more: usize) -> Result<()> {
    let bytes = more.saturating_mul(size_of::<T>());
    memory.try_reserve_exact(more).map_err(|_| ErrorKind::Memory { what: "a selection of windows", bytes }.into())
}

/// Sets the bits of a range.
fn set(words: &mut [u64], range: Range<u64>) {
    let (first, last) = ((range.start / 64) as usize, ((range.end - 1) / 64) as usize);
    let (low, high) = (u64::MAX << (range.start % 64), u64::MAX >> (63 - (range.end - 1) % 64));
    if first == last {
        words[first] |= low & high;
        return;
    }
    words[first] |= low;
    words[first + 1..last].fill(u64::MAX);
    words[last] |= high;
}

impl IdSet {
    /// Numbers below a bound in any order, none of them twice.
    pub(crate) fn of(ids: impl Iterator<Item = u64>, bound: u64) -> Result<Self> {
        let mut builder = IdSetBuilder::new(bound);
        builder.use_bits()?;
        if let Some(words) = &mut builder.bits {
            for id in ids {
                words[(id / 64) as usize] |= 1 << (id % 64);
                builder.len += 1;
            }
        }
        builder.finish()
    }

    /// The numbers of a list in rising order.
    pub(crate) fn from_sorted(ids: &[u64], bound: u64) -> Result<Self> {
        let mut builder = IdSetBuilder::new(bound);
        for &id in ids {
            builder.push(id..id + 1)?;
        }
        builder.finish()
    }

    /// How many numbers.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        (match &self.kind {
            Kind::Runs(runs) => runs.len() * size_of::<Run>(),
            Kind::Bits(bits) => (bits.words.len() + bits.before.len()) * 8,
        }) as u64
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        if id >= self.bound {
            return false;
        }
        match &self.kind {
            Kind::Runs(runs) => {
                let i = runs.partition_point(|run| run.start <= id);
                i > 0 && id - runs[i - 1].start < self.run_len(runs, i - 1)
            }
            Kind::Bits(bits) => bits.words[(id / 64) as usize] >> (id % 64) & 1 == 1,
        }
    }

    fn run_len(&self, runs: &[Run], i: usize) -> u64 {
        runs.get(i + 1).map_or(self.len, |next| next.before) - runs[i].before
    }

    /// The number at a place, which is below [`len`](Self::len).
    pub(crate) fn get(&self, place: u64) -> u64 {
        match &self.kind {
            Kind::Runs(runs) => {
                let run = runs[runs.partition_point(|run| run.before <= place) - 1];
                run.start + (place - run.before)
            }
            Kind::Bits(bits) => {
                let (mut word, mut left) = bits.word(place);
                let mut rest = bits.words[word];
                loop {
                    let count = u64::from(rest.count_ones());
                    if left < count {
                        break;
                    }
                    left -= count;
                    word += 1;
                    rest = bits.words[word];
                }
                for _ in 0..left {
                    rest &= rest - 1;
                }
                word as u64 * 64 + u64::from(rest.trailing_zeros())
            }
        }
    }

    /// The numbers at these places, as runs of neighbours in rising order.
    pub(crate) fn runs(&self, places: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut next = places.start;
        // Where the next number is looked for: among runs, or in a word of which these bits are left.
        let (mut at, mut word) = match &self.kind {
            _ if next >= places.end => (0, 0),
            Kind::Runs(runs) => (runs.partition_point(|run| run.before <= next) - 1, 0),
            Kind::Bits(bits) => {
                let id = self.get(next);
                let at = (id / 64) as usize;
                (at, bits.words[at] & u64::MAX << (id % 64))
            }
        };
        std::iter::from_fn(move || {
            if next >= places.end {
                return None;
            }
            let run = match &self.kind {
                Kind::Runs(runs) => {
                    let skipped = next - runs[at].before;
                    let start = runs[at].start + skipped;
                    let len = self.run_len(runs, at) - skipped;
                    at += 1;
                    start..start + len
                }
                Kind::Bits(bits) => {
                    while word == 0 {
                        at += 1;
                        word = bits.words[at];
                    }
                    let low = word.trailing_zeros();
                    let len = (word >> low).trailing_ones();
                    // The run is cut where its word ends.
                    word &= if low + len == 64 { 0 } else { u64::MAX << (low + len) };
                    let start = at as u64 * 64 + u64::from(low);
                    start..start + u64::from(len)
                }
            };
            let len = (run.end - run.start).min(places.end - next);
            next += len;
            Some(run.start..run.start + len)
        })
    }
}

impl Bits {
    /// The first word of the block that has a place, and the place within the block.
    fn word(&self, place: u64) -> (usize, u64) {
        let block = self.before.partition_point(|&before| before <= place) - 1;
        (block * BLOCK, place - self.before[block])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_is_the_list_of_its_numbers(
            bound in 1..6000u64,
            share in 0.0..1.0f64,
            clumps in 1..40u64,
            seed in any::<u64>(),
            (a, b) in (0.0..1.0f64, 0.0..1.0f64),
        ) {
            let order = super::super::Permutation::new(1 << 20, seed, 0);
            let ids: Vec<u64> =
                (0..bound).filter(|id| (order.get(id / clumps) as f64) < share * f64::from(1 << 20)).collect();
            let set = IdSet::from_sorted(&ids, bound).unwrap();
            prop_assert_eq!(set.len(), ids.len() as u64);
            prop_assert!(set.bytes() <= bound / 64 * 9 + 2048, "{} bytes for {}", set.bytes(), bound);
            for (place, &id) in ids.iter().enumerate() {
                prop_assert_eq!(set.get(place as u64), id);
            }
            prop_assert_eq!((0..bound + 2).filter(|&id| set.contains(id)).collect::<Vec<_>>(), ids.clone());
            let n = ids.len() as f64 + 1.0;
            let (a, b) = ((a * n) as usize, (b * n) as usize);
            let places = a.min(b)..a.max(b);
            let some: Vec<u64> = set.runs(places.start as u64..places.end as u64).flatten().collect();
            prop_assert_eq!(&some[..], &ids[places]);
        }
    }

    #[test]
    fn both_kinds_are_met() {
        let every =
            |n: u64| IdSet::from_sorted(&(0..100_000).step_by(n as usize).collect::<Vec<_>>(), 100_000).unwrap();
        assert!(matches!(every(2).kind, Kind::Bits(_)) && matches!(every(1000).kind, Kind::Runs(_)));
        assert_eq!(every(2).get(49_999), 99_998);
    }
}
