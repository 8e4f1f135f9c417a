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

/// Collects the repetitions of a buffer, block by block, and writes the frame.
pub(super) struct Sequences {
    context: NonNull<ZSTD_CCtx>,
    list: Vec<ZSTD_Sequence>,
    /// Bytes since the last repetition, of this block, and of all.
    literals: usize,
    block: usize,
    all: usize,
    /// Bytes that repeat nothing.
    lone: usize,
}

// SAFETY: a context belongs to nobody but its owner, and the library keeps nothing of it by thread.
unsafe impl Send for Sequences {}

impl Sequences {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: it has no conditions; a lack of memory gives null.
        let context = NonNull::new(unsafe { zstd_sys::ZSTD_createCCtx() }).ok_or(io::ErrorKind::OutOfMemory)?;
        let new = Self { context, list: Vec::new(), literals: 0, block: 0, all: 0, lone: 0 };
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
        (self.literals, self.block, self.all, self.lone) = (0, 0, 0, 0);
    }

    /// The next byte repeats nothing.
    pub(super) fn literal(&mut self) {
        if self.block == BLOCK_BYTES {
            self.end_block();
        }
        self.literals += 1;
        self.lone += 1;
        self.block += 1;
        self.all += 1;
    }

    /// The next `length` bytes, at least [`LEAST_MATCH`], are those `distance` before.
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
            let (offset, match_length) = (distance as u32, part as u32);
            self.list.push(ZSTD_Sequence {
                offset,
                litLength: self.literals as u32,
                matchLength: match_length,
                rep: 0,
            });
            self.literals = 0;
            self.block += part;
            self.all += part;
            length -= part;
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.all
    }

    /// Bytes of them that repeat nothing.
    pub(super) fn lone(&self) -> usize {
        self.lone
    }

    /// Room in this block.
    pub(super) fn room(&self) -> usize {
        BLOCK_BYTES - self.block
    }

    pub(super) fn end_block(&mut self) {
        if self.block > 0 {
            self.list.push(ZSTD_Sequence { offset: 0, litLength: self.literals as u32, matchLength: 0, rep: 0 });
            (self.literals, self.block) = (0, 0);
        }
    }

    /// Writes `bytes`, which the sequences tell, as a frame into the capacity of `out`; `false` if it has too little.
    pub(super) fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        self.end_block();
        if self.all != bytes.len() {
            return Ok(false);
        }
        // SAFETY: all pointers come with the lengths of what they point to. The sequences are blocks of at most
        // `BLOCK_BYTES` that end with delimiters, add up to `bytes`, and repeat what `repeat` was told lies before.
        let length = unsafe {
            zstd_sys::ZSTD_compressSequences(
                self.context.as_ptr(),
                out.as_mut_ptr().cast(),
                out.capacity(),
                self.list.as_ptr(),
                self.list.len(),
                bytes.as_ptr().cast(),
                bytes.len(),
            )
        };
        let length = check(length)?;
        // SAFETY: the library wrote so many bytes from the start, and not more than the capacity.
        unsafe { out.set_len(length) };
        Ok(true)
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
