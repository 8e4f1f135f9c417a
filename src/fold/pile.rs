//! What the values of windows are piled into: one number or more for each cell of a slab.

use bytemuck::{AnyBitPattern, NoUninit};

use super::Blend;
use super::cell::{Cell, Out, Sum};
use super::choose::{Chosen, Extreme, Larger, Latest, Nearest, Only, Smaller};
use super::place::Place;
use super::sum::{Plain, Summed, Weighted};
use super::walk::{Sink, Walk};
use crate::{BufferPool, DType, Error, PoolBuf, Result};

/// Some lines of the image, and how values lie in them.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) place: &'a Place,
    pub(super) walk: &'a Walk,
    /// The first line.
    pub(super) line: u64,
}

impl Frame<'_> {
    /// Gives the runs of all values to `sink`.
    pub(super) fn each(&self, values: &Values<'_>, sink: &mut impl Sink) {
        self.walk.each::<0>(self, values, sink);
    }

    /// The same, in loops made for the usual lengths.
    pub(super) fn each_unrolled(&self, values: &Values<'_>, sink: &mut impl Sink) {
        match self.walk.run() {
            4 => self.walk.each::<4>(self, values, sink),
            8 => self.walk.each::<8>(self, values, sink),
            16 => self.walk.each::<16>(self, values, sink),
            _ => self.walk.each::<0>(self, values, sink),
        }
    }
}

/// The values of some windows.
pub(super) struct Values<'a> {
    pub(super) ids: &'a [u64],
    /// Which windows have a value; all if there is no list.
    pub(super) valid: Option<&'a [bool]>,
    /// Their values in C order, one behind the other.
    pub(super) bytes: &'a [u8],
}

impl Values<'_> {
    pub(super) fn has(&self, i: usize) -> bool {
        self.valid.is_none_or(|valid| valid[i])
    }
}

