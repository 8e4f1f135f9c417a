//! What is read in order, and how far ahead of it to go.

use std::ops::Range;

/// So many streams are told apart: a reader that goes through many columns at once is as many.
const MOST: usize = 256;

/// A new stream is taken to be touched every so many touches.
const EVERY: u64 = 16;

/// Someone who reads chunk after chunk.
struct Stream {
    /// The chunk that they touch next, if they go on.
    next: usize,
    /// Chunks that were made for them the last time, and since they began.
    window: usize,
    made: usize,
    last: u64,
    /// From its touch before the last to the last.
    every: u64,
}

impl Stream {
    /// Whether it goes on, as it seems: it was heard of not much longer ago than it usually is. One that has ended would
    /// take its share of what is made ahead from the others.
    fn goes_on(&self, touches: u64) -> bool {
        touches - self.last <= 4 * self.every + 8
    }
}

/// What to make from a chunk on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touch {
    /// How many chunks.
    pub(super) window: usize,
    /// Whether their reader has gone so far that nothing is there any more of where they began.
    pub(super) passing: bool,
}

/// Who reads in order.
pub(super) struct Streams {
    known: Vec<Stream>,
    touches: u64,
    /// The most chunks ahead of all readers together, and of one that is only passing.
    most: usize,
    most_passing: usize,
    /// Readers that had more chunks are passing.
    slots: usize,
    /// Chunks that a huge page holds: what is made ahead ends where one does.
    huge: usize,
}

impl Streams {
    pub(super) fn new(most: usize, most_passing: usize, slots: usize, huge: usize) -> Self {
        Self { known: Vec::new(), touches: 0, most, most_passing, slots, huge }
    }

    /// How many chunks to make from this one on, which is not there: one if it stands alone, and twice as many each time
    /// that a stream goes on. `beside`: the chunk before is there. `expected`: it was going to be made, together with all
    /// up to that one, and its reader was faster.
    pub(super) fn touch(&mut self, chunk: usize, beside: bool, expected: Option<usize>) -> Touch {
        self.touches += 1;
        let touches = self.touches;
        let most = self.share();
        let at = expected.unwrap_or(chunk);
        if let Some(stream) = self.known.iter_mut().find(|stream| stream.next == at) {
            let passing = stream.made >= self.slots;
            let most = if passing { most.min(self.most_passing) } else { most };
            // Who may jump about is not made more than what they were going to have.
            let more = passing || expected.is_none();
            let window = if more { (stream.window * 2).min(most) } else { stream.window };
            let end = if more { chunk + window } else { at };
            let next = if window >= self.huge { end / self.huge * self.huge } else { end }.max(at);
            let every = touches - stream.last;
            *stream = Stream { next, window, made: stream.made + (next - at), last: touches, every };
            return Touch { window: next - chunk, passing };
        }
        let window = if beside { 2.min(most) } else { 1 }.max(at - chunk);
        let stream = Stream { next: chunk + window, window, made: window, last: touches, every: EVERY };
        if self.known.len() < MOST {
            self.known.push(stream);
        } else if let Some(oldest) = self.known.iter_mut().min_by_key(|stream| stream.last) {
            *oldest = stream;
        }
        Touch { window, passing: false }
    }

    /// Tells that more was made at the last touch than up to `end`, all before `further`; gives the end of both.
    pub(super) fn reached(&mut self, end: usize, further: usize) -> usize {
        let touches = self.touches;
        if let Some(stream) = self.known.iter_mut().find(|stream| stream.last == touches && stream.next == end)
            && let Some(more @ 1..) = further.checked_sub(end)
        {
            (stream.next, stream.window, stream.made) = (further, stream.window + more, stream.made + more);
        }
        end.max(further)
    }

    /// Whether somebody passes by whom it is worth to follow. Where there are so many readers, or is so little room, that they
    /// may have less than a huge page each, it isn't.
    pub(super) fn passes(&self) -> bool {
        self.followed().is_some() && self.known.iter().any(|stream| self.is_passing(stream))
    }

    /// The most chunks ahead of one who is followed.
    fn followed(&self) -> Option<usize> {
        Some(self.share().min(self.most_passing)).filter(|&most| most >= self.huge)
    }

    fn is_passing(&self, stream: &Stream) -> bool {
        stream.made >= self.slots && stream.goes_on(self.touches)
    }

    /// What to make for a reader that passes by and has `reached` the last chunks that were made for it: so many that as
    /// much as ever is there ahead of it. `None` if nobody has.
    pub(super) fn follow(&mut self, chunks: usize, reached: impl Fn(Range<usize>) -> bool) -> Option<Range<usize>> {
        let most = self.followed()?;
        let last = |stream: &Stream| stream.next.saturating_sub(most)..stream.next;
        let waits = |stream: &Stream| self.is_passing(stream) && stream.next < chunks && reached(last(stream));
        let found = self.known.iter().position(waits)?;
        let stream = &mut self.known[found];
        let more = stream.next..(stream.next + self.huge).min(chunks);
        (stream.next, stream.made, stream.last) = (more.end, stream.made + more.len(), self.touches);
        Some(more)
    }

