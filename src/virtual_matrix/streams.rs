//! What is read in order, and how far ahead of it to go.

/// So many streams are told apart: a reader that goes through many columns at once is as many.
const MOST: usize = 256;

/// A stream that wasn't heard of for so many touches has ended.
const RECENT: u64 = 512;

/// Someone who reads chunk after chunk.
struct Stream {
    /// The chunk that they touch next, if they go on.
    next: usize,
    /// Chunks that were made for them the last time.
    window: usize,
    last: u64,
}

/// Who reads in order.
#[derive(Default)]
pub(super) struct Streams {
    known: Vec<Stream>,
    touches: u64,
}

impl Streams {
    /// How many chunks to make from this one on, which is not there: one if it stands alone, and twice as many each time
    /// that a stream goes on, up to `most` for all streams together. `beside`: the chunk before is there.
    pub(super) fn touch(&mut self, chunk: usize, beside: bool, most: usize) -> usize {
        self.touches += 1;
        let touches = self.touches;
        let active = self.known.iter().filter(|stream| stream.last + RECENT > touches && stream.window > 1).count();
        let most = (most / active.max(1)).max(1);
        let next = |window: usize| Stream { next: chunk + window, window, last: touches };
        if let Some(stream) = self.known.iter_mut().find(|stream| stream.next == chunk) {
            let window = (stream.window * 2).min(most);
            *stream = next(window);
            return window;
        }
        let window = if beside { 2.min(most) } else { 1 };
        if self.known.len() < MOST {
            self.known.push(next(window));
        } else if let Some(oldest) = self.known.iter_mut().min_by_key(|stream| stream.last) {
            *oldest = next(window);
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_grow_and_single_touches_do_not() {
        let mut streams = Streams::default();
        assert_eq!([7, 500, 20].map(|chunk| streams.touch(chunk, false, 64)), [1, 1, 1]);
        let mut chunk = 8;
        for window in [2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(streams.touch(chunk, true, 64), window);
            chunk += window;
        }
        // Two streams share what may be made ahead.
        assert_eq!(streams.touch(501, true, 64), 2);
        assert_eq!(streams.touch(chunk, true, 64), 32);
    }

    #[test]
    fn many_streams_are_told_apart() {
        let mut streams = Streams::default();
        for column in 0..64 {
            assert_eq!(streams.touch(column * 100, false, 16), 1);
        }
        for column in 0..64 {
            assert!(streams.touch(column * 100 + 1, true, 640) >= 2);
        }
    }
}
