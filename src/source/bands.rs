//! A moving band over a source: neighbouring regions overlap, and the overlap is read once.

use std::ops::Range;

use super::{Region, RegionReader, Source, SourceInfo};
use crate::{BufferPool, DType, Result, StridedView};

/// A piece of a source in memory.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    /// The pixels of the region.
    pub(crate) view: StridedView,
    /// Where they lie in the source.
    pub(crate) region: Region,
}

impl Band {
    /// Reads a region. Windows that lie in constant padding as a whole need no pixel, and a source is not asked for none.
    pub(super) fn read(reader: &mut dyn RegionReader, region: Region, dtype: DType) -> Result<Self> {
        let view = if region.pixels() == 0 {
            StridedView::from_buffer(Vec::<u64>::new().into(), dtype, &region.shape())?
        } else {
            reader.read(&region)?
        };
        Ok(Self { view, region })
    }
}

/// Bytes that a band grows by at least, where its source leaves the choice: enough to make a read worth a system call.
const READ_BYTES: u64 = 128 << 10;

/// From so many bytes of a read on, one band at a time is in memory: whoever still reads from the last one is waited for.
const HEAVY_BYTES: u64 = if cfg!(test) { 4 << 20 } else { 32 << 20 };

/// Moves a [`Band`] forward over one axis of a source. Rows of the band that are needed again are kept, and reads end
/// where a chunk of the source ends, so a forward pass decodes every chunk once.
pub(crate) struct Bands {
    reader: Box<dyn RegionReader>,
    pool: BufferPool,
    dtype: DType,
    /// The pixels that this pass may need at all.
    full: Region,
    axis: usize,
    growth: u64,
    /// Whether the reader writes into a band without memory of its own.
    in_place: bool,
    current: Option<Band>,
}

impl Bands {
    /// Starts a pass over the pixels of `full`, moving along `axis`.
    pub(crate) fn open(source: &dyn Source, pool: &BufferPool, full: Region, axis: usize) -> Result<Self> {
        let info = source.info();
        let reader = source.open(pool)?;
        let growth = growth(info, &full, axis);
        let in_place = source.fills(axis);
        let (pool, dtype) = (pool.clone(), info.dtype);
        let mut bands = Self { reader, pool, dtype, full, axis, growth, in_place, current: None };
        if info.resident {
            bands.read_whole()?;
        }
        Ok(bands)
    }

    /// Has all that the pass may need in the band, from now on.
    pub(crate) fn read_whole(&mut self) -> Result<()> {
        if !self.is_whole() {
            self.current = None;
            self.current = Some(Band::read(&mut *self.reader, self.full.clone(), self.dtype)?);
        }
        Ok(())
    }

    /// The band that holds all that the pass may need, if it does: then there is only this one.
    pub(crate) fn whole(&self) -> Option<&Band> {
        self.current.as_ref().filter(|band| band.region == self.full)
    }

