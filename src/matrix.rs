//! [`MatrixReader`]: dense matrices of rows × pixels, in column-major order.

use std::ops::Range;
use std::sync::Arc;

use crate::encode::{Column, Encoder, Layout};
use crate::feed::Feed;
use crate::rows::{Rows, Selection};
use crate::scan::Plan;
use crate::source::Band;
use crate::take::{self, Access};
use crate::{BufferPool, Error, Result};

/// The patches of a [`PatchScan`](crate::PatchScan) as matrices in column-major (Fortran) order: a row a window, a
/// column a pixel, each column contiguous. scikit-learn's trees and linear models are trained on these without another
/// copy.
///
/// In column-major order a column of neighbouring windows is a stretch of the image, so a matrix is made by copies of
/// whole runs, as fast as memory allows.
///
/// ```
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..9u8).collect(), &[3, 3])?;
/// let scan = PatchScan::new(image, WindowSpec::new([2, 2]))?;
/// let mut matrices = scan.matrices()?;
/// let mut memory = [0; 3 * 4]; // room for three rows of four bytes
/// assert_eq!(matrices.next_into(&mut memory)?, 3);
/// assert_eq!(memory, [0, 1, 3, 1, 2, 4, 3, 4, 6, 4, 5, 7]);
/// assert_eq!(matrices.next_into(&mut memory)?, 1);
/// assert_eq!(memory[..4], [4, 5, 7, 8]);
/// assert_eq!(matrices.next_into(&mut memory)?, 0);
/// # Ok::<(), windrow::Error>(())
/// ```
///
/// # Memory
/// The caller's, a band of the source, and a column where pixels are converted. If the rows are no neighbours, also 1 MiB
/// of rows of an array in memory, or of a file the rows of a matrix once more and
/// [what is kept of it](crate::ScanBuilder::cache_bytes).
pub struct MatrixReader {
    encoder: Arc<Encoder>,
    selection: Selection,
    resident: bool,
    pixels: Pixels,
    pool: BufferPool,
    rows: Range<u64>,
}

/// How pixels come.
enum Pixels {
    /// Band by band.
    Forward(Feed),
    /// Window by window; none if no row is left.
    Anywhere(Option<Access>),
}

/// Bytes of rows that are gathered before they are dealt to the columns.
const PIECE_BYTES: usize = 1 << 20;

impl MatrixReader {
    pub(crate) fn new(plan: &Plan) -> Result<Self> {
        if plan.encoder.layout == Layout::Columns {
            return Err(Error::argument("layout", "a matrix has a row a window: expected layout tensor or binary"));
        }
        // A matrix has no nulls, and no other columns.
        let encoder = Encoder { columns: vec![Column::Patch], nodata: None, ..(*plan.encoder).clone() };
        let pool = BufferPool::new(4);
        let feed = Feed::open(&*plan.source, &encoder, plan.hull(), &pool)?;
        let pixels = if plan.selection.is_all() {
            Pixels::Forward(feed)
        } else {
            Pixels::Anywhere(feed.image.map(|bands| Access::new(&*plan.source, bands, &pool, plan.cache_bytes)))
        };
        let (encoder, selection, rows) = (Arc::new(encoder), plan.selection.clone(), plan.rows.clone());
        Ok(Self { encoder, selection, resident: plan.source.info().resident, pixels, pool, rows })
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.encoder.patch_bytes()
    }

    /// Writes the next rows into `out`, as many as it has room for, and returns how many; 0 when all were written.
    /// Column `j` then starts at byte `j · rows · size`, where `size` is that of a pixel.
    ///
    /// # Errors
    /// If `out` has no room for a row, or the source can't be read.
    pub fn next_into(&mut self, out: &mut [u8]) -> Result<usize> {
        let room = out.len() / self.row_bytes();
        if room == 0 && !self.rows.is_empty() {
            let message = format!("{} bytes: expected room for a row, {} bytes", out.len(), self.row_bytes());
            return Err(Error::argument("out", message));
        }
        let end = self.rows.end.min(self.rows.start.saturating_add(room as u64));
        let rows = self.rows.start..end;
        let count = (rows.end - rows.start) as usize;
        let out = &mut out[..count * self.encoder.patch_bytes()];
        if count == 0 {
            // Nothing is left.
        } else if let Pixels::Forward(feed) = &mut self.pixels {
            let slab = feed.slab(&self.encoder, rows.clone())?;
            if let Some(band) = &slab.image {
                self.encoder.fill_columns(band, rows, out, &self.pool)?;
            }
        } else {
            let ids = self.selection.ids(rows);
            self.deal(&ids, out)?;
        }
        self.rows.start = end;
        Ok(count)
    }

    /// Gathers windows anywhere row by row, and deals their pixels to the columns.
    fn deal(&mut self, ids: &[u64], out: &mut [u8]) -> Result<()> {
        let Pixels::Anywhere(Some(image)) = &mut self.pixels else { return Ok(()) };
        let (encoder, pool) = (&*self.encoder, &self.pool);
        let (patch, size) = (encoder.patch_bytes(), encoder.out_dtype().size());
        // A file is read forward once.
        let piece = if self.resident { (PIECE_BYTES / patch).max(1) } else { ids.len() };
        for (i, some) in ids.chunks(piece).enumerate() {
            let fill = |band: &Band, rows: &Rows<'_>, out: &mut [u8]| encoder.fill(band, rows, out, pool);
            let made = take::gather(image, &encoder.grid, &Rows::of(some), patch, pool, fill)?;
            for (pixel, column) in out.chunks_exact_mut(ids.len() * size).enumerate() {
                let column = &mut column[i * piece * size..][..some.len() * size];
                let cells = made.chunks_exact(patch).map(|row| &row[pixel * size..(pixel + 1) * size]);
                column.chunks_exact_mut(size).zip(cells).for_each(|(to, cell)| to.copy_from_slice(cell));
            }
        }
        Ok(())
    }
}
