//! Zstandard frames of which somebody else found the repetitions.

use std::ffi::CStr;
use std::io;
use std::ptr::NonNull;

use zstd_sys::{ZSTD_CCtx, ZSTD_ParamSwitch_e, ZSTD_Sequence, ZSTD_SequenceFormat_e, ZSTD_cParameter};

/// The most bytes of a block, by the format.
pub(super) const BLOCK_BYTES: usize = 128 << 10;

/// The longest repetition that takes no second field in a block.
const MOST_MATCH: usize = 32 << 10;

/// The shortest that the format has.
pub(super) const LEAST_MATCH: usize = 3;

/// The furthest back that a repetition may lie: what every reader is ready for.
pub(super) const MOST_DISTANCE: usize = 8 << 20;

/// What the library's header calls `ZSTD_c_blockDelimiters`.
const BLOCK_DELIMITERS: ZSTD_cParameter = ZSTD_cParameter::ZSTD_c_experimentalParam11;

/// What it calls `ZSTD_c_repcodeResolution`: distances that are used again take next to nothing.
const REPEATED_OFFSETS: ZSTD_cParameter = ZSTD_cParameter::ZSTD_c_experimentalParam19;

/// Bytes that the library may read behind the literals.
const READ_BEHIND: usize = 8;

/// A part of a row that repeats what stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// Where in the row it begins.
    pub(super) at: usize,
    pub(super) length: usize,
    /// How far before it stands.
    pub(super) distance: usize,
}

/// Collects the repetitions of a buffer and what repeats nothing, block by block, and writes the frame.
pub(super) struct Sequences {
    context: NonNull<ZSTD_CCtx>,
    list: Vec<ZSTD_Sequence>,
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
        let new = Self { context, list: Vec::new(), literals: Vec::new(), told: 0, block: 0, all: 0 };
        let delimiters = ZSTD_SequenceFormat_e::ZSTD_sf_explicitBlockDelimiters as i32;
        for (parameter, value) in [
            (ZSTD_cParameter::ZSTD_c_compressionLevel, 1),
            (ZSTD_cParameter::ZSTD_c_minMatch, LEAST_MATCH as i32),
            (ZSTD_cParameter::ZSTD_c_windowLog, MOST_DISTANCE.ilog2() as i32),
            (BLOCK_DELIMITERS, delimiters),
            (REPEATED_OFFSETS, ZSTD_ParamSwitch_e::ZSTD_ps_enable as i32),
        ] {
            // SAFETY: the context lives; the library checks what it is told.
            check(unsafe { zstd_sys::ZSTD_CCtx_setParameter(new.context.as_ptr(), parameter, value) })?;
        }
        Ok(new)
    }

    /// Begins a new buffer.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.literals.clear();
        (self.told, self.block, self.all) = (0, 0, 0);
    }

    /// The next bytes repeat nothing.
    pub(super) fn literals(&mut self, mut bytes: &[u8]) {
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

    /// The next `length` bytes, at least [`LEAST_MATCH`], are those `distance` before.
    #[inline]
    pub(super) fn repeat(&mut self, distance: usize, mut length: usize) {
        assert!(length >= LEAST_MATCH && (1..=MOST_DISTANCE.min(self.all)).contains(&distance));
        while length > 0 {
            let room = BLOCK_BYTES - self.block;
            let part = length.min(room).min(MOST_MATCH);
            // Neither this part nor the rest may be too short.
            let part =
                if length - part > 0 && length - part < LEAST_MATCH { part.saturating_sub(LEAST_MATCH) } else { part };
            if part < LEAST_MATCH {
                self.end_block();
                continue;
            }
            self.push(distance, part);
            self.block += part;
            self.all += part;
            length -= part;
        }
    }

    /// The next bytes are a row with these repetitions, which come one behind the other.
    #[inline]
    pub(super) fn row(&mut self, row: &[u8], repeats: &[Repeat]) {
        let whole = row.len() <= self.room().min(MOST_MATCH);
        let mut told = 0;
        for &Repeat { at, length, distance } in repeats {
            if !whole {
                self.literals(&row[told..at]);
                self.repeat(distance, length);
            } else {
                assert!(length >= LEAST_MATCH && (1..=MOST_DISTANCE.min(self.all + at)).contains(&distance));
                self.few(&row[told..at]);
                self.push(distance, length);
            }
            told = at + length;
        }
        if whole {
            self.few(&row[told..]);
            self.block += row.len();
            self.all += row.len();
        } else {
            self.literals(&row[told..]);
        }
    }

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
    fn push(&mut self, distance: usize, length: usize) {
        let literals = (self.literals.len() - self.told) as u32;
        self.told = self.literals.len();
        self.list.push(ZSTD_Sequence {
            offset: distance as u32,
            litLength: literals,
            matchLength: length as u32,
            rep: 0,
        });
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.all
    }

    /// Bytes of them that repeat nothing.
    pub(super) fn lone(&self) -> usize {
        self.literals.len()
    }

    /// Room in this block.
    pub(super) fn room(&self) -> usize {
        BLOCK_BYTES - self.block
    }

    pub(super) fn end_block(&mut self) {
        if self.block > 0 {
            let literals = (self.literals.len() - self.told) as u32;
            self.list.push(ZSTD_Sequence { offset: 0, litLength: literals, matchLength: 0, rep: 0 });
            (self.told, self.block) = (self.literals.len(), 0);
        }
    }

    /// Writes the `length` bytes that the sequences tell as a frame into the capacity of `out`; `false` if they are others,
    /// or repeat each other too little.
    pub(super) fn compress(&mut self, length: usize, out: &mut Vec<u8>) -> bool {
        self.end_block();
        if self.all != length || length == 0 {
            return false;
        }
        self.literals.reserve(READ_BEHIND);
        // SAFETY: all pointers come with the lengths of what they point to, the literals with their capacity. The sequences are
        // blocks of at most `BLOCK_BYTES` that end with delimiters, have as many literals as there are, add up to `length`, and
        // repeat what `repeat` was told lies before.
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

impl Drop for Sequences {
    fn drop(&mut self) {
        // SAFETY: the context was made by the library and is used by nobody else.
        unsafe { zstd_sys::ZSTD_freeCCtx(self.context.as_ptr()) };
    }
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
