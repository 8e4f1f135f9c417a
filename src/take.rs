//! [`PatchTaker`]: windows by id, in any order.

use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::encode::{Encoder, Layout};
use crate::rows::Rows;
use crate::source::{Band, Bands, Source};
use crate::{BufferPool, Error, Result};

/// Random access to the windows of a [`PatchScan`](crate::PatchScan): for samples, shuffles, and engines that know
/// which rows they want before they want pixels.
///
/// ```
/// use arrow_array::cast::AsArray;
/// use arrow_array::types::Int64Type;
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
/// let batch = scan.taker()?.take(&[63, 0, 9, 63])?;
/// assert_eq!(batch["y"].as_primitive::<Int64Type>().values(), &[7, 0, 1, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It keeps the source open, and a band of it. Files are read in the order of the ids, forward, so that sorted ids (or
/// few calls with many ids) decode every chunk once a call at most.
pub struct PatchTaker {
    encoder: Arc<Encoder>,
    bands: Option<Bands>,
    pool: BufferPool,
}

impl PatchTaker {
    pub(crate) fn new(source: &dyn Source, encoder: Arc<Encoder>) -> Result<Self> {
        if encoder.layout == Layout::Columns {
            let message = "single windows are no slices of the source: expected layout tensor or binary";
            return Err(Error::argument("layout", message));
        }
        let pool = BufferPool::new(encoder.columns.len() + 4);
        let grid = &encoder.grid;
        let bands = if encoder.needs_pixels() && grid.windows() > 0 {
            Some(Bands::open(source, &pool, grid.region(0..grid.windows()), grid.sliding_axes()[0])?)
        } else {
            None
        };
        Ok(Self { encoder, bands, pool })
    }

    /// The table of the windows with these ids, in their order; an id may be listed twice.
    ///
    /// # Errors
    /// If an id is not one of the grid, or the source can't be read.
    pub fn take(&mut self, ids: &[u64]) -> Result<RecordBatch> {
        let windows = self.encoder.grid.windows();
        // Most are right, and looking at all of them is faster than stopping at the first that is not.
        if ids.iter().fold(false, |wrong, &id| wrong | (id >= windows))
            && let Some((row, id)) = ids.iter().enumerate().find(|(_, id)| **id >= windows)
        {
            return Err(Error::argument("window", format!("no window {id} (row {row}): there are {windows}")));
        }
        let rows = rows(ids);
        let Some(bands) = &mut self.bands else {
            // Nobody asks for pixels, or there is no window that could have any.
            let none = if self.encoder.needs_pixels() { Some(self.pool.take(0)?.freeze()) } else { None };
            return self.encoder.batch(none, &rows, &self.pool);
        };
        let patch = self.encoder.patch_bytes();
        let bytes = ids.len().checked_mul(patch).filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or_else(|| {
            let got = format!("{} rows of {patch} bytes", ids.len());
            Error::too_large("a batch", got, format!("{} bytes", isize::MAX))
        })?;
        let mut values = self.pool.take(bytes)?;
        // A whole array in memory is read in any order as well as in its own.
        if bands.is_whole() || ids.is_sorted() {
            fill(&self.encoder, bands, ids, &mut values, &self.pool)?;
        } else {
            let mut order: Vec<usize> = (0..ids.len()).collect();
            order.sort_by_key(|&place| ids[place]);
            let sorted: Vec<u64> = order.iter().map(|&place| ids[place]).collect();
            let mut read = self.pool.take(bytes)?;
            fill(&self.encoder, bands, &sorted, &mut read, &self.pool)?;
            for (pixels, place) in read.chunks_exact(patch).zip(order) {
                values[place * patch..][..patch].copy_from_slice(pixels);
            }
        }
        self.encoder.batch(Some(values.freeze()), &rows, &self.pool)
    }
}

/// Writes the pixels of the windows `ids`, as many at a time as one band holds.
fn fill(encoder: &Encoder, bands: &mut Bands, ids: &[u64], out: &mut [u8], pool: &BufferPool) -> Result<()> {
    let grid = &encoder.grid;
    let lead = grid.sliding_axes()[0];
    let patch = encoder.patch_bytes();
    let need = |id: u64| grid.region(id..id + 1).0[lead].clone();
    let inner: u64 = grid.sliding().skip(1).map(|axis| axis.count).product();
    let mut done = 0;
    while done < ids.len() {
        let band: Band = bands.band(need(ids[done]))?;
        let have = &band.region.0[lead];
        let count = if bands.is_whole() {
            ids.len() - done
        } else {
            // Windows at one place on the leading axis need the same of it.
            let mut place = None;
            let lost = |&id: &u64| {
                if place.replace(id / inner) == Some(id / inner) {
                    return false;
                }
                let need = need(id);
                need.start < have.start || have.end < need.end
            };
            ids[done..].iter().position(lost).unwrap_or(ids.len() - done)
        };
        encoder.fill(&band, &rows(&ids[done..done + count]), &mut out[done * patch..(done + count) * patch], pool)?;
        done += count;
    }
    Ok(())
}

/// Ids that follow one another are a range: the kernels for lines are faster than those for windows anywhere.
fn rows(ids: &[u64]) -> Rows<'_> {
    match ids {
        [first, .., last]
            if last.wrapping_sub(*first) == ids.len() as u64 - 1
                && ids.windows(2).all(|pair| pair[0] + 1 == pair[1]) =>
        {
            Rows::Range(*first..last + 1)
        }
        _ => Rows::Ids(ids),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt8Type;

    use crate::{Edge, PatchScan, StridedView, WindowSpec};

    #[test]
    fn neighbours_are_taken_as_single_windows_are() {
        let image = StridedView::from_vec((0..100u8).collect(), &[10, 10]).unwrap();
        let scan = PatchScan::new(image, WindowSpec::new([3, 3])).unwrap();
        let mut taker = scan.taker().unwrap();
        let mut take = |ids: &[u64]| {
            let batch = taker.take(ids).unwrap();
            let rows = batch["patch"].as_fixed_size_list().values().as_fixed_size_list().values().clone();
            rows.as_primitive::<UInt8Type>().values().to_vec()
        };
        let single: Vec<u8> = (5..23).flat_map(|id| take(&[id])).collect();
        assert_eq!(take(&(5..23).collect::<Vec<_>>()), single);
        assert_eq!(take(&[63]), [77, 78, 79, 87, 88, 89, 97, 98, 99]);
    }

    #[test]
    fn no_window_of_no_pixels() {
        let mut spec = WindowSpec::new([2, 2]);
        spec.edge = Edge::Pad;
        let scan = PatchScan::new(StridedView::from_vec(Vec::<u8>::new(), &[0, 4]).unwrap(), spec).unwrap();
        assert_eq!(scan.num_rows(), 0);
        assert_eq!(scan.taker().unwrap().take(&[]).unwrap()["patch"].len(), 0);
    }
}
