//! Literals by Huffman's codes, as Zstandard's format has them (RFC 8878, 4.2).

use super::bits::Bits;
use super::fse::Table;

/// The longest code, by the format.
const MOST_BITS: u32 = 11;

/// The most bits of a state of the coder of weights.
const WEIGHTS_LOG: u32 = 6;

/// Kinds of literals: as they are, one byte again and again, in codes, in the codes of the last ones in codes.
const RAW: u32 = 0;
const ONE: u32 = 1;
const CODED: u32 = 2;
const KNOWN: u32 = 3;

/// Fewer literals stay as they are.
const LEAST: usize = 64;

/// Bytes that a description of codes takes, about.
const DESCRIPTION: u64 = 32;

/// With fewer bytes one stream takes less than four do.
const FOUR_STREAMS: usize = 256;

/// Writes literals.
pub(super) struct Huffman {
    /// The code of every byte, and its length 16 bits up; and whether a reader knows them.
    codes: [u32; 256],
    known: bool,
    /// What these codes took at first, of so many bytes.
    taken: u64,
    of: u64,
    table: Table,
    bits: Bits,
    body: Vec<u8>,
}

/// The head of literals that are not in codes.
fn head(kind: u32, length: usize, out: &mut Vec<u8>) {
    let length = length as u32;
    match length {
        0..32 => out.push((kind | length << 3) as u8),
        32..4096 => out.extend_from_slice(&((kind | 1 << 2 | length << 4) as u16).to_le_bytes()),
        _ => out.extend_from_slice(&(kind | 3 << 2 | length << 4).to_le_bytes()[..3]),
    }
}

