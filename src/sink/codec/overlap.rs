//! Where neighbouring windows repeat each other.
//!
//! A codec that looks for repetitions byte by byte takes most of an export's time, finds them in its own, short window,
//! and not at their full length. Where they are is known: on each axis that a window slides over, all but its last
//! pixels are those of its neighbour. Whether it is so is looked at, byte by byte; what a table says of itself can make
//! a file larger, never wrong.

use arrow_schema::Schema;

use super::told::{Limits, Pattern, Repeat, Told};
use crate::{DType, Grid, Layout, Step, TableInfo};

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
    /// What nearly all patches are, each tried as a whole: with all that they can have in common with their neighbours on
    /// the last axes, and nothing with others, on most axes first.
    ways: Vec<Pattern>,
    /// Whether a codec can say of a patch that it is the one before, as where the image is of one colour.
    again: bool,
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

/// What a patch is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The one before.
    Again,
    /// One of the ways.
    Like(usize),
    Other,
}

impl Overlap {
    /// What the metadata of a schema say, if it is worth telling.
    pub(super) fn of(schema: &Schema, limits: Limits) -> Option<Self> {
        let info = TableInfo::from_schema(schema).ok()??;
        // Neighbours no longer stand where they stood.
        let scatters = |step: &Step| {
            matches!(step, Step::Windows { .. } | Step::PerClass { .. } | Step::Sample { .. } | Step::Shuffle { .. })
        };
        if info.selection.iter().any(scatters)
            || info.layout == Layout::Columns
            || (info.dtype == DType::Bool && info.layout != Layout::Binary)
        {
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
            if piece - moved >= limits.least && (1..=limits.distance).contains(&distance) {
                axes.push(Axis { distance, piece, shared: piece - moved });
            }
        }
        let best = axes.iter().any(|axis| axis.shared >= limits.worth && axis.shared * 2 >= axis.piece);
        best.then(|| {
            let ways = (0..axes.len()).map(|first| pattern(row, &axes[first..], limits)).collect();
            Self { row, axes, ways, again: row <= limits.distance }
        })
    }

    /// Bytes of twice as many lines of windows as a window has pixels that its neighbour above lacks: the first line, of which
    /// nothing is known, then adds half to what all others take.
    pub(super) fn span(&self) -> usize {
        let of = |axis: &Axis| {
            let lone = axis.piece - axis.shared;
            (axis.distance + lone).saturating_mul(2 * axis.piece.div_ceil(lone))
        };
        self.axes.iter().map(of).max().unwrap_or(0)
    }

    /// Tells what of `bytes` repeats what was before; `false` if it is too little.
    pub(super) fn tell<T: Told>(&self, bytes: &[u8], place: Place, to: &mut T) -> bool {
        to.begin(bytes.len());
        let end = bytes.len().saturating_sub(T::LIMITS.end);
        let start = place.start.min(end);
        head(&bytes[..start], place.period, to);
        let head = to.lone();
        let end = start + (end - start) / self.row * self.row;
        let mut next = (start < end).then(|| self.way(bytes, start));
        while let Some(way) = next {
            let begin = to.len();
            let mut rows_end = begin;
            // What follows is of the same kind, mostly.
            while next == Some(way) {
                rows_end += self.row;
                next = (rows_end < end).then(|| self.way(bytes, rows_end));
            }
            let rows = &bytes[begin..rows_end];
            match way {
                Way::Again => to.repeat(self.row, rows.len()),
                Way::Like(way) => to.rows(rows, &self.ways[way]),
                Way::Other => rows.chunks_exact(self.row).for_each(|row| self.search(bytes, row, to)),
            }
        }
        to.literals(&bytes[to.len()..]);
        (to.lone() - head) * 2 <= bytes.len() - start
    }

    /// What the patch is that begins there.
    #[inline]
    fn way(&self, bytes: &[u8], begin: usize) -> Way {
        if self.again && begin >= self.row {
            let (before, row) = bytes[begin - self.row..begin + self.row].split_at(self.row);
            // Its end says nearly always that it is another one.
            if before.last_chunk::<8>() == row.last_chunk() && before == row {
                return Way::Again;
            }
        }
        self.ways.iter().position(|way| way.fits(bytes, begin)).map_or(Way::Other, Way::Like)
    }

    /// A patch like no other.
    fn search<T: Told>(&self, bytes: &[u8], row: &[u8], to: &mut T) {
        let begin = to.len();
        let (mut at, mut told) = (0, 0);
        while at < row.len() {
            let found = self.axes.iter().find_map(|axis| {
                let most = axis.shared_at(at).filter(|&most| most >= T::LIMITS.least)?;
                let from = (begin + at).checked_sub(axis.distance)?;
                let length = common(&bytes[from..from + most], &row[at..at + most]);
                (length >= T::LIMITS.least).then_some((axis.distance, length))
            });
            match found {
                Some((distance, length)) => {
                    to.literals(&row[told..at]);
                    to.repeat(distance, length);
                    at += length;
                    told = at;
                }
                None => at += 1,
            }
        }
        to.literals(&row[told..]);
    }
}