    /// The most chunks ahead of one reader.
    fn share(&self) -> usize {
        let active = self.known.iter().filter(|stream| stream.goes_on(self.touches) && stream.window > 1).count();
        (self.most / active.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_grow_and_single_touches_do_not() {
        let mut streams = Streams::new(64, 64, 1000, 1);
        assert_eq!([7, 500, 20].map(|chunk| streams.touch(chunk, false, None).window), [1, 1, 1]);
        let mut chunk = 8;
        for window in [2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(streams.touch(chunk, true, None), Touch { window, passing: false });
            chunk += window;
        }
        // Two streams share what may be made ahead.
        assert_eq!(streams.touch(501, true, None).window, 2);
        assert_eq!(streams.touch(chunk, true, None).window, 32);
    }

    #[test]
    fn who_waits_for_what_comes_is_not_let_wait_again() {
        let mut streams = Streams::new(16, 4, 40, 1);
        streams.touch(0, false, None);
        let mut chunk = 1;
        let mut passing = false;
        for _ in 0..20 {
            let touch = streams.touch(chunk, true, None);
            // In the midst of what is made for it, the reader is there already.
            let middle = chunk + touch.window / 2;
            let more = streams.touch(middle, true, Some(chunk + touch.window));
            assert!(middle + more.window >= chunk + touch.window);
            assert!(more.window <= if more.passing { touch.window.max(4) } else { 16 });
            chunk = middle + more.window;
            assert!(more.passing >= passing, "who passes goes on");
            passing = more.passing;
        }
        assert!(passing);
    }

    #[test]
    fn who_passes_by_and_comes_to_the_last_chunks_has_more_made() {
        let mut streams = Streams::new(16, 8, 40, 2);
        let at = |chunk: usize| move |chunks: Range<usize>| chunks.contains(&chunk);
        let mut end = streams.touch(0, false, None).window;
        while end < 40 {
            assert!(!streams.passes());
            assert_eq!(streams.follow(1000, at(end - 1)), None, "not who may turn round");
            end += streams.touch(end, true, None).window;
        }
        assert!(streams.passes());
        assert_eq!(streams.follow(1000, at(end - 40)), None, "another reader");
        assert_eq!(streams.follow(1000, at(end - 5)), Some(end..end + 2));
        assert_eq!(streams.follow(1000, at(end - 5)), Some(end + 2..end + 4));
        assert_eq!(streams.follow(1000, at(end - 5)), None, "enough is there");
        assert_eq!(streams.follow(end + 5, at(end)), Some(end + 4..end + 5));
        assert_eq!(streams.follow(end + 5, at(end)), None, "there are no more");
    }

    #[test]
    fn who_may_have_little_is_not_followed() {
        let any = |_: Range<usize>| true;
        for (most, more) in [(8, Some(4)), (4, Some(4)), (3, None)] {
            let mut streams = Streams::new(most, 8, 40, 4);
            let mut end = streams.touch(0, false, None).window;
            while end < 40 {
                end += streams.touch(end, true, None).window;
            }
            assert_eq!(streams.passes(), more.is_some());
            assert_eq!(streams.follow(1000, any), more.map(|more| end..end + more));
        }
        // Several readers share what may be made ahead.
        let mut streams = Streams::new(8, 8, 40, 4);
        let mut ends = [0, 10_000, 20_000];
        for round in 0..30 {
            for end in &mut ends {
                let touch = streams.touch(*end, true, None);
                assert!(touch.passing || round < 29);
                *end += touch.window;
            }
        }
        assert!(!streams.passes(), "nor is it looked where they are");
        assert_eq!(streams.follow(100_000, any), None);
    }

    #[test]
    fn windows_end_where_huge_pages_do() {
        let mut streams = Streams::new(31, 24, 1000, 8);
        let mut chunk = 5;
        let mut ends = Vec::new();
        for _ in 0..8 {
            chunk += streams.touch(chunk, true, None).window;
            ends.push(chunk);
        }
        assert_eq!(ends, [7, 11, 16, 32, 56, 80, 104, 128]);
    }

    #[test]
    fn a_stream_that_has_ended_leaves_its_share_to_others() {
        let mut streams = Streams::new(64, 64, 1000, 1);
        let mut read = |from: usize, touches: usize| {
            let mut chunk = from;
            (0..touches).fold(0, |_, touch| {
                let window = streams.touch(chunk, touch > 0, None).window;
                chunk += window;
                window
            })
        };
        assert_eq!(read(0, 10), 64);
        assert_eq!(read(5000, 10), 32, "somebody else may go on");
        assert_eq!(read(9000, 40), 64);
    }

    #[test]
    fn who_goes_on_behind_all_that_was_made_is_a_stream() {
        let mut streams = Streams::new(64, 64, 1000, 8);
        let window = streams.touch(3, false, None).window;
        assert_eq!(streams.reached(3 + window, 8), 8);
        assert_eq!(streams.touch(8, true, None).window, 8);
        assert_eq!(streams.reached(16, 12), 16);
        assert_eq!(streams.touch(16, true, None).window, 16);
    }

    #[test]
    fn many_streams_are_told_apart() {
        let mut streams = Streams::new(640, 640, 10_000, 1);
        for column in 0..64 {
            assert_eq!(streams.touch(column * 100, false, None).window, 1);
        }
        for column in 0..64 {
            assert!(streams.touch(column * 100 + 1, true, None).window >= 2);
        }
    }
}
