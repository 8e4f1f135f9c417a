//! Zstandard frames of which somebody else found the repetitions: cut into blocks here.

use super::block::{self, Sequence};
use super::told::{Limits, Pattern, Repeat, Told};

/// The most bytes of a block, by the format.
const BLOCK_BYTES: usize = 128 << 10;

/// The shortest repetition that the format has, and the furthest back that every reader is ready to look.
const LIMITS: Limits = Limits { least: 3, distance: 8 << 20, end: 0, worth: 16 };

/// So many rows of one pattern are worth blocks of their own, in which nothing else disturbs.
const MANY_ROWS: usize = 512;

/// What a frame begins with.
const MAGIC: u32 = 0xfd2f_b528;

/// The head of a frame: its length stands in eight bytes, and is what a reader has to keep in memory; or a window of
/// `LIMITS.distance` is.
const WHOLE: u8 = 3 << 6 | 1 << 5;
const WINDOWED: u8 = 3 << 6;
const WINDOW: u8 = ((LIMITS.distance.ilog2() - 10) << 3) as u8;

/// Kinds of blocks.
const RAW: usize = 0;
const COMPRESSED: usize = 2;

/// Collects the repetitions of a buffer and what repeats nothing, block by block, and writes the frame.
#[derive(Default)]
pub(super) struct Sequences {
    list: Vec<Sequence>,
    /// Which of them come how often, one behind the other.
    runs: Vec<Run>,
    /// The bytes that repeat nothing, one behind the other.
    literals: Vec<u8>,
    /// How many there were of them at the last repetition.
    told: usize,
    /// Bytes of this block, and of all.
    block: usize,
    all: usize,
    blocks: Vec<Block>,
    coder: block::Coder,
}

/// Sequences, from the end of the run before to here, that come so often.
#[derive(Clone, Copy)]
struct Run {
    end: usize,
    times: usize,
}

/// Where a block ends.
#[derive(Clone, Copy, Default)]
struct Block {
    runs: usize,
    literals: usize,
    bytes: usize,
}

impl Sequences {
    fn push(&mut self, distance: usize, length: usize) {
        self.list.push(Sequence::new(self.literals.len() - self.told, length, distance));
        self.told = self.literals.len();
        self.run(1);
    }

    /// What the list has more than the runs say comes so often.
    fn run(&mut self, times: usize) {
        let end = self.list.len();
        let first = self.blocks.last().map_or(0, |block| block.runs);
        match self.runs[first..].last_mut() {
            Some(run) if times == 1 && run.times == 1 => run.end = end,
            _ => self.runs.push(Run { end, times }),
        }
    }

    /// The next bytes are a row that may be longer than a block.
    fn piece_by_piece(&mut self, row: &[u8], pattern: &Pattern) {
        let mut told = 0;
        for &Repeat { at, length, distance } in &pattern.repeats {
            self.literals(&row[told..at]);
            self.repeat(distance, length);
            told = at + length;
        }
        self.literals(&row[told..]);
    }

    /// The next bytes are a row for which there is room in the block.
    fn row(&mut self, row: &[u8], pattern: &Pattern) {
        let mut told = 0;
        for &Repeat { at, length, distance } in &pattern.repeats {
            self.literals.extend_from_slice(&row[told..at]);
            self.push(distance, length);
            told = at + length;
        }
        self.literals.extend_from_slice(&row[told..]);
        self.block += row.len();
        self.all += row.len();
    }

    /// The next bytes are rows for which there is room in the block, and behind such a row.
    fn at_once(&mut self, rows: &[u8], pattern: &Pattern) {
        // With literals that belong to the row before.
        let mut told = pattern.bytes - pattern.rest;
        self.list.extend(pattern.repeats.iter().map(|&Repeat { at, length, distance }| {
            let literals = (at + pattern.bytes - told) % pattern.bytes;
            told = at + length;
            Sequence::new(literals, length, distance)
        }));
        self.run(rows.len() / pattern.bytes);
        lone(rows, pattern, &mut self.literals);
        self.told = self.literals.len() - pattern.rest;
        self.block += rows.len();
        self.all += rows.len();
    }

    /// Room in this block.
    fn room(&self) -> usize {
        BLOCK_BYTES - self.block
    }

    /// Whether something of this block repeats what was before.
    fn repeats(&self) -> bool {
        self.runs.len() > self.blocks.last().map_or(0, |block| block.runs)
    }

