//! [`Selection`]: from row numbers to window ids.

use std::ops::Range;
use std::sync::Arc;

use super::{IdSet, IdSetBuilder, Permutation, Step};
use crate::{Error, ErrorKind, Result};

/// The windows that are the rows of a table, in order: a function from row numbers to window ids, made of steps. Cheap
/// to clone. Without a step, row numbers are window ids.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// From rows to what the step before made of them: the last one is met first.
    maps: Vec<Map>,
    /// All that was done, also what no longer shows.
    steps: Vec<Step>,
    /// The windows that were listed, if any were: a step tells only how many.
    listed: Option<Arc<[u64]>>,
    /// How many rows.
    len: u64,
}

#[derive(Clone, Debug)]
enum Map {
    /// Rows that follow one another: the first of them.
    From(u64),
    /// Some, in order.
    Pick(Arc<IdSet>),
    /// Some, in any order.
    List(Arc<[u64]>),
    Permute(Box<Permutation>),
}

/// So many ids are looked at together.
const PIECE: u64 = 1 << 16;

impl Selection {
    /// All windows of a grid with so many.
    pub(crate) fn all(windows: u64) -> Self {
        Self { maps: Vec::new(), steps: Vec::new(), listed: None, len: windows }
    }

    /// Whether row numbers are window ids.
    pub(crate) fn is_all(&self) -> bool {
        self.maps.is_empty()
    }

    /// What was done.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The windows that were listed before all other steps, if any were.
    pub(crate) fn listed(&self) -> Option<&[u64]> {
        self.listed.as_deref()
    }

    /// How many rows.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of memory that the rows take.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = |map: &Map| match map {
            Map::From(_) | Map::Permute(_) => 0,
            Map::Pick(set) => set.bytes(),
            Map::List(list) => list.len() as u64 * 8,
        };
        self.maps.iter().map(bytes).sum()
    }

    /// Whether ids rise from row to row.
    pub(crate) fn is_sorted(&self) -> bool {
        self.maps.iter().all(|map| match map {
            Map::From(_) | Map::Pick(_) => true,
            Map::List(list) => list.is_sorted_by(|a, b| a < b),
            Map::Permute(_) => false,
        })
    }

    /// The window that is a row.
    pub(crate) fn id(&self, row: u64) -> u64 {
        self.maps.iter().rev().fold(row, |row, map| map.get(row))
    }

    /// The windows that are these rows, in order.
    pub(crate) fn ids(&self, rows: Range<u64>) -> Vec<u64> {
        // As long as the rows follow one another they are not listed.
        let (mut range, mut list) = (rows, None::<Vec<u64>>);
        for map in self.maps.iter().rev() {
            match (&mut list, map) {
                (None, Map::From(first)) => range = range.start + first..range.end + first,
                (None, Map::Pick(set)) => list = Some(set.runs(range.clone()).flatten().collect()),
                (None, Map::List(ids)) => list = Some(ids[range.start as usize..range.end as usize].to_vec()),
                (None, Map::Permute(order)) => {
                    let mut numbers = Vec::with_capacity((range.end - range.start) as usize);
                    order.extend(range.clone(), &mut numbers);
                    list = Some(numbers);
                }
                (Some(list), map) => list.iter_mut().for_each(|row| *row = map.get(*row)),
            }
        }
        list.unwrap_or_else(|| range.collect())
    }

    /// The ids of these rows, a piece at a time.
    pub(crate) fn pieces(&self, rows: Range<u64>) -> impl Iterator<Item = Vec<u64>> + '_ {
        rows.clone().step_by(PIECE as usize).map(move |start| self.ids(start..(start + PIECE).min(rows.end)))
    }

    /// The rows `rows` with one more step.
    fn then(&self, rows: Range<u64>, map: Map, len: u64, step: Step) -> Self {
        let mut next = self.noted(&rows);
        if rows.start > 0 {
            next.maps.push(Map::From(rows.start));
        }
        next.maps.push(map);
        next.steps.push(step);
        next.len = len;
        next
    }

    /// The same, and if these are not all rows, it is said that they alone go on.
    fn noted(&self, rows: &Range<u64>) -> Self {
        let mut next = self.clone();
        if *rows != (0..self.len) {
            next.steps.push(Step::Rows { start: rows.start, end: rows.end });
        }
        next
    }

    /// The rows `rows`, shuffled.
    pub(crate) fn shuffle(&self, rows: Range<u64>, seed: u64, epoch: u64) -> Self {
        let count = rows.end - rows.start;
        let order = Box::new(Permutation::new(count, seed, epoch));
        self.then(rows, Map::Permute(order), count, Step::Shuffle { seed, epoch, rows: count })
    }

    /// Some of the rows `rows`: those that a shuffle with this seed would put first, in the order that they have.
    pub(crate) fn sample(&self, rows: Range<u64>, count: u64, seed: u64) -> Result<Self> {
        let order = Permutation::new(rows.end - rows.start, seed, 0);
        let step = Step::Sample { count, seed };
        if count.saturating_mul(64) > order.len() {
            // A bitmap takes less than a list.
            let set = IdSet::of(order.numbers(count), order.len())?;
            return Ok(self.then(rows, Map::Pick(Arc::new(set)), count, step));
        }
        let mut list = reserved(count)?;
        order.extend(0..count, &mut list);
        Ok(self.then(rows, Map::List(sorted_even(list).into()), count, step))
    }

    /// The windows of a list, in its order.
    pub(crate) fn list(ids: Vec<u64>) -> Self {
        let (len, ids) = (ids.len() as u64, Arc::from(ids));
        let listed = Some(Arc::clone(&ids));
        Self { maps: vec![Map::List(ids)], steps: vec![Step::Windows { count: len }], listed, len }
    }

    /// Refuses to choose windows once the rows are shuffled: their new order would have to be listed.
    pub(crate) fn check_unshuffled(&self, name: &'static str) -> Result<()> {
        if self.maps.iter().any(|map| matches!(map, Map::Permute(_))) {
            let message = "the rows are shuffled already: choose windows first, and shuffle what is left";
            return Err(Error::argument(name, message));
        }
        Ok(())
    }

    /// Those of the rows `rows` whose windows are in `set`, in the order that they have; `name` is what asked for it.
    pub(crate) fn retain(&self, rows: Range<u64>, set: IdSet, name: &'static str, step: Step) -> Result<Self> {
        self.check_unshuffled(name)?;
        let mut next = self.noted(&rows);
        // The map is to ids, so that nothing of what led to them is needed any more.
        let map = if self.is_all() && rows == (0..self.len) {
            Map::Pick(Arc::new(set))
        } else if self.is_sorted() {
            let last = if rows.is_empty() { 0 } else { self.id(rows.end - 1) + 1 };
            let mut kept = IdSetBuilder::new(last);
            if self.is_all() {
                for run in set.runs(0..set.len()) {
                    kept.push(run.start.max(rows.start)..run.end.min(rows.end))?;
                }
            } else {
                for id in self.pieces(rows).flatten().filter(|&id| set.contains(id)) {
                    kept.push(id..id + 1)?;
                }
            }
            Map::Pick(Arc::new(kept.finish()?))
        } else {
            Map::List(self.pieces(rows).flatten().filter(|&id| set.contains(id)).collect())
        };
        next.len = map.len();
        next.maps = vec![map];
        next.steps.push(step);
        Ok(next)
    }
}

