//! Tiles of a source, decoded and kept: for regions that are asked for in no order.

use std::collections::HashMap;
use std::ops::Range;

use super::copy::{self, Place};
use super::{Band, Region, RegionReader, SourceInfo};
use crate::{BufferPool, DType, Result, StridedView};

/// Chunks of fewer bytes are decoded several at a time, as one tile; small arrays of tests have several too.
const LEAST_BYTES: u64 = if cfg!(test) { 64 } else { 32 << 10 };

/// The most tiles that are decoded side by side.
const MOST_AT_ONCE: u64 = 16;

/// What a region that is read alone costs, in bytes that could be read meanwhile where they lie together.
const SEEK_BYTES: u64 = if cfg!(test) { 32 } else { 16 << 10 };

/// The tiles that a region touches: a range an axis.
pub(crate) type Block = Vec<Range<u64>>;

/// The tiles of an array, of which those that were used last are kept, in so many bytes at most.
///
/// A tile is a chunk of the source, or a few of them. Sources of which any pixel can be read alone have none: regions of
/// them are read as they are, and nothing is kept.
pub(crate) struct Tiles {
    pool: BufferPool,
    dtype: DType,
    shape: Vec<u64>,
    tile: Vec<u64>,
    /// Tiles on each axis.
    counts: Vec<u64>,
    kept: HashMap<u64, Kept>,
    bytes: u64,
    most: u64,
    /// Counts the times that a tile was asked for.
    clock: u64,
}

struct Kept {
    band: Band,
    bytes: u64,
    used: u64,
}

impl Tiles {
    /// Those of a source, of which about `most` bytes are kept; always as many as are decoded at once.
    pub(crate) fn new(info: &SourceInfo, pool: &BufferPool, most: u64) -> Self {
        let tile = tile(info);
        let counts = info.shape.iter().zip(&tile).map(|(n, tile)| n.div_ceil(*tile)).collect();
        Self {
            pool: pool.clone(),
            dtype: info.dtype,
            shape: info.shape.clone(),
            tile,
            counts,
            kept: HashMap::new(),
            bytes: 0,
            most,
            clock: 0,
        }
    }

    /// Whether regions are read as they are.
    pub(crate) fn are_none(&self) -> bool {
        is_free(&self.tile)
    }

    /// The tiles that a range of an axis touches.
    pub(crate) fn touched(&self, axis: usize, range: &Range<u64>) -> Range<u64> {
        range.start / self.tile[axis]..range.end.div_ceil(self.tile[axis])
    }

    /// The numbers of the tiles of a block, in C order.
    pub(crate) fn numbers(&self, block: &Block) -> Vec<u64> {
        let mut numbers = vec![0];
        for (range, count) in block.iter().zip(&self.counts) {
            numbers = numbers.iter().flat_map(|number| range.clone().map(move |i| number * count + i)).collect();
        }
        numbers
    }

