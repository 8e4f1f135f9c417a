//! Bare pixels into memory that numpy owns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use numpy::PyReadwriteArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use windrow::{MatrixReader, PatchReader, ScanBuilder};

use crate::error::{arrow_to_py, to_py};
use crate::life::check;

/// One pass over the pixels of consecutive windows, a few at a time.
#[pyclass(frozen, module = "windrow._windrow")]
pub struct Patches {
    pass: Mutex<Pass>,
}

/// How the pixels of some windows lie together.
enum Pass {
    Rows(PatchReader),
    Columns(Box<MatrixReader>),
}

impl Patches {
    /// `builder` makes a scan of the column `patch` alone, in layout `binary`.
    pub(crate) fn new(py: Python<'_>, builder: ScanBuilder, by_column: bool) -> PyResult<Self> {
        let scan = builder.build().map_err(to_py)?;
        let pass = py.detach(|| match by_column {
            true => scan.matrices().map(|matrices| Pass::Columns(Box::new(matrices))),
            false => scan.reader().map(Pass::Rows),
        });
        Ok(Self { pass: Mutex::new(pass.map_err(to_py)?) })
    }

    fn pass(&self) -> MutexGuard<'_, Pass> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Patches {
    /// Copies the next windows into the start of `out` and gives their number; 0 at the end. Row by row they are those
    /// of a batch; column by column (first pixel 0 of every window, then pixel 1) as many as `out` has room for.
    fn next_into(&self, py: Python<'_>, mut out: PyReadwriteArray1<'_, u8>) -> PyResult<usize> {
        let out = out.as_slice_mut()?;
        check()?;
        py.detach(|| match &mut *self.pass() {
            Pass::Columns(matrices) => matrices.next_into(out).map_err(to_py),
            Pass::Rows(reader) => {
                let Some(batch) = reader.next().transpose().map_err(arrow_to_py)? else { return Ok(0) };
                let pixels = pixels(&batch);
                out.get_mut(..pixels.len()).ok_or_else(|| too_small(pixels.len()))?.copy_from_slice(pixels);
                Ok(batch.num_rows())
            }
        })
    }

    /// Copies all windows that are left into `out`, row by row; it has exactly their bytes.
    fn all_into(&self, py: Python<'_>, mut out: PyReadwriteArray1<'_, u8>) -> PyResult<()> {
        let out = out.as_slice_mut()?;
        py.detach(|| match &mut *self.pass() {
            Pass::Rows(reader) => fill(reader, out),
            Pass::Columns(_) => Err(PyValueError::new_err("these windows come column by column")),
        })
    }
}

/// Copies the pixels of all batches into `out`, which has exactly their bytes.
fn fill(reader: &mut impl RecordBatchReader, out: &mut [u8]) -> PyResult<()> {
    let wanted = out.len();
    let mut rest = out;
    for batch in reader {
        let batch = batch.map_err(arrow_to_py)?;
        let pixels = pixels(&batch);
        let (target, behind) = rest.split_at_mut_checked(pixels.len()).ok_or_else(|| too_small(wanted))?;
        target.copy_from_slice(pixels);
        rest = behind;
        check()?;
    }
    if rest.is_empty() { Ok(()) } else { Err(PyValueError::new_err(format!("{} bytes are not filled", rest.len()))) }
}

/// Copies the pixels of these windows into `out`, which has exactly their bytes.
pub(crate) fn copy(builder: &ScanBuilder, windows: &[u64], out: &mut [u8]) -> PyResult<()> {
    let &[first, ..] = windows else { return Ok(()) };
    let patch = out.len() / windows.len();
    if windows.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1])) {
        let builder = builder.clone().rows(first..first.saturating_add(windows.len() as u64));
        let builder = if out.len() < SMALL { builder.prefetch(0) } else { builder };
        return fill(&mut builder.build().and_then(|scan| scan.reader()).map_err(to_py)?, out);
    }
    let scan = builder.clone().build().map_err(to_py)?;
    let mut taker = scan.taker().map_err(to_py)?;
    // Of a file all at once: each call goes forward through it. Of an array in pieces that stay in cache.
    let piece = if scan.source().info().resident { (PIECE / patch).max(1) } else { windows.len() };
    for (ids, target) in windows.chunks(piece).zip(out.chunks_mut(piece * patch)) {
        target.copy_from_slice(pixels(&taker.take(ids).map_err(to_py)?));
        check()?;
    }
    Ok(())
}

/// Bytes that are gathered before they are copied on.
const PIECE: usize = 1 << 20;

/// Below this many bytes another thread costs more than it does.
const SMALL: usize = 1 << 20;

/// The bytes of a batch of layout `binary`.
fn pixels(batch: &RecordBatch) -> &[u8] {
    let array = batch.column(0).as_fixed_size_binary();
    &array.value_data()[..array.len() * array.value_length() as usize]
}

fn too_small(bytes: usize) -> PyErr {
    PyValueError::new_err(format!("the target is too small: {bytes} bytes are needed"))
}