impl Map {
    /// How many rows it is from, if it says so.
    fn len(&self) -> u64 {
        match self {
            Map::From(_) => u64::MAX,
            Map::Pick(set) => set.len(),
            Map::List(list) => list.len() as u64,
            Map::Permute(order) => order.len(),
        }
    }

    fn get(&self, row: u64) -> u64 {
        match self {
            Map::From(first) => first + row,
            Map::Pick(set) => set.get(row),
            Map::List(list) => list[row as usize],
            Map::Permute(order) => order.get(row),
        }
    }
}

/// Numbers that are spread evenly over their range, as those of a permutation are, in rising order: each is put about
/// where it belongs, in one pass, and moved by a few places in another.
fn sorted_even(list: Vec<u64>) -> Vec<u64> {
    let last = list.iter().max().map_or(0, |&max| u128::from(max) + 1);
    let count = list.len() as u128;
    // A part a number; shifts are exact enough, so that parts rise with the numbers.
    let shift = (0..64).find(|shift| last >> shift <= count.max(1)).unwrap_or(63);
    let part = |number: u64| (number >> shift) as usize;
    let mut next = vec![0u64; (last >> shift) as usize + 1];
    list.iter().for_each(|&number| next[part(number)] += 1);
    let mut before = 0;
    for next in &mut next {
        before += std::mem::replace(next, before);
    }
    let mut sorted = vec![0; list.len()];
    for number in list {
        let next = &mut next[part(number)];
        sorted[*next as usize] = number;
        *next += 1;
    }
    for i in 1..sorted.len() {
        let mut at = i;
        while at > 0 && sorted[at - 1] > sorted[at] {
            sorted.swap(at - 1, at);
            at -= 1;
        }
    }
    sorted
}

/// A list with room for so many ids.
fn reserved(count: u64) -> Result<Vec<u64>> {
    let mut list = Vec::new();
    let bytes = usize::try_from(count.saturating_mul(8)).unwrap_or(usize::MAX);
    list.try_reserve_exact(bytes / 8).map_err(|_| ErrorKind::Memory { what: "a selection of windows", bytes })?;
    Ok(list)
}
