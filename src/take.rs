//! [`PatchTaker`]: windows by id, in any order.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;

use crate::encode::{Encoder, Gathered, Layout};
use crate::feed::Feed;
use crate::groups::Groups;
use crate::rows::Rows;
use crate::source::{Band, Bands, Source, Tiles};
use crate::{BufferPool, Error, Grid, Result};

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
/// It keeps the source open. Ids that rise and want about all that lies between them are read forward, band by band. Of
/// others those in one tile or chunk of the source are gathered together, and tiles are kept in
/// [so many bytes](crate::ScanBuilder::cache_bytes): each is decoded once a call, and not again as long as it is kept. An
/// image that is no larger than that is read once if much of it is wanted.
pub struct PatchTaker {
    encoder: Arc<Encoder>,
    image: Option<Access>,
    labels: Option<Access>,
    pool: BufferPool,
}

/// A source for windows anywhere: by bands of it, or by tiles.
pub(crate) struct Access {
    bands: Bands,
    tiles: Tiles,
}

impl Access {
    pub(crate) fn new(source: &dyn Source, bands: Bands, pool: &BufferPool, cache: u64) -> Self {
        Self { bands, tiles: Tiles::new(source.info(), pool, cache) }
    }
}

impl PatchTaker {
    /// Keeps about `cache` bytes of tiles.
    pub(crate) fn new(source: &dyn Source, encoder: Arc<Encoder>, cache: u64) -> Result<Self> {
        if encoder.layout == Layout::Columns {
            let message = "single windows are no slices of the source: expected layout tensor or binary";
            return Err(Error::argument("layout", message));
        }
        let pool = BufferPool::new(encoder.columns.len() + 6);
        let Feed { image, labels } = Feed::open(source, &encoder, 0..encoder.grid.windows(), &pool)?;
        let image = image.map(|bands| Access::new(source, bands, &pool, cache));
        let of_labels = |bands| encoder.labels.as_ref().map(|labels| Access::new(&*labels.source, bands, &pool, cache));
        let labels = labels.and_then(of_labels);
        Ok(Self { encoder, image, labels, pool })
    }

    /// The table of the windows with these ids, in their order; an id may be listed twice.
    ///
    /// # Errors
    /// If an id is not one of the grid, or the source can't be read.
    pub fn take(&mut self, ids: &[u64]) -> Result<RecordBatch> {
        let rows = Rows::of(ids);
        let (encoder, pool) = (&*self.encoder, &self.pool);
        // What is listed is looked at on the way where an array in memory is gathered from, which saves reading it twice.
        let whole = self.image.as_ref().is_some_and(|image| image.bands.is_whole());
        if !(whole && self.labels.is_none() && matches!(rows, Rows::Ids(_))) {
            rows.check(encoder.grid.windows())?;
        }
        let mut gathered = Gathered::default();
        if let Some(image) = &mut self.image {
            let fill = |band: &Band, rows: &Rows<'_>, out: &mut [u8]| encoder.fill(band, rows, out, pool);
            gathered.patches = Some(gather(image, &encoder.grid, &rows, encoder.gathered_bytes(), pool, fill)?);
        } else if encoder.needs_pixels() {
            // There is no window that could have any.
            gathered.patches = Some(pool.take(0)?.freeze());
        }
        if let (Some(access), Some(labels)) = (&mut self.labels, &encoder.labels) {
            let fill = |band: &Band, rows: &Rows<'_>, out: &mut [u8]| labels.fill(band, rows, out, pool);
            gathered.labels = Some(gather(access, &labels.grid, &rows, labels.record(), pool, fill)?);
        } else if encoder.needed_labels().is_some() {
            gathered.labels = Some(pool.take(0)?.freeze());
        }
        encoder.batch(gathered, &rows, pool)
    }
}

/// What `fill` writes for the windows `rows`, `width` bytes each, in their order.
pub(crate) fn gather(
    access: &mut Access,
    grid: &Grid,
    rows: &Rows<'_>,
    width: usize,
    pool: &BufferPool,
    mut fill: impl FnMut(&Band, &Rows<'_>, &mut [u8]) -> Result<()>,
) -> Result<Buffer> {
    let bytes = rows.len().checked_mul(width).filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or_else(|| {
        let got = format!("{} rows of {width} bytes", rows.len());
        Error::too_large("a batch", got, format!("{} bytes", isize::MAX))
    })?;
    let mut values = pool.take(bytes)?;
    let Access { bands, tiles } = access;
    // A whole array in memory is read in any order as well as in its own.
    if bands.is_whole() || rows.len() == 0 || has_a_line(grid, rows) {
        tiles.clear();
        forward(bands, grid, rows, &mut values, &mut fill)?;
        return Ok(values.freeze());
    }
    let listed: Vec<u64>;
    let ids = match rows {
        Rows::Ids(ids) => *ids,
        Rows::Range(range) => {
            listed = range.clone().collect();
            &listed
        }
    };
    let rise = ids.is_sorted();
    let groups = Groups::of(grid, tiles, ids);
    match groups.way(grid, bands, tiles, rise) {
        Way::Bands => tiles.clear(),
        Way::Whole => {
            tiles.clear();
            bands.read_whole()?;
        }
        Way::Tiles => {
            bands.clear();
            groups.gather(grid, bands.reader(), tiles, width, pool, &mut values, &mut fill)?;
            return Ok(values.freeze());
        }
    }
    if bands.is_whole() || rise {
        forward(bands, grid, rows, &mut values, &mut fill)?;
        return Ok(values.freeze());
    }
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&place| ids[place]);
    let sorted: Vec<u64> = order.iter().map(|&place| ids[place]).collect();
    let mut read = pool.take(bytes)?;
    forward(bands, grid, &Rows::Ids(&sorted), &mut read, &mut fill)?;
    for (pixels, place) in read.chunks_exact(width).zip(order) {
        values[place * width..][..width].copy_from_slice(pixels);
    }
    Ok(values.freeze())
}

