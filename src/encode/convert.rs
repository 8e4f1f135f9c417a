//! Pixels in another type, on the way: `value · scale + offset`.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::{DType, Error, Result};

/// Cells that are converted together, so that they stay in the first-level cache between two steps.
const PIECE: usize = 512;

/// Reads integers, and the bytes of bools, of which zero is false and anything else true; leaves floats to others.
macro_rules! numbers {
    ($self:ident, $src:ident, $out:ident, $v:ident => $f:expr) => {
        match $self.from {
            DType::Bool => map($src, $out, |byte: u8| {
                let $v = u8::from(byte != 0);
                $f
            }),
            DType::U8 => map(bytemuck::cast_slice($src), $out, |$v: u8| $f),
            DType::U16 => map(bytemuck::cast_slice($src), $out, |$v: u16| $f),
            DType::U32 => map(bytemuck::cast_slice($src), $out, |$v: u32| $f),
            DType::U64 => map(bytemuck::cast_slice($src), $out, |$v: u64| $f),
            DType::I8 => map(bytemuck::cast_slice($src), $out, |$v: i8| $f),
            DType::I16 => map(bytemuck::cast_slice($src), $out, |$v: i16| $f),
            DType::I32 => map(bytemuck::cast_slice($src), $out, |$v: i32| $f),
            DType::I64 => map(bytemuck::cast_slice($src), $out, |$v: i64| $f),
            DType::F16 | DType::F32 | DType::F64 => {}
        }
    };
}

/// From one type of pixels to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conversion {
    from: DType,
    to: DType,
    scale: f64,
    offset: f64,
}

impl Conversion {
    /// A conversion that loses nothing, unless `lossy` allows it; `None` if there is nothing to do.
    pub(crate) fn new(from: DType, to: DType, scale: f64, offset: f64, lossy: bool) -> Result<Option<Self>> {
        let scaled = scale != 1.0 || offset != 0.0;
        for (name, value) in [("scale", scale), ("offset", offset)] {
            if !value.is_finite() {
                return Err(Error::argument(name, format!("{value}: expected a finite number")));
            }
        }
        if !scaled && from == to {
            return Ok(None);
        }
        if to == DType::Bool {
            return Err(Error::argument("dtype", format!("{from} does not become bool: compare it after reading")));
        }
        if !lossy && !holds(to, from) {
            let message = format!("{from} does not fit into {to}: lossy (--lossy) would round and saturate");
            return Err(Error::argument("dtype", message));
        }
        for (name, value) in [("scale", scale), ("offset", offset)] {
            // Floats are computed in float32, unless the table is of float64.
            let used = if matches!(to, DType::F16 | DType::F32) { f64::from(value as f32) } else { value };
            if !used.is_finite() || (used == 0.0 && value != 0.0) {
                return Err(Error::argument(name, format!("{value} is not a float32, in which {to} is computed")));
            }
        }
        let most = largest(from) * scale.abs() + offset.abs();
        if !lossy && scaled && to == DType::F16 && most > f64::from(f16::MAX) && !from.is_float() {
            let message = format!("{from} scaled may reach {most}, and {to} ends at {}", f16::MAX);
            return Err(Error::argument("scale", format!("{message}: ask for float32, or lossy (--lossy)")));
        }
        if !lossy && scaled && !to.is_float() {
            let message = format!("a scaled {from} is rounded to {to}: ask for float32, or lossy (--lossy)");
            return Err(Error::argument("scale", message));
        }
        Ok(Some(Self { from, to, scale, offset }))
    }

    pub(crate) fn to(&self) -> DType {
        self.to
    }

    /// Converts one cell, which stands first in its eight bytes.
    pub(crate) fn cell(&self, cell: [u8; 8]) -> [u8; 8] {
        // In words, which are aligned for every type.
        let (cell, mut made) = ([u64::from_ne_bytes(cell)], [0u64]);
        let (from, to) = (self.from.size(), self.to.size());
        self.apply(&bytemuck::cast_slice(&cell)[..from], &mut bytemuck::cast_slice_mut(&mut made)[..to]);
        made[0].to_ne_bytes()
    }

    /// Converts densely packed cells. Both slices are aligned for their type and have as many cells.
    pub(crate) fn apply(&self, src: &[u8], out: &mut [u8]) {
        let (scale, offset) = (self.scale as f32, self.offset as f32);
        match (self.from, self.to) {
            (DType::U8, DType::F32) => return widen::<u8>(src, bytemuck::cast_slice_mut(out), scale, offset),
            (DType::U16, DType::F32) => {
                return widen::<u16>(bytemuck::cast_slice(src), bytemuck::cast_slice_mut(out), scale, offset);
            }
            _ => {}
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            return unsafe { self.apply_avx2(src, out) };
        }
        self.apply_pieces(src, out);
    }

