//! [`Groups`]: windows anywhere, by the tiles of the source that they touch.

use std::collections::HashSet;
use std::ops::Range;

use crate::rows::Rows;
use crate::source::{Band, Bands, Block, Region, RegionReader, Tiles};
use crate::take::Way;
use crate::window::Divisor;
use crate::{BufferPool, Grid, Result};

/// Bytes of rows that are gathered before they are put in their places.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Windows that touch the same tiles are one group: they are gathered from one piece of the source. Where there are no tiles
/// each window is one.
pub(crate) struct Groups {
    /// All windows, group by group.
    members: Vec<Member>,
    groups: Vec<Group>,
    /// The tiles that are needed, in the order of the groups, each once.
    needed: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// Where the tiles that it touches start and end, by number.
    start: u64,
    end: u128,
    id: u64,
    /// Which of the rows it is.
    place: usize,
}

struct Group {
    members: Range<usize>,
    /// The tiles.
    numbers: Vec<u64>,
}

impl Groups {
    /// Those of the windows `ids`, of which there is at least one.
    pub(crate) fn of(grid: &Grid, tiles: &Tiles, ids: &[u64]) -> Self {
        if tiles.are_none() {
            let member = |(place, &id): (usize, &u64)| Member { start: id, end: 0, id, place };
            let mut members: Vec<_> = ids.iter().enumerate().map(member).collect();
            members.sort_unstable();
            return Self { members, groups: Vec::new(), needed: Vec::new() };
        }
        let axes: Vec<_> = grid.sliding_axes().iter().map(|&number| &grid.axes()[number]).collect();
        let divisors: Vec<_> = axes.iter().map(|axis| Divisor::new(axis.count, grid.windows())).collect();
        let touched = |sliding: usize, range: &Range<u64>| tiles.touched(grid.sliding_axes()[sliding], range);
        let counts: Vec<_> = (0..axes.len()).map(|i| touched(i, &(0..axes[i].len)).end).collect();
        let member = |(place, &id): (usize, &u64)| {
            let (mut start, mut end, mut rest) = (0, 0, id);
            let (mut by, mut by_end) = (1, 1);
            for sliding in (0..axes.len()).rev() {
                let (outer, i) = divisors[sliding].divide(rest);
                rest = outer;
                let range = touched(sliding, &grid.touched(sliding, i));
                start += range.start * by;
                end += u128::from(range.end) * by_end;
                by *= counts[sliding].max(1);
                by_end *= u128::from(counts[sliding]) + 1;
            }
            Member { start, end, id, place }
        };
        let mut members: Vec<_> = ids.iter().enumerate().map(member).collect();
        members.sort_unstable();
        let (mut groups, mut needed, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut first = 0;
        for same in members.chunk_by(|a, b| (a.start, a.end) == (b.start, b.end)) {
            let region = grid.region(same[0].id..same[0].id + 1);
            let block: Block = region.0.iter().enumerate().map(|(axis, range)| tiles.touched(axis, range)).collect();
            let numbers = tiles.numbers(&block);
            needed.extend(numbers.iter().copied().filter(|&number| seen.insert(number)));
            groups.push(Group { members: first..first + same.len(), numbers });
            first += same.len();
        }
        Self { members, groups, needed }
    }

    /// How these windows are best read; `rise` says that their ids do.
    pub(crate) fn way(&self, grid: &Grid, bands: &Bands, tiles: &Tiles, rise: bool) -> Way {
        let Some(first) = self.members.first() else { return Way::Bands };
        let window = grid.region(first.id..first.id + 1).pixels().saturating_mul(bands.pixel_bytes());
        let new: u64 = if tiles.are_none() {
            tiles.cost(0, window).saturating_mul(self.members.len() as u64)
        } else {
            self.needed.iter().filter(|&&number| !tiles.has(number)).map(|&number| tiles.cost(number, window)).sum()
        };
        let whole = bands.whole_bytes();
        if whole <= tiles.most() && new >= whole / 2 {
            return Way::Whole;
        }
        if !rise && !tiles.are_none() {
            return Way::Tiles;
        }
        let lead = grid.sliding_axes()[0];
        let line = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>();
        let mut places: Vec<_> = self.members.iter().map(|member| member.id / line).collect();
        places.sort_unstable();
        places.dedup();
        let cost = bands.cost(places.into_iter().map(|place| grid.touched(0, place)));
        // A forward pass through lines that are longer than what is kept would decode tiles for every line again.
        let average = new / self.needed.len().max(1) as u64;
        let dense = !tiles.are_none() && !tiles.keep_rows(lead) && self.members.len() as u64 >= cost / average.max(1);
        if cost <= new.saturating_mul(2) || dense { Way::Bands } else { Way::Tiles }
    }

    /// Writes what `fill` makes of all windows, `width` bytes each, in their places in `out`.
    #[expect(clippy::too_many_arguments, reason = "where from, where to, and how")]
    pub(crate) fn gather(
        mut self,
        grid: &Grid,
        reader: &mut dyn RegionReader,
        tiles: &mut Tiles,
        width: usize,
        pool: &BufferPool,
        out: &mut [u8],
        fill: &mut impl FnMut(&Band, &Rows<'_>, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let mut piece = pool.take((PIECE_BYTES / width).clamp(1, self.members.len()) * width)?;
        let mut fill = |band: &Band, members: &[Member]| {
            for some in members.chunks(piece.len() / width) {
                let ids: Vec<u64> = some.iter().map(|member| member.id).collect();
                let (first, rows) = (some[0].place, Rows::of(&ids));
                if some.iter().zip(first..).all(|(member, place)| member.place == place) {
                    fill(band, &rows, &mut out[first * width..][..some.len() * width])?;
                    continue;
                }
                let piece = &mut piece[..some.len() * width];
                fill(band, &rows, piece)?;
                for (pixels, member) in piece.chunks_exact(width).zip(some) {
                    out[member.place * width..][..width].copy_from_slice(pixels);
                }
            }
            Ok(())
        };
        if tiles.are_none() {
            let same = self.members.chunk_by(|a, b| a.id == b.id);
            return same
                .into_iter()
                .try_for_each(|members| fill(&tiles.band(reader, &[], || hull(grid, &members[..1]), &[])?, members));
        }
        // The order is free: what is kept goes first, before it makes room.
        self.groups.sort_by_key(|group| !group.numbers.iter().all(|&number| tiles.has(number)));
        let mut next = &self.needed[..];
        for Group { members, numbers } in &self.groups {
            let members = &self.members[members.clone()];
            while next.first().is_some_and(|&number| tiles.has(number)) {
                next = &next[1..];
            }
            fill(&tiles.band(reader, numbers, || hull(grid, members), next)?, members)?;
        }
        Ok(())
    }
}

/// The pixels that windows touch, as one box.
fn hull(grid: &Grid, members: &[Member]) -> Region {
    let mut hull = grid.region(members[0].id..members[0].id + 1);
    for member in &members[1..] {
        let region = grid.region(member.id..member.id + 1);
        for (range, other) in hull.0.iter_mut().zip(region.0) {
            *range = range.start.min(other.start)..range.end.max(other.end);
        }
    }
    hull
}

#[cfg(test)]
mod tests {
    use arrow_array::RecordBatch;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt16Type;
    use proptest::prelude::*;

    use crate::source::{Region, RegionReader, Source, SourceInfo};
    use crate::{AnySource, BufferPool, Edge, PadMode, PatchScan, Result, StridedView, WindowSpec};

    /// An array that says it is decoded in chunks.
    #[derive(Debug)]
    struct Chunky(SourceInfo, StridedView);

    struct ChunkyReader(AnySource);

    impl Source for Chunky {
        fn info(&self) -> &SourceInfo {
            &self.0
        }

        fn open(&self, _: &BufferPool) -> Result<Box<dyn RegionReader>> {
            Ok(Box::new(ChunkyReader(self.1.clone().into())))
        }
    }

    impl RegionReader for ChunkyReader {
        fn read(&mut self, region: &Region) -> Result<StridedView> {
            assert!(region.pixels() > 0, "no empty region is asked for: {region:?}");
            self.0.open(&BufferPool::new(0))?.read(region)
        }
    }

    fn chunky(view: StridedView, chunk: &[u64]) -> AnySource {
        let info = SourceInfo {
            name: "chunky".into(),
            shape: view.shape().iter().map(|&n| n as u64).collect(),
            dtype: view.dtype(),
            axes: None,
            chunk: chunk[..view.shape().len()].to_vec(),
            resident: false,
            working_bytes: 0,
        };
        AnySource::new(Chunky(info, view))
    }

    #[test]
    fn a_grid_that_lies_in_padding_asks_for_no_pixel() {
        let image = StridedView::from_vec(vec![7u16; 6], &[2, 3]).unwrap();
        let spec = WindowSpec::new([1, 1]).step(4).pad([(1, 0), (1, 0)], PadMode::Constant).pad_value(5);
        for (chunk, cache) in [([1, 1], 0), ([1, 1], 1 << 20), ([2, 2], 0), ([2, 2], 1 << 20)] {
            let source = chunky(image.clone(), &chunk);
            let scan = PatchScan::builder(source, spec.clone()).cache_bytes(cache).build().unwrap();
            assert_eq!(scan.num_rows(), 1);
            let mut taker = scan.taker().unwrap();
            for ids in [&[0][..], &[0, 0], &[]] {
                let batch = taker.take(ids).unwrap();
                let pixels = batch["patch"].as_fixed_size_list().values().as_fixed_size_list().values();
                assert_eq!(pixels.as_primitive::<UInt16Type>().values(), &vec![5; ids.len()][..]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn windows_come_from_tiles_as_they_come_from_memory(
            shape in prop::collection::vec(1..40usize, 1..4),
            window in prop::collection::vec((1..9u64, 1..5u64, 1..3u64), 1..4),
            chunk in prop::collection::vec(1..20u64, 4),
            edge in 0..3usize,
            mode in 0..5usize,
            (turned, reversed) in any::<(bool, bool)>(),
            cache in prop_oneof![Just(0u64), 0..20_000u64],
            seed in any::<u64>(),
            counts in prop::collection::vec(0..60usize, 1..5),
            sorted in any::<bool>(),
        ) {
            let count: usize = shape.iter().product();
            let mut view = StridedView::from_vec((0..count).map(|i| i as u16).collect(), &shape).unwrap();
            if turned {
                view = view.transpose(&(0..shape.len()).rev().collect::<Vec<_>>()).unwrap();
            }
            if reversed {
                view = view.reverse(0).unwrap();
            }
            let window = &window[..window.len().min(shape.len())];
            let mut spec = WindowSpec::new(window.iter().map(|w| w.0).collect::<Vec<_>>());
            spec.step = window.iter().map(|w| w.1).collect();
            spec.dilation = window.iter().map(|w| w.2).collect();
            spec.edge = [Edge::Drop, Edge::Shift, Edge::Pad][edge];
            spec.pad_mode = PadMode::ALL[mode];
            let of = |source: AnySource| PatchScan::builder(source, spec.clone()).cache_bytes(cache).build();
            let Ok(memory) = of(view.clone().into()) else { return Ok(()) };
            let tiles = of(chunky(view, &chunk)).unwrap();
            let order = crate::Permutation::new(memory.num_rows(), seed, 0);
            let mut takers = [memory.taker().unwrap(), tiles.taker().unwrap()];
            let mut first = 0;
            for count in counts {
                // Some twice, over the end.
                let mut ids: Vec<u64> = (first..first + count as u64).map(|i| order.get(i % order.len())).collect();
                first += count as u64 / 2;
                if sorted {
                    ids.sort();
                }
                let [memory, tiles] = &mut takers;
                let columns = |batch: RecordBatch| batch.columns().to_vec();
                prop_assert_eq!(columns(memory.take(&ids).unwrap()), columns(tiles.take(&ids).unwrap()));
            }
        }
    }
}
