//! Parts of an image that share no pixel: for training, and for tests that mean something.

use std::collections::BTreeMap;
use std::ops::Range;

use super::PatchScan;
use crate::encode::LabelAt;
use crate::rows::{IdSet, IdSetBuilder, Permutation, Step};
use crate::window::by;
use crate::{Error, PadMode, Result, WindowSpec};

/// How an image is split: into parts, by blocks of it that are dealt to them.
///
/// ```
/// use windrow::{PatchScan, Split, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec(vec![0u8; 120 * 160], &[120, 160])?;
/// let scan = PatchScan::new(image, WindowSpec::new([8, 8]))?;
/// let parts = scan.split(&Split::new([("train", 0.8), ("test", 0.2)], [20, 20]).seed(1))?;
/// let (train, test) = (&parts.part("train")?, &parts.part("test")?);
/// assert_eq!(train.num_rows() + test.num_rows() + parts.dropped(), scan.num_rows());
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    parts: Vec<(String, f64)>,
    block: Vec<u64>,
    seed: u64,
    stratified: bool,
}

impl Split {
    /// Parts by name, with the share of blocks that each gets (together 1), and the pixels of a block on each axis that
    /// the window slides over, or of all.
    pub fn new<N: Into<String>>(parts: impl IntoIterator<Item = (N, f64)>, block: impl Into<Vec<u64>>) -> Self {
        let parts = parts.into_iter().map(|(name, share)| (name.into(), share)).collect();
        Self { parts, block: block.into(), seed: 0, stratified: false }
    }

    /// By which blocks are dealt. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Deals blocks of each class by themselves, so that the parts have about the same share of each: the class of a
    /// block is the most frequent label in it. Default: no.
    pub fn stratified(mut self, stratified: bool) -> Self {
        self.stratified = stratified;
        self
    }
}

/// The parts of a scan that was split.
#[derive(Clone, Debug)]
pub struct Parts {
    parts: Vec<(String, PatchScan)>,
    dropped: u64,
}

impl Parts {
    /// A part, by name.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn part(&self, name: &str) -> Result<PatchScan> {
        let part = self.parts.iter().find(|(known, _)| known == name).map(|(_, scan)| scan.clone());
        part.ok_or_else(|| {
            let names: Vec<_> = self.parts.iter().map(|(name, _)| name.as_str()).collect();
            Error::argument("part", format!("no part {name:?}: there are {}", names.join(", ")))
        })
    }

    /// Names and parts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &PatchScan)> {
        self.parts.iter().map(|(name, scan)| (name.as_str(), scan))
    }

    /// Rows that are in no part, because their windows extend over blocks of several.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The part of a block that none got.
const NONE: u8 = u8::MAX;

/// The most blocks: a byte each.
const MOST_BLOCKS: u64 = 1 << 30;

