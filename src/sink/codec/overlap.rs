//! Where neighbouring windows repeat each other.
//!
//! A codec that looks for repetitions byte by byte takes most of an export's time, finds them in its own, short window,
//! and not at their full length. Where they are is known: on each axis that a window slides over, all but its last
//! pixels are those of its neighbour. Whether it is so is looked at, byte by byte; what a table says of itself can make
//! a file larger, never wrong.

use arrow_schema::Schema;

use super::sequences::{BLOCK_BYTES, LEAST_MATCH, MOST_DISTANCE, Repeat, Sequences};
use crate::{DType, Grid, Layout, TableInfo};

/// Where patches lie in the bytes of a page or buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sink) struct Place {
    /// Where the first begins.
    pub(in crate::sink) start: usize,
    /// After how many bytes that what is before repeats itself, if it does.
    pub(in crate::sink) period: usize,
}

/// What the patches of a table have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Bytes of a patch.
    row: usize,
    axes: Vec<Axis>,
    /// What nearly all patches are, the most common way first: each is tried as a whole.
    ways: Vec<Way>,
}

/// A patch that has all that it can have in common with its neighbours on the last axes, and nothing with others.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    /// The furthest of these neighbours.
    reach: usize,
    repeats: Vec<Repeat>,
}

/// What a patch has in common with its neighbour on one axis.
#[derive(Debug, PartialEq, Eq)]
struct Axis {
    /// How far before it lies in the table.
    distance: usize,
    /// A patch is cut into pieces of so many bytes, all that the window has on this axis.
    piece: usize,
    /// The bytes of each piece, from its start, that the neighbour has too.
    shared: usize,
}

/// What a patch has to share with its neighbour, in one piece, so that this way is the faster one.
const LEAST_SHARED: usize = 16;

impl Overlap {
    /// What the metadata of a schema say, if it is worth looking at.
    pub(super) fn of(schema: &Schema) -> Option<Self> {
        let info = TableInfo::from_schema(schema).ok()??;
        if info.layout == Layout::Columns || (info.dtype == DType::Bool && info.layout != Layout::Binary) {
            return None;
        }
        let grid = Grid::new(&info.window, &info.source.shape, Some(&info.source.axes)).ok()?;
        let bytes = |shape: &[u64]| {
            let cells = shape.iter().try_fold(info.dtype.size() as u64, |bytes, &n| bytes.checked_mul(n));
            cells.and_then(|bytes| usize::try_from(bytes).ok())
        };
        let shape = grid.patch_shape();
        let row = bytes(&shape)?;
        let mut axes = Vec::new();
        for (i, (axis, &number)) in grid.sliding().zip(grid.sliding_axes()).enumerate() {
            let rows = grid.sliding().skip(i + 1).try_fold(1u64, |n, axis| n.checked_mul(axis.count))?;
            let shift = axis.step / axis.dilation;
            if !axis.step.is_multiple_of(axis.dilation) || shift >= axis.window {
                continue;
            }
            let (piece, pixel) = (bytes(&shape[number..])?, bytes(&shape[number + 1..])?);
            let moved = pixel.checked_mul(usize::try_from(shift).ok()?)?;
            let distance = usize::try_from(rows).ok()?.checked_mul(row)?.checked_sub(moved)?;
            if piece - moved >= LEAST_MATCH && (1..=MOST_DISTANCE).contains(&distance) {
                axes.push(Axis { distance, piece, shared: piece - moved });
            }
        }
        let best = axes.iter().any(|axis| axis.shared >= LEAST_SHARED && axis.shared * 2 >= axis.piece);
        best.then(|| Self { row, ways: (0..axes.len()).map(|first| Way::new(row, &axes[first..])).collect(), axes })
    }

