//! What is read here and there: whether whoever touches a chunk touches most of what lies around it, too.
//!
//! A tree reads a column in the order of its samples: every chunk of it, in no order. A fault each would take longer than
//! to make all of them at once. Who reads rows by number touches a chunk of every column, and what lies around it would be
//! made for nothing. To tell one from the other, some chunks are made alone, and watched.

use std::collections::VecDeque;

/// A piece that is touched again is so at most so many touches later: several threads read a column each.
const SOON: usize = 16;

/// Of the last eight pieces that were watched, so many must have been touched again.
const MOST: u32 = 6;

/// One piece of so many is watched on.
const WATCHED: usize = 8;

/// Pieces of which one chunk was touched.
pub(super) struct Scattered {
    /// How many touches a piece is watched: no more than pieces have room at once, or they would be gone when they are
    /// touched again.
    soon: usize,
    touches: usize,
    /// The pieces of which a chunk was made alone, and when.
    watched: VecDeque<(usize, usize)>,
    /// Which of the last eight were touched again, a bit each.
    again: u8,
}

impl Scattered {
    /// `room`: so many pieces are there at once.
    pub(super) fn new(room: usize) -> Self {
        Self { soon: (room / 2).min(SOON), touches: 0, watched: VecDeque::new(), again: 0 }
    }

    /// Whether to make all of this piece, of which a chunk is touched that is not there.
    pub(super) fn touch(&mut self, piece: usize) -> bool {
        self.touches += 1;
        while self.watched.front().is_some_and(|(_, touch)| self.touches - touch > self.soon) {
            self.watched.pop_front();
            self.again <<= 1;
        }
        let known = self.watched.iter().position(|&(watched, _)| watched == piece);
        if let Some(known) = known {
            self.watched.remove(known);
            self.again = self.again << 1 | 1;
        }
        let dense = self.again.count_ones() >= MOST;
        if dense && (known.is_some() || !self.touches.is_multiple_of(WATCHED)) {
            return true;
        }
        if known.is_none() {
            self.watched.push_back((piece, self.touches));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A permutation of 0..n.
    fn shuffled(n: usize, seed: usize) -> impl Iterator<Item = usize> {
        (0..n).map(move |i| (i * 37 + seed * 11) % n)
    }

    #[test]
    fn columns_in_no_order_are_made_a_piece_at_a_time() {
        let mut scattered = Scattered::new(16);
        // Two readers; a column has two pieces of 32 chunks.
        let mut faults = Vec::new();
        for column in 0..40 {
            let mut there = [[false; 64]; 2];
            let mut count = 0;
            for (reader, chunk) in shuffled(64, column).flat_map(|chunk| [(0, chunk), (1, (chunk + 5) % 64)]) {
                if std::mem::replace(&mut there[reader][chunk], true) {
                    continue;
                }
                count += 1;
                if scattered.touch((column * 2 + reader) * 2 + chunk / 32) {
                    there[reader][chunk / 32 * 32..][..32].fill(true);
                }
            }
            faults.push(count);
        }
        assert!(faults[0] > 8 && faults[10..].iter().sum::<usize>() <= 30 * 6, "{faults:?}");
    }

    #[test]
    fn rows_here_and_there_are_made_a_chunk_at_a_time() {
        let mut scattered = Scattered::new(64);
        let whole = |scattered: &mut Scattered, from: usize| {
            let pieces = (0..500).flat_map(|row| (0..20).map(move |column| column * 10 + (row + from) % 7));
            pieces.filter(|&piece| scattered.touch(piece)).count()
        };
        assert_eq!(whole(&mut scattered, 0), 0);
        // Those who come after one who reads columns wait a little, until this is known.
        for piece in (0..100).flat_map(|piece| [piece, piece]) {
            scattered.touch(1000 + piece);
        }
        assert!(whole(&mut scattered, 3) < 100);
        assert_eq!(whole(&mut scattered, 5), 0);
    }

    #[test]
    fn without_room_for_pieces_nobody_gets_them() {
        let mut scattered = Scattered::new(1);
        assert!((0..200).all(|touch| !scattered.touch(touch / 2)));
    }
}