impl Axis {
    /// How many bytes from there on the neighbour has, if it has any.
    fn shared_at(&self, at: usize) -> Option<usize> {
        self.shared.checked_sub(at % self.piece).filter(|&shared| shared > 0)
    }
}

/// A patch of so many bytes that has neighbours on these axes.
fn pattern(row: usize, axes: &[Axis], limits: Limits) -> Pattern {
    let mut repeats = Vec::new();
    let mut at = 0;
    while at < row {
        let shared =
            |axis: &Axis| axis.shared_at(at).filter(|&most| most >= limits.least).map(|most| (axis.distance, most));
        match axes.iter().find_map(shared) {
            Some((distance, length)) => {
                repeats.push(Repeat { at, length, distance });
                at += length;
            }
            None => at += 1,
        }
    }
    Pattern::new(row, repeats, limits)
}

/// What stands before the patches: the levels of lists, which repeat themselves.
fn head<T: Told>(head: &[u8], period: usize, to: &mut T) {
    /// A shorter piece of levels is not worth a look.
    const NEAR: usize = 64;
    let (mut at, mut told) = (0, 0);
    while at < head.len() {
        let length = match at.checked_sub(period) {
            Some(from) if (1..=T::LIMITS.distance).contains(&period) => {
                common(&head[from..head.len() - period], &head[at..])
            }
            _ => 0,
        };
        if length >= NEAR {
            to.literals(&head[told..at]);
            to.repeat(period, length);
            at += length;
            told = at;
        } else {
            at += 1;
        }
    }
    to.literals(&head[told..]);
}

