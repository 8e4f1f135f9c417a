//! [`Divisor`]: division by a number that stays the same, for many others.

/// Divides numbers below a bound by one number: a multiplication where that is exact, which takes a tenth of the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divisor {
    number: u64,
    /// 2⁶⁴ divided by the number, rounded up; 0 where numbers are divided in the usual way.
    inverse: u64,
}

impl Divisor {
    /// For numbers below `bound`. None is divided by 0: then it is divided by 1.
    pub(crate) fn new(number: u64, bound: u64) -> Self {
        let number = number.max(1);
        let inverse = (u128::from(u64::MAX) + 1).div_ceil(u128::from(number));
        // x·inverse is x·2⁶⁴/number, and x·excess/number more. What is more must not reach the next whole number.
        let excess = inverse * u128::from(number) - (1 << 64);
        let exact = u128::from(bound) * excess <= 1 << 64;
        Self { number, inverse: u64::try_from(inverse).ok().filter(|_| exact).unwrap_or(0) }
    }

    /// How often it goes into a number below the bound, and what is left.
    #[inline(always)]
    pub(crate) fn divide(self, x: u64) -> (u64, u64) {
        let quotient = self.quotient(x);
        (quotient, x - quotient * self.number)
    }

    /// How often it goes into a number below the bound.
    #[inline(always)]
    pub(crate) fn quotient(self, x: u64) -> u64 {
        if self.inverse == 0 {
            return x / self.number;
        }
        ((u128::from(x) * u128::from(self.inverse)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_division(number in 1..=u64::MAX, few in 0..64u32, bound in 1..=u64::MAX, less in 0..64u32, x in any::<u64>()) {
            let (number, bound) = ((number >> few).max(1), (bound >> less).max(1));
            let divisor = Divisor::new(number, bound);
            let multiple = (x % bound / number * number).min(bound - 1);
            for x in [0, x % bound, bound - 1, multiple, multiple.saturating_sub(1)] {
                prop_assert_eq!(divisor.divide(x), (x / number, x % number));
            }
        }
    }

    #[test]
    fn usual_grids_are_multiplied() {
        for line in [2, 4089, 31_623, 1 << 20] {
            assert_ne!(Divisor::new(line, 1_000_000_000).inverse, 0);
        }
    }
}
