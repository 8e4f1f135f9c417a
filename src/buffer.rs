//! Recycled memory: fresh pages are the dearest thing here, so buffers go back to a pool when their last user drops
//! them, and the next batch is written into warm memory.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow_buffer::Buffer;
use bytes::Bytes;

use crate::{Error, ErrorKind, Result};

mod memory;

use memory::Memory;

/// A buffer may be as large as four of these, whatever is asked for.
const SMALL: usize = 1 << 10;

/// A pool of byte buffers, shared by its clones.
///
/// [`take`](Self::take) gives a buffer to write into; [`PoolBuf::freeze`] turns it into an Arrow [`Buffer`], whose
/// memory comes back to the pool when its last clone or slice is dropped, wherever that is (another thread, or a
/// consumer behind the C interface). At most `keep` buffers lie idle; what outlives the pool is freed as usual.
#[derive(Clone)]
pub struct BufferPool(Arc<Shelf>);

struct Shelf {
    idle: Mutex<Vec<Memory>>,
    keep: usize,
}

impl BufferPool {
    /// A pool that keeps at most `keep` idle buffers.
    pub fn new(keep: usize) -> Self {
        Self(Arc::new(Shelf { idle: Mutex::new(Vec::with_capacity(keep)), keep }))
    }

    /// A buffer of `len` bytes: recycled, with old bytes in it, or else fresh and zeroed. Aligned to 64 bytes.
    ///
    /// # Errors
    /// If the memory can't be had.
    pub fn take(&self, len: usize) -> Result<PoolBuf> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that fits, unless it would be mostly waste; of several the last used, which may still be in cache.
        let fit = (0..idle.len())
            .rev()
            .filter(|&i| idle[i].len() >= len && idle[i].len() / 4 <= len.max(SMALL))
            .min_by_key(|&i| idle[i].len());
        let recycled = fit.map(|i| idle.remove(i));
        drop(idle);
        let memory = match recycled {
            Some(memory) => memory,
            None => {
                Memory::zeroed(len).ok_or_else(|| Error::from(ErrorKind::Memory { what: "a buffer", bytes: len }))?
            }
        };
        Ok(PoolBuf { memory, len, home: Arc::downgrade(&self.0) })
    }

    /// How many buffers lie idle.
    pub fn idle(&self) -> usize {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferPool({} idle, keeps {})", self.idle(), self.0.keep)
    }
}

/// Memory on loan from a [`BufferPool`], to be written and then [frozen](PoolBuf::freeze). Dropped, it goes back.
pub struct PoolBuf {
    memory: Memory,
    len: usize,
    home: Weak<Shelf>,
}

impl PoolBuf {
    /// The memory as an Arrow buffer. Nothing is copied.
    pub fn freeze(self) -> Buffer {
        Buffer::from(Bytes::from_owner(self))
    }
}

impl AsRef<[u8]> for PoolBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for PoolBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl Drop for PoolBuf {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut idle = home.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if home.keep == 0 || self.memory.is_empty() {
            return;
        }
        if idle.len() == home.keep {
            // The oldest makes room, so that sizes that are no longer asked for don't stay for ever.
            idle.remove(0);
        }
        idle.push(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_when_the_last_slice_is_dropped() {
        let pool = BufferPool::new(2);
        let mut buf = pool.take(1000).unwrap();
        buf[999] = 7;
        let address = buf.as_ptr();
        let buffer = buf.freeze();
        assert!((buffer.as_ptr() as usize).is_multiple_of(64) && buffer.as_ptr() == address);
        let slice = buffer.slice_with_length(900, 100);
        drop(buffer);
        assert_eq!((pool.idle(), slice[99]), (0, 7));
        std::thread::spawn(move || drop(slice)).join().unwrap();
        assert_eq!(pool.idle(), 1);
        assert_eq!(pool.take(990).unwrap().as_ptr(), address);
    }

    #[test]
    fn keeps_a_bounded_number_and_does_not_waste() {
        let pool = BufferPool::new(2);
        let many: Vec<_> = (0..5).map(|_| pool.take(1 << 16).unwrap()).collect();
        drop(many);
        assert_eq!(pool.idle(), 2);
        assert_eq!(pool.take(64).unwrap().memory.len(), 64, "64 bytes don't take 64 KiB");
    }

    #[test]
    fn large_buffers_are_zeroed_aligned_and_recycled() {
        let pool = BufferPool::new(1);
        for len in [1, 64, (1 << 20) + 1, (2 << 20) - 100, 2 << 20, (2 << 20) + 1, (4 << 20) - 1, 5 << 20] {
            let mut buf = BufferPool::new(0).take(len).unwrap();
            assert_eq!((buf.len(), buf.iter().map(|&byte| u64::from(byte)).sum::<u64>()), (len, 0));
            assert!((buf.as_ptr() as usize).is_multiple_of(64));
            buf.fill(1);
        }
        let address = pool.take(4 << 20).unwrap().as_ptr();
        assert_eq!(pool.take((4 << 20) - 64).unwrap().as_ptr(), address);
    }

    #[test]
    fn outlives_its_pool_and_refuses_the_impossible() {
        let pool = BufferPool::new(1);
        let buffer = pool.take(10).unwrap().freeze();
        assert!(matches!(pool.take(isize::MAX as usize).err().unwrap().kind(), ErrorKind::Memory { .. }));
        assert!(pool.take(0).unwrap().is_empty());
        drop(pool);
        assert_eq!(buffer.len(), 10);
    }
}
