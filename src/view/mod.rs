//! [`StridedView`]: an N-D array as one shared buffer, a shape and signed strides.

mod from_ndarray;

use std::fmt;
use std::ops::Range;

use arrow_buffer::Buffer;

use crate::dtype::with_pixel;
use crate::{DType, Error, Pixel, Result};

/// An N-D array that shares its memory: an Arrow [`Buffer`], a [`DType`], a shape, signed strides and an offset.
///
/// Cheap to clone; the buffer lives as long as its last view. Slicing, transposing, reversing and broadcasting only
/// change numbers, never pixels:
///
/// ```
/// use windrow::StridedView;
///
/// let image = StridedView::from_vec((0..12u8).collect(), &[3, 4])?;
/// let corner = image.slice(0, 1..3, 1)?.slice(1, 0..4, -2)?; // rows 1 and 2, columns 3 and 1
/// assert_eq!(corner.shape(), [2, 2]);
/// assert_eq!(corner.to_vec::<u8>()?, [7, 5, 11, 9]);
/// assert!(corner.shares_memory(&image));
/// # Ok::<(), windrow::Error>(())
/// ```
///
/// A view of `shape` and `strides` (in elements) at `offset` describes the elements
/// `buffer[offset + Σ indexₐ·strideₐ]`. [`StridedView::try_new`] lists what has to hold.
#[derive(Clone)]
pub struct StridedView {
    buffer: Buffer,
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<isize>,
    offset: usize,
}