/// How many bytes from the start are the same.
fn common(a: &[u8], b: &[u8]) -> usize {
    if a == b {
        return a.len();
    }
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

#[cfg(all(test, feature = "ipc", feature = "parquet"))]
mod tests {
    use proptest::prelude::*;

    use super::super::{Compressors, Holds, Lz4, Sequences};
    use super::*;
    use crate::sink::Compression;
    use crate::{PatchScan, StridedView, WindowSpec};

    fn scan(shape: &[usize], spec: WindowSpec, dtype: DType) -> PatchScan {
        let cells = shape.iter().product::<usize>();
        let view = StridedView::from_buffer(vec![0u8; cells * dtype.size()].into(), dtype, shape).unwrap();
        PatchScan::new(view, spec).unwrap()
    }

    fn overlap(shape: &[usize], spec: WindowSpec, dtype: DType) -> Option<Overlap> {
        Overlap::of(&scan(shape, spec, dtype).schema(), Sequences::LIMITS)
    }

    #[test]
    fn neighbours_share_all_but_their_last_pixels() {
        let found = overlap(&[20, 30, 3], WindowSpec::new([8, 8]).step(2), DType::U8).unwrap();
        let (row, line) = (192, 12);
        let above = Axis { distance: line * row - 2 * 24, piece: 192, shared: 6 * 24 };
        let left = Axis { distance: row - 6, piece: 24, shared: 18 };
        assert_eq!((found.row, &found.axes), (row, &vec![above, left]));
        // A window is four steps high.
        assert_eq!(found.span(), 8 * line * row);
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
        let all = scan(&[20, 30], WindowSpec::new([8, 8]), DType::U8);
        for (some, told) in [(all.shuffle(1, 0).unwrap(), false), (all.shard(0, 2).unwrap(), true)] {
            assert_eq!(Overlap::of(&some.schema(), Sequences::LIMITS).is_some(), told);
        }
    }

    const CODECS: [(Compression, Lz4); 3] =
        [(Compression::Zstd(None), Lz4::Block), (Compression::Lz4, Lz4::Block), (Compression::Lz4, Lz4::Frame)];

    /// What a reader makes of it.
    fn read(codec: (Compression, Lz4), packed: &[u8], length: usize) -> Vec<u8> {
        match codec {
            (Compression::Lz4, Lz4::Block) => lz4_flex::block::decompress(packed, length).unwrap(),
            (Compression::Lz4, Lz4::Frame) => {
                let mut bytes = Vec::new();
                std::io::copy(&mut lz4_flex::frame::FrameDecoder::new(packed), &mut bytes).unwrap();
                bytes
            }
            _ => zstd::bulk::decompress(packed, length).unwrap(),
        }
    }

    /// Bytes there and back by every codec, and how many each took.
    fn there_and_back(bytes: &[u8], schema: &Schema, place: Place) -> [usize; 3] {
        CODECS.map(|codec| {
            let compressors = Compressors::new(codec.0, codec.1, schema);
            let packed = compressors.compress(bytes, Holds::Patches(place)).unwrap().unwrap();
            assert!(read(codec, &packed, bytes.len()) == bytes, "{codec:?}");
            // What is used again is as new.
            assert!(compressors.compress(bytes, Holds::Patches(place)).unwrap().unwrap() == packed);
            packed.len()
        })
    }

    fn noise(i: usize) -> u8 {
        ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    #[test]
    fn what_is_known_is_verified() {
        let (height, width, k) = (60, 300, 16);
        let pixel = |y: usize, x: usize| noise((y * width + x) * 7919);
        let mut rows = Vec::new();
        for (y, x) in (0..=height - k).flat_map(|y| (0..=width - k).map(move |x| (y, x))) {
            rows.extend((0..k).flat_map(|dy| (0..k).map(move |dx| (dy, dx))).map(|(dy, dx)| pixel(y + dy, x + dx)));
        }
        let schema = scan(&[height, width], WindowSpec::new([16, 16]), DType::U8).schema();
        let [zstd, ..] = there_and_back(&rows, &schema, Place::default());
        assert!(zstd < 5 * height * width / 2, "{zstd}");
        // Levels in front, and a piece of a row behind.
        let mut page = vec![9u8; 5];
        page.extend((0..70_000).map(|i| noise(i % 96)));
        page.extend(&rows[..300_000]);
        let [zstd, ..] = there_and_back(&page, &schema, Place { start: 70_005, period: 96 });
        assert!(zstd < 40_000, "{zstd}");
        // What is said to repeat itself, and does so too far away, or not at all.
        for period in [0, 1, 95, 70_000, 9 << 20, usize::MAX] {
            there_and_back(&page, &schema, Place { start: page.len(), period });
        }
        // Rows of which the table says something else: more bytes, the same rows.
        for step in [1, 2, 3, 5] {
            let some: Vec<u8> = rows.chunks_exact(256).step_by(step).flatten().copied().collect();
            there_and_back(&some, &schema, Place::default());
            there_and_back(&some[step..], &schema, Place::default());
        }
        // Nothing in common at all, and all of it.
        let other: Vec<u8> = (0..1 << 20).map(|i| noise(i * i)).collect();
        there_and_back(&other, &schema, Place::default());
        assert!(there_and_back(&vec![0; 1 << 20], &schema, Place::default()).iter().all(|&bytes| bytes < 10_000));
        there_and_back(&[], &schema, Place::default());
    }

    #[test]
    fn patches_larger_than_a_block() {
        // A row of windows that share all but a line each, and more than a block may say at once.
        let (height, width) = (400, 512);
        let image: Vec<u8> = (0..height * width).map(|i| noise(i * 31) & 63).collect();
        let view = StridedView::from_vec(image, &[height, width]).unwrap();
        let scan = PatchScan::builder(view, WindowSpec::new([390, 512])).layout(Layout::Binary).build().unwrap();
        let batch = scan.reader().unwrap().next().unwrap().unwrap();
        let bytes = batch.column_by_name("patch").unwrap().to_data().buffers()[0].clone();
        let sizes = there_and_back(&bytes, &scan.schema(), Place::default());
        assert!(sizes[0] < 170_000, "{sizes:?} of {}", bytes.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_table_comes_back(
            (height, width, bands) in (1usize..40, 1usize..60, 1usize..4),
            (k, step, dilation) in ((1u64..18, 1u64..18), (1u64..4, 1u64..4), 1u64..3),
            dtype in prop::sample::select(vec![DType::U8, DType::I16, DType::F32, DType::F64]),
            (values, cut, head) in (1usize..300, 0usize..600, 0usize..300),
            edge in prop::sample::select(vec![crate::Edge::Drop, crate::Edge::Shift, crate::Edge::Pad]),
        ) {
            let shape = [height, width, bands];
            let bytes: Vec<u8> = (0..height * width * bands * dtype.size()).map(|i| (i * i / 7 % values) as u8).collect();
            let view = StridedView::from_buffer(bytes.into(), dtype, &shape).unwrap();
            let spec = WindowSpec::new([k.0, k.1]).steps([step.0, step.1]).dilation(dilation).edge(edge);
            let scan = PatchScan::builder(view, spec).layout(Layout::Binary).build();
            prop_assume!(scan.is_ok());
            let scan = scan.unwrap();
            // A page begins and ends anywhere.
            let mut page: Vec<u8> = (0..head).map(|i| (i % 17) as u8).collect();
            for batch in scan.reader().unwrap() {
                let batch = batch.unwrap();
                page.extend_from_slice(batch.column_by_name("patch").unwrap().to_data().buffers()[0].as_slice());
            }
            page.drain(page.len() - cut.min(page.len())..);
            there_and_back(&page, &scan.schema(), Place { start: head, period: 17 });
        }
    }
}
