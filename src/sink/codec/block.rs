//! A block of Zstandard's format (RFC 8878, 3.1.1.3): literals, and sequences of which each says how many of them come next,
//! and how far back and how long what follows them stands.

use super::bits::Bits;
use super::fse::Table;
use super::huffman::Huffman;

/// So many bytes that repeat nothing, and then `length` bytes from `distance` before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    literals: u32,
    length: u32,
    distance: u32,
}

/// The shortest repetition.
const LEAST: u32 = 3;

/// Where the numbers of a code begin, where a code stands for several: a code each up to the first of them.
const LITERALS: Codes<20> = Codes {
    alone: 16,
    starts: [16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
};
const LENGTHS: Codes<21> = Codes {
    alone: 32,
    starts: [32, 34, 36, 38, 40, 44, 48, 56, 64, 80, 96, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
};

/// The most bits of a state, by the format: of numbers of literals, of distances, of lengths.
const LOGS: [u32; 3] = [9, 8, 9];

/// Codes of one of these kinds are fewer.
const KINDS: usize = 64;

/// How the table of codes is given: one code that all are, or a description.
const ONE: u8 = 1;
const DESCRIBED: u8 = 2;

/// The most bytes that a sequence takes, and more than all states.
const MOST_BYTES: usize = 16;

/// After so many groups of sequences it is given up to look whether states come again.
const MOST_PERIOD: usize = 64;

struct Codes<const N: usize> {
    alone: u32,
    starts: [u32; N],
}

/// What a sequence is in a block: a code each for the number of literals, the distance and the length; and what these do
/// not say, in so many bits.
#[derive(Clone, Copy)]
struct Coded {
    codes: [u8; 3],
    width: u8,
    rest: u64,
}

/// Writes blocks of a frame.
#[derive(Default)]
pub(super) struct Coder {
    /// The last three distances of the frame, which take next to nothing if they come again; and those at the block's start.
    recent: [u32; 3],
    recent_before: [u32; 3],
    list: Vec<Coded>,
    /// Which of them come how often.
    runs: Vec<(usize, usize)>,
    tables: [Table; 3],
    bits: Bits,
    huffman: Huffman,
}

impl Sequence {
    pub(super) fn new(literals: usize, length: usize, distance: usize) -> Self {
        Self { literals: literals as u32, length: length as u32, distance: distance as u32 }
    }
}

impl<const N: usize> Codes<N> {
    /// The code of a number, what the number has more than the code's first one, and in how many bits that stands.
    #[inline]
    fn of(&self, number: u32) -> (u8, u32, u32) {
        if number < self.alone {
            return (number as u8, 0, 0);
        }
        let i = self.starts.iter().rposition(|&start| start <= number).unwrap_or_default();
        let start = self.starts[i];
        let width = self.starts.get(i + 1).map_or(16, |next| (next - start).ilog2());
        (self.alone as u8 + i as u8, number - start, width)
    }
}

impl Coder {
    /// Begins a frame.
    pub(super) fn begin(&mut self) {
        self.recent = [1, 4, 8];
        self.recent_before = self.recent;
        self.huffman.forget();
        self.list.clear();
        self.runs.clear();
    }

    /// Appends these sequences so many times.
    pub(super) fn push(&mut self, sequences: &[Sequence], times: usize) {
        for done in 0..times {
            let before = self.recent;
            for &sequence in sequences {
                let coded = self.coded(sequence);
                self.list.push(coded);
            }
            // Distances that were used before are said otherwise than new ones.
            if self.recent == before || done + 1 == times {
                self.runs.push((self.list.len(), times - done));
                return;
            }
            self.runs.push((self.list.len(), 1));
        }
    }

    fn coded(&mut self, sequence: Sequence) -> Coded {
        let Sequence { literals, length, distance } = sequence;
        let [a, b, c] = self.recent;
        // Without literals the last distance can't come again: it would have been one repetition.
        let (place, recent) = match (distance, literals > 0) {
            (d, true) if d == a => (1, [a, b, c]),
            (d, true) if d == b => (2, [b, a, c]),
            (d, true) if d == c => (3, [c, a, b]),
            (d, false) if d == b => (1, [b, a, c]),
            (d, false) if d == c => (2, [c, a, b]),
            (d, false) if d == a - 1 && d > 0 => (3, [d, a, b]),
            (d, _) => (d + 3, [d, a, b]),
        };
        self.recent = recent;
        let (literals, literals_rest, literals_width) = LITERALS.of(literals);
        let (length, length_rest, length_width) = LENGTHS.of(length - LEAST);
        let far = place.ilog2();
        let rest = u64::from(literals_rest)
            | u64::from(length_rest) << literals_width
            | u64::from(place - (1 << far)) << (literals_width + length_width);
        let width = (literals_width + length_width + far) as u8;
        Coded { codes: [literals, far as u8, length], width, rest }
    }

    /// Appends the block of these literals and what was pushed, which are so many bytes; `false`, and nothing, if it
    /// would take as many, or not every reader would understand it.
    pub(super) fn finish(&mut self, literals: &[u8], bytes: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.huffman.write(literals, out);
        let understood = self.sequences(out);
        self.list.clear();
        self.runs.clear();
        let worth = understood && out.len() - start < bytes;
        if !worth {
            // Of a block that is stored as it is a reader learns nothing.
            out.truncate(start);
            self.recent = self.recent_before;
            self.huffman.forget();
        }
        self.recent_before = self.recent;
        worth
    }

    /// Appends the sequences section; `false` if not every reader would understand it.
    fn sequences(&mut self, out: &mut Vec<u8>) -> bool {
        let (mut counts, mut count, mut first) = ([[0u32; KINDS]; 3], 0, 0);
        for &(end, times) in &self.runs {
            for coded in &self.list[first..end] {
                for (code, counts) in coded.codes.iter().zip(&mut counts) {
                    counts[usize::from(*code)] += times as u32;
                }
            }
            count += (end - first) * times;
            first = end;
        }
        match count {
            0 => {
                out.push(0);
                return true;
            }
            1..128 => out.push(count as u8),
            128..0x7f00 => out.extend_from_slice(&[(count >> 8) as u8 | 0x80, count as u8]),
            _ => {
                out.push(0xff);
                out.extend_from_slice(&((count - 0x7f00) as u16).to_le_bytes());
            }
        }
        let modes = out.len();
        out.push(0);
        let mut described = None;
        for (i, (table, counts)) in self.tables.iter_mut().zip(&counts).enumerate() {
            let mode = match counts.iter().position(|&of| of as usize == count) {
                Some(one) => {
                    table.one(one as u8);
                    out.push(one as u8);
                    ONE
                }
                None => {
                    table.of(counts, LOGS[i]);
                    described = Some(out.len());
                    table.describe(&mut self.bits, out);
                    DESCRIBED
                }
            };
            out[modes] |= mode << (6 - 2 * i);
        }
        let mut stream = Stream { tables: &self.tables, bits: &mut self.bits, states: None };
        stream.bits.begin(0);
        for (i, &(end, times)) in self.runs.iter().enumerate().rev() {
            let first = i.checked_sub(1).map_or(0, |before| self.runs[before].0);
            stream.run(&self.list[first..end], times);
        }
        stream.finish(out);
        // Readers of 2018 and before take so few bytes for broken ones.
        described.is_none_or(|at| out.len() - at >= 4)
    }
}

/// The bits of a block's sequences, from the last to the first, as a reader begins at their end.
struct Stream<'a> {
    tables: &'a [Table; 3],
    bits: &'a mut Bits,
    /// A state each; `None` before there is a sequence.
    states: Option<[u32; 3]>,
}

impl Stream<'_> {
    /// Adds these sequences so many times.
    fn run(&mut self, group: &[Coded], times: usize) {
        let mut seen: Vec<(_, usize, usize)> = Vec::new();
        let mut left = times;
        while left > 0 {
            self.group(group);
            left -= 1;
            if left == 0 || times - left > MOST_PERIOD {
                continue;
            }
            match seen.iter().find(|&&(states, ..)| states == self.states) {
                Some(&(_, before, at)) => {
                    left -= self.again(group, left, before - left, self.bits.len() - at);
                    seen.clear();
                }
                None => seen.push((self.states, left, self.bits.len())),
            }
        }
    }

    /// Adds as many as it can of `left` groups, and says how many: after `period` of them, which took `bits` bits, the states
    /// are what they were, and so will be the bits.
    fn again(&mut self, group: &[Coded], left: usize, period: usize, bits: usize) -> usize {
        if bits == 0 {
            return left / period * period;
        }
        // In whole bytes.
        let periods = 8 >> bits.trailing_zeros().min(3);
        let groups = period * periods;
        let times = left / groups;
        if times <= 2 {
            return 0;
        }
        (0..2 * groups).for_each(|_| self.group(group));
        self.bits.again(bits * periods / 8, times - 2);
        times * groups
    }

    #[inline]
    fn group(&mut self, group: &[Coded]) {
        let [literals, distances, lengths] = self.tables;
        let bits = &mut *self.bits;
        bits.room(group.len() * MOST_BYTES);
        for coded in group.iter().rev() {
            let [literal, distance, length] = coded.codes;
            match &mut self.states {
                None => self.states = Some([literals.first(literal), distances.first(distance), lengths.first(length)]),
                Some([literal_state, distance_state, length_state]) => {
                    distances.push(distance_state, distance, bits);
                    lengths.push(length_state, length, bits);
                    literals.push(literal_state, literal, bits);
                }
            }
            let width = u32::from(coded.width);
            bits.add(coded.rest & u64::from(u32::MAX), width.min(u32::BITS));
            bits.add(coded.rest >> u32::BITS, width.saturating_sub(u32::BITS));
        }
    }

    /// Ends them with the states that a reader begins with.
    fn finish(self, out: &mut Vec<u8>) {
        let Self { tables: [literals, distances, lengths], bits, states } = self;
        bits.room(MOST_BYTES);
        if let Some([literal, distance, length]) = states {
            lengths.end(length, bits);
            distances.end(distance, bits);
            literals.end(literal, bits);
        }
        out.extend_from_slice(bits.finish());
    }
}
