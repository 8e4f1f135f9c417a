//! Zstandard frames of which somebody else found the repetitions.

use std::ffi::CStr;
use std::io;
use std::ptr::NonNull;

use zstd_sys::{ZSTD_CCtx, ZSTD_ParamSwitch_e, ZSTD_Sequence, ZSTD_SequenceFormat_e, ZSTD_cParameter};

use super::told::{Limits, Pattern, Repeat, Told};

/// The most bytes of a block, by the format.
const BLOCK_BYTES: usize = 128 << 10;

/// The longest repetition that takes no second field in a block.
const MOST_MATCH: usize = 32 << 10;

/// The shortest repetition that the format has, and the furthest back that every reader is ready to look.
const LIMITS: Limits = Limits { least: 3, distance: 8 << 20, end: 0, worth: 16 };

/// What the library's header calls `ZSTD_c_blockDelimiters`.
const BLOCK_DELIMITERS: ZSTD_cParameter = ZSTD_cParameter::ZSTD_c_experimentalParam11;

/// What it calls `ZSTD_c_repcodeResolution`: distances that are used again take next to nothing.
const REPEATED_OFFSETS: ZSTD_cParameter = ZSTD_cParameter::ZSTD_c_experimentalParam19;

/// Bytes that the library may read behind the literals.
const READ_BEHIND: usize = 8;

/// Collects the repetitions of a buffer and what repeats nothing, block by block, and writes the frame.
pub(super) struct Sequences {
    context: NonNull<ZSTD_CCtx>,
    list: Vec<ZSTD_Sequence>,
    /// Those of a row.
    row: Vec<ZSTD_Sequence>,
    /// The bytes that repeat nothing, one behind the other.
    literals: Vec<u8>,
    /// How many there were of them at the last repetition.
    told: usize,
    /// Bytes of this block, and of all.
    block: usize,
    all: usize,
}

// SAFETY: a context belongs to nobody but its owner, and the library keeps nothing of it by thread.
unsafe impl Send for Sequences {}

impl Sequences {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: it has no conditions; a lack of memory gives null.
        let context = NonNull::new(unsafe { zstd_sys::ZSTD_createCCtx() }).ok_or(io::ErrorKind::OutOfMemory)?;
        let new = Self { context, list: Vec::new(), row: Vec::new(), literals: Vec::new(), told: 0, block: 0, all: 0 };
        let delimiters = ZSTD_SequenceFormat_e::ZSTD_sf_explicitBlockDelimiters as i32;
        for (parameter, value) in [
            (ZSTD_cParameter::ZSTD_c_compressionLevel, 1),
            (ZSTD_cParameter::ZSTD_c_minMatch, LIMITS.least as i32),
            (ZSTD_cParameter::ZSTD_c_windowLog, LIMITS.distance.ilog2() as i32),
            (BLOCK_DELIMITERS, delimiters),
            (REPEATED_OFFSETS, ZSTD_ParamSwitch_e::ZSTD_ps_enable as i32),
        ] {
            // SAFETY: the context lives; the library checks what it is told.
            check(unsafe { zstd_sys::ZSTD_CCtx_setParameter(new.context.as_ptr(), parameter, value) })?;
        }
        Ok(new)
    }

    fn push(&mut self, distance: usize, length: usize) {
        self.list.push(sequence(distance, self.literals.len() - self.told, length));
        self.told = self.literals.len();
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

    /// The next bytes are rows for which there is room in the block.
    fn at_once(&mut self, rows: &[u8], pattern: &Pattern) {
        // With literals that belong to the row before; the first one has others.
        let mut told = pattern.bytes - pattern.rest;
        self.row.clear();
        self.row.extend(pattern.repeats.iter().map(|&Repeat { at, length, distance }| {
            let literals = (at + pattern.bytes - told) % pattern.bytes;
            told = at + length;
            sequence(distance, literals, length)
        }));
        let first = self.list.len();
        let before = self.literals.len() - self.told;
        self.list.reserve(rows.len() / pattern.bytes * self.row.len());
        for row in rows.chunks_exact(pattern.bytes) {
            // A call for so few would take longer than the rest.
            match self.row[..] {
                [one] => self.list.push(one),
                [one, two] => self.list.extend_from_slice(&[one, two]),
                ref row => self.list.extend_from_slice(row),
            }
            for &(start, end) in &pattern.lone {
                match row[start..end] {
                    [byte] => self.literals.push(byte),
                    [a, b] => self.literals.extend_from_slice(&[a, b]),
                    [a, b, c, d] => self.literals.extend_from_slice(&[a, b, c, d]),
                    ref bytes => self.literals.extend_from_slice(bytes),
                }
            }
        }
        if let Some(first) = self.list.get_mut(first) {
            first.litLength = first.litLength - pattern.rest as u32 + before as u32;
            self.told = self.literals.len() - pattern.rest;
        }
        self.block += rows.len();
        self.all += rows.len();
    }

    /// Room in this block.
    fn room(&self) -> usize {
        BLOCK_BYTES - self.block
    }

    /// What follows is of the next block.
    fn end_block(&mut self) {
        if self.block > 0 {
            self.push(0, 0);
            self.block = 0;
        }
    }

    /// Writes the `length` bytes that the sequences tell as a frame into `out`; `false` if they are others, or repeat each
    /// other too little.
    pub(super) fn compress(&mut self, length: usize, out: &mut Vec<u8>) -> bool {
        self.end_block();
        if self.all != length || length == 0 {
            return false;
        }
        self.literals.reserve(READ_BEHIND);
        out.clear();
        // More than the head of a frame takes, for which the library does not ask.
        out.reserve(zstd::zstd_safe::compress_bound(length));
        // SAFETY: all pointers come with the lengths of what they point to, the literals with their capacity, behind which
        // lies what the library may read. The sequences are blocks of at most `BLOCK_BYTES` that end with delimiters, with as
        // many literals as there are and `length` bytes in all, and have one length of more than 16 bits a block at most.
        // Where repetitions lie is written down and not followed.
        let written = unsafe {
            zstd_sys::ZSTD_compressSequencesAndLiterals(
                self.context.as_ptr(),
                out.as_mut_ptr().cast(),
                out.capacity(),
                self.list.as_ptr(),
                self.list.len(),
                self.literals.as_ptr().cast(),
                self.literals.len(),
                self.literals.capacity(),
                length,
            )
        };
        // A block that would grow can't be left as it is, since its bytes were not told: the codec itself has to do it.
        let Ok(written) = check(written) else { return false };
        // SAFETY: the library wrote so many bytes from the start, and not more than the capacity.
        unsafe { out.set_len(written) };
        true
    }
}