    /// The same, compiled for wider registers.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn apply_avx2(&self, src: &[u8], out: &mut [u8]) {
        self.apply_pieces(src, out);
    }

    #[inline(always)]
    fn apply_pieces(&self, src: &[u8], out: &mut [u8]) {
        let pieces = src.chunks(PIECE * self.from.size()).zip(out.chunks_mut(PIECE * self.to.size()));
        // A loop, not a closure: closures are compiled for the usual registers.
        for (src, out) in pieces {
            self.apply_piece(src, out);
        }
    }

    /// In steps by way of a wide type, so that there is a loop for each type on either side, not for each pair.
    #[inline(always)]
    fn apply_piece(&self, src: &[u8], out: &mut [u8]) {
        let plain = self.is_plain();
        let cells = src.len() / self.from.size();
        match self.to {
            DType::F32 => {
                let out: &mut [f32] = bytemuck::cast_slice_mut(out);
                self.read_f32(src, out);
            }
            DType::F64 => {
                let out: &mut [f64] = bytemuck::cast_slice_mut(out);
                self.read_f64(src, out);
            }
            DType::F16 if plain && self.from == DType::F64 => {
                map(bytemuck::cast_slice(src), bytemuck::cast_slice_mut(out), halved)
            }
            DType::F16 => {
                let values = &mut [0f32; PIECE][..cells];
                self.read_f32(src, values);
                bytemuck::cast_slice_mut::<u8, f16>(out).convert_from_f32_slice(values);
            }
            DType::Bool => unreachable!("refused by Conversion::new"),
            _ if plain && !self.from.is_float() => {
                let values = &mut [0i64; PIECE][..cells];
                self.read_i64(src, values);
                self.write(values, out);
            }
            _ => {
                let values = &mut [0f64; PIECE][..cells];
                self.read_f64(src, values);
                self.write(values, out);
            }
        }
    }

    fn is_plain(&self) -> bool {
        self.scale == 1.0 && self.offset == 0.0
    }

    /// Reads and scales. Integers are always scaled, which by 1 and 0 leaves them as they are, unlike −0.0 and NaN.
    #[inline(always)]
    fn read_f32(&self, src: &[u8], out: &mut [f32]) {
        let (s, o) = (self.scale as f32, self.offset as f32);
        numbers!(self, src, out, v => v as f32 * s + o);
        match self.from {
            DType::F16 => bytemuck::cast_slice::<u8, f16>(src).convert_to_f32_slice(out),
            DType::F32 => out.copy_from_slice(bytemuck::cast_slice(src)),
            DType::F64 => map(bytemuck::cast_slice(src), out, |v: f64| v as f32),
            _ => return,
        }
        if !self.is_plain() {
            for v in out {
                *v = *v * s + o;
            }
        }
    }

    /// Reads and scales, as [`read_f32`](Self::read_f32).
    #[inline(always)]
    fn read_f64(&self, src: &[u8], out: &mut [f64]) {
        let (s, o) = (self.scale, self.offset);
        numbers!(self, src, out, v => v as f64 * s + o);
        match self.from {
            DType::F16 => {
                let values = &mut [0f32; PIECE][..out.len()];
                bytemuck::cast_slice::<u8, f16>(src).convert_to_f32_slice(values);
                map(values, out, f64::from);
            }
            DType::F32 => map(bytemuck::cast_slice(src), out, |v: f32| f64::from(v)),
            DType::F64 => out.copy_from_slice(bytemuck::cast_slice(src)),
            _ => return,
        }
        if !self.is_plain() {
            for v in out {
                *v = *v * s + o;
            }
        }
    }

    /// The largest of u64 become the largest i64, which no type but u64 itself tells apart; and that one isn't asked for.
    #[inline(always)]
    fn read_i64(&self, src: &[u8], out: &mut [i64]) {
        numbers!(self, src, out, v => (v as i128).min(i64::MAX.into()) as i64);
    }

    /// The nearest values of the table's type, an integer.
    #[inline(always)]
    fn write<V: Wide>(&self, values: &[V], out: &mut [u8]) {
        match self.to {
            DType::U8 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<u8>),
            DType::U16 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<u16>),
            DType::U32 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<u32>),
            DType::U64 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<u64>),
            DType::I8 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<i8>),
            DType::I16 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<i16>),
            DType::I32 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<i32>),
            DType::I64 => map(values, bytemuck::cast_slice_mut(out), V::nearest::<i64>),
            DType::Bool | DType::F16 | DType::F32 | DType::F64 => unreachable!("no integer"),
        }
    }
}