/// How the pixels of some windows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Forward, in bands.
    Bands,
    /// All of the array, once for this and all that is asked for later.
    Whole,
    /// Tile by tile.
    Tiles,
}

/// Whether all windows of a line of the grid are among these, one after the other.
fn has_a_line(grid: &Grid, rows: &Rows<'_>) -> bool {
    let line = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>();
    rows.len() as u64 >= line && matches!(rows, Rows::Range(_))
}

/// Fills windows whose ids rise, as many at a time as one band holds.
fn forward(
    bands: &mut Bands,
    grid: &Grid,
    rows: &Rows<'_>,
    out: &mut [u8],
    fill: &mut impl FnMut(&Band, &Rows<'_>, &mut [u8]) -> Result<()>,
) -> Result<()> {
    if let Some(band) = bands.whole() {
        return fill(band, rows, out);
    }
    let lead = grid.sliding_axes()[0];
    let width = out.len() / rows.len().max(1);
    let need = |id: u64| grid.region(id..id + 1).0[lead].clone();
    let inner: u64 = grid.sliding().skip(1).map(|axis| axis.count).product();
    let mut done = 0;
    while done < rows.len() {
        let band = bands.band(need(rows.id(done)))?;
        let have = &band.region.0[lead];
        // Windows at one place on the leading axis need the same of it.
        let mut place = None;
        let mut lost = |id: u64| {
            if place.replace(id / inner) == Some(id / inner) {
                return false;
            }
            let need = need(id);
            need.start < have.start || have.end < need.end
        };
        let end = (done..rows.len()).find(|&row| lost(rows.id(row))).unwrap_or(rows.len());
        let some = match rows {
            Rows::Range(_) => rows.slice(done..end),
            Rows::Ids(ids) => Rows::of(&ids[done..end]),
        };
        fill(&band, &some, &mut out[done * width..end * width])?;
        done = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt8Type;

    use crate::{DType, Edge, LabelAt, PatchScan, StridedView, WindowSpec};

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
    fn ids_that_are_none_are_named() {
        let image = StridedView::from_vec((0..100u8).collect(), &[10, 10]).unwrap();
        let mut taker = PatchScan::new(image, WindowSpec::new([3, 3])).unwrap().taker().unwrap();
        for (ids, part) in [
            (&[62, 63, 64, 65][..], "no window 64 (row 2): there are 64"),
            (&[3, 64, 4], "no window 64 (row 1)"),
            (&[u64::MAX - 1, u64::MAX], "no window 18446744073709551614 (row 0)"),
            (&[u64::MAX, 0], "no window 18446744073709551615 (row 0)"),
            (&[5, u64::MAX, 7], "no window 18446744073709551615 (row 1)"),
        ] {
            let message = taker.take(ids).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn an_id_that_is_none_is_named_wherever_it_stands() {
        let image = StridedView::from_vec((0..200 * 90).map(|i| i as u8).collect(), &[90, 200]).unwrap();
        let spec = WindowSpec::new([3, 3]);
        let plain = PatchScan::builder(image.clone(), spec.clone());
        let converted = PatchScan::builder(image.clone(), spec.clone()).dtype(DType::F32);
        let padded = PatchScan::builder(image.clone(), spec.clone().edge(Edge::Pad));
        let places = PatchScan::builder(image.clone(), spec).columns(["y"]);
        let labelled = PatchScan::builder(image.clone(), WindowSpec::new([3, 3])).labels(image, LabelAt::Center);
        for scan in [plain, converted, padded, places, labelled] {
            let scan = scan.build().unwrap();
            let (mut taker, windows) = (scan.taker().unwrap(), scan.num_rows());
            for (apart, count) in [(1, 3000), (2, 3000), (7, 2000), (5003, 1000)] {
                let good: Vec<u64> = (0..count).map(|i| i * apart % windows).collect();
                assert_eq!(taker.take(&good).unwrap().num_rows(), good.len());
                for (place, id) in [(0, windows), (1, u64::MAX), (100, windows), (777, 1 << 63), (999, windows + 7)] {
                    let mut ids = good.clone();
                    ids[place] = id;
                    let message = taker.take(&ids).unwrap_err().to_string();
                    assert!(
                        message.contains(&format!("no window {id} (row {place}): there are {windows}")),
                        "{message}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_window_of_no_pixels() {
        let mut spec = WindowSpec::new([2, 2]);
        spec.edge = Edge::Pad;
        let scan = PatchScan::new(StridedView::from_vec(Vec::<u8>::new(), &[0, 4]).unwrap(), spec).unwrap();
        assert_eq!(scan.num_rows(), 0);
        assert_eq!(scan.taker().unwrap().take(&[]).unwrap()["patch"].len(), 0);
        let message = scan.taker().unwrap().take(&[0, 1]).unwrap_err().to_string();
        assert!(message.contains("no window 0 (row 0): there are 0"), "{message}");
    }
}