    /// What follows the last repetition, if there is one, is of the next block.
    fn end_block(&mut self) {
        let rest = if self.repeats() { self.literals.len() - self.told } else { 0 };
        if self.block > rest {
            let (literals, bytes) = (self.literals.len() - rest, self.all - rest);
            self.blocks.push(Block { runs: self.runs.len(), literals, bytes });
            self.told = literals;
            self.block = rest;
        }
    }

    /// Writes `bytes`, which the sequences tell, as a frame into `out`; `false` if they are others.
    pub(super) fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        self.end_block();
        self.end_block();
        if self.all != bytes.len() || bytes.is_empty() {
            return false;
        }
        out.clear();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        if bytes.len() <= LIMITS.distance {
            out.push(WHOLE);
        } else {
            out.extend_from_slice(&[WINDOWED, WINDOW]);
        }
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.coder.begin();
        let (mut begin, mut first) = (Block::default(), 0);
        for (i, &end) in self.blocks.iter().enumerate() {
            let last = usize::from(i + 1 == self.blocks.len());
            let head = out.len();
            out.extend_from_slice(&[0; 3]);
            for run in &self.runs[begin.runs..end.runs] {
                self.coder.push(&self.list[first..run.end], run.times);
                first = run.end;
            }
            let whole = &bytes[begin.bytes..end.bytes];
            let literals = &self.literals[begin.literals..end.literals];
            let kind = if self.coder.finish(literals, whole.len(), out) {
                COMPRESSED
            } else {
                out.extend_from_slice(whole);
                RAW
            };
            let size = out.len() - head - 3;
            out[head..head + 3].copy_from_slice(&(last | kind << 1 | size << 3).to_le_bytes()[..3]);
            begin = end;
        }
        true
    }
}

/// Appends what of the rows repeats nothing.
fn lone(rows: &[u8], pattern: &Pattern, literals: &mut Vec<u8>) {
    // A call for so few bytes would take longer than the rest.
    match pattern.lone[..] {
        [(start, end)] if end - start == 1 => literals.extend(rows.chunks_exact(pattern.bytes).map(|row| row[start])),
        ref lone => {
            for row in rows.chunks_exact(pattern.bytes) {
                for &(start, end) in lone {
                    match row[start..end] {
                        [byte] => literals.push(byte),
                        [a, b] => literals.extend_from_slice(&[a, b]),
                        [a, b, c, d] => literals.extend_from_slice(&[a, b, c, d]),
                        ref bytes => literals.extend_from_slice(bytes),
                    }
                }
            }
        }
    }
}

impl Told for Sequences {
    const LIMITS: Limits = LIMITS;

    fn begin(&mut self, _: usize) {
        self.list.clear();
        self.runs.clear();
        self.literals.clear();
        self.blocks.clear();
        (self.told, self.block, self.all) = (0, 0, 0);
    }