    /// Whether there is such a band.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole().is_some()
    }

    /// Bytes of all that the pass may need.
    pub(crate) fn whole_bytes(&self) -> u64 {
        self.full.pixels().saturating_mul(self.pixel_bytes())
    }

    /// Bytes of a pixel.
    pub(crate) fn pixel_bytes(&self) -> u64 {
        self.dtype.size() as u64
    }

    /// Bytes that a pass over bands for these needs, which rise, would read.
    pub(crate) fn cost(&self, needs: impl Iterator<Item = Range<u64>>) -> u64 {
        let mut have = self.current.as_ref().map_or(0..0, |band| band.region.0[self.axis].clone());
        let mut rows = 0u64;
        for need in needs {
            if have.start <= need.start && need.end <= have.end {
                continue;
            }
            let end = self.end_for(&need);
            let from = if have.contains(&need.start) { have.end } else { need.start };
            rows = rows.saturating_add(end.saturating_sub(from));
            have = need.start..end;
        }
        self.line_bytes().saturating_mul(rows)
    }

    /// Forgets the band.
    pub(crate) fn clear(&mut self) {
        self.current = None;
    }

    /// What reads the source, for regions elsewhere.
    pub(crate) fn reader(&mut self) -> &mut dyn RegionReader {
        &mut *self.reader
    }

    /// Whether a band for `need` is another one.
    pub(crate) fn moves(&self, need: &Range<u64>) -> bool {
        self.current.is_some() && !self.holds(need)
    }

    /// Whether a read is of very many bytes.
    pub(crate) fn is_heavy(&self) -> bool {
        self.line_bytes().saturating_mul(self.growth) >= HEAVY_BYTES
    }

    fn holds(&self, need: &Range<u64>) -> bool {
        self.current.as_ref().is_some_and(|band| {
            let have = &band.region.0[self.axis];
            have.start <= need.start && need.end <= have.end
        })
    }

    fn line_bytes(&self) -> u64 {
        self.full.with(self.axis, 0..1).pixels().saturating_mul(self.dtype.size() as u64)
    }

    /// Where a band for `need` ends.
    fn end_for(&self, need: &Range<u64>) -> u64 {
        need.end.div_ceil(self.growth).saturating_mul(self.growth).min(self.full.0[self.axis].end)
    }

    /// A band that holds `need` on the axis of this pass.
    pub(crate) fn band(&mut self, need: Range<u64>) -> Result<Band> {
        if let Some(band) = &self.current
            && self.holds(&need)
        {
            return Ok(band.clone());
        }
        let end = self.end_for(&need);
        let kept = self.current.take().and_then(|band| keep(&band, self.axis, &need));
        let read = kept.as_ref().map_or(need.start, |band| band.region.0[self.axis].end)..end;
        let (fresh, region) = (self.full.with(self.axis, read), self.full.with(self.axis, need.start..end));
        let band = if region.pixels() == 0 || kept.is_none() && !self.in_place {
            Band::read(&mut *self.reader, region, self.dtype)?
        } else {
            Band { view: self.read_behind(kept, &fresh, &need)?, region }
        };
        debug_assert_eq!(band.view.shape(), band.region.shape());
        self.current = Some(band.clone());
        Ok(band)
    }

    /// What is kept and what is read anew as one. The axis becomes the slowest one in memory, so each is one piece.
    fn read_behind(&mut self, kept: Option<Band>, fresh: &Region, need: &Range<u64>) -> Result<StridedView> {
        let axis = self.axis;
        let front = order(self.full.0.len(), axis);
        let (line, heavy) = (self.line_bytes() as usize, self.is_heavy());
        let rows = (fresh.0[axis].end - need.start) as usize;
        // All bands of a pass take buffers of one length, so that one serves another; what is not written takes no memory.
        let most = (need.end - need.start).next_multiple_of(self.growth).saturating_add(self.growth);
        let all = self.full.0[axis].end - self.full.0[axis].start;
        let room = most.min(all).max(rows as u64) as usize;
        let low = line * kept.as_ref().map_or(0, |band| band.region.shape()[axis]);
        let mut tail = None;
        let kept = match kept {
            Some(band) if heavy => {
                // A copy of the little that is kept, so that the memory of the rest can be written anew.
                let mut copy = self.pool.take(low)?;
                band.view.transpose(&front)?.copy_to(&mut copy);
                tail = Some(copy);
                None
            }
            kept => kept,
        };
        let mut memory = self.pool.take(line * room)?;
        let (first, rest) = memory[..line * rows].split_at_mut(low);
        if let Some(tail) = tail {
            first.copy_from_slice(&tail);
        } else if let Some(band) = kept {
            band.view.transpose(&front)?.copy_to(first);
        }
        self.reader.read_into(fresh, axis, rest)?;
        let region = self.full.with(axis, need.start..fresh.0[axis].end);
        let shape: Vec<_> = front.iter().map(|&i| region.shape()[i]).collect();
        let buffer = memory.freeze().slice_with_length(0, line * rows);
        let back: Vec<_> = (0..front.len()).map(|i| front.iter().position(|&f| f == i).unwrap_or(i)).collect();
        StridedView::from_buffer(buffer, self.dtype, &shape)?.transpose(&back)
    }
}

/// All axes, with this one before the others.
pub(super) fn order(ndim: usize, first: usize) -> Vec<usize> {
    std::iter::once(first).chain((0..ndim).filter(|&axis| axis != first)).collect()
}

/// By how much a band grows along `axis`: the source's own chunk, or several so that a read is worth its while.
fn growth(info: &SourceInfo, full: &Region, axis: usize) -> u64 {
    let chunk = info.chunk[axis].max(1);
    if info.resident {
        return chunk;
    }
    let line = full.with(axis, 0..1).pixels().saturating_mul(info.dtype.size() as u64).max(1);
    let slab = line.saturating_mul(chunk);
    chunk.saturating_mul((READ_BYTES / slab).max(1))
}

/// The most bytes of a band that serves any `need` of `reach` steps along `axis`.
pub(crate) fn band_bytes(info: &SourceInfo, full: &Region, axis: usize, reach: u64) -> u64 {
    let size = info.dtype.size() as u64;
    let line = full.with(axis, 0..1).pixels().saturating_mul(size);
    let all = full.0[axis].end - full.0[axis].start;
    let rows = if info.resident { all } else { reach.saturating_add(growth(info, full, axis)).min(all) };
    line.saturating_mul(rows)
}

/// The most bytes that a pass holds at once. A batch needs `reach` steps along the axis, and the next batch starts
/// `advance` steps further. Each of `prefetch` batches may still read from the band that it was given while the next one
/// is read, unless bands are large; with `shared`, batches are parts of bands, and whoever has one has the band.
pub(crate) fn pass_bytes(
    source: &dyn Source,
    full: &Region,
    axis: usize,
    (reach, advance): (u64, u64),
    prefetch: u64,
    shared: bool,
) -> u64 {
    let info = source.info();
    let band = band_bytes(info, full, axis, reach);
    if info.resident {
        return band;
    }
    let growth = growth(info, full, axis);
    let fresh = band_bytes(info, full, axis, 0);
    let besides = if source.fills(axis) { 0 } else { fresh };
    if fresh >= HEAVY_BYTES && !shared {
        // What is kept is copied.
        return band.saturating_add(besides).saturating_add(band - fresh);
    }
    let bands = advance.saturating_mul(prefetch).div_ceil(growth).min(prefetch).max(1);
    band.saturating_mul(bands.saturating_add(1)).saturating_add(besides)
}

