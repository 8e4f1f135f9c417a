//! Bits one behind the other, the lowest first, as Zstandard's entropy coders write them: they are read from their end.

/// Bytes that are written at once, whatever is known of them.
const WORD: usize = 8;

/// Bits in the making.
#[derive(Default)]
pub(super) struct Bits {
    /// Memory for what is to come.
    bytes: Vec<u8>,
    /// Whole bytes that are written.
    at: usize,
    /// Fewer than eight bits that fill no byte yet.
    word: u64,
    filled: u32,
}

impl Bits {
    /// Begins anew, with room for so many bytes.
    pub(super) fn begin(&mut self, bytes: usize) {
        (self.at, self.word, self.filled) = (0, 0, 0);
        self.room(bytes);
    }

    /// Has room for so many bytes more.
    pub(super) fn room(&mut self, bytes: usize) {
        let least = self.at + bytes + WORD;
        if self.bytes.len() < least {
            self.bytes.resize(least.next_power_of_two(), 0);
        }
    }

    /// Adds the lowest `count` bits of a number that has no others, at most 56.
    #[inline]
    pub(super) fn add(&mut self, number: u64, count: u32) {
        debug_assert!(count <= 56 && number >> count == 0);
        self.word |= number << self.filled;
        self.filled += count;
        self.bytes[self.at..self.at + WORD].copy_from_slice(&self.word.to_le_bytes());
        self.at += self.filled as usize / 8;
        self.word >>= self.filled & !7;
        self.filled %= 8;
    }

    /// Adds the codes of these bytes, from the last to the first: of 16 bits each, and how many of them count above that,
    /// at most 12. There is room for two bytes each.
    pub(super) fn codes(&mut self, bytes: &[u8], codes: &[u32; 256]) {
        let (mut at, mut word, mut filled) = (self.at, self.word, self.filled);
        let out = self.bytes.as_mut_slice();
        let (rest, fours) = bytes.as_rchunks::<4>();
        let mut some = |bytes: &[u8]| {
            for &byte in bytes.iter().rev() {
                let code = codes[usize::from(byte)];
                word |= u64::from(code & 0xffff) << filled;
                filled += code >> 16;
            }
            out[at..at + WORD].copy_from_slice(&word.to_le_bytes());
            at += filled as usize / 8;
            word >>= filled & !7;
            filled %= 8;
        };
        fours.iter().rev().for_each(|four| some(four));
        some(rest);
        (self.at, self.word, self.filled) = (at, word, filled);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.at * 8 + self.filled as usize
    }

    /// Adds so many times the last `bytes` bytes, which are the same bits again and again for a byte longer than that.
    pub(super) fn again(&mut self, bytes: usize, times: usize) {
        self.room(bytes * times);
        let mut done = 0;
        while done < bytes * times {
            // What is done already is as good.
            let part = (bytes + done).min(bytes * times - done) / bytes * bytes;
            self.bytes.copy_within(self.at - part..self.at, self.at);
            self.at += part;
            done += part;
        }
    }

    /// Ends them with a bit that says where they end.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.add(1, 1);
        self.whole()
    }

    /// All of them, and zeros that fill the last byte.
    pub(super) fn whole(&self) -> &[u8] {
        &self.bytes[..self.len().div_ceil(8)]
    }
}
