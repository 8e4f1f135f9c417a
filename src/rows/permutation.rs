//! [`Permutation`]: the numbers below n in an order that looks random, in a few bytes whatever n is.

use std::ops::Range;

/// An order of the numbers `0..n` that follows from (seed, epoch, n) alone, in constant memory: any place of it is
/// computed by itself, forward and back.
///
/// ```
/// use windrow::Permutation;
///
/// let order = Permutation::new(5, 42, 0);
/// let mut all: Vec<_> = (0..5).map(|place| order.get(place)).collect();
/// assert!((0..5).all(|place| order.place(order.get(place)) == place));
/// all.sort();
/// assert_eq!(all, [0, 1, 2, 3, 4]);
/// ```
///
/// # The order, exactly
/// It is the same in every language and version; all arithmetic is in 64 bits and wraps.
///
/// - `mix(z)` is the finalizer of SplitMix64: `z ^= z >> 30; z *= 0xbf58476d1ce4e5b9; z ^= z >> 27;
///   z *= 0x94d049bb133111eb; z ^= z >> 31`. With `g = 0x9e3779b97f4a7c15`, `h = mix(mix(mix(seed + g) + epoch + g) + n)`.
/// - `s`, the side, is the least whole number with s·s ≥ n. A number x below s·s is a pair, `x = l·s + r`.
/// - A pass has [`ROUNDS`](Self::ROUNDS) rounds, i from 0. Round i has the key `k = mix(h + (i + 1)·g)`. If i is even,
///   `l = (l + f(r)) mod s`, otherwise `r = (r + f(l)) mod s`, where `f(v)` is the upper 64 bits of the 128 bits of
///   `mix(v + k) · s`.
/// - The number at a place x is what passes give, the first of x and each next one of the result before, until one
///   gives a number below n (*cycle walking*). Since s·s is at most 2·√n larger than n, one pass mostly does.
///
/// This is a Feistel network over pairs: each round can be undone, so a pass is a bijection of the numbers below s·s, and
/// walking makes it one of those below n.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permutation {
    n: u64,
    side: u64,
    keys: [u64; Permutation::ROUNDS],
}

/// Numbers that are computed together: with vectors, or one by one but in turns.
const WIDE_LANES: usize = 32;
const LANES: usize = 8;