/// How often windows cover the cells of a line, or with what weight.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cover<'a> {
    Times(&'a [u32]),
    Weight(&'a [f64]),
}

/// The numbers of a line.
#[derive(Debug)]
pub(super) enum Numbers {
    Whole(Vec<i128>),
    Float(Vec<f64>),
}

impl Numbers {
    /// Room for whole numbers.
    pub(super) fn whole(&mut self) -> &mut Vec<i128> {
        if let Numbers::Float(_) = self {
            *self = Numbers::Whole(Vec::new());
        }
        match self {
            Numbers::Whole(all) => {
                all.clear();
                all
            }
            Numbers::Float(_) => unreachable!("it was replaced"),
        }
    }

    /// Room for numbers with a fraction.
    pub(super) fn float(&mut self) -> &mut Vec<f64> {
        if let Numbers::Whole(_) = self {
            *self = Numbers::Float(Vec::new());
        }
        match self {
            Numbers::Float(all) => {
                all.clear();
                all
            }
            Numbers::Whole(_) => unreachable!("it was replaced"),
        }
    }

    /// Writes the numbers as cells of `T`, `tail` a place, where there are `times`; gives the first that is none of them.
    pub(super) fn store<T: Out>(&self, times: &[u32], tail: usize, out: &mut [u8]) -> Option<String> {
        match self {
            Numbers::Whole(all) => store(all, T::of_whole, times, tail, out).map(|number| number.to_string()),
            Numbers::Float(all) => store(all, T::of_float, times, tail, out).map(|number| number.to_string()),
        }
    }
}

fn store<N: Copy, T: Out>(
    numbers: &[N],
    of: impl Fn(N) -> Option<T>,
    times: &[u32],
    tail: usize,
    out: &mut [u8],
) -> Option<N> {
    let put = |(cell, &number): (&mut [u8], &N)| match of(number) {
        Some(value) => {
            cell.copy_from_slice(bytemuck::bytes_of(&value));
            None
        }
        None => Some(number),
    };
    let size = size_of::<T>();
    if times.iter().all(|&times| times > 0) {
        return out.chunks_exact_mut(size).zip(numbers).find_map(put);
    }
    let places = out.chunks_exact_mut(size * tail).zip(numbers.chunks_exact(tail)).zip(times);
    let mut covered = places.filter(|(_, times)| **times > 0);
    covered.find_map(|((cells, numbers), _)| cells.chunks_exact_mut(size).zip(numbers).find_map(put))
}

/// What is kept of the values of windows.
pub(super) trait Pile: Send + Sync {
    /// Adds the values of some windows.
    fn add(&mut self, frame: &Frame<'_>, values: &Values<'_>);

    /// The numbers of the cells of a line from `at`; each place of `cover` has `tail` of them. What is not covered is any
    /// number.
    fn numbers(&self, at: usize, cover: Cover<'_>, tail: usize, to: &mut Numbers);

    /// Forgets the first `lines` lines; others follow behind the last.
    fn forget(&mut self, walk: &Walk, lines: usize);
}

/// An empty pile for values of `dtype`, and an image of type `out`.
pub(super) fn pile(place: &Place, walk: &Walk, blend: Blend, dtype: DType, out: DType) -> Result<Box<dyn Pile>> {
    match dtype {
        DType::Bool | DType::U8 => typed::<u8>(place, walk, blend, out),
        DType::U16 => typed::<u16>(place, walk, blend, out),
        DType::U32 => typed::<u32>(place, walk, blend, out),
        DType::U64 => typed::<u64>(place, walk, blend, out),
        DType::I8 => typed::<i8>(place, walk, blend, out),
        DType::I16 => typed::<i16>(place, walk, blend, out),
        DType::I32 => typed::<i32>(place, walk, blend, out),
        DType::I64 => typed::<i64>(place, walk, blend, out),
        DType::F16 => typed::<half::f16>(place, walk, blend, out),
        DType::F32 => typed::<f32>(place, walk, blend, out),
        DType::F64 => typed::<f64>(place, walk, blend, out),
    }
}

fn typed<T: Cell>(place: &Place, walk: &Walk, blend: Blend, out: DType) -> Result<Box<dyn Pile>> {
    let cells = walk.cells();
    Ok(match blend {
        Blend::Mean => Box::new(Summed::<T, T::Sum, Plain>::new(cells, Plain, Some(out.is_float()))?),
        Blend::Sum => Box::new(Summed::<T, T::Sum, Plain>::new(cells, Plain, None)?),
        Blend::Gaussian | Blend::Hann => {
            Box::new(Summed::<T, f64, Weighted>::new(cells, Weighted::new(walk), Some(true))?)
        }
        Blend::Max => Box::new(Chosen::<T, Extreme<Larger>>::new(cells, Extreme::new(cells)?)?),
        Blend::Min => Box::new(Chosen::<T, Extreme<Smaller>>::new(cells, Extreme::new(cells)?)?),
        Blend::Last | Blend::CenterCrop if place.is_disjoint() => Box::new(Chosen::<T, Only>::new(cells, Only)?),
        Blend::Last => Box::new(Chosen::<T, Latest>::new(cells, Latest::new(cells)?)?),
        Blend::CenterCrop => Box::new(Chosen::<T, Nearest>::new(cells, Nearest::new(place, walk, cells)?)?),
    })
}

/// Bytes that a pile keeps for a cell.
pub(super) fn cell_bytes(place: &Place, blend: Blend, dtype: DType) -> u64 {
    let size = dtype.size() as u64;
    match blend {
        Blend::Gaussian | Blend::Hann => 8,
        Blend::Mean | Blend::Sum => match dtype {
            DType::Bool | DType::U8 | DType::I8 => 4,
            DType::U64 | DType::I64 => 16,
            _ => 8,
        },
        Blend::Max | Blend::Min => size + 1,
        Blend::Last | Blend::CenterCrop if place.is_disjoint() => size,
        Blend::Last => size + 8,
        Blend::CenterCrop => size + 16,
    }
}

/// The most values that may be piled on one cell.
pub(super) fn most_values(blend: Blend, dtype: DType) -> u64 {
    let room = match (blend, dtype) {
        (Blend::Mean | Blend::Sum, DType::Bool) => <u8 as Cell>::Sum::ROOM,
        (Blend::Mean | Blend::Sum, dtype) => match dtype {
            DType::U8 | DType::I8 => <u8 as Cell>::Sum::ROOM,
            DType::U64 | DType::I64 => <u64 as Cell>::Sum::ROOM,
            dtype if dtype.is_float() => 63,
            _ => <u32 as Cell>::Sum::ROOM,
        },
        _ => 63,
    };
    // Covers are counted in a u32.
    (1u64 << room).min(u32::MAX.into())
}

/// Zeroed memory of a type.
pub(super) struct Memory<T> {
    bytes: PoolBuf,
    of: std::marker::PhantomData<T>,
}

impl<T: AnyBitPattern + NoUninit> Memory<T> {
    pub(super) fn new(cells: usize) -> Result<Self> {
        let bytes = cells.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
        let bytes = bytes.ok_or_else(|| Error::too_large("the image", format!("{cells} cells"), isize::MAX))?;
        // Fresh memory is zeroed.
        Ok(Self { bytes: BufferPool::new(0).take(bytes)?, of: std::marker::PhantomData })
    }

    pub(super) fn cells(&self) -> &[T] {
        bytemuck::cast_slice(&self.bytes)
    }

    pub(super) fn cells_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.bytes)
    }

    /// Forgets the first `lines` lines of a slab; zeros follow behind the last.
    pub(super) fn forget(&mut self, walk: &Walk, lines: usize) {
        walk.forget(self.cells_mut(), lines, T::zeroed());
    }
}

/// Values as what they are. They may lie anywhere.
pub(super) fn cast<T: AnyBitPattern + NoUninit>(bytes: &[u8]) -> std::borrow::Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(values) => values.into(),
        Err(_) => bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect(),
    }
}
