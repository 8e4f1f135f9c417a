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

/// Bytes that a band grows by at least, where its source leaves the choice: enough to make a read worth a system call.
const READ_BYTES: u64 = 128 << 10;

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
    current: Option<Band>,
}

impl Bands {
    /// Starts a pass over the pixels of `full`, moving along `axis`.
    pub(crate) fn open(source: &dyn Source, pool: &BufferPool, full: Region, axis: usize) -> Result<Self> {
        let info = source.info();
        let mut reader = source.open(pool)?;
        let growth = growth(info, &full, axis);
        let current = if info.resident && full.pixels() > 0 {
            Some(Band { view: reader.read(&full)?, region: full.clone() })
        } else {
            None
        };
        Ok(Self { reader, pool: pool.clone(), dtype: info.dtype, full, axis, growth, current })
    }

    /// Whether the band holds all that the pass may need, so that there is only this one.
    pub(crate) fn is_whole(&self) -> bool {
        self.current.as_ref().is_some_and(|band| band.region == self.full)
    }

    /// A band that holds `need` on the axis of this pass.
    pub(crate) fn band(&mut self, need: Range<u64>) -> Result<Band> {
        if let Some(band) = &self.current {
            let have = &band.region.0[self.axis];
            if have.start <= need.start && need.end <= have.end {
                return Ok(band.clone());
            }
        }
        let limit = self.full.0[self.axis].end;
        let end = need.end.div_ceil(self.growth).saturating_mul(self.growth).min(limit);
        let kept = self.current.take().and_then(|band| keep(&band, self.axis, &need));
        let read = kept.as_ref().map_or(need.start, |band| band.region.0[self.axis].end)..end;
        let fresh = self.full.with(self.axis, read);
        let view = if fresh.pixels() == 0 {
            // Windows that lie in constant padding as a whole need no pixel, and a source is not asked for none.
            StridedView::from_buffer(Vec::<u64>::new().into(), self.dtype, &fresh.shape())?
        } else {
            self.reader.read(&fresh)?
        };
        debug_assert_eq!(view.shape(), fresh.shape());
        let fresh = Band { view, region: fresh };
        let band = match kept {
            Some(kept) => self.join(&kept, &fresh)?,
            None => fresh,
        };
        self.current = Some(band.clone());
        Ok(band)
    }

    /// Two bands that touch on the axis, as one. The axis becomes the slowest one in memory, so each is one copy.
    fn join(&self, a: &Band, b: &Band) -> Result<Band> {
        let axis = self.axis;
        let ndim = a.view.ndim();
        let front: Vec<_> = std::iter::once(axis).chain((0..ndim).filter(|&i| i != axis)).collect();
        let back: Vec<_> = (0..ndim).map(|i| front.iter().position(|&f| f == i).unwrap_or(i)).collect();
        let region = a.region.with(axis, a.region.0[axis].start..b.region.0[axis].end);
        let shape: Vec<_> = front.iter().map(|&i| region.shape()[i]).collect();
        let (a, b) = (a.view.transpose(&front)?, b.view.transpose(&front)?);
        let size = self.dtype.size();
        let mut memory = self.pool.take((a.len() + b.len()) * size)?;
        let (low, high) = memory.split_at_mut(a.len() * size);
        a.copy_to(low);
        b.copy_to(high);
        let view = StridedView::from_buffer(memory.freeze(), self.dtype, &shape)?.transpose(&back)?;
        Ok(Band { view, region })
    }
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

/// The most bytes that a pass holds at once, if each of `prefetch` batches may still read from the band that it was
/// given while the next band is joined from the last one and a piece that is read anew. A batch needs `reach` steps
/// along the axis, and the next batch starts `advance` steps further.
pub(crate) fn pass_bytes(
    info: &SourceInfo,
    full: &Region,
    axis: usize,
    reach: u64,
    advance: u64,
    prefetch: u64,
) -> u64 {
    let band = band_bytes(info, full, axis, reach);
    if info.resident {
        return band;
    }
    let bands = advance.saturating_mul(prefetch).div_ceil(growth(info, full, axis)).min(prefetch).max(1);
    band.saturating_mul(bands.saturating_add(1)).saturating_add(band_bytes(info, full, axis, 0))
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
    }

    struct ChunkyReader(StridedView, usize, Arc<Mutex<Vec<usize>>>);

    impl Source for Chunky {
        fn info(&self) -> &SourceInfo {
            &self.info
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

    fn pass(axis: usize, reach: u64, step: u64) -> Vec<usize> {
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
        let source = Chunky { info, view: view.clone(), decoded: decoded.clone() };
        let full = Region::whole(&source.info.shape);
        let mut bands = Bands::open(&source, &BufferPool::new(4), full.clone(), axis).unwrap();
        let most = band_bytes(&source.info, &full, axis, reach);
        for start in (0..=39 - reach).step_by(step as usize) {
            let band = bands.band(start..start + reach).unwrap();
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
            for reach in [1, 3, 4, 5, 11, 39] {
                let counts = pass(axis, reach, 1);
                assert_eq!(counts, vec![1; 10], "axis {axis}, reach {reach}");
            }
        }
    }

    #[test]
    fn and_none_that_lies_between_windows() {
        assert_eq!(pass(0, 2, 8), [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
        assert!(pass(0, 3, 7).iter().all(|&count| count <= 1));
    }
}