/// The rows of a band that `need` wants too, if the rest of `need` follows on them.
fn keep(band: &Band, axis: usize, need: &Range<u64>) -> Option<Band> {
    let have = &band.region.0[axis];
    if need.start < have.start || need.start >= have.end {
        return None;
    }
    let first = (need.start - have.start) as usize;
    let view = band.view.slice(axis, first..band.view.shape()[axis], 1).ok()?;
    Some(Band { view, region: band.region.with(axis, need.start..have.end) })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A source that decodes in chunks of 4 rows and counts how often each is decoded.
    #[derive(Debug)]
    struct Chunky {
        info: SourceInfo,
        view: StridedView,
        decoded: Arc<Mutex<Vec<usize>>>,
        in_place: bool,
    }

    struct ChunkyReader(StridedView, usize, Arc<Mutex<Vec<usize>>>);

    impl Source for Chunky {
        fn info(&self) -> &SourceInfo {
            &self.info
        }

        fn fills(&self, _: usize) -> bool {
            self.in_place
        }

        fn open(&self, _: &BufferPool) -> Result<Box<dyn RegionReader>> {
            let axis = self.info.chunk.iter().position(|&n| n > 1).unwrap();
            Ok(Box::new(ChunkyReader(self.view.clone(), axis, self.decoded.clone())))
        }
    }

    impl RegionReader for ChunkyReader {
        fn read(&mut self, region: &Region) -> Result<StridedView> {
            let rows = region.0[self.1].clone();
            for chunk in rows.start / 4..rows.end.div_ceil(4) {
                self.2.lock().unwrap()[chunk as usize] += 1;
            }
            super::super::memory::ViewReader(self.0.clone()).read(region)
        }
    }

    fn pass(axis: usize, reach: u64, step: u64, in_place: bool) -> Vec<usize> {
        // Rows wide enough that a chunk is the unit of growth.
        let mut shape = [3, 1 << 18];
        shape.swap(0, axis);
        if axis == 0 {
            shape = [39, 1 << 18];
        } else {
            shape = [1 << 18, 39];
        }
        let count = shape[0] * shape[1];
        let view = StridedView::from_vec((0..count).map(|i| i as u32).collect(), &shape).unwrap();
        let mut chunk = vec![1, 1];
        chunk[axis] = 4;
        let info = SourceInfo {
            name: "chunky".into(),
            shape: shape.iter().map(|&n| n as u64).collect(),
            dtype: DType::U32,
            axes: None,
            chunk,
            resident: false,
            working_bytes: 0,
        };
        let decoded = Arc::new(Mutex::new(vec![0; 10]));
        let source = Chunky { info, view: view.clone(), decoded: decoded.clone(), in_place };
        let full = Region::whole(&source.info.shape);
        let mut bands = Bands::open(&source, &BufferPool::new(4), full.clone(), axis).unwrap();
        let most = band_bytes(&source.info, &full, axis, reach);
        for start in (0..=39 - reach).step_by(step as usize) {
            let moves = bands.moves(&(start..start + reach));
            let cost = bands.cost(std::iter::once(start..start + reach));
            let before: usize = decoded.lock().unwrap().iter().sum();
            let band = bands.band(start..start + reach).unwrap();
            let read = decoded.lock().unwrap().iter().sum::<usize>() - before;
            assert!(moves || read == 0 || before == 0);
            assert!((read as u64).saturating_sub(1) * 4 <= cost / bands.line_bytes() && (cost > 0) == (read > 0));
            let have = band.region.0[axis].clone();
            assert!(have.start <= start && start + reach <= have.end);
            assert!((band.view.len() * 4) as u64 <= most, "{band:?} is more than {most} bytes");
            let mut index = vec![5, 5];
            index[axis] = (start + reach - 1 - have.start) as usize;
            let mut expected = vec![5, 5];
            expected[axis] = (start + reach - 1) as usize;
            assert_eq!(band.view.get::<u32>(&index).unwrap(), view.get::<u32>(&expected).unwrap());
        }
        decoded.lock().unwrap().clone()
    }

    #[test]
    fn every_chunk_is_decoded_once() {
        for axis in [0, 1] {
            for (reach, in_place) in [1, 3, 4, 5, 11, 39].into_iter().flat_map(|reach| [(reach, false), (reach, true)])
            {
                let counts = pass(axis, reach, 1, in_place);
                assert_eq!(counts, vec![1; 10], "axis {axis}, reach {reach}, in place {in_place}");
            }
        }
    }

    #[test]
    fn and_none_that_lies_between_windows() {
        for in_place in [false, true] {
            assert_eq!(pass(0, 2, 8, in_place), [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
            assert!(pass(0, 3, 7, in_place).iter().all(|&count| count <= 1));
        }
    }
}