impl StridedView {
    /// A view out of its parts; `strides` and `offset` count elements of `dtype`.
    ///
    /// # Errors
    /// Unless all of these hold:
    /// 1. there are as many strides as axes;
    /// 2. the number of elements, and the bytes that they would take densely, fit in `isize`;
    /// 3. the element with the lowest address is in the buffer, and so is the one with the highest (a view without
    ///    elements only needs its offset within the buffer);
    /// 4. the buffer is aligned for `dtype`.
    pub fn try_new(
        buffer: Buffer,
        dtype: DType,
        shape: Vec<usize>,
        strides: Vec<isize>,
        offset: usize,
    ) -> Result<Self> {
        // Condition 1
        if shape.len() != strides.len() {
            return Err(Error::view(format!("{} axes but {} strides", shape.len(), strides.len())));
        }
        // Condition 2. Zero-sized axes don't hide an overflow of the others: strides are computed from them.
        let dense = shape.iter().try_fold(dtype.size(), |bytes, &n| bytes.checked_mul(n.max(1)));
        if dense.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return Err(Error::view(format!("shape {shape:?} of {dtype} is more than {} bytes", isize::MAX)));
        }
        // Condition 3
        let elements = buffer.len() / dtype.size();
        let reach = reach(&shape, &strides, offset)
            .ok_or_else(|| Error::view(format!("shape {shape:?} with strides {strides:?} overflows")))?;
        let inside = match reach {
            Some((low, high)) => low >= 0 && high < elements as i128,
            None => offset <= elements,
        };
        if !inside {
            let (low, high) = reach.unwrap_or((offset as i128, offset as i128));
            return Err(Error::view(format!(
                "shape {shape:?} with strides {strides:?} at offset {offset} reaches elements {low}..={high}, \
                 but the buffer holds {elements} of {dtype}"
            )));
        }
        // Condition 4
        let align = with_pixel!(dtype, T => align_of::<T>());
        if !(buffer.as_ptr() as usize).is_multiple_of(align) {
            return Err(Error::view(format!("the buffer is not aligned to {align} bytes, as {dtype} needs")));
        }
        Ok(Self { buffer, dtype, shape, strides, offset })
    }

    /// A view of a dense array in C order (the last axis varies fastest).
    ///
    /// # Errors
    /// If the buffer is too short or badly aligned, or the shape overflows.
    pub fn from_buffer(buffer: Buffer, dtype: DType, shape: &[usize]) -> Result<Self> {
        let strides = c_strides(shape).ok_or_else(|| Error::view(format!("shape {shape:?} overflows")))?;
        Self::try_new(buffer, dtype, shape.to_vec(), strides, 0)
    }

    /// A view of a vector as a dense array in C order; the vector is not copied.
    ///
    /// # Errors
    /// If `shape` has another number of elements than the vector.
    pub fn from_vec<T: Pixel>(values: Vec<T>, shape: &[usize]) -> Result<Self> {
        let expected = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len));
        if expected != Some(values.len()) {
            return Err(Error::view(format!("{} values do not fill the shape {shape:?}", values.len())));
        }
        Self::from_buffer(from_ndarray::vec_buffer(values), T::DTYPE, shape)
    }

    /// The type of an element.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The distance between neighbours on each axis, in elements; negative where the axis is reversed.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The element of the buffer at which index `[0, …, 0]` lies.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The shared memory.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the view has no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Whether both views lie in the same memory.
    pub fn shares_memory(&self, other: &Self) -> bool {
        self.buffer.data_ptr() == other.buffer.data_ptr()
    }

    /// Whether the elements lie in C order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n <= 1 || stride == expected;
            expected *= n as isize;
            fits
        }) || self.is_empty()
    }

    /// Every `step`-th index of `range` on one axis; a negative step takes them from the end of the range backwards.
    ///
    /// # Errors
    /// If the axis does not exist, the range leaves it, or the step is 0.
    pub fn slice(&self, axis: usize, range: Range<usize>, step: isize) -> Result<Self> {
        let len = self.axis_len(axis)?;
        if range.start > range.end || range.end > len {
            return Err(Error::view(format!("{range:?} is not a range of axis {axis}, which has length {len}")));
        }
        if step == 0 {
            return Err(Error::view(format!("step 0 on axis {axis}: expected any other number")));
        }
        let mut view = self.clone();
        let count = range.len().div_ceil(step.unsigned_abs());
        let first = if step > 0 { range.start } else { range.end.saturating_sub(1) };
        view.shape[axis] = count;
        if view.is_empty() {
            return Ok(view);
        }
        // `first` is an index of the axis, so its element lies in the buffer (condition 3).
        view.offset = (view.offset as isize + first as isize * self.strides[axis]) as usize;
        // With one element the stride is never used; with more, |stride · step| is within the buffer.
        view.strides[axis] = if count > 1 { self.strides[axis] * step } else { self.strides[axis] };
        Ok(view)
    }

    /// The axis backwards.
    ///
    /// # Errors
    /// If the axis does not exist.
    pub fn reverse(&self, axis: usize) -> Result<Self> {
        self.slice(axis, 0..self.axis_len(axis)?, -1)
    }

    /// The axes in another order: axis `i` of the result is axis `axes[i]` of this view (as `numpy.transpose`).
    ///
    /// # Errors
    /// If `axes` is not a permutation of all axes.
    pub fn transpose(&self, axes: &[usize]) -> Result<Self> {
        let mut seen = axes.to_vec();
        seen.sort_unstable();
        if seen.iter().copied().ne(0..self.ndim()) {
            return Err(Error::view(format!("{axes:?} is not a permutation of {} axes", self.ndim())));
        }
        let mut view = self.clone();
        view.shape = axes.iter().map(|&a| self.shape[a]).collect();
        view.strides = axes.iter().map(|&a| self.strides[a]).collect();
        Ok(view)
    }

    /// The view repeated to a larger shape with strides of 0, by numpy's rule: axes are aligned at the end, and a
    /// missing axis or one of length 1 repeats.
    ///
    /// # Errors
    /// If the shapes do not broadcast, or the number of elements overflows.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        let refuse = || Error::view(format!("shape {:?} does not broadcast to {shape:?}", self.shape));
        let extra = shape.len().checked_sub(self.ndim()).ok_or_else(refuse)?;
        let mut strides = vec![0; shape.len()];
        for axis in 0..self.ndim() {
            match (self.shape[axis], shape[extra + axis]) {
                (n, m) if n == m => strides[extra + axis] = self.strides[axis],
                (1, _) => {}
                _ => return Err(refuse()),
            }
        }
        Self::try_new(self.buffer.clone(), self.dtype, shape.to_vec(), strides, self.offset)
    }

    /// The same memory under other shape and strides, both checked against the buffer (as `as_strided`).
    ///
    /// # Errors
    /// As [`try_new`](Self::try_new).
    pub fn restride(&self, shape: Vec<usize>, strides: Vec<isize>) -> Result<Self> {
        Self::try_new(self.buffer.clone(), self.dtype, shape, strides, self.offset)
    }

    /// One element; `None` if the index is not in the shape.
    ///
    /// # Errors
    /// If `T` is not the type of the elements.
    pub fn get<T: Pixel>(&self, index: &[usize]) -> Result<Option<T>> {
        self.expect_dtype::<T>()?;
        if index.len() != self.ndim() || index.iter().zip(&self.shape).any(|(&i, &n)| i >= n) {
            return Ok(None);
        }
        let at = index.iter().zip(&self.strides).fold(self.offset as isize, |at, (&i, &s)| at + i as isize * s);
        let at = at as usize * self.dtype.size();
        Ok(Some(T::from_cell(&self.buffer[at..at + self.dtype.size()])))
    }

    /// All elements in C order, copied.
    ///
    /// # Errors
    /// If `T` is not the type of the elements.
    pub fn to_vec<T: Pixel>(&self) -> Result<Vec<T>> {
        self.expect_dtype::<T>()?;
        let mut bytes = vec![0; self.len() * self.dtype.size()];
        self.copy_to(&mut bytes);
        Ok(bytes.chunks_exact(self.dtype.size()).map(T::from_cell).collect())
    }

    /// Copies all elements in C order into `out`, which has exactly their bytes.
    pub(crate) fn copy_to(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.len() * self.dtype.size(), "the target has the size of the view");
        if out.is_empty() {
            return;
        }
        // The trailing axes that lie together are one run; the others are walked like an odometer.
        let mut run = 1;
        let mut outer = self.ndim();
        while outer > 0 && (self.shape[outer - 1] == 1 || self.strides[outer - 1] == run as isize) {
            outer -= 1;
            run *= self.shape[outer];
        }
        let size = self.dtype.size();
        let bytes = self.buffer.as_slice();
        let mut index = vec![0; outer];
        let mut at = self.offset as isize;
        for target in out.chunks_exact_mut(run * size) {
            let start = at as usize * size;
            target.copy_from_slice(&bytes[start..start + run * size]);
            for axis in (0..outer).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis] as isize;
                index[axis] = 0;
            }
        }
    }

    fn expect_dtype<T: Pixel>(&self) -> Result<()> {
        if T::DTYPE == self.dtype {
            return Ok(());
        }
        Err(Error::view(format!("the elements are {}, not {}", self.dtype, T::DTYPE)))
    }

    fn axis_len(&self, axis: usize) -> Result<usize> {
        let len = self.shape.get(axis).copied();
        len.ok_or_else(|| Error::view(format!("axis {axis} of an array with {} axes", self.ndim())))
    }
}

