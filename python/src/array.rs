//! numpy arrays as views, without a copy.

use std::ptr::NonNull;

use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use windrow::{DType, StridedView};

use crate::error::to_py;
use crate::keep::buffer_of;

/// The memory of an array as a view that keeps the array alive. Strides may be anything that numpy allows; elements
/// must be aligned, in the byte order of the machine, and a whole number of elements apart.
pub(crate) fn view_of(array: &Bound<'_, PyUntypedArray>) -> PyResult<StridedView> {
    let dtype = dtype_of(&array.dtype())?;
    let size = dtype.size() as isize;
    let (shape, strides) = (array.shape(), array.strides());
    if strides.iter().zip(shape).any(|(stride, &n)| n > 1 && stride % size != 0) {
        return Err(PyValueError::new_err("elements are not a whole number of elements apart: copy the array first"));
    }
    let empty = shape.contains(&0);
    let (mut before, mut after) = (0, 0);
    if !empty {
        for (&n, &stride) in shape.iter().zip(strides) {
            let span = (n - 1) * stride.unsigned_abs();
            *if stride < 0 { &mut before } else { &mut after } += span;
        }
    }
    let len = if empty { 0 } else { before + after + dtype.size() };
    // SAFETY: the pointer of a bound array is valid; `data` is the address of the element [0, …, 0].
    let data = unsafe { (*array.as_array_ptr()).fields.data }.cast::<u8>();
    let low = NonNull::new(data.wrapping_sub(before)).unwrap_or(NonNull::<u64>::dangling().cast());
    // SAFETY: numpy vouches that every element of an array is in memory that the array keeps alive; the ends of the
    // range are the ends of its lowest and highest element, which lie in one allocation.
    let buffer = unsafe { buffer_of(array.clone().into_any().unbind(), low, len) };
    // The stride of an axis with one element is never used, and numpy lets it be anything.
    let strides = strides.iter().zip(shape).map(|(&stride, &n)| if n > 1 { stride / size } else { 0 }).collect();
    StridedView::try_new(buffer, dtype, shape.to_vec(), strides, before / dtype.size()).map_err(to_py)
}

/// The pixel type that numpy calls this.
fn dtype_of(descr: &Bound<'_, PyArrayDescr>) -> PyResult<DType> {
    let name: String = descr.getattr("name")?.extract()?;
    if descr.is_native_byteorder() == Some(false) {
        return Err(PyValueError::new_err(format!("{name} in foreign byte order: convert the array first")));
    }
    let known = DType::ALL.into_iter().find(|dtype| dtype.name() == name);
    known.ok_or_else(|| {
        let names = DType::ALL.map(DType::name).join(", ");
        PyTypeError::new_err(format!("an array of {name} has no pixels: expected one of {names}"))
    })
}
