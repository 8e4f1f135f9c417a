//! How far readers have come, so that they need not wait to tell.
//!
//! A page that was made ahead and is remapped has no entry in the tables of the processor before it is first read: then the
//! system makes one, and lets nobody wait. Whether there is one, it says in `/proc/self/pagemap`. Of pages that it copies
//! it makes the entries itself; there we know only of those who waited.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::region::page;

/// How often to look, and how long after something was made: a reader that takes longer for it loses little by waiting.
const LOOK: Duration = Duration::from_micros(20);
const PATIENCE: Duration = Duration::from_millis(2);

/// The bit of a page that has an entry.
const PRESENT: u64 = 1 << 63;

/// What is known of the places of readers.
pub(super) struct Progress {
    /// `None` where the system doesn't say.
    pagemap: Option<File>,
    /// The chunk that was there when somebody was last heard to wait for it.
    waited: Option<usize>,
    /// When a piece was made last.
    made: Instant,
}

impl Progress {
    pub(super) fn new(recycles: bool) -> Self {
        let pagemap = if recycles { File::open("/proc/self/pagemap").ok() } else { None };
        Self { pagemap, waited: None, made: Instant::now() }
    }

    /// Hears that somebody waits for a chunk that is there by now.
    pub(super) fn waits(&mut self, chunk: usize) {
        self.waited = Some(chunk);
    }

    /// Hears that a piece was made.
    pub(super) fn made(&mut self) {
        self.made = Instant::now();
    }

    /// How soon to look; `None` if nothing is to be seen.
    pub(super) fn look(&self) -> Option<Duration> {
        (self.pagemap.is_some() && self.made.elapsed() < PATIENCE).then_some(LOOK)
    }

    /// Whether somebody has come to these chunks, which are there and begin at `address`.
    pub(super) fn has_reached(&self, chunks: &Range<usize>, address: usize) -> bool {
        let Some(pagemap) = &self.pagemap else {
            return self.waited.is_some_and(|chunk| chunks.contains(&chunk));
        };
        let mut entry = [0; 8];
        let told = pagemap.read_exact_at(&mut entry, (address / page()) as u64 * 8);
        told.is_ok() && u64::from_ne_bytes(entry) & PRESENT != 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::region::{Access, Region, memory_file};
    use super::*;

    #[test]
    fn a_page_is_reached_when_it_is_read() {
        let region = Region::reserve(2 * page()).unwrap();
        let file = memory_file(c"windrow-test", 2 * page()).unwrap();
        // SAFETY: nobody knows the region yet.
        unsafe { region.map_file(0, 2 * page(), &file, 0, Access::Write).unwrap() };
        let address = region.at(page(), 1) as usize;
        let mut progress = Progress::new(true);
        if progress.pagemap.is_none() {
            return;
        }
        assert!(!progress.has_reached(&(0..1), address));
        // SAFETY: just mapped, and nobody else's.
        unsafe { region.at(page(), 1).cast::<u8>().write_volatile(1) };
        assert!(progress.has_reached(&(0..1), address));
        progress.made = Instant::now() + PATIENCE;
        assert_eq!(progress.look(), Some(LOOK));
        progress.made = Instant::now() - PATIENCE;
        assert_eq!(progress.look(), None);
    }

    #[test]
    fn of_copied_pages_those_who_waited_are_known() {
        let mut progress = Progress::new(false);
        assert!(!progress.has_reached(&(4..8), 0));
        progress.waits(5);
        assert!(progress.has_reached(&(4..8), 0) && !progress.has_reached(&(6..8), 0));
        assert_eq!(progress.look(), None);
    }
}