impl fmt::Debug for StridedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dtype, shape, strides, offset, .. } = self;
        write!(f, "StridedView({dtype} {shape:?}, strides {strides:?}, offset {offset})")
    }
}

/// The strides of a dense array in C order; `None` if they overflow.
pub(crate) fn c_strides(shape: &[usize]) -> Option<Vec<isize>> {
    let mut strides = vec![0; shape.len()];
    let mut stride = 1isize;
    for (axis, &n) in shape.iter().enumerate().rev() {
        strides[axis] = stride;
        stride = stride.checked_mul(isize::try_from(n.max(1)).ok()?)?;
    }
    Some(strides)
}

/// The lowest and the highest element that a view touches: `Some(None)` if it has none, `None` on overflow.
fn reach(shape: &[usize], strides: &[isize], offset: usize) -> Option<Option<(i128, i128)>> {
    if shape.contains(&0) {
        return Some(None);
    }
    let (mut low, mut high) = (offset as i128, offset as i128);
    for (&n, &stride) in shape.iter().zip(strides) {
        let span = ((n - 1) as i128).checked_mul(stride as i128)?;
        low = low.checked_add(span.min(0))?;
        high = high.checked_add(span.max(0))?;
    }
    Some(Some((low, high)))
}

#[cfg(test)]
mod tests;
