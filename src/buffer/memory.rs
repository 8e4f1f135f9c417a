//! The memory of a buffer: huge pages where it is large and the system has them.
//!
//! A fresh page costs a fault, and faults on pages of 4 KiB cost more than all else that is done with a batch: 4 MiB
//! of them took 2.4 ms, while the pixels were gathered into them in 0.2 ms. The same memory as two pages of 2 MiB took
//! 0.16 ms. Linux gives such pages where they are asked for, which is what numpy does too.

use std::ops::{Deref, DerefMut};

#[cfg(target_os = "linux")]
use memmap2::{Advice, MmapMut};

/// One cache line, the alignment that Arrow recommends.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
pub(super) struct Line([u8; 64]);

/// Bytes of a huge page on x86-64 and most others.
#[cfg(target_os = "linux")]
const HUGE: usize = 2 << 20;

/// How many bytes to ask of the system for these in huge pages; `None` if they are too few. The last page is huge too if
/// that wastes little; else the rest is of small pages.
#[cfg(target_os = "linux")]
fn huge(len: usize) -> Option<usize> {
    let whole = len.checked_next_multiple_of(HUGE).filter(|whole| whole - len <= len / 8);
    whole.or((len >= HUGE).then_some(len))
}

/// Bytes aligned to a cache line.
pub(super) enum Memory {
    /// Of the allocator.
    Lines(Vec<Line>),
    /// Of the system; the bytes from `start` on are aligned to a huge page.
    #[cfg(target_os = "linux")]
    Pages { map: MmapMut, start: usize, len: usize },
}

impl Memory {
    /// At least `len` zeros, or `None` if they can't be had.
    pub(super) fn zeroed(len: usize) -> Option<Self> {
        #[cfg(target_os = "linux")]
        if let Some(len) = huge(len) {
            return Self::pages(len);
        }
        bytemuck::allocation::try_zeroed_vec(len.div_ceil(64)).ok().map(Memory::Lines)
    }

    #[cfg(target_os = "linux")]
    fn pages(len: usize) -> Option<Self> {
        // No more than `len` bytes are ever touched, and so none is wasted on the alignment.
        let map = MmapMut::map_anon(len.checked_add(HUGE)?).ok()?;
        // Systems without huge pages refuse, and are slower.
        let _ = map.advise(Advice::HugePage);
        let start = map.as_ptr().align_offset(HUGE);
        Some(Memory::Pages { map, start, len })
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.deref().len()
    }
}

/// No memory at all.
impl Default for Memory {
    fn default() -> Self {
        Memory::Lines(Vec::new())
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Memory::Lines(lines) => bytemuck::cast_slice(lines),
            #[cfg(target_os = "linux")]
            Memory::Pages { map, start, len } => &map[*start..*start + *len],
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Lines(lines) => bytemuck::cast_slice_mut(lines),
            #[cfg(target_os = "linux")]
            Memory::Pages { map, start, len } => &mut map[*start..*start + *len],
        }
    }
}
