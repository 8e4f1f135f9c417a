//! LZ4 blocks of which somebody else found the repetitions, as "LZ4 Block Format" has them: a sequence is a byte with both
//! lengths (more bytes for what exceeds 15), literals, and how far back in two bytes what follows them stands.

use super::told::{Limits, Pattern, Repeat, Told};

/// The largest block of a frame.
#[cfg(feature = "ipc")]
pub(super) const FRAME_BLOCK_BYTES: usize = 4 << 20;

/// What a frame begins with: blocks of up to 4 MiB, without checksums, that know nothing of each other.
#[cfg(feature = "ipc")]
const FRAME_HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];

/// What a length in the first byte of a sequence can't exceed: more bytes follow then.
const MORE: usize = 15;

/// Writes a block as it is told.
#[derive(Default)]
pub(super) struct Block {
    out: Vec<u8>,
    /// Bytes of this sequence that repeat nothing.
    literals: Vec<u8>,
    /// Bytes so far, and those of them that repeat nothing.
    all: usize,
    lone: usize,
}

impl Told for Block {
    // The last match starts 12 bytes before the end at the latest.
    const LIMITS: Limits = Limits { least: 4, distance: u16::MAX as usize, end: 12, worth: 7 };

    fn begin(&mut self, bytes: usize) {
        self.out.clear();
        self.literals.clear();
        (self.all, self.lone) = (0, 0);
        self.out.reserve(bytes / 4);
    }

    fn literals(&mut self, bytes: &[u8]) {
        self.literals.extend_from_slice(bytes);
        self.all += bytes.len();
        self.lone += bytes.len();
    }

    fn repeat(&mut self, distance: usize, length: usize) {
        let limits = Self::LIMITS;
        assert!(length >= limits.least && (1..=limits.distance.min(self.all)).contains(&distance));
        self.sequence(distance, length);
        self.all += length;
    }

    fn rows(&mut self, rows: &[u8], pattern: &Pattern) {
        assert!(pattern.reach <= self.all);
        let lone: usize = pattern.lone.iter().map(|(start, end)| end - start).sum();
        for row in rows.chunks_exact(pattern.bytes) {
            let mut told = 0;
            for &Repeat { at, length, distance } in &pattern.repeats {
                self.few(&row[told..at]);
                self.sequence(distance, length);
                told = at + length;
            }
            self.few(&row[told..]);
            self.all += row.len();
            self.lone += lone;
        }
    }

    fn len(&self) -> usize {
        self.all
    }

    fn lone(&self) -> usize {
        self.lone
    }
}

impl Block {
    /// The next bytes repeat nothing, and are a few.
    #[inline]
    fn few(&mut self, bytes: &[u8]) {
        match bytes {
            [] => {}
            &[byte] => self.literals.push(byte),
            _ => self.literals.extend_from_slice(bytes),
        }
    }

    #[inline]
    fn sequence(&mut self, distance: usize, length: usize) {
        let length = length - Self::LIMITS.least;
        if let ([byte], true) = (self.literals.as_slice(), length < MORE) {
            // Most sequences of narrow pixels.
            let [near, far] = (distance as u16).to_le_bytes();
            self.out.extend_from_slice(&[1 << 4 | length as u8, *byte, near, far]);
        } else {
            self.begin_sequence(length);
            self.out.extend_from_slice(&(distance as u16).to_le_bytes());
            more(length, &mut self.out);
        }
        self.literals.clear();
    }

    /// Writes both lengths, as far as they fit, and the literals.
    fn begin_sequence(&mut self, length: usize) {
        let literals = self.literals.len();
        self.out.push((literals.min(MORE) << 4 | length.min(MORE)) as u8);
        more(literals, &mut self.out);
        self.out.extend_from_slice(&self.literals);
    }

    /// Ends the block, and gives it.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.begin_sequence(0);
        &self.out
    }
}

/// Writes what the first byte of a sequence does not say of a length.
fn more(length: usize, out: &mut Vec<u8>) {
    if let Some(mut rest) = length.checked_sub(MORE) {
        while rest >= 255 {
            out.push(255);
            rest -= 255;
        }
        out.push(rest as u8);
    }
}

/// Writes a frame of one block, at most [`FRAME_BLOCK_BYTES`] before compression.
#[cfg(feature = "ipc")]
pub(super) fn frame(block: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&FRAME_HEAD);
    out.extend_from_slice(&(block.len() as u32).to_le_bytes());
    out.extend_from_slice(block);
    out.extend_from_slice(&[0; 4]);
}