/// Small integers as float32, which is what most ask for. Alone, the loop is compiled to what it should be; among all the
/// others of [`Conversion::apply`] it is not.
fn widen<A: Copy + Into<f32>>(src: &[A], out: &mut [f32], scale: f32, offset: f32) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2.
        return unsafe { widen_avx2(src, out, scale, offset) };
    }
    widen_aligned(src, out, scale, offset);
}

/// The same, compiled for wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn widen_avx2<A: Copy + Into<f32>>(src: &[A], out: &mut [f32], scale: f32, offset: f32) {
    widen_aligned(src, out, scale, offset);
}

/// From where a line of the cache starts on: a store that lies in two of them takes twice as long.
#[inline(always)]
fn widen_aligned<A: Copy + Into<f32>>(src: &[A], out: &mut [f32], scale: f32, offset: f32) {
    let head = out.as_ptr().align_offset(64).min(out.len());
    let ((first, src), (begin, out)) = (src.split_at(head), out.split_at_mut(head));
    map(first, begin, |v| v.into() * scale + offset);
    map(src, out, |v| v.into() * scale + offset);
}

#[inline(always)]
fn map<A: Copy, B>(src: &[A], out: &mut [B], f: impl Fn(A) -> B) {
    for (value, slot) in src.iter().zip(out) {
        *slot = f(*value);
    }
}

/// The largest magnitude of an integer type.
fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::Bool => 1.0,
        DType::U8 => u8::MAX.into(),
        DType::U16 => u16::MAX.into(),
        DType::U32 => u32::MAX.into(),
        DType::U64 => u64::MAX as f64,
        DType::I8 => -f64::from(i8::MIN),
        DType::I16 => -f64::from(i16::MIN),
        DType::I32 => -f64::from(i32::MIN),
        DType::I64 => -(i64::MIN as f64),
        DType::F16 => f16::MAX.into(),
        DType::F32 => f32::MAX.into(),
        DType::F64 => f64::MAX,
    }
}

/// Whether every value of `from` is a value of `to`.
fn holds(to: DType, from: DType) -> bool {
    use DType::*;
    // (bits of magnitude, signed, fraction); a float counts its significand.
    let range = |dtype| match dtype {
        Bool => (1, false, false),
        U8 => (8, false, false),
        U16 => (16, false, false),
        U32 => (32, false, false),
        U64 => (64, false, false),
        I8 => (7, true, false),
        I16 => (15, true, false),
        I32 => (31, true, false),
        I64 => (63, true, false),
        F16 => (11, true, true),
        F32 => (24, true, true),
        F64 => (53, true, true),
    };
    let ((to_bits, to_signed, to_fraction), (bits, signed, fraction)) = (range(to), range(from));
    to_bits >= bits && (to_signed || !signed) && (to_fraction || !fraction)
}

/// Rounded once. By way of the nearest float32 it would be rounded twice; rounded to odd (cut off, with the last bit set if
/// anything was lost), the float32 keeps what the second rounding needs to know.
fn halved(value: f64) -> f16 {
    let near = value as f32;
    if !near.is_finite() || f64::from(near) == value {
        return f16::from_f32(near);
    }
    let cut = if f64::from(near).abs() > value.abs() { near.to_bits() - 1 } else { near.to_bits() };
    f16::from_f32(f32::from_bits(cut | 1))
}

/// A type that every integer can be rounded from.
trait Wide: Copy {
    /// The nearest value of the type, ties to even; NaN becomes 0.
    fn nearest<B: Integer>(self) -> B;
}

impl Wide for i64 {
    #[inline(always)]
    fn nearest<B: Integer>(self) -> B {
        B::saturating(self)
    }
}

impl Wide for f64 {
    #[inline(always)]
    fn nearest<B: Integer>(self) -> B {
        B::rounded(self)
    }
}