impl PatchScan {
    /// Splits the image into parts of which no two share a pixel: blocks of it are dealt to the parts, and a window
    /// belongs to a part if every block that it extends over does; all others are dropped. So between blocks of two parts
    /// there is a guard band as wide as a window.
    ///
    /// The blocks, counted in C order, are dealt in the order of [`Permutation`](crate::Permutation) with the split's seed
    /// (and, stratified, each class by itself, with its number as the epoch): the first ones to the first part, and so
    /// on.
    ///
    /// # Memory
    /// A byte a block while it is called. The rows of each part take 16 bytes a run of neighbours, and never much more
    /// than a bit a window.
    ///
    /// # Errors
    /// If shares are not from 0 to 1 or together not 1, two parts have one name, a block is smaller than the window's
    /// extent, a part gets no block, there are no labels to stratify by, or the rows are shuffled already.
    pub fn split(&self, split: &Split) -> Result<Parts> {
        let grid = self.grid();
        check(split)?;
        let axes: Vec<_> = grid.sliding().collect();
        let block = match split.block[..] {
            [one] => vec![one; axes.len()],
            _ => split.block.clone(),
        };
        if block.len() != axes.len() {
            let message = format!("{} has {} axes: the window slides over {}", by(&block), block.len(), axes.len());
            return Err(Error::argument("block", message));
        }
        for (axis, &block) in axes.iter().zip(&block) {
            if block < axis.extent {
                let message = format!(
                    "{block} on axis {}: a window extends over {}, which no block would hold",
                    axis.name, axis.extent
                );
                return Err(Error::argument("block", message));
            }
        }
        self.check_choice("split")?;
        let counts: Vec<_> = axes.iter().zip(&block).map(|(axis, block)| axis.len.div_ceil(*block).max(1)).collect();
        let blocks = counts.iter().try_fold(1u64, |n, &count| n.checked_mul(count)).filter(|&n| n <= MOST_BLOCKS);
        let blocks = blocks.ok_or_else(|| Error::too_large("the number of blocks", by(&counts), MOST_BLOCKS))?;
        let strata = if split.stratified { self.strata(&block, blocks)? } else { vec![(0..blocks).collect()] };
        let dealt = deal(split, &strata, blocks)?;
        let spans = axes.iter().enumerate().zip(&block).map(|((number, axis), &block)| {
            let touched = |i: u64| {
                let pixels = grid.touched(number, i);
                if pixels.is_empty() {
                    // In the padding as a whole: it belongs to the block beside it.
                    let beside = axis.start(i).clamp(0, axis.len.saturating_sub(1) as i64) as u64 / block;
                    return beside..beside + 1;
                }
                pixels.start / block..(pixels.end - 1) / block + 1
            };
            runs(axis.count, touched)
        });
        let spans: Vec<_> = spans.collect();
        let sets = assign(&spans, &counts, &dealt, split.parts.len(), grid.windows())?;
        let mut parts = Vec::with_capacity(split.parts.len());
        let mut rest = self.num_rows();
        for ((name, _), set) in split.parts.iter().zip(sets) {
            let step = Step::Split {
                part: name.clone(),
                parts: split.parts.clone(),
                block: block.clone(),
                seed: split.seed,
                stratified: split.stratified,
            };
            let selection = self.0.selection.retain(self.rows(), set, "split", step)?;
            rest -= selection.len();
            parts.push((name.clone(), selection));
        }
        let parts = parts.into_iter().map(|(name, selection)| Ok((name, self.choose(selection)?)));
        Ok(Parts { parts: parts.collect::<Result<_>>()?, dropped: rest })
    }

    /// The blocks of each class; those without a label are the last one.
    fn strata(&self, block: &[u64], blocks: u64) -> Result<Vec<Vec<u64>>> {
        let Some(labels) = &self.0.encoder.labels else {
            return Err(Error::argument("stratified", "there are no labels to stratify by: expected labels"));
        };
        let lens = self.grid().sliding().map(|axis| axis.len);
        let rest: Vec<_> = lens.zip(block).map(|(len, block)| (0, len.next_multiple_of(*block) - len)).collect();
        let spec = WindowSpec::new(block).steps(block).pad(rest, PadMode::Constant);
        let mut builder = PatchScan::builder(labels.source.clone(), spec).columns(["label"]);
        builder = builder.labels(labels.source.clone(), LabelAt::Majority);
        if let Some(marker) = labels.nodata {
            builder = builder.label_nodata(marker.value);
        }
        let mut strata: BTreeMap<super::classes::Key, Vec<u64>> = BTreeMap::new();
        let mut next = 0;
        for batch in builder.build()?.reader()? {
            let column = super::classes::Keys::of(batch?.column(0).as_ref());
            for row in 0..column.len() {
                strata.entry(column.get(row)).or_default().push(next);
                next += 1;
            }
        }
        debug_assert_eq!(next, blocks);
        Ok(strata.into_values().collect())
    }
}

fn check(split: &Split) -> Result<()> {
    let refuse = |message: String| Err(Error::argument("split", message));
    if split.parts.len() < 2 || split.parts.len() >= usize::from(NONE) {
        return refuse(format!("{} parts: expected 2 to {}", split.parts.len(), NONE - 1));
    }
    for (i, (name, share)) in split.parts.iter().enumerate() {
        if split.parts[..i].iter().any(|(before, _)| before == name) {
            return refuse(format!("two parts are named {name:?}"));
        }
        if !(*share > 0.0 && *share < 1.0) {
            return refuse(format!("a share of {share} for part {name:?}: expected more than 0, and less than 1"));
        }
    }
    let sum: f64 = split.parts.iter().map(|(_, share)| share).sum();
    if (sum - 1.0).abs() > 1e-6 {
        return refuse(format!("the shares are {sum} together: expected 1"));
    }
    Ok(())
}

