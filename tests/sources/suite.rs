//! The suite, and the arrays that it is run with.

use std::ops::Range;

use half::f16;
use windrow::source::{AnySource, Region};
use windrow::{BufferPool, DType, StridedView};

/// Calls a body with `$T` bound to the Rust type of a [`DType`].
macro_rules! with_type {
    ($dtype:expr, $T:ident => $body:expr) => {
        with_type!($dtype, $T => $body;
            Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F16 f16, F32 f32, F64 f64)
    };
    ($dtype:expr, $T:ident => $body:expr; $($name:ident $type:ty),*) => {
        match $dtype { $(DType::$name => { type $T = $type; $body })* }
    };
}

/// Makes a pixel of any type out of a number, and bytes of either order out of a pixel.
pub trait Cell: windrow::Pixel + Copy {
    fn cell(n: u64) -> Self;
    fn bytes(self, big_endian: bool) -> Vec<u8>;
}

macro_rules! cells {
    ($($type:ty: $n:ident => $cell:expr),* $(,)?) => {$(
        impl Cell for $type {
            fn cell($n: u64) -> Self {
                $cell
            }
            fn bytes(self, big_endian: bool) -> Vec<u8> {
                if big_endian { self.to_be_bytes().to_vec() } else { self.to_le_bytes().to_vec() }
            }
        }
    )*};
}
cells! {
    u8: n => n as u8, u16: n => n as u16, u32: n => n as u32, u64: n => n,
    i8: n => n as i8, i16: n => n as i16, i32: n => n as i32, i64: n => n as i64,
    f16: n => f16::from_f64(n as i8 as f64 / 4.0), f32: n => n as i32 as f32 / 8.0, f64: n => n as i64 as f64 / 16.0,
}

impl Cell for bool {
    fn cell(n: u64) -> Self {
        n % 2 == 1
    }
    fn bytes(self, _: bool) -> Vec<u8> {
        vec![u8::from(self)]
    }
}

/// Numbers without a pattern, the same ones every time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mixed = (self.0 ^ self.0 >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ mixed >> 29
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// An array without a pattern.
pub fn array(dtype: DType, shape: &[usize]) -> StridedView {
    let mut random = Random::new(7);
    let count = shape.iter().product();
    with_type!(dtype, T => StridedView::from_vec((0..count).map(|_| T::cell(random.next())).collect(), shape).unwrap())
}

/// The bytes of an array in C order, its numbers in either byte order.
pub fn bytes(view: &StridedView, big_endian: bool) -> Vec<u8> {
    with_type!(view.dtype(), T => view.to_vec::<T>().unwrap().into_iter().flat_map(|v| v.bytes(big_endian)).collect())
}

/// Holds a source against the array that it should be.
pub fn check(source: &AnySource, expected: &StridedView, axes: Option<&[&str]>) {
    let info = source.info();
    let shape: Vec<_> = expected.shape().iter().map(|&n| n as u64).collect();
    assert_eq!((&info.shape, info.dtype), (&shape, expected.dtype()));
    assert_eq!(info.axes, axes.map(|axes| axes.iter().map(|a| a.to_string()).collect()));
    assert_eq!(info.chunk.len(), shape.len());
    assert!(info.chunk.iter().all(|&n| n > 0), "{info:?}");

    let pool = BufferPool::new(2);
    let mut random = Random::new(1);
    for _pass in 0..2 {
        // The reader goes through regions in any order, and its memory is recycled while it does.
        let mut reader = source.open(&pool).unwrap();
        for region in regions(&shape, &mut random) {
            let got = reader.read(&region).unwrap();
            let wanted = slice(expected, &region);
            assert_eq!((got.shape(), got.dtype()), (wanted.shape(), wanted.dtype()), "{region:?}");
            assert!(bytes(&got, false) == bytes(&wanted, false), "{}: {region:?} of {shape:?}", info.name);
        }
    }
}

fn regions(shape: &[u64], random: &mut Random) -> Vec<Region> {
    let whole = Region::whole(shape);
    let pixel = |at: &dyn Fn(u64) -> u64| Region(shape.iter().map(|&n| at(n)..at(n) + 1).collect());
    let mut regions = vec![whole.clone(), pixel(&|_| 0), pixel(&|n| n - 1), pixel(&|n| n / 2)];
    for (axis, n) in shape.iter().enumerate() {
        let middle = n / 3..n.div_ceil(2);
        if !middle.is_empty() {
            regions.push(whole.with(axis, middle));
        }
    }
    for _ in 0..40 {
        let mut range = |n: u64| -> Range<u64> {
            let start = random.below(n);
            start..start + 1 + random.below(n - start)
        };
        regions.push(Region(shape.iter().map(|&n| range(n)).collect()));
    }
    regions.push(whole);
    regions
}

fn slice(view: &StridedView, region: &Region) -> StridedView {
    let slice = |view: StridedView, (axis, range): (usize, &Range<u64>)| {
        view.slice(axis, range.start as usize..range.end as usize, 1).unwrap()
    };
    region.0.iter().enumerate().fold(view.clone(), slice)
}

#[test]
fn an_array_in_memory() {
    for dtype in DType::ALL {
        let view = array(dtype, &[7, 9, 2]).transpose(&[1, 0, 2]).unwrap().reverse(0).unwrap();
        check(&AnySource::from(view.clone()), &view, None);
    }
}