    /// Whether a tile is kept.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.kept.contains_key(&number)
    }

    /// The bytes of a tile, or of what it costs to read a region that has no tile.
    pub(crate) fn cost(&self, number: u64, region: u64) -> u64 {
        if self.are_none() { region.max(SEEK_BYTES) } else { self.bytes_of(&self.region(number)) }
    }

    /// Whether two rows of tiles across all other axes can be kept, so that a pass along an axis decodes each once.
    pub(crate) fn keep_rows(&self, axis: usize) -> bool {
        let rows = Region::whole(&self.shape).with(axis, 0..self.tile[axis].saturating_mul(2).min(self.shape[axis]));
        !self.are_none() && self.bytes_of(&rows) <= self.most
    }

    /// Bytes that may be kept.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Forgets all tiles.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    /// What holds the pixels of a region that touches the tiles `numbers`: a tile, or a piece of several. `next` are tiles
    /// that will be asked for later, some of which are decoded beside those that are wanted now.
    pub(crate) fn band(
        &mut self,
        reader: &mut dyn RegionReader,
        numbers: &[u64],
        region: impl FnOnce() -> Region,
        next: &[u64],
    ) -> Result<Band> {
        if let [number] = *numbers {
            return self.tile(reader, number, &[], next);
        }
        let region = region();
        if self.are_none() || region.pixels() == 0 {
            return Band::read(reader, region, self.dtype);
        }
        self.clock += 1;
        for number in numbers {
            // Those that are there make no room for those that are not.
            self.kept.get_mut(number).into_iter().for_each(|kept| kept.used = self.clock);
        }
        let (shape, size) = (region.shape(), self.dtype.size());
        let mut memory = self.pool.take(shape.iter().product::<usize>() * size)?;
        let target = Place::dense(&shape, size);
        for (place, &number) in numbers.iter().enumerate() {
            let Band { view, region: tile } = self.tile(reader, number, &numbers[place..], next)?;
            let common: Vec<_> =
                region.0.iter().zip(&tile.0).map(|(a, b)| a.start.max(b.start)..a.end.min(b.end)).collect();
            let within = |outer: &Region| -> Vec<usize> {
                common.iter().zip(&outer.0).map(|(common, outer)| (common.start - outer.start) as usize).collect()
            };
            // No axis of a tile that is kept is reversed.
            let strides = view.strides().iter().map(|&stride| stride.unsigned_abs() * size).collect();
            let source = Place { start: view.offset() * size, strides };
            copy::copy(
                view.buffer(),
                &source.at(within(&tile)),
                &mut memory,
                &target.at(within(&region)),
                &Region(common.clone()).shape(),
                size,
            );
        }
        Ok(Band { view: StridedView::from_buffer(memory.freeze(), self.dtype, &shape)?, region })
    }

    /// One tile, kept or decoded now, with some of those that are wanted after it.
    fn tile(&mut self, reader: &mut dyn RegionReader, number: u64, block: &[u64], next: &[u64]) -> Result<Band> {
        self.clock += 1;
        if let Some(kept) = self.kept.get_mut(&number) {
            kept.used = self.clock;
            return Ok(kept.band.clone());
        }
        let bytes = self.bytes_of(&self.region(number)).max(1);
        let threads = rayon::current_num_threads() as u64;
        let at_once = threads.min(MOST_AT_ONCE).min(self.most / bytes).max(1) as usize;
        let mut wanted = vec![number];
        for &other in block.iter().chain(next) {
            if wanted.len() == at_once {
                break;
            }
            if !wanted.contains(&other) && !self.has(other) {
                wanted.push(other);
            }
        }
        let regions: Vec<_> = wanted.iter().map(|&number| self.region(number)).collect();
        self.make_room(regions.iter().map(|region| self.bytes_of(region)).sum());
        let views = reader.read_all(&regions)?;
        for ((number, region), view) in wanted.into_iter().zip(regions).zip(views).rev() {
            let (bytes, view) = (self.bytes_of(&region), self.forward(view)?);
            self.bytes += bytes;
            self.kept.insert(number, Kept { band: Band { view, region }, bytes, used: self.clock });
        }
        Ok(self.kept[&number].band.clone())
    }

    /// The same pixels, of which no axis is reversed.
    fn forward(&self, view: StridedView) -> Result<StridedView> {
        if view.strides().iter().all(|&stride| stride >= 0) {
            return Ok(view);
        }
        let mut memory = self.pool.take(view.len() * self.dtype.size())?;
        view.copy_to(&mut memory);
        StridedView::from_buffer(memory.freeze(), self.dtype, view.shape())
    }

    /// Forgets tiles, those first that were not used for the longest time, until so many bytes more may be kept.
    fn make_room(&mut self, more: u64) {
        if self.bytes.saturating_add(more) <= self.most {
            return;
        }
        let mut oldest: Vec<_> = self.kept.iter().map(|(&number, kept)| (kept.used, number)).collect();
        oldest.sort_unstable();
        // A little more than needed, so that not every tile sorts them.
        let most = self.most.saturating_sub(more).min(self.most - self.most / 16);
        for (_, number) in oldest {
            if self.bytes <= most {
                return;
            }
            if let Some(kept) = self.kept.remove(&number) {
                self.bytes -= kept.bytes;
            }
        }
    }

    /// Where a tile lies.
    fn region(&self, number: u64) -> Region {
        let mut region = Region::whole(&self.shape);
        let mut rest = number;
        for axis in (0..self.shape.len()).rev() {
            let (i, tile, n) = (rest % self.counts[axis], self.tile[axis], self.shape[axis]);
            rest /= self.counts[axis];
            region.0[axis] = i * tile..(i + 1).saturating_mul(tile).min(n);
        }
        region
    }

    fn bytes_of(&self, region: &Region) -> u64 {
        region.pixels().saturating_mul(self.dtype.size() as u64)
    }
}

/// The shape of a tile.
fn tile(info: &SourceInfo) -> Vec<u64> {
    let mut tile: Vec<u64> = info.chunk.iter().zip(&info.shape).map(|(&chunk, &n)| chunk.clamp(1, n.max(1))).collect();
    if is_free(&tile) {
        return tile;
    }
    let bytes = |tile: &[u64]| tile.iter().fold(info.dtype.size() as u64, |bytes, &n| bytes.saturating_mul(n));
    // Whole chunks more on the axis that is the shortest by now, of those that have more.
    while bytes(&tile) < LEAST_BYTES {
        let short = (0..tile.len()).filter(|&axis| tile[axis] < info.shape[axis]).min_by_key(|&axis| tile[axis]);
        let Some(axis) = short else { break };
        tile[axis] = tile[axis].saturating_add(info.chunk[axis].max(1).max(tile[axis]));
    }
    tile
}

/// Whether any pixel can be read alone.
fn is_free(chunk: &[u64]) -> bool {
    chunk.iter().all(|&n| n == 1)
}

/// The most bytes that reading regions of at most `extent` pixels on each axis holds at once, if about `most` bytes of tiles
/// are kept.
pub(crate) fn tiles_bytes(info: &SourceInfo, extent: &[u64], most: u64) -> u64 {
    let size = info.dtype.size() as u64;
    let tile = tile(info);
    let bytes = |shape: &[u64]| shape.iter().fold(size, |bytes, &n| bytes.saturating_mul(n));
    if is_free(&tile) {
        return bytes(extent);
    }
    let all: Vec<_> = info.shape.iter().zip(&tile).map(|(n, tile)| n.div_ceil(*tile).saturating_mul(*tile)).collect();
    let kept = most.max(bytes(&tile)).min(bytes(&all));
    // Windows that touch the same tiles are read from one piece.
    let piece: Vec<_> = (0..tile.len())
        .map(|axis| extent[axis].saturating_add(extent[axis].min(tile[axis])).max(tile[axis]).min(info.shape[axis]))
        .collect();
    kept.saturating_add(bytes(&piece))
}
