use arrow_buffer::Buffer;
use half::f16;
use ndarray::{ArcArray, Array, Array2, Axis, arr2, s};

use super::*;

fn abc() -> StridedView {
    StridedView::from_vec((0..24u16).collect(), &[2, 3, 4]).unwrap()
}

#[test]
fn slices_and_reversals_go_back_and_forth() {
    let view = abc();
    let back = view.reverse(1).unwrap().transpose(&[2, 0, 1]).unwrap();
    assert_eq!(back.get::<u16>(&[3, 1, 0]).unwrap(), Some(23));
    let again = back.transpose(&[1, 2, 0]).unwrap().reverse(1).unwrap();
    assert_eq!(again.to_vec::<u16>().unwrap(), view.to_vec::<u16>().unwrap());
    assert_eq!((again.strides(), again.offset()), (view.strides(), view.offset()));
    assert!(again.shares_memory(&view) && again.is_contiguous() && !back.is_contiguous());
}

#[test]
fn empty_slices_stay_in_bounds() {
    let view = abc();
    for step in [1, -1, 7, -7, isize::MAX, isize::MIN] {
        assert!(view.slice(2, 4..4, step).unwrap().to_vec::<u16>().unwrap().is_empty());
        assert!(view.slice(0, 0..0, step).unwrap().is_empty());
        assert_eq!(view.slice(2, 1..2, step).unwrap().shape(), [2, 3, 1]);
    }
}

#[test]
fn bad_slices_are_errors_that_name_both_numbers() {
    let view = abc();
    for (error, parts) in [
        (view.slice(3, 0..1, 1), ["axis 3", "3 axes"]),
        (view.slice(2, 0..5, 1), ["0..5", "length 4"]),
        (view.slice(1, 0..1, 0), ["step 0", "axis 1"]),
        (view.transpose(&[0, 0, 1]), ["[0, 0, 1]", "3 axes"]),
        (view.broadcast_to(&[2, 3, 5]), ["[2, 3, 4]", "[2, 3, 5]"]),
        (view.broadcast_to(&[4]), ["[2, 3, 4]", "[4]"]),
    ] {
        let message = error.unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn parts_are_checked() {
    let buffer = || Buffer::from_vec((0..6u32).collect::<Vec<_>>());
    let view = |shape: &[usize], strides: &[isize], offset| {
        StridedView::try_new(buffer(), DType::U32, shape.to_vec(), strides.to_vec(), offset)
    };
    assert!(view(&[2, 3], &[3, 1], 0).is_ok());
    assert!(view(&[2, 3], &[-3, -1], 5).is_ok());
    assert!(view(&[0, 3], &[3, 1], 6).is_ok());
    assert!(view(&[1000, 6], &[0, 1], 0).is_ok());
    for (shape, strides, offset) in [
        (&[2, 3][..], &[3][..], 0),              // condition 1
        (&[usize::MAX, 2], &[0, 0], 0),          // condition 2
        (&[0, usize::MAX, 2], &[0, 0, 0], 0),    // condition 2, behind a zero
        (&[usize::MAX / 4 + 1], &[0], 0),        // condition 2, in bytes
        (&[2, 3], &[3, 1], 1),                   // condition 3, above
        (&[2, 3], &[-3, 1], 2),                  // condition 3, below
        (&[2, 3], &[isize::MAX, isize::MAX], 0), // condition 3, overflow
        (&[2, 3], &[isize::MIN, isize::MIN], 0),
        (&[0], &[1], 7),
    ] {
        assert!(view(shape, strides, offset).is_err(), "{shape:?} {strides:?} {offset}");
    }
    let odd = Buffer::from_vec(vec![0u32; 4]).slice(2);
    let message = StridedView::from_buffer(odd, DType::U32, &[2]).unwrap_err().to_string();
    assert!(message.contains("aligned to 4 bytes"), "{message}");
    assert!(StridedView::from_vec(vec![1u8; 5], &[2, 3]).is_err());
}

#[test]
fn owned_arrays_of_any_layout_come_without_a_copy() {
    let array = Array::from_shape_fn((3, 4, 5), |(z, y, x)| (100 * z + 10 * y + x) as f32);
    let address = array.as_ptr() as usize;
    let view = StridedView::from(array.clone().reversed_axes());
    assert_eq!(view.shape(), [5, 4, 3]);
    assert_eq!(view.get(&[4, 3, 2]).unwrap(), Some(234f32));

    let view = StridedView::from(array);
    assert_eq!(view.buffer().as_ptr() as usize, address);

    // A slice in place keeps the vector and its offset.
    let mut array = Array2::from_shape_fn((4, 6), |(y, x)| (10 * y + x) as i64);
    array.slice_collapse(s![1..;2, ..;-2]);
    array.invert_axis(Axis(0));
    let expected: Vec<_> = array.iter().copied().collect();
    let first = array.as_ptr() as usize;
    let view = StridedView::from(array);
    assert_eq!(view.buffer().as_ptr() as usize + view.offset() * 8, first);
    assert_eq!(view.to_vec::<i64>().unwrap(), expected);
}

#[test]
fn shared_arrays_of_any_layout_come_without_a_copy() {
    let whole: ArcArray<u16, _> = Array2::from_shape_fn((4, 6), |(y, x)| (10 * y + x) as u16).into();
    let mut part = whole.clone();
    part.slice_collapse(s![1..4;2, 1..;-2]);
    let expected: Vec<_> = part.iter().copied().collect();
    let first = part.as_ptr() as usize;
    let view = StridedView::from(part.clone());
    assert_eq!(view.buffer().as_ptr() as usize + view.offset() * 2, first);
    drop((whole, part));
    assert_eq!(view.to_vec::<u16>().unwrap(), expected);
    assert!(StridedView::from(ArcArray::<u8, _>::from(Array2::zeros((0, 3)))).is_empty());
}

#[test]
fn a_shared_array_that_is_written_later_leaves_the_view_alone() {
    let mut array: ArcArray<u8, _> = Array::from_vec(vec![1, 2, 3]).into();
    let view = StridedView::from(array.clone());
    array[0] = 9; // copy on write, since the view owns it too
    assert_eq!(view.to_vec::<u8>().unwrap(), [1, 2, 3]);
}

#[test]
fn every_dtype_comes_from_ndarray() {
    let view = StridedView::from(arr2(&[[true, false], [false, true]]));
    assert_eq!((view.dtype(), view.get(&[1, 1]).unwrap()), (DType::Bool, Some(true)));
    let view = StridedView::from(Array::from_elem((2, 2), f16::from_f32(0.5)));
    assert_eq!((view.dtype(), view.get(&[1, 1]).unwrap()), (DType::F16, Some(f16::from_f32(0.5))));
    assert!(view.to_vec::<u16>().unwrap_err().to_string().contains("float16, not uint16"));
}

#[test]
fn and_go_back_to_ndarray() {
    let view = abc().reverse(2).unwrap().transpose(&[2, 0, 1]).unwrap().slice(0, 1..4, 2).unwrap();
    let array = view.as_ndarray::<u16>().unwrap();
    assert_eq!(array.shape(), view.shape());
    assert_eq!(array.iter().copied().collect::<Vec<_>>(), view.to_vec::<u16>().unwrap());
    let rows = abc().broadcast_to(&[5, 2, 3, 4]).unwrap();
    assert_eq!(rows.as_ndarray::<u16>().unwrap()[[4, 1, 2, 3]], 23);
    assert!(abc().slice(1, 1..1, 1).unwrap().as_ndarray::<u16>().unwrap().is_empty());
}