/// A number that pixels can be rounded to.
trait Integer {
    fn saturating(value: i64) -> Self;
    fn rounded(value: f64) -> Self;
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Integer for $t {
            #[inline(always)]
            fn saturating(value: i64) -> Self {
                // The greatest value of u64 is more than an i64.
                value.clamp(<$t>::MIN as i64, i64::try_from(<$t>::MAX).unwrap_or(i64::MAX)) as $t
            }
            #[inline(always)]
            fn rounded(value: f64) -> Self {
                value.round_ties_even() as $t
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

#[cfg(test)]
mod tests {
    use super::*;

    fn convert<A: bytemuck::Pod, B: bytemuck::Pod>(values: &[A], conversion: Conversion) -> Vec<B> {
        let mut out = vec![B::zeroed(); values.len()];
        conversion.apply(bytemuck::cast_slice(values), bytemuck::cast_slice_mut(&mut out));
        out
    }

    #[test]
    fn lossless_is_what_it_says() {
        let new = |from, to| Conversion::new(from, to, 1.0, 0.0, false);
        for (from, to) in [
            (DType::U8, DType::F16),
            (DType::U16, DType::F32),
            (DType::U32, DType::F64),
            (DType::I16, DType::I64),
            (DType::U8, DType::I16),
            (DType::F16, DType::F32),
            (DType::Bool, DType::U8),
        ] {
            assert!(new(from, to).unwrap().is_some(), "{from} to {to}");
        }
        for (from, to) in [
            (DType::U16, DType::F16),
            (DType::U32, DType::F32),
            (DType::I64, DType::F64),
            (DType::I8, DType::U8),
            (DType::U8, DType::I8),
            (DType::F64, DType::F32),
            (DType::F32, DType::I64),
        ] {
            let message = new(from, to).unwrap_err().to_string();
            assert!(message.contains(from.name()) && message.contains(to.name()), "{message}");
        }
        assert!(new(DType::U8, DType::U8).unwrap().is_none());
        assert!(Conversion::new(DType::U8, DType::U8, 2.0, 0.0, false).is_err());
        assert!(Conversion::new(DType::U8, DType::Bool, 1.0, 0.0, true).is_err());
        for scale in [f64::NAN, 1e39, 1e-46] {
            assert!(Conversion::new(DType::U8, DType::F32, scale, 0.0, true).is_err(), "{scale}");
        }
        assert!(Conversion::new(DType::U8, DType::F16, 300.0, 0.0, false).is_err());
    }

    #[test]
    fn small_integers_widen_wherever_they_go() {
        let numbers: Vec<u16> = (0..300).map(|i| i * 211).collect();
        let new = |from, scale, offset| Conversion::new(from, DType::F32, scale, offset, true).unwrap().unwrap();
        for (scale, offset) in [(1.0, 0.0), (1.0 / 255.0, -0.5)] {
            let float = |v: f32| v * scale as f32 + offset as f32;
            for (from, count) in (0..17).flat_map(|from| [0, 1, 15, 16, 63, 128, 280].map(|count| (from, count))) {
                let words = &numbers[from..from + count];
                let bytes: Vec<u8> = words.iter().map(|&word| word as u8).collect();
                let mut out = vec![0f32; from + count];
                new(DType::U16, scale, offset)
                    .apply(bytemuck::cast_slice(words), bytemuck::cast_slice_mut(&mut out[from..]));
                assert!(out[from..].iter().eq(&words.iter().map(|&v| float(v.into())).collect::<Vec<_>>()));
                new(DType::U8, scale, offset).apply(&bytes, bytemuck::cast_slice_mut(&mut out[from..]));
                assert!(out[from..].iter().eq(&bytes.iter().map(|&v| float(v.into())).collect::<Vec<_>>()));
            }
        }
    }

    #[test]
    fn values_are_scaled_rounded_and_saturated() {
        let lossy = |from, to, scale, offset| Conversion::new(from, to, scale, offset, true).unwrap().unwrap();
        let to_float = lossy(DType::U8, DType::F32, 1.0 / 255.0, -0.5);
        let expected: Vec<f32> = [0u8, 51, 255].iter().map(|&v| v as f32 * (1.0f32 / 255.0) - 0.5).collect();
        assert_eq!(convert::<u8, f32>(&[0, 51, 255], to_float), expected);
        let values = [-1.0f32, 0.5, 1.5, 2.5, 300.0, f32::NAN, f32::INFINITY];
        assert_eq!(convert::<f32, u8>(&values, lossy(DType::F32, DType::U8, 1.0, 0.0)), [0, 0, 2, 2, 255, 0, 255]);
        let near = [1.0 + 2f64.powi(-11) + 2f64.powi(-30), 65519.999];
        let expected = [f16::from_bits(0x3c01), f16::MAX];
        assert_eq!(convert::<f64, f16>(&near, lossy(DType::F64, DType::F16, 1.0, 0.0)), expected, "rounded once");
        let extremes = [i64::MIN, -1, i64::MAX];
        assert_eq!(convert::<i64, u64>(&extremes, lossy(DType::I64, DType::U64, 1.0, 0.0)), [0, 0, i64::MAX as u64]);
        assert_eq!(convert::<i64, i8>(&extremes, lossy(DType::I64, DType::I8, 1.0, 0.0)), [-128, -1, 127]);
        assert_eq!(convert::<u8, f64>(&[0, 1, 7], lossy(DType::Bool, DType::F64, 1.0, 0.0)), [0.0, 1.0, 1.0]);
    }
}
