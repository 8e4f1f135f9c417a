//! `ndarray` arrays and vectors as views, without a copy.

use std::slice;

use arrow_buffer::Buffer;
use bytes::Bytes;
use ndarray::{ArcArray, Array, ArrayView, Axis, Dimension, IxDyn, ShapeBuilder};

use super::StridedView;
use crate::{Error, Pixel, Result};

/// Keeps a vector alive under an Arrow buffer.
struct VecOwner<T>(Vec<T>);

impl<T: Pixel> AsRef<[u8]> for VecOwner<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

pub(super) fn vec_buffer<T: Pixel>(values: Vec<T>) -> Buffer {
    Buffer::from(Bytes::from_owner(VecOwner(values)))
}

/// An owned array becomes a view of its own memory, whatever its layout.
impl<T: Pixel, D: Dimension> From<Array<T, D>> for StridedView {
    fn from(array: Array<T, D>) -> Self {
        let (shape, strides) = (array.shape().to_vec(), array.strides().to_vec());
        let (values, offset) = array.into_raw_vec_and_offset();
        Self { buffer: vec_buffer(values), dtype: T::DTYPE, shape, strides, offset: offset.unwrap_or(0) }
    }
}

/// Keeps a shared array alive under an Arrow buffer of the elements that it reaches.
struct ArcOwner<T: Pixel, D: Dimension> {
    array: ArcArray<T, D>,
    /// Elements from the lowest address that the array reaches to its first element.
    before: usize,
    /// Elements from the lowest to the highest address that the array reaches, both included.
    len: usize,
}

impl<T: Pixel, D: Dimension> AsRef<[u8]> for ArcOwner<T, D> {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: both ends are elements of the array, so everything between them lies in the one vector behind it,
        // which is initialized in full. Elements of an ArcArray are written only through `&mut` to an array that is
        // the only owner of that vector; `self.array` is an owner as long as the buffer lives. `T: NoUninit` has no
        // padding, so its bytes may be read.
        unsafe {
            let low = self.array.as_ptr().sub(self.before);
            slice::from_raw_parts(low.cast(), self.len * size_of::<T>())
        }
    }
}

/// A shared array becomes a view of the memory that it shares, whatever its layout.
impl<T: Pixel, D: Dimension + 'static> From<ArcArray<T, D>> for StridedView {
    fn from(array: ArcArray<T, D>) -> Self {
        let (shape, strides) = (array.shape().to_vec(), array.strides().to_vec());
        let (mut before, mut after) = (0, 0);
        if !array.is_empty() {
            for (&n, &stride) in shape.iter().zip(&strides) {
                let span = (n - 1) * stride.unsigned_abs();
                *if stride < 0 { &mut before } else { &mut after } += span;
            }
        }
        let len = if array.is_empty() { 0 } else { before + after + 1 };
        let buffer = Buffer::from(Bytes::from_owner(ArcOwner { array, before, len }));
        Self { buffer, dtype: T::DTYPE, shape, strides, offset: before }
    }
}

impl StridedView {
    /// The view as an `ndarray` view of the same memory.
    ///
    /// # Errors
    /// If `T` is not the type of the elements. (A `bool` view has no `ndarray` form: its bytes may be any.)
    pub fn as_ndarray<T: Pixel + bytemuck::Pod>(&self) -> Result<ArrayView<'_, T, IxDyn>> {
        self.expect_dtype::<T>()?;
        // ndarray wants the lowest address and strides that are not negative, and has a limit of its own on sizes.
        let mut low = self.offset as isize;
        let mut strides = Vec::with_capacity(self.ndim());
        for (&n, &stride) in self.shape.iter().zip(&self.strides) {
            if stride < 0 && n > 0 {
                low += (n - 1) as isize * stride;
            }
            strides.push(stride.unsigned_abs());
        }
        if self.is_empty() {
            let shape = IxDyn(&self.shape);
            return ArrayView::from_shape(shape, &[]).map_err(|e| Error::view(e.to_string()));
        }
        // SAFETY: conditions 2 to 4 of `try_new`: every element lies in the buffer, which is aligned, immutable and
        // outlives the returned view; `T: Pod` is valid for any bytes, and the lifetime is that of `&self`.
        let mut view = unsafe {
            let first = self.buffer.as_ptr().cast::<T>().add(low as usize);
            ArrayView::from_shape_ptr(IxDyn(&self.shape).strides(IxDyn(&strides)), first)
        };
        for (axis, &stride) in self.strides.iter().enumerate() {
            if stride < 0 {
                view.invert_axis(Axis(axis));
            }
        }
        Ok(view)
    }
}
