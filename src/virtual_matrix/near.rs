//! Whether pieces are made in the places that their reader has just left.
//!
//! Where the reader and we share the last cache, such a place is still there, and both write and read it twice as fast. Where
//! we don't, each line of it is fetched from the other's cache first, and that takes eight times as long as pages that nobody
//! has seen for a while. Which of both it is, the system doesn't tell, and on a virtual machine it changes: so it is timed.

use std::time::Duration;

/// Fewer bytes tell nothing.
const LEAST: usize = 256 << 10;

/// So many pieces are tried before they are judged.
const TRIED: usize = 4;

/// So many pieces later they are tried again.
const AGAIN: usize = 1024;

/// What pieces take, near to their reader and far from it.
#[derive(Default)]
pub(super) struct Near {
    near: Mean,
    far: Mean,
    /// Pieces until the places that were just left are tried again.
    pause: usize,
}

/// A moving mean of nanoseconds a MiB.
#[derive(Default)]
struct Mean {
    value: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        // Who had to wait for a processor tells little.
        let value = if self.count > 0 { value.min(4.0 * self.value) } else { value };
        self.value += (value - self.value) / (self.count + 1).min(TRIED) as f64;
        self.count += 1;
    }
}

impl Near {
    /// Whether to make the next piece near.
    pub(super) fn is_next(&mut self) -> bool {
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    /// Hears how long it took to write so many bytes.
    pub(super) fn took(&mut self, near: bool, bytes: usize, time: Duration) {
        if bytes < LEAST {
            return;
        }
        let value = time.as_nanos() as f64 / bytes as f64 * f64::from(1 << 20);
        if !near {
            return self.far.add(value);
        }
        self.near.add(value);
        if self.near.count >= TRIED && self.far.count > 0 && self.near.value > 1.5 * self.far.value {
            (self.near, self.pause) = (Mean::default(), AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many pieces are made near, if these are the microseconds of either.
    fn count(near: &mut Near, pieces: usize, times: [u64; 2]) -> usize {
        let next = |_: &usize| {
            let chosen = near.is_next();
            near.took(chosen, 2 << 20, Duration::from_micros(times[usize::from(!chosen)]));
            chosen
        };
        (0..pieces).filter(next).count()
    }

    #[test]
    fn places_that_are_slower_are_left_alone() {
        let mut near = Near::default();
        near.took(false, 2 << 20, Duration::from_micros(90));
        assert_eq!(count(&mut near, 1000, [50, 90]), 1000);
        near.took(true, 2 << 20, Duration::from_millis(40));
        assert_eq!(count(&mut near, 1000, [50, 90]), 1000, "once is no reason");
        assert!(count(&mut near, 3000, [600, 150]) < 20);
        assert!(count(&mut near, 3000, [50, 90]) > 1900, "and are tried again");
        near.took(true, 4096, Duration::from_secs(1));
        assert_eq!(count(&mut near, 10, [50, 90]), 10);
    }
}
