//! Finite state entropy, as "FSE" in the description of Zstandard's format (RFC 8878, 4.1): a number says a symbol and what
//! comes before it, and takes as many bits as the symbol is rare.

use super::bits::Bits;

/// The least number of bits of a state, by the format.
const LEAST_LOG: u32 = 5;

/// How a symbol changes a state.
#[derive(Clone, Copy, Default)]
struct Change {
    /// Added to a state: the bits to be written, 16 bits up.
    bits: u32,
    /// Where its next states lie.
    states: i32,
}

/// Writes symbols with these frequencies.
#[derive(Default)]
pub(super) struct Table {
    log: u32,
    /// How many of the states say each symbol.
    shares: Vec<u32>,
    symbols: Vec<u8>,
    changes: Vec<Change>,
    next: Vec<u16>,
}

impl Table {
    /// A table of this symbol alone, which takes no bits.
    pub(super) fn one(&mut self, symbol: u8) {
        self.log = 0;
        self.next.clear();
        self.next.push(0);
        self.changes.clear();
        self.changes.resize(usize::from(symbol) + 1, Change::default());
    }

    /// A table for symbols that come so often, of which two come at all; states have at most so many bits.
    pub(super) fn of(&mut self, counts: &[u32], most_log: u32) {
        let total: u32 = counts.iter().sum();
        let kinds = counts.iter().filter(|&&count| count > 0).count() as u32;
        // Small where that is precise: what repeats itself is then seen soon to do so.
        let least = LEAST_LOG.max(kinds.ilog2() + 1);
        self.share(counts, total, least);
        let near = |(&count, &share): (&u32, &u32)| {
            let (is, wanted) = (u64::from(share) * u64::from(total), u64::from(count) << least);
            is.abs_diff(wanted) * 16 <= wanted
        };
        if !counts.iter().zip(&self.shares).all(near) {
            self.share(counts, total, (total.ilog2().saturating_sub(2)).clamp(least, most_log.max(least)));
        }
        self.build();
    }

    /// Gives each symbol its share of the states: one at least.
    fn share(&mut self, counts: &[u32], total: u32, log: u32) {
        self.log = log;
        self.shares.clear();
        let share = |&count: &u32| match count {
            0 => 0,
            count => (((u64::from(count) << (log + 1)) / u64::from(total)).div_ceil(2) as u32).max(1),
        };
        self.shares.extend(counts.iter().map(share));
        while self.shares.last() == Some(&0) {
            self.shares.pop();
        }
        let mut sum: u32 = self.shares.iter().sum();
        let all = 1 << log;
        // Who has most gives, or takes, what is too much or too little.
        while sum != all {
            let Some(most) = self.shares.iter_mut().max() else { return };
            if sum < all {
                *most += all - sum;
                sum = all;
            } else {
                let given = (sum - all).min(*most / 4).max(1);
                *most -= given;
                sum -= given;
            }
        }
    }

    fn build(&mut self) {
        let size = 1usize << self.log;
        let (step, mut at) = ((size >> 1) + (size >> 3) + 3, 0);
        self.symbols.clear();
        self.symbols.resize(size, 0);
        for (symbol, &share) in self.shares.iter().enumerate() {
            for _ in 0..share {
                self.symbols[at] = symbol as u8;
                at = (at + step) & (size - 1);
            }
        }
        self.changes.clear();
        let (mut starts, mut start) = ([0usize; 256], 0);
        for (symbol, &share) in self.shares.iter().enumerate() {
            starts[symbol] = start as usize;
            let bits = self.log - if share > 1 { (share - 1).ilog2() } else { 0 };
            let bits = (bits << 16).wrapping_sub(share << bits);
            self.changes.push(Change { bits, states: start as i32 - share as i32 });
            start += share;
        }
        self.next.clear();
        self.next.resize(size, 0);
        for (i, &symbol) in self.symbols.iter().enumerate() {
            let start = &mut starts[usize::from(symbol)];
            self.next[*start] = (size + i) as u16;
            *start += 1;
        }
    }

    /// Appends what a reader has to know of the table; `bits` is memory.
    pub(super) fn describe(&self, bits: &mut Bits, out: &mut Vec<u8>) {
        bits.begin(2 * self.shares.len() + 1);
        bits.add(u64::from(self.log - LEAST_LOG), 4);
        let mut left = (1u32 << self.log) + 1;
        let (mut threshold, mut width) = (1u32 << self.log, self.log + 1);
        let mut symbol = 0;
        while symbol < self.shares.len() {
            let share = self.shares[symbol];
            symbol += 1;
            // Low numbers take a bit less, where not all that `width` bits can say may come.
            let short = 2 * threshold - 1 - left;
            left -= share;
            let number = if share + 1 < threshold { share + 1 } else { share + 1 + short };
            bits.add(number.into(), width - u32::from(number < short));
            if share == 0 {
                // How many more have no share, in threes.
                let zeros = self.shares[symbol..].iter().take_while(|&&share| share == 0).count();
                symbol += zeros;
                (0..zeros / 3).for_each(|_| bits.add(3, 2));
                bits.add((zeros % 3) as u64, 2);
            }
            while left < threshold {
                width -= 1;
                threshold >>= 1;
            }
        }
        out.extend_from_slice(bits.whole());
    }

    /// The state that says a symbol, and nothing before it.
    #[inline]
    pub(super) fn first(&self, symbol: u8) -> u32 {
        if self.log == 0 {
            return 0;
        }
        let change = self.changes[usize::from(symbol)];
        let bits = change.bits.wrapping_add(1 << 15) >> 16;
        let state = (bits << 16).wrapping_sub(change.bits);
        u32::from(self.next[((state >> bits) as i32 + change.states) as usize])
    }

    /// The state that says a symbol before what this one says; what it has no room for is written.
    #[inline]
    pub(super) fn push(&self, state: &mut u32, symbol: u8, out: &mut Bits) {
        let change = self.changes[usize::from(symbol)];
        let bits = state.wrapping_add(change.bits) >> 16;
        out.add(u64::from(*state & ((1 << bits) - 1)), bits);
        *state = u32::from(self.next[((*state >> bits) as i32 + change.states) as usize]);
    }

    /// Writes a state.
    pub(super) fn end(&self, state: u32, out: &mut Bits) {
        out.add(u64::from(state & ((1 << self.log) - 1)), self.log);
    }
}
