//! What a codec is told of a buffer, so that it need not look for repetitions itself.

/// A codec that is told where a buffer repeats itself, from its start to its end.
pub(super) trait Told {
    const LIMITS: Limits;

    /// Begins a buffer of so many bytes.
    fn begin(&mut self, bytes: usize);

    /// The next bytes repeat nothing.
    fn literals(&mut self, bytes: &[u8]);

    /// The next `length` bytes are those `distance` before.
    fn repeat(&mut self, distance: usize, length: usize);

    /// The next bytes are rows of this pattern.
    fn rows(&mut self, rows: &[u8], pattern: &Pattern);

    /// Bytes so far.
    fn len(&self) -> usize;

    /// Bytes of them that repeat nothing.
    fn lone(&self) -> usize;
}

/// What a format can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The fewest bytes of a repetition.
    pub(super) least: usize,
    /// The furthest back that one may lie.
    pub(super) distance: usize,
    /// Bytes at the end of which none may be one.
    pub(super) end: usize,
    /// What a row has to share with its neighbour, in one piece, so that telling is faster than looking.
    pub(super) worth: usize,
}

/// A part of a row that repeats what stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// Where in the row it begins.
    pub(super) at: usize,
    pub(super) length: usize,
    /// How far before it stands.
    pub(super) distance: usize,
}

/// A row of which all that it repeats is known, wherever it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Bytes of the row.
    pub(super) bytes: usize,
    /// How far before the row stands what it repeats.
    pub(super) reach: usize,
    pub(super) repeats: Vec<Repeat>,
    /// What repeats nothing: where it begins and ends.
    pub(super) lone: Vec<(usize, usize)>,
    /// How many bytes follow the last repetition.
    pub(super) rest: usize,
}

impl Pattern {
    /// A row of so many bytes with these repetitions, which come one behind the other.
    pub(super) fn new(bytes: usize, repeats: Vec<Repeat>, limits: Limits) -> Self {
        let (mut lone, mut told, mut reach) = (Vec::new(), 0, 0);
        for &Repeat { at, length, distance } in &repeats {
            assert!(at >= told && (limits.least..=bytes - at).contains(&length));
            assert!((1..=limits.distance).contains(&distance));
            lone.push((told, at));
            told = at + length;
            reach = reach.max(distance.saturating_sub(at));
        }
        lone.push((told, bytes));
        lone.retain(|(start, end)| start < end);
        Self { bytes, reach, repeats, lone, rest: bytes - told }
    }

    /// Whether the row at `begin` is one of these.
    #[inline]
    pub(super) fn fits(&self, bytes: &[u8], begin: usize) -> bool {
        let row = &bytes[begin..begin + self.bytes];
        begin >= self.reach
            && self.repeats.iter().all(|&Repeat { at, length, distance }| {
                let from = begin + at - distance;
                same(&bytes[from..from + length], &row[at..at + length])
            })
    }
}

/// Whether these are the same. They have one length, mostly so few bytes that a call would take longer.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let wide = |bytes: &[u8; 16]| u128::from_ne_bytes(*bytes);
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let half = |bytes: &[u8; 4]| u32::from_ne_bytes(*bytes);
    if a.len() > 64 {
        return a == b;
    }
    // What fills no chunk is the last one, which overlaps the one before.
    if let (Some(a_last), Some(b_last)) = (a.last_chunk::<16>(), b.last_chunk::<16>()) {
        let chunks = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
        return chunks.fold(wide(a_last) ^ wide(b_last), |differ, (a, b)| differ | (wide(a) ^ wide(b))) == 0;
    }
    if let (Some(a), Some(b), Some(a_last), Some(b_last)) =
        (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>())
    {
        return (word(a) ^ word(b)) | (word(a_last) ^ word(b_last)) == 0;
    }
    match (a.first_chunk::<4>(), b.first_chunk::<4>(), a.last_chunk::<4>(), b.last_chunk::<4>()) {
        (Some(a), Some(b), Some(a_last), Some(b_last)) => (half(a) ^ half(b)) | (half(a_last) ^ half(b_last)) == 0,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_differs_is_seen_wherever_it_is() {
        let bytes: Vec<u8> = (0..100).collect();
        for length in 0..100 {
            let (a, mut b) = (&bytes[..length], bytes[..length].to_vec());
            assert!(same(a, &b));
            for at in 0..length {
                b[at] ^= 0x80;
                assert!(!same(a, &b), "{at} of {length}");
                b[at] ^= 0x80;
            }
        }
    }
}
