//! Pixels in another type, on the way: `value · scale + offset`.

use half::f16;

use crate::{DType, Error, Pixel, Result};

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

    /// Converts densely packed cells. Both slices are aligned for their type and have as many cells.
    pub(crate) fn apply(&self, src: &[u8], out: &mut [u8]) {
        macro_rules! from {
            ($($dtype:ident => $t:ty),*) => {
                match self.from { $(DType::$dtype => self.apply_from::<$t>(src, out)),* }
            };
        }
        from!(Bool => Truth, U8 => u8, U16 => u16, U32 => u32, U64 => u64, I8 => i8, I16 => i16, I32 => i32, I64 => i64,
              F16 => f16, F32 => f32, F64 => f64)
    }

    fn apply_from<A: Number>(&self, src: &[u8], out: &mut [u8]) {
        let src: &[A] = bytemuck::cast_slice(src);
        let plain = self.scale == 1.0 && self.offset == 0.0;
        let (s, o) = (self.scale as f32, self.offset as f32);
        match self.to {
            DType::F32 if plain => map(src, out, A::to_f32),
            DType::F32 => map(src, out, |v: A| v.to_f32() * s + o),
            DType::F16 if plain => map(src, out, A::to_f16),
            DType::F16 => map(src, out, |v: A| f16::from_f32(v.to_f32() * s + o)),
            DType::F64 if plain => map(src, out, A::to_f64),
            DType::F64 => map(src, out, |v: A| v.to_f64() * self.scale + self.offset),
            DType::Bool => unreachable!("refused by Conversion::new"),
            DType::U8 => self.apply_to::<A, u8>(src, out),
            DType::U16 => self.apply_to::<A, u16>(src, out),
            DType::U32 => self.apply_to::<A, u32>(src, out),
            DType::U64 => self.apply_to::<A, u64>(src, out),
            DType::I8 => self.apply_to::<A, i8>(src, out),
            DType::I16 => self.apply_to::<A, i16>(src, out),
            DType::I32 => self.apply_to::<A, i32>(src, out),
            DType::I64 => self.apply_to::<A, i64>(src, out),
        }
    }

    fn apply_to<A: Number, B: Integer>(&self, src: &[A], out: &mut [u8]) {
        if self.scale == 1.0 && self.offset == 0.0 && !self.from.is_float() {
            map(src, out, |v: A| B::saturating(v.to_i128()));
        } else {
            map(src, out, |v: A| B::rounded(v.to_f64() * self.scale + self.offset));
        }
    }
}

fn map<A: Number, B: bytemuck::Pod>(src: &[A], out: &mut [u8], f: impl Fn(A) -> B) {
    for (value, slot) in src.iter().zip(bytemuck::cast_slice_mut::<u8, B>(out)) {
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

/// A number that pixels can be read as.
trait Number: bytemuck::Pod {
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn to_i128(self) -> i128;

    /// Rounded once: an integer that float16 holds at all is exact in float32.
    fn to_f16(self) -> f16 {
        f16::from_f32(self.to_f32())
    }
}

/// A number that pixels can be rounded to.
trait Integer: Pixel + bytemuck::Pod {
    /// The nearest value of the type.
    fn saturating(value: i128) -> Self;
    /// The nearest value of the type, ties to even; NaN becomes 0.
    fn rounded(value: f64) -> Self;
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Number for $t {
            fn to_f32(self) -> f32 { self as f32 }
            fn to_f64(self) -> f64 { self as f64 }
            fn to_i128(self) -> i128 { self as i128 }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i8, i16, i32, i64, f32);

impl Number for f64 {
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn to_i128(self) -> i128 {
        self as i128
    }
    fn to_f16(self) -> f16 {
        // By way of the nearest float32 it would be rounded twice. Rounded to odd (cut off, with the last bit set if
        // anything was lost), the float32 keeps what the second rounding needs to know.
        let near = self as f32;
        if !near.is_finite() || f64::from(near) == self {
            return f16::from_f32(near);
        }
        let cut = if f64::from(near).abs() > self.abs() { near.to_bits() - 1 } else { near.to_bits() };
        f16::from_f32(f32::from_bits(cut | 1))
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Integer for $t {
            fn saturating(value: i128) -> Self { value.clamp(<$t>::MIN as i128, <$t>::MAX as i128) as $t }
            fn rounded(value: f64) -> Self { value.round_ties_even() as $t }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

impl Number for f16 {
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn to_f64(self) -> f64 {
        f16::to_f64(self)
    }
    fn to_i128(self) -> i128 {
        f16::to_f64(self) as i128
    }
}

/// The byte of a bool: zero is false, anything else true.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
struct Truth(u8);

impl Number for Truth {
    fn to_f32(self) -> f32 {
        self.to_i128() as f32
    }
    fn to_f64(self) -> f64 {
        self.to_i128() as f64
    }
    fn to_i128(self) -> i128 {
        i128::from(self.0 != 0)
    }
}

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