/// How often each byte comes.
fn count(bytes: &[u8]) -> [u32; 256] {
    // Four of them side by side: a byte that comes twice in a row does not wait for itself.
    let mut counts = [[0u32; 256]; 4];
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        for (byte, counts) in four.iter().zip(&mut counts) {
            counts[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        counts[0][usize::from(*byte)] += 1;
    }
    std::array::from_fn(|i| counts.iter().map(|counts| counts[i]).sum())
}

impl Default for Huffman {
    fn default() -> Self {
        let (table, bits) = Default::default();
        Self { codes: [0; 256], known: false, taken: 0, of: 0, table, bits, body: Vec::new() }
    }
}

impl Huffman {
    /// Begins a frame, or leaves out a block: a reader knows nothing.
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// Appends the literals section of a block.
    pub(super) fn write(&mut self, literals: &[u8], out: &mut Vec<u8>) {
        let counts = count(literals);
        let most = counts.iter().max().copied().unwrap_or_default() as usize;
        if most == literals.len() && most > 4 {
            head(ONE, literals.len(), out);
            out.push(literals[0]);
        } else if literals.len() < LEAST || !self.code(literals, &counts, out) {
            head(RAW, literals.len(), out);
            out.extend_from_slice(literals);
        }
    }

    /// Appends literals in codes; `false`, and nothing, if that would not be worth it.
    fn code(&mut self, literals: &[u8], counts: &[u32; 256], out: &mut Vec<u8>) -> bool {
        let worth = |bytes: usize| bytes + literals.len() / 64 + 8 < literals.len();
        self.body.clear();
        let kind = if self.known && self.suits(literals.len(), counts) {
            KNOWN
        } else {
            self.known = false;
            let lengths = lengths(counts);
            let bits = counts.iter().zip(&lengths).map(|(&count, &length)| u64::from(count) * u64::from(length)).sum();
            if !worth(bits as usize / 8) || !self.describe(&lengths) {
                return false;
            }
            self.assign(&lengths);
            (self.taken, self.of) = (bits, literals.len() as u64);
            CODED
        };
        let streams = if literals.len() < FOUR_STREAMS { 1 } else { 4 };
        let jumps = self.body.len();
        self.body.resize(jumps + (streams - 1) * 2, 0);
        for (i, part) in literals.chunks(literals.len().div_ceil(streams)).enumerate() {
            let start = self.body.len();
            self.stream(part);
            let bytes = (self.body.len() - start) as u16;
            if i + 1 < streams {
                self.body[jumps + 2 * i..][..2].copy_from_slice(&bytes.to_le_bytes());
            }
        }
        if !worth(self.body.len()) {
            return false;
        }
        self.known = true;
        let (all, packed) = (literals.len() as u64, self.body.len() as u64);
        let (format, width, bytes) = match all {
            _ if streams == 1 => (0, 10, 3),
            0..1024 => (1, 10, 3),
            1024..0x4000 => (2, 14, 4),
            _ => (3, 18, 5),
        };
        let head = u64::from(kind) | format << 2 | all << 4 | packed << (4 + width);
        out.extend_from_slice(&head.to_le_bytes()[..bytes]);
        out.extend_from_slice(&self.body);
        true
    }

    /// Whether the codes that a reader knows take about as little of these bytes as they did of those they were made for.
    fn suits(&self, length: usize, counts: &[u32; 256]) -> bool {
        let mut bits = 0;
        for (&count, code) in counts.iter().zip(&self.codes) {
            if count > 0 && code >> 16 == 0 {
                return false;
            }
            bits += u64::from(count) * u64::from(code >> 16);
        }
        // A description takes some bytes too.
        bits * self.of <= (self.taken + self.taken / 32) * length as u64 + 8 * DESCRIPTION * self.of
    }

    /// Begins the body with what a reader has to know of the lengths of codes; `false` if the format can't say it.
    fn describe(&mut self, lengths: &[u8; 256]) -> bool {
        let longest = lengths.iter().max().copied().unwrap_or_default();
        // The last one follows from the others.
        let Some(last) = lengths.iter().rposition(|&length| length > 0) else { return false };
        let weight = |&length: &u8| if length == 0 { 0 } else { longest + 1 - length };
        let weights: Vec<u8> = lengths[..last].iter().map(weight).collect();
        self.body.push(0);
        if weights.len() > 1 {
            self.weights(&weights);
        }
        let packed = self.body.len() - 1;
        let direct = weights.len().div_ceil(2);
        if (1..128).contains(&packed) && (packed < direct || weights.len() > 128) {
            self.body[0] = packed as u8;
        } else if weights.len() <= 128 {
            self.body.truncate(1);
            self.body[0] = 127 + weights.len() as u8;
            self.body.extend(weights.chunks(2).map(|two| two[0] << 4 | two.get(1).unwrap_or(&0)));
        } else {
            return false;
        }
        true
    }

    /// Appends weights by a coder of their own, two states taking turns; nothing if they are all the same.
    fn weights(&mut self, weights: &[u8]) {
        let mut counts = [0; 16];
        weights.iter().for_each(|&weight| counts[usize::from(weight)] += 1);
        if counts.iter().filter(|&&count| count > 0).count() < 2 {
            return;
        }
        let Self { table, bits, body, .. } = self;
        table.of(&counts, WEIGHTS_LOG);
        table.describe(bits, body);
        bits.begin(weights.len() * 2);
        // A reader begins with the first, which is that of the even places.
        let mut states = [None; 2];
        for (i, &weight) in weights.iter().enumerate().rev() {
            match &mut states[i % 2] {
                Some(state) => table.push(state, weight, bits),
                state => *state = Some(table.first(weight)),
            }
        }
        states.into_iter().rev().flatten().for_each(|state| table.end(state, bits));
        body.extend_from_slice(bits.finish());
    }

    /// Gives every byte its code: the longest codes are the lowest.
    fn assign(&mut self, lengths: &[u8; 256]) {
        let mut counts = [0u16; MOST_BITS as usize + 1];
        lengths.iter().for_each(|&length| counts[usize::from(length)] += 1);
        let (mut codes, mut code) = ([0u16; MOST_BITS as usize + 1], 0u16);
        for length in (1..codes.len()).rev() {
            codes[length] = code;
            code = (code + counts[length]) >> 1;
        }
        self.codes = lengths.map(|length| {
            let next = &mut codes[usize::from(length)];
            *next += 1;
            u32::from(*next - 1) | u32::from(length) << 16
        });
    }

    /// Appends a stream, which is read from its end.
    fn stream(&mut self, literals: &[u8]) {
        self.bits.begin(literals.len() * 2);
        self.bits.codes(literals, &self.codes);
        self.body.extend_from_slice(self.bits.finish());
    }
}

/// The lengths of codes that take the least, of at most [`MOST_BITS`] bits; at least two bytes come at all.
fn lengths(counts: &[u32; 256]) -> [u8; 256] {
    let present = (0..256u64).map(|byte| u64::from(counts[byte as usize]) << 8 | byte).filter(|key| key >> 8 > 0);
    let mut keys: Vec<u64> = present.collect();
    keys.sort_unstable();
    let bytes: Vec<u8> = keys.iter().map(|&key| key as u8).collect();
    let n = bytes.len();
    // Leaves in order, and nodes behind them, which come in order by themselves: each knows which node it is under.
    let mut weights: Vec<u32> = keys.iter().map(|&key| (key >> 8) as u32).collect();
    let mut under = vec![0; 2 * n - 1];
    let (mut leaf, mut node) = (0, n);
    for new in n..2 * n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let least = if node == new || (leaf < n && weights[leaf] <= weights[node]) { &mut leaf } else { &mut node };
            sum += weights[*least];
            under[*least] = new;
            *least += 1;
        }
        weights.push(sum);
    }
    let mut depths = vec![0u32; 2 * n - 1];
    for i in (0..2 * n - 2).rev() {
        depths[i] = depths[under[i]] + 1;
    }
    depths.truncate(n);
    limit(&mut depths);
    let mut lengths = [0; 256];
    for (&byte, &depth) in bytes.iter().zip(&depths) {
        lengths[usize::from(byte)] = depth as u8;
    }
    lengths
}

/// Shortens what is too long, and lengthens others so that they are codes again; the rarest come first.
fn limit(depths: &mut [u32]) {
    let share = |depth: u32| 1i32 << (MOST_BITS - depth);
    depths.iter_mut().for_each(|depth| *depth = (*depth).min(MOST_BITS));
    let mut over = depths.iter().map(|&depth| share(depth)).sum::<i32>() - (1 << MOST_BITS);
    // The rarest that can be longer is longer.
    while over > 0 {
        let Some(depth) = depths.iter_mut().find(|depth| **depth < MOST_BITS) else { return };
        over -= share(*depth) / 2;
        *depth += 1;
    }
    // What is free now is for those that come most.
    for depth in depths.iter_mut().rev() {
        while over < 0 && share(*depth) <= -over {
            over += share(*depth);
            *depth -= 1;
        }
    }
}
