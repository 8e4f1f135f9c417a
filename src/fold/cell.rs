//! The types of values, of the sums that are made of them, and of the cells that come out.

use half::f16;

use crate::Pixel;

/// The type of a value. A `bool` is taken as a `u8` of 0 or 1.
pub(super) trait Cell: Pixel + bytemuck::AnyBitPattern + PartialOrd + Default {
    /// What values are summed in: wide enough that integers stay exact.
    type Sum: Sum;

    fn sum(self) -> Self::Sum;

    fn to_f64(self) -> f64;

    /// Whether this is not a number.
    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }
}

/// What values are summed in.
pub(super) trait Sum: bytemuck::Pod + Send + Sync {
    /// Values whose sum is sure to fit, as a power of two.
    const ROOM: u32;

    /// Whether sums are integers.
    const WHOLE: bool;

    fn add(&mut self, other: Self);

    /// The sum over `n`, which is not 0: of integers the nearest one, ties to even.
    fn mean(self, n: u32) -> Self;

    fn to_i128(self) -> i128;

    fn to_f64(self) -> f64;
}

/// The type of a cell of the image; `None` where it can't hold a number.
pub(super) trait Out: Pixel {
    fn of_whole(value: i128) -> Option<Self>;

    fn of_float(value: f64) -> Option<Self>;
}

macro_rules! integers {
    ($($t:ty => $sum:ty),* $(,)?) => {$(
        impl Cell for $t {
            type Sum = $sum;
            #[inline(always)]
            fn sum(self) -> $sum {
                self.into()
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
        impl Out for $t {
            fn of_whole(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
            fn of_float(value: f64) -> Option<Self> {
                // The nearest whole number; beyond 2^65 it is none of these types.
                let value = value.round_ties_even();
                if value.abs() < 3.7e19 { (value as i128).try_into().ok() } else { None }
            }
        }
    )*};
}
integers! { u8 => i32, i8 => i32, u16 => i64, i16 => i64, u32 => i64, i32 => i64, u64 => i128, i64 => i128 }

macro_rules! floats {
    ($($t:ty, $to:expr, $from:expr);*) => {$(
        impl Cell for $t {
            type Sum = f64;
            #[inline(always)]
            fn sum(self) -> f64 {
                $to(self)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to(self)
            }
        }
        impl Out for $t {
            fn of_whole(value: i128) -> Option<Self> {
                Some($from(value as f64))
            }
            fn of_float(value: f64) -> Option<Self> {
                Some($from(value))
            }
        }
    )*};
}
floats! { f16, f16::to_f64, f16::from_f64; f32, f64::from, |v: f64| v as f32; f64, |v: f64| v, |v: f64| v }

impl Out for bool {
    fn of_whole(value: i128) -> Option<Self> {
        (0..=1).contains(&value).then_some(value == 1)
    }

    fn of_float(value: f64) -> Option<Self> {
        u8::of_float(value).and_then(|value| Self::of_whole(value.into()))
    }
}

macro_rules! sums {
    ($($sum:ty, $room:literal);* $(;)?) => {$(
        impl Sum for $sum {
            const ROOM: u32 = $room;
            const WHOLE: bool = true;
            #[inline(always)]
            fn add(&mut self, other: Self) {
                // The number of summands is checked before, so that no sum wraps.
                *self = self.wrapping_add(other);
            }
            fn mean(self, n: u32) -> Self {
                let n = n as $sum;
                let (mean, rest) = (self.div_euclid(n), self.rem_euclid(n));
                mean + <$sum>::from(rest > n - rest || (rest == n - rest && mean % 2 != 0))
            }
            fn to_i128(self) -> i128 {
                self.into()
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
// i32 for 8 bits, i64 for 32 bits at most, i128 for 64 bits.
sums! { i32, 23; i64, 31; i128, 63 }

impl Sum for f64 {
    const ROOM: u32 = 63;
    const WHOLE: bool = false;
    #[inline(always)]
    fn add(&mut self, other: Self) {
        *self += other;
    }
    fn mean(self, n: u32) -> Self {
        self / f64::from(n)
    }
    fn to_i128(self) -> i128 {
        self as i128
    }
    fn to_f64(self) -> f64 {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_the_nearest_and_ties_are_even() {
        for (sum, n, mean) in
            [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (10, 3, 3), (11, 3, 4), (-10, 3, -3), (-11, 3, -4)]
        {
            assert_eq!((Sum::mean(sum, n), Sum::mean(i64::from(sum), n)), (mean, i64::from(mean)), "{sum} / {n}");
            assert_eq!(Sum::mean(i128::from(sum), n), i128::from(mean));
        }
        let most = i128::from(u64::MAX);
        assert_eq!(Sum::mean(most * 4_000_000_000, 4_000_000_000), most);
        assert_eq!(Sum::mean(i32::MAX, 1 << 22), 512);
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!((u8::of_whole(255), u8::of_whole(256), u8::of_whole(-1)), (Some(255), None, None));
        assert_eq!((i8::of_float(2.5), i8::of_float(-3.5), i8::of_float(f64::NAN)), (Some(2), Some(-4), None));
        assert_eq!((u64::of_float(f64::INFINITY), u64::of_float(1e19)), (None, Some(10_000_000_000_000_000_000)));
        assert_eq!((bool::of_whole(1), bool::of_whole(2), bool::of_float(0.4)), (Some(true), None, Some(false)));
        assert_eq!(f16::of_float(0.1), Some(f16::from_f64(0.1)));
    }
}