    /// Says what of `bytes` repeats what was before; `false` if it is too little.
    pub(super) fn plan(&self, bytes: &[u8], place: Place, sequences: &mut Sequences) -> bool {
        sequences.clear();
        let start = place.start.min(bytes.len());
        head(&bytes[..start], place.period, sequences);
        let head = sequences.lone();
        let mut rows = bytes[start..].chunks_exact(self.row);
        for row in &mut rows {
            if self.row <= BLOCK_BYTES && sequences.room() < self.row {
                sequences.end_block();
            }
            let begin = sequences.len();
            match self.ways.iter().find(|way| way.is_that_of(bytes, begin, row)) {
                Some(way) => sequences.row(row, &way.repeats),
                None => self.search(bytes, row, sequences),
            }
        }
        sequences.literals(rows.remainder());
        (sequences.lone() - head) * 2 <= bytes.len() - start
    }

    /// A patch like no other.
    fn search(&self, bytes: &[u8], row: &[u8], sequences: &mut Sequences) {
        let begin = sequences.len();
        let (mut at, mut told) = (0, 0);
        while at < row.len() {
            let found = self.axes.iter().find_map(|axis| {
                let most = axis.shared_at(at).filter(|&most| most >= LEAST_MATCH)?;
                let from = (begin + at).checked_sub(axis.distance)?;
                let length = common(&bytes[from..from + most], &row[at..at + most]);
                (length >= LEAST_MATCH).then_some((axis.distance, length))
            });
            match found {
                Some((distance, length)) => {
                    sequences.literals(&row[told..at]);
                    sequences.repeat(distance, length);
                    at += length;
                    told = at;
                }
                None => at += 1,
            }
        }
        sequences.literals(&row[told..]);
    }
}

impl Axis {
    /// How many bytes from there on the neighbour has, if it has any.
    fn shared_at(&self, at: usize) -> Option<usize> {
        self.shared.checked_sub(at % self.piece).filter(|&shared| shared > 0)
    }
}

impl Way {
    /// Patches of so many bytes that have neighbours on these axes.
    fn new(row: usize, axes: &[Axis]) -> Self {
        let mut repeats = Vec::new();
        let mut at = 0;
        while at < row {
            let shared =
                |axis: &Axis| axis.shared_at(at).filter(|&most| most >= LEAST_MATCH).map(|most| (axis.distance, most));
            match axes.iter().find_map(shared) {
                Some((distance, length)) => {
                    repeats.push(Repeat { at, length, distance });
                    at += length;
                }
                None => at += 1,
            }
        }
        Self { reach: axes.iter().map(|axis| axis.distance).max().unwrap_or(0), repeats }
    }

    /// Whether the patch there is one of these.
    fn is_that_of(&self, bytes: &[u8], begin: usize, row: &[u8]) -> bool {
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
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(_), Some(_)) if a.len() > 64 => a == b,
        (Some(a_last), Some(b_last)) => {
            let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
            words.fold(word(a_last) ^ word(b_last), |differ, (a, b)| differ | (word(a) ^ word(b))) == 0
        }
        _ => a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0,
    }
}

/// What stands before the patches: the levels of lists, which repeat themselves.
fn head(head: &[u8], period: usize, sequences: &mut Sequences) {
    /// A shorter piece of levels is not worth a look.
    const NEAR: usize = 64;
    let (mut at, mut told) = (0, 0);
    while at < head.len() {
        let length = match at.checked_sub(period) {
            Some(from) if period > 0 => common(&head[from..head.len() - period], &head[at..]),
            _ => 0,
        };
        if length >= NEAR {
            sequences.literals(&head[told..at]);
            sequences.repeat(period, length);
            at += length;
            told = at;
        } else {
            at += 1;
        }
    }
    sequences.literals(&head[told..]);
}