/// The part that each block is dealt to.
fn deal(split: &Split, strata: &[Vec<u64>], blocks: u64) -> Result<Vec<u8>> {
    let mut dealt = vec![NONE; blocks as usize];
    for (epoch, stratum) in strata.iter().enumerate() {
        let order = Permutation::new(stratum.len() as u64, split.seed, epoch as u64);
        let (mut share, mut start) = (0.0, 0);
        for (part, (_, of)) in split.parts.iter().enumerate() {
            share += of;
            let end =
                if part + 1 == split.parts.len() { order.len() } else { (share * order.len() as f64).round() as u64 };
            for place in start..end {
                dealt[stratum[order.get(place) as usize] as usize] = part as u8;
            }
            start = end.max(start);
        }
    }
    for (part, (name, share)) in split.parts.iter().enumerate() {
        if !dealt.contains(&(part as u8)) {
            let message =
                format!("part {name:?}, a share of {share}, gets none of {blocks} blocks: expected smaller blocks");
            return Err(Error::argument("split", message));
        }
    }
    Ok(dealt)
}

/// The windows of an axis that touch the same blocks: windows, and blocks.
fn runs(count: u64, touched: impl Fn(u64) -> Range<u64>) -> Vec<(Range<u64>, Range<u64>)> {
    let mut runs: Vec<(Range<u64>, Range<u64>)> = Vec::new();
    for i in 0..count {
        let blocks = touched(i);
        match runs.last_mut() {
            Some((windows, same)) if *same == blocks => windows.end = i + 1,
            _ => runs.push((i..i + 1, blocks)),
        }
    }
    runs
}

/// The windows of each part.
fn assign(
    spans: &[Vec<(Range<u64>, Range<u64>)>],
    counts: &[u64],
    dealt: &[u8],
    parts: usize,
    windows: u64,
) -> Result<Vec<IdSet>> {
    let mut sets: Vec<_> = (0..parts).map(|_| IdSetBuilder::new(windows)).collect();
    let Some((last, outer)) = spans.split_last() else { return sets.into_iter().map(IdSetBuilder::finish).collect() };
    let line = last.last().map_or(0, |(windows, _)| windows.end);
    // Every line of the grid, by the run on each outer axis that it is in.
    let lens: Vec<u64> = outer.iter().map(|runs| runs.last().map_or(0, |(windows, _)| windows.end)).collect();
    let mut index = vec![(0u64, 0usize); outer.len()];
    for number in 0..lens.iter().product::<u64>() {
        for (windows, blocks) in last {
            let hull = index.iter().zip(outer).map(|((_, run), runs)| runs[*run].1.clone()).chain([blocks.clone()]);
            if let Some(part) = common_part(&hull.collect::<Vec<_>>(), counts, dealt) {
                sets[part].push(number * line + windows.start..number * line + windows.end)?;
            }
        }
        for ((i, run), (runs, len)) in index.iter_mut().zip(outer.iter().zip(&lens)).rev() {
            *i += 1;
            if *i < *len {
                *run += usize::from(runs[*run].0.end == *i);
                break;
            }
            (*i, *run) = (0, 0);
        }
    }
    sets.into_iter().map(IdSetBuilder::finish).collect()
}

/// The part that all blocks of a box are dealt to, if they are dealt to one.
fn common_part(hull: &[Range<u64>], counts: &[u64], dealt: &[u8]) -> Option<usize> {
    let mut index: Vec<u64> = hull.iter().map(|range| range.start).collect();
    let at = |index: &[u64]| dealt[index.iter().zip(counts).fold(0, |at, (&i, &n)| at * n + i) as usize];
    let part = at(&index);
    loop {
        if at(&index) != part {
            return None;
        }
        let mut more = false;
        for (i, range) in index.iter_mut().zip(hull).rev() {
            *i += 1;
            if *i < range.end {
                more = true;
                break;
            }
            *i = range.start;
        }
        if !more {
            return (part != NONE).then_some(usize::from(part));
        }
    }
}