/// Numbers that are listed at once.
const PIECE: u64 = 1 << 10;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Permutation {
    /// Rounds of a pass.
    pub const ROUNDS: usize = 8;

    /// The order of the numbers `0..n` with this seed; every epoch has another one. Grids have fewer than 2⁶² windows;
    /// larger n are taken for that.
    pub fn new(n: u64, seed: u64, epoch: u64) -> Self {
        let n = n.min(1 << 62);
        let side = if n == 0 { 1 } else { (n - 1).isqrt() + 1 };
        let epoch = mix(seed.wrapping_add(GOLDEN)).wrapping_add(epoch).wrapping_add(GOLDEN);
        let h = mix(mix(epoch).wrapping_add(n));
        let keys = std::array::from_fn(|i| mix(h.wrapping_add(GOLDEN.wrapping_mul(i as u64 + 1))));
        Self { n, side, keys }
    }

    /// How many numbers.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The number at a place. Of a place that is not below n, it is the place itself.
    pub fn get(&self, place: u64) -> u64 {
        if place >= self.n {
            return place;
        }
        self.get_from(place)
    }

    /// The first number below n that passes give.
    fn get_from(&self, mut x: u64) -> u64 {
        loop {
            x = self.pass(x);
            if x < self.n {
                return x;
            }
        }
    }

    /// Appends the numbers at these places, which are below n.
    pub(crate) fn extend(&self, places: Range<u64>, numbers: &mut Vec<u64>) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            return unsafe { self.extend_avx2(places, numbers) };
        }
        self.extend_by::<LANES>(places, numbers, |key, v| self.round(key, v));
    }

    /// The numbers at the first places, of which there are so many.
    pub(crate) fn numbers(&self, count: u64) -> impl Iterator<Item = u64> + '_ {
        (0..count).step_by(PIECE as usize).flat_map(move |first| {
            let mut numbers = Vec::with_capacity(PIECE as usize);
            self.extend(first..count.min(first + PIECE), &mut numbers);
            numbers
        })
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn extend_avx2(&self, places: Range<u64>, numbers: &mut Vec<u64>) {
        self.extend_by::<WIDE_LANES>(places, numbers, |key, v| self.round_in_halves(key, v));
    }

    /// Round by round for many at a time: each waits for its own multiplications, and they don't for each other.
    #[inline(always)]
    fn extend_by<const LANES: usize>(
        &self,
        places: Range<u64>,
        numbers: &mut Vec<u64>,
        round: impl Fn(u64, u64) -> u64,
    ) {
        let (mut l, mut r) = ([0; LANES], [0; LANES]);
        let mut next = places.start;
        let (mut high, mut low) = (next / self.side, next % self.side);
        while next < places.end {
            let count = (places.end - next).min(LANES as u64) as usize;
            for (l, r) in l.iter_mut().zip(&mut r) {
                (*l, *r) = (high, low);
                low += 1;
                if low == self.side {
                    (high, low) = (high + 1, 0);
                }
            }
            for pair in self.keys.as_chunks::<2>().0 {
                for (l, r) in l.iter_mut().zip(&r) {
                    *l = self.add(*l, round(pair[0], *r));
                }
                for (r, l) in r.iter_mut().zip(&l) {
                    *r = self.add(*r, round(pair[1], *l));
                }
            }
            let first = numbers.len();
            numbers.extend(l.iter().zip(&r).take(count).map(|(l, r)| l * self.side + r));
            for x in &mut numbers[first..] {
                if *x >= self.n {
                    *x = self.get_from(*x);
                }
            }
            next += count as u64;
        }
    }

    /// The place of a number: the inverse of [`get`](Self::get).
    pub fn place(&self, number: u64) -> u64 {
        if number >= self.n {
            return number;
        }
        let mut x = number;
        loop {
            x = self.undo(x);
            if x < self.n {
                return x;
            }
        }
    }

    fn pass(&self, x: u64) -> u64 {
        let (mut l, mut r) = (x / self.side, x % self.side);
        for pair in self.keys.chunks_exact(2) {
            l = self.add(l, self.round(pair[0], r));
            r = self.add(r, self.round(pair[1], l));
        }
        l * self.side + r
    }

    fn undo(&self, x: u64) -> u64 {
        let (mut l, mut r) = (x / self.side, x % self.side);
        for pair in self.keys.chunks_exact(2).rev() {
            r = self.add(r, self.side - self.round(pair[1], l));
            l = self.add(l, self.side - self.round(pair[0], r));
        }
        l * self.side + r
    }

    /// A number below the side, from a key and a number.
    fn round(&self, key: u64, v: u64) -> u64 {
        ((u128::from(mix(v.wrapping_add(key))) * u128::from(self.side)) >> 64) as u64
    }

    /// The same number, by multiplications of 32 bits alone, as vectors have them: the side is at most 2³¹.
    #[inline(always)]
    fn round_in_halves(&self, key: u64, v: u64) -> u64 {
        let (mixed, side) = (mix(v.wrapping_add(key)), u64::from(self.side as u32));
        ((mixed >> 32) * side + (((mixed & 0xffff_ffff) * side) >> 32)) >> 32
    }

    /// The sum modulo the side; the second number may be the side itself.
    #[inline(always)]
    fn add(&self, a: u64, b: u64) -> u64 {
        // As signed numbers, which vectors can compare.
        let (sum, side) = ((a + b) as i64, self.side as i64);
        let over = sum - side;
        (over + (over >> 63 & side)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_bijective(n: u64, seed: u64) {
        let order = Permutation::new(n, seed, n);
        let mut seen = vec![false; n as usize];
        for place in 0..n {
            let number = order.get(place);
            assert!(!std::mem::replace(&mut seen[number as usize], true), "{number} is twice among {n}");
            assert_eq!(order.place(number), place);
        }
        let mut all = Vec::new();
        order.extend(0..n / 3, &mut all);
        order.extend(n / 3..n, &mut all);
        assert!(all.iter().enumerate().all(|(place, &number)| number == order.get(place as u64)));
    }

    #[test]
    fn every_number_once() {
        for n in (0..600).chain((600..1 << 16).step_by(997)).chain([1 << 16, (1 << 16) - 1, (1 << 16) + 1]) {
            assert_bijective(n, 7);
        }
    }

    /// Every n up to 2¹⁶, by all that a pass is made of: a round adds to one number of a pair what follows from the other
    /// alone, modulo the side. So it is a bijection of pairs if what it adds is below the side, and adding goes round
    /// (which the next test shows for every side); and rounds one after the other are one.
    #[test]
    fn every_round_is_a_bijection_for_every_n() {
        use rayon::prelude::*;
        (1..=1u64 << 16).into_par_iter().for_each(|n| {
            let order = Permutation::new(n, n, 0);
            let side = order.side;
            assert!(side * side >= n && (side - 1) * (side - 1) < n);
            for (key, v) in order.keys.iter().flat_map(|&key| (0..side).map(move |v| (key, v))) {
                let added = order.round(key, v);
                assert!(added < side, "{added} of {v} among {n}");
                assert_eq!(order.round_in_halves(key, v), added);
            }
            // A pass is made of these rounds, and goes back.
            for place in [0, n / 3, n - 1] {
                assert!(order.get(place) < n && order.place(order.get(place)) == place);
            }
        });
    }

    #[test]
    fn adding_goes_round_for_every_side() {
        for side in 1..=256 {
            let order = Permutation { n: side * side, side, keys: [0; Permutation::ROUNDS] };
            for (a, b) in (0..side).flat_map(|a| (0..=side).map(move |b| (a, b))) {
                assert_eq!(order.add(a, b), (a + b) % side);
            }
        }
    }

    /// Every n up to 2¹¹ and many more up to 2¹⁶, number by number.
    #[test]
    fn every_number_once_for_many_n() {
        use rayon::prelude::*;
        let many: Vec<_> = (0..=1 << 11).chain((1 << 11..1 << 16).step_by(101)).chain([1 << 16]).collect();
        many.into_par_iter().for_each(assert_all_once);
    }

    /// Every n up to 2¹⁶, number by number: two thousand million of them.
    #[test]
    #[ignore = "half a minute with --release, minutes without"]
    fn every_number_once_for_every_n() {
        use rayon::prelude::*;
        (0..=1u64 << 16).into_par_iter().for_each(assert_all_once);
    }

    fn assert_all_once(n: u64) {
        let mut numbers = Vec::with_capacity(n as usize);
        Permutation::new(n, n, 0).extend(0..n, &mut numbers);
        // So many below n, and as many that differ.
        let mut seen = vec![0u64; n.div_ceil(64) as usize];
        numbers.iter().for_each(|&number| seen[(number / 64) as usize] |= 1 << (number % 64));
        let differ: u64 = seen.iter().map(|word| u64::from(word.count_ones())).sum();
        assert_eq!((numbers.len() as u64, differ, numbers.iter().max().map_or(0, |max| max + 1)), (n, n, n));
    }

    #[test]
    fn large_orders_go_back() {
        for i in 0..2000u64 {
            let n = (mix(i) >> 24).max(1);
            let order = Permutation::new(n, i, 1);
            let mut numbers: Vec<_> = (0..50).map(|j| mix(i * 50 + j) % n).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let mut images: Vec<_> = numbers.iter().map(|&place| order.get(place)).collect();
            assert!(images.iter().all(|&image| image < n));
            assert!(numbers.iter().zip(&images).all(|(&place, &image)| order.place(image) == place));
            images.sort_unstable();
            images.dedup();
            assert_eq!(images.len(), numbers.len());
        }
        let order = Permutation::new(1 << 62, 3, 0);
        assert_eq!(order.place(order.get((1 << 62) - 1)), (1 << 62) - 1);
    }

    /// What stands in files has this order for ever: change nothing here.
    #[test]
    fn the_order_is_fixed() {
        let first = |n, seed, epoch| -> Vec<u64> {
            let order = Permutation::new(n, seed, epoch);
            (0..6).map(|place| order.get(place)).collect()
        };
        for (n, seed, epoch, numbers) in VECTORS {
            assert_eq!(first(n, seed, epoch), numbers, "n {n}, seed {seed}, epoch {epoch}");
        }
    }

    /// Computed by another implementation, `python/tests/test_rows.py`, which has them too.
    const VECTORS: [(u64, u64, u64, [u64; 6]); 5] = [
        (6, 0, 0, [0, 5, 4, 1, 2, 3]),
        (10, 42, 0, [6, 4, 8, 5, 7, 2]),
        (1000, 1, 7, [557, 889, 1, 634, 335, 105]),
        (16_728_996, u64::MAX, 0, [8199959, 14567352, 16144974, 7365858, 13054253, 12939822]),
        (1 << 40, 5, 1 << 33, [281285716672, 245326650731, 201813728588, 123298623466, 1094108129462, 161475281528]),
    ];

    /// Pearson's statistic of counts that should all be the same, in standard deviations from what it should be.
    fn deviation(counts: &[u32]) -> f64 {
        let freedom = counts.len() as f64 - 1.0;
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        (chi - freedom) / (2.0 * freedom).sqrt()
    }

    #[test]
    fn pairs_are_uniform() {
        for n in [2u64, 3, 4, 5, 7, 9, 10, 16, 17, 25, 40] {
            for (a, b) in [(0, 1), (0, n - 1), (n / 2, n - 1)] {
                if a == b {
                    continue;
                }
                let mut counts = vec![0; (n * n) as usize];
                for seed in 0..n * (n - 1) * 200 {
                    let order = Permutation::new(n, seed, 3);
                    counts[(order.get(a) * n + order.get(b)) as usize] += 1;
                }
                let pairs = counts.iter().enumerate().filter(|(i, _)| i / n as usize != i % n as usize);
                let counts: Vec<u32> = pairs.map(|(_, &count)| count).collect();
                let off = deviation(&counts);
                assert!(off < 4.5, "places {a} and {b} of {n}: {off} standard deviations");
            }
        }
    }

    #[test]
    fn neighbours_are_independent() {
        // Where two neighbours go, in a raster of 16 by 16 over all numbers, over all places of one order.
        for (n, seed) in [(100_003u64, 1), (1 << 20, 2), (1 << 34, 3)] {
            let order = Permutation::new(n, seed, 0);
            let part = |x: u64| (u128::from(x) * 16 / u128::from(n)) as usize;
            let mut counts = vec![0; 256];
            for place in 0..100_000 {
                counts[part(order.get(place)) * 16 + part(order.get(place + 1))] += 1;
            }
            let off = deviation(&counts);
            assert!(off.abs() < 4.5, "{n}: {off} standard deviations");
        }
    }
}