    fn literals(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room() == 0 {
                self.end_block();
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.room()));
            self.literals.extend_from_slice(part);
            self.block += part.len();
            self.all += part.len();
            bytes = rest;
        }
    }

    fn repeat(&mut self, distance: usize, mut length: usize) {
        assert!(length >= LIMITS.least && (1..=LIMITS.distance.min(self.all)).contains(&distance));
        while length > 0 {
            let part = length.min(self.room());
            // Neither this part nor the rest may be too short.
            let part = if length - part > 0 && length - part < LIMITS.least {
                part.saturating_sub(LIMITS.least)
            } else {
                part
            };
            if part < LIMITS.least {
                self.end_block();
                continue;
            }
            self.push(distance, part);
            self.block += part;
            self.all += part;
            length -= part;
        }
    }

    fn rows(&mut self, mut rows: &[u8], pattern: &Pattern) {
        let bytes = pattern.bytes;
        assert!(rows.len().is_multiple_of(bytes) && pattern.reach <= self.all);
        // After two rows all distances are such as were used before, and the same ones for every row.
        let mut single = 2u32;
        while !rows.is_empty() {
            let left = rows.len() / bytes;
            let many = single == 0 && left >= MANY_ROWS;
            if bytes > self.room() || (many && self.repeats()) {
                self.end_block();
            }
            let at_once = single == 0 && self.literals.len() - self.told == pattern.rest;
            let fit = (self.room() / bytes).min(if at_once { left } else { 1 });
            let (some, rest) = rows.split_at(fit.max(1) * bytes);
            match fit {
                0 => self.piece_by_piece(some, pattern),
                _ if at_once => self.at_once(some, pattern),
                _ => self.row(some, pattern),
            }
            if many && self.repeats() {
                self.end_block();
            }
            single = if fit == 0 { 2 } else { single.saturating_sub(1) };
            rows = rest;
        }
    }

    fn len(&self) -> usize {
        self.all
    }

    fn lone(&self) -> usize {
        self.literals.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same numbers every time, like no pattern.
    struct Noise(u64);

    impl Noise {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.0 >> 33) as usize % end
        }

        fn of<T: Copy>(&mut self, some: &[T]) -> T {
            some[self.below(some.len())]
        }
    }

    /// Tells rows of any pattern, and appends them.
    fn rows(noise: &mut Noise, values: usize, bytes: &mut Vec<u8>, to: &mut Sequences) {
        let row = 4 + noise.below(200);
        let (mut repeats, mut at) = (Vec::new(), noise.below(3));
        while at + 3 <= row {
            let length = 3 + noise.below(row - at - 2);
            let most = noise.of(&[300, 5000]).min(bytes.len());
            repeats.push(Repeat { at, length, distance: 1 + noise.below(most) });
            at += length + noise.below(3);
        }
        let pattern = Pattern::new(row, repeats, LIMITS);
        if pattern.repeats.is_empty() || pattern.reach > bytes.len() {
            return;
        }
        let start = bytes.len();
        for _ in 0..1 + noise.of(&[3, 100, 3000]) {
            let begin = bytes.len();
            while bytes.len() < begin + row {
                let at = bytes.len() - begin;
                match pattern.repeats.iter().find(|repeat| (repeat.at..repeat.at + repeat.length).contains(&at)) {
                    Some(repeat) => bytes.push(bytes[bytes.len() - repeat.distance]),
                    None => bytes.push(noise.below(values) as u8),
                }
            }
        }
        to.rows(&bytes[start..], &pattern);
    }

    #[test]
    fn whatever_is_told_comes_back() {
        let (mut noise, mut to, mut frame) = (Noise(7), Sequences::default(), Vec::new());
        for round in 0..600 {
            let mut bytes: Vec<u8> = Vec::new();
            to.begin(0);
            let (values, skew) = (noise.of(&[1, 2, 3, 17, 100, 256]), noise.below(3));
            let most = noise.of(&[10, 1000, 100_000, 700_000]);
            while bytes.len() < most {
                match noise.below(4) {
                    0 => {
                        let start = bytes.len();
                        for _ in 0..1 + noise.of(&[3, 40, 3000, 200_000]) {
                            let value = noise.below(values);
                            bytes.push((0..skew).fold(value, |value, _| value * noise.below(256) / 256) as u8);
                        }
                        to.literals(&bytes[start..]);
                    }
                    1 | 2 if !bytes.is_empty() => {
                        let distance = 1 + noise.of(&[3, 99, 60_000, 1 << 20]).min(noise.below(bytes.len()));
                        let length = 3 + noise.of(&[0, 4, 60, 3000, 300_000]);
                        to.repeat(distance, length);
                        (0..length).for_each(|_| bytes.push(bytes[bytes.len() - distance]));
                    }
                    3 if bytes.len() > 300 => rows(&mut noise, values, &mut bytes, &mut to),
                    _ => {}
                }
            }
            assert!(to.compress(&bytes, &mut frame));
            assert!(zstd::bulk::decompress(&frame, bytes.len()).unwrap() == bytes, "{round}");
            // By a reader that has no memory but the window that the frame asks for.
            assert!(zstd::stream::decode_all(frame.as_slice()).unwrap() == bytes, "{round}");
        }
    }

    #[test]
    fn far_repetitions_are_within_the_window() {
        let far: Vec<u8> = (0..LIMITS.distance).map(|i| ((i * i) >> 7) as u8).collect();
        let (mut to, mut frame) = (Sequences::default(), Vec::new());
        to.literals(&far);
        to.repeat(LIMITS.distance, 1000);
        let bytes = [&far, &far[..1000]].concat();
        assert!(to.compress(&bytes, &mut frame));
        assert!(zstd::stream::decode_all(frame.as_slice()).unwrap() == bytes);
    }

    #[test]
    fn what_was_not_told_is_not_written() {
        let (mut to, mut frame) = (Sequences::default(), Vec::new());
        assert!(!to.compress(&[], &mut frame) && !to.compress(&[1], &mut frame));
        to.begin(2);
        to.literals(&[1, 2]);
        assert!(!to.compress(&[1, 2, 3], &mut frame));
    }
}
