//! Where window ids and coordinates repeat each other: 64-bit integers, most of which are one more than the last, or those of
//! the line of windows before.

use super::told::{Limits, Pattern, Repeat, Told};

/// Bytes of a number.
const WIDTH: usize = 8;

/// After so many steps of one the lowest byte is the same again.
const TURN: usize = 256;

/// After so many numbers it is seen whether they are worth it.
const LOOK: usize = 1024;

/// A shorter piece of the line before is not worth a look.
const LINE: usize = 8;

/// Fewer numbers are not worth to be told by what was a turn before.
const FAR: usize = 64;

/// The two lowest bytes of a number, as it lies in memory.
const LOWEST: u64 = u64::from_ne_bytes([0xff, 0, 0, 0, 0, 0, 0, 0]);
const SECOND: u64 = u64::from_ne_bytes([0, 0xff, 0, 0, 0, 0, 0, 0]);

/// Tells what of `bytes` repeats what was before; `false` if it is too little.
pub(super) fn tell<T: Told>(bytes: &[u8], to: &mut T) -> bool {
    // All but the lowest byte is as before; or all but the second lowest as a turn before, from there to the next lowest byte.
    let near = pattern(WIDTH, T::LIMITS);
    let far = pattern(WIDTH * TURN, T::LIMITS);
    to.begin(bytes.len());
    let end = bytes.len().saturating_sub(T::LIMITS.end) / WIDTH;
    let numbers = &bytes.as_chunks::<WIDTH>().0[..end];
    let mut line = Line::default();
    let mut i = 0;
    while i < end {
        let (number, at) = (u64::from_le_bytes(numbers[i]), i * WIDTH);
        let Some(before) = i.checked_sub(1).map(|i| u64::from_le_bytes(numbers[i])) else {
            to.literals(&numbers[0]);
            i += 1;
            continue;
        };
        if i.is_multiple_of(LOOK) && !worth(to) {
            return false;
        }
        if number < before {
            line = Line { begin: i, length: i - line.begin };
        }
        let like = |back: usize, but: u64| match i.checked_sub(back) {
            Some(from) if back > 0 && back * WIDTH <= T::LIMITS.distance => {
                common(&numbers[from..], &numbers[i..], !but)
            }
            _ => 0,
        };
        let (again, above) = (like(1, 0), like(line.length, 0));
        if again > 0 || above >= LINE {
            let (back, count) = if again >= above { (1, again) } else { (line.length, above) };
            to.repeat(back * WIDTH, count * WIDTH);
            i += count;
            continue;
        }
        let turn = like(TURN, SECOND);
        if turn >= FAR {
            to.literals(&bytes[at..=at]);
            let last = at + (turn - 1) * WIDTH + 1;
            to.rows(&bytes[at + 1..last], &far);
            to.literals(&bytes[last..=last]);
            to.repeat(TURN * WIDTH, WIDTH - 2);
            i += turn;
            continue;
        }
        match like(1, LOWEST) {
            0 => {
                // A carry, or something else.
                let other = WIDTH - (number ^ before).leading_zeros() as usize / 8;
                if WIDTH - other >= T::LIMITS.least {
                    to.literals(&bytes[at..at + other]);
                    to.repeat(WIDTH, WIDTH - other);
                } else {
                    to.literals(&numbers[i]);
                }
                i += 1;
            }
            count => {
                // Up to where they are the same again, or a line begins.
                let pairs = numbers[i..i + count].windows(2);
                let rises = |pair: &[[u8; WIDTH]]| u64::from_le_bytes(pair[0]) < u64::from_le_bytes(pair[1]);
                let count = pairs.take_while(|pair| rises(pair)).count() + 1;
                to.rows(&bytes[at..at + count * WIDTH], &near);
                i += count;
            }
        }
    }
    to.literals(&bytes[to.len()..]);
    worth(to)
}

/// Whether a codec that looks for itself would not find more.
fn worth(told: &impl Told) -> bool {
    told.lone() * 4 <= told.len()
}

/// A line of windows.
#[derive(Default)]
struct Line {
    begin: usize,
    /// How many numbers before stands the one in the line before.
    length: usize,
}

/// A byte, and others that stand `distance` before.
fn pattern(distance: usize, limits: Limits) -> Pattern {
    Pattern::new(WIDTH, vec![Repeat { at: 1, length: WIDTH - 1, distance }], limits)
}

/// How many numbers from the start are the same in these bits.
fn common(a: &[[u8; WIDTH]], b: &[[u8; WIDTH]], bits: u64) -> usize {
    let differ = |a: &[u8; WIDTH], b: &[u8; WIDTH]| (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)) & bits;
    let pairs = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
    let whole = pairs.take_while(|(a, b)| a.iter().zip(*b).fold(0, |all, (a, b)| all | differ(a, b)) == 0).count() * 16;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(a, b)| differ(a, b) == 0).count()
}

#[cfg(test)]
mod tests {
    use super::super::Sequences;
    use super::*;

    /// How many bytes so many numbers take, if they are told.
    fn taken(numbers: impl Iterator<Item = u64>) -> Option<usize> {
        let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        let (mut to, mut frame) = (Sequences::default(), Vec::new());
        if !tell(&bytes, &mut to) {
            return None;
        }
        assert!(to.compress(&bytes, &mut frame));
        assert!(zstd::bulk::decompress(&frame, bytes.len()).unwrap() == bytes);
        Some(frame.len())
    }

    fn noise(i: u64) -> u64 {
        i.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn ids_and_coordinates_take_little() {
        let all = 70_000..200_000u64;
        assert!(taken(all.clone()).unwrap() < 110_000);
        assert!(taken(all.clone().map(|i| i + u64::from(u32::MAX))).unwrap() < 110_000);
        for line in [1u64, 7, 255, 2041, 40_000] {
            // From the middle of a line, with a step, in padding.
            assert!(taken(all.clone().map(|i| i / line)).unwrap() < 110_000, "{line}");
            assert!(taken(all.clone().map(|i| i % line)).unwrap() < 60_000, "{line}");
            assert!(taken(all.clone().map(|i| i % line * 3)).unwrap() < 60_000, "{line}");
            assert!(taken(all.clone().map(|i| (i % line).wrapping_sub(3))).unwrap() < 60_000, "{line}");
        }
    }

    #[test]
    fn any_numbers_come_back() {
        for n in (1..20).chain([255, 256, 257, 258, 511, 512, 1000, 5000]) {
            for bits in 0..64 {
                taken((0..n).map(|i| noise(i) >> bits));
                taken((0..n).map(|i| i << bits));
                taken((0..n).map(|i| i + (1 << bits) - n.min(1 << bits)));
                taken((0..n).map(|i| i / 3 + (noise(i / 100) >> bits)));
            }
        }
        // Nothing to be told: the codec looks for itself.
        assert_eq!(taken((0..5000).map(noise)), None);
        assert!(!tell(&[1, 2, 3], &mut Sequences::default()));
    }
}
