//! [`MatrixReader`]: dense matrices of rows × pixels, in column-major order.

use std::ops::Range;
use std::sync::Arc;

use crate::encode::{Encoder, Layout};
use crate::source::{Bands, Source};
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
/// The caller's, a band of the source, and a column where pixels are converted.
pub struct MatrixReader {
    encoder: Arc<Encoder>,
    bands: Option<Bands>,
    pool: BufferPool,
    rows: Range<u64>,
}

impl MatrixReader {
    pub(crate) fn new(source: &dyn Source, encoder: Arc<Encoder>, rows: Range<u64>) -> Result<Self> {
        if encoder.layout == Layout::Columns {
            return Err(Error::argument("layout", "a matrix has a row a window: expected layout tensor or binary"));
        }
        let pool = BufferPool::new(4);
        let grid = &encoder.grid;
        let bands = if rows.is_empty() {
            None
        } else {
            Some(Bands::open(source, &pool, grid.region(rows.clone()), grid.sliding_axes()[0])?)
        };
        Ok(Self { encoder, bands, pool, rows })
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
        if let Some(bands) = self.bands.as_mut().filter(|_| count > 0) {
            let grid = &self.encoder.grid;
            let band = bands.band(grid.region(rows.clone()).0[grid.sliding_axes()[0]].clone())?;
            self.encoder.fill_columns(&band, rows, &mut out[..count * self.encoder.patch_bytes()], &self.pool)?;
        }
        self.rows.start = end;
        Ok(count)
    }
}