/// How many bytes from the start are the same.
fn common(a: &[u8], b: &[u8]) -> usize {
    if a == b {
        return a.len();
    }
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PatchScan, StridedView, WindowSpec};

    fn overlap(shape: &[usize], spec: WindowSpec, dtype: DType) -> Option<Overlap> {
        let cells = shape.iter().product::<usize>();
        let view = StridedView::from_buffer(vec![0u8; cells * dtype.size()].into(), dtype, shape).unwrap();
        Overlap::of(&PatchScan::new(view, spec).unwrap().schema())
    }

    #[test]
    fn neighbours_share_all_but_their_last_pixels() {
        let found = overlap(&[20, 30, 3], WindowSpec::new([8, 8]).step(2), DType::U8).unwrap();
        let (row, line) = (192, 12);
        let above = Axis { distance: line * row - 2 * 24, piece: 192, shared: 6 * 24 };
        let left = Axis { distance: row - 6, piece: 24, shared: 18 };
        assert_eq!((found.row, &found.axes), (row, &vec![above, left]));
        // Nothing in common, or too little, or known to be other bytes than in memory.
        for (spec, dtype) in [
            (WindowSpec::new([8, 8]).step(8), DType::U8),
            (WindowSpec::new([8, 8]).step(6), DType::F32),
            (WindowSpec::new([3, 3]), DType::U8),
            (WindowSpec::new([8, 8]).dilation(2), DType::U8),
            (WindowSpec::new([8, 8]), DType::Bool),
        ] {
            assert_eq!(overlap(&[20, 30], spec, dtype), None);
        }
    }

    /// What a frame of such patches gives back, and its length.
    fn there_and_back(bytes: &[u8], overlap: &Overlap, place: Place) -> Option<usize> {
        let mut sequences = Sequences::new().unwrap();
        // Twice: what is used again has to be as new.
        let mut frames = (0..2).map(|_| {
            let mut frame = Vec::with_capacity(zstd::zstd_safe::compress_bound(bytes.len()));
            let done = overlap.plan(bytes, place, &mut sequences) && sequences.compress(bytes.len(), &mut frame);
            done.then_some(frame)
        });
        let (first, second) = (frames.next().unwrap()?, frames.next().unwrap()?);
        assert!(first == second);
        assert!(zstd::bulk::decompress(&first, bytes.len()).unwrap() == bytes);
        Some(first.len())
    }

    #[test]
    fn what_is_known_is_verified() {
        let noise = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        let (height, width, k) = (60, 300, 16);
        let pixel = |y: usize, x: usize| noise((y * width + x) as u64 * 7919);
        let mut rows = Vec::new();
        for (y, x) in (0..=height - k).flat_map(|y| (0..=width - k).map(move |x| (y, x))) {
            rows.extend((0..k).flat_map(|dy| (0..k).map(move |dx| (dy, dx))).map(|(dy, dx)| pixel(y + dy, x + dx)));
        }
        let overlap = overlap(&[height, width], WindowSpec::new([16, 16]), DType::U8).unwrap();
        let bytes = there_and_back(&rows, &overlap, Place::default()).unwrap();
        assert!(bytes < 5 * height * width / 2, "{bytes}");
        // Levels in front, and a piece of a row behind.
        let mut page = vec![9u8; 5];
        page.extend((0..70_000).map(|i| noise(i % 96)));
        page.extend(&rows[..300_000]);
        assert!(there_and_back(&page, &overlap, Place { start: 70_005, period: 96 }).is_some());
        // Rows of which the table says something else: more bytes, the same rows.
        for step in [1, 2, 3, 5] {
            let some: Vec<u8> = rows.chunks_exact(256).step_by(step).flatten().copied().collect();
            there_and_back(&some, &overlap, Place::default());
            there_and_back(&some[step..], &overlap, Place::default());
        }
        // Nothing in common at all.
        let other: Vec<u8> = (0..1 << 20).map(|i| noise(i * i)).collect();
        assert_eq!(there_and_back(&other, &overlap, Place::default()), None);
        assert!(there_and_back(&vec![0; 1 << 20], &overlap, Place::default()).unwrap() < 10_000);
        there_and_back(&[], &overlap, Place::default());
    }
}