impl Told for Sequences {
    const LIMITS: Limits = LIMITS;

    fn begin(&mut self, _: usize) {
        self.list.clear();
        self.literals.clear();
        (self.told, self.block, self.all) = (0, 0, 0);
    }

    fn literals(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.block == BLOCK_BYTES {
                self.end_block();
            }
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block));
            self.literals.extend_from_slice(part);
            self.block += part.len();
            self.all += part.len();
            bytes = rest;
        }
    }

    fn repeat(&mut self, distance: usize, mut length: usize) {
        assert!(length >= LIMITS.least && (1..=LIMITS.distance.min(self.all)).contains(&distance));
        while length > 0 {
            let room = BLOCK_BYTES - self.block;
            let part = length.min(room).min(MOST_MATCH);
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
        while !rows.is_empty() {
            if bytes > self.room() && bytes <= BLOCK_BYTES {
                self.end_block();
            }
            let fit = if bytes <= MOST_MATCH { self.room() / bytes } else { 0 };
            let (some, rest) = rows.split_at((fit.max(1) * bytes).min(rows.len()));
            if fit == 0 {
                self.piece_by_piece(some, pattern);
            } else {
                self.at_once(some, pattern);
            }
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

impl Drop for Sequences {
    fn drop(&mut self) {
        // SAFETY: the context was made by the library and is used by nobody else.
        unsafe { zstd_sys::ZSTD_freeCCtx(self.context.as_ptr()) };
    }
}

/// So many bytes that repeat nothing, and then `length` bytes from `distance` before; the end of a block without the latter.
#[inline]
fn sequence(distance: usize, literals: usize, length: usize) -> ZSTD_Sequence {
    ZSTD_Sequence { offset: distance as u32, litLength: literals as u32, matchLength: length as u32, rep: 0 }
}

fn check(code: usize) -> io::Result<usize> {
    // SAFETY: both take any code; the name is a string that lives for ever.
    unsafe {
        if zstd_sys::ZSTD_isError(code) == 0 {
            return Ok(code);
        }
        Err(io::Error::other(CStr::from_ptr(zstd_sys::ZSTD_getErrorName(code)).to_string_lossy()))
    }
}
