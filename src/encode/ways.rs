//! Every way to copy windows, beside the naive loop: the same bytes, and none outside of the slices.
//!
//! The source has not a byte more than the windows, so that a sanitizer sees a load too far; what lies around the target is
//! looked at.

use proptest::prelude::*;

use super::apart;
use super::kernel::{Line, Listed, Runs, Starts, copy_each, copy_each_anywhere, copy_windows};
use super::rising::Rising;
use super::short::Short;
use super::stage::Stage;

/// Bytes that must stay as they are, on either side of the target.
const AROUND: usize = 512;

/// Where the windows start, from the first pixel of the source on, the runs of each, and the bytes of the source.
struct Case {
    starts: Vec<isize>,
    runs: Runs,
    src: Box<[u8]>,
}

impl Case {
    /// Windows at these distances from each other, in a source that ends where the farthest of them does.
    fn new(runs: Runs, distances: impl Iterator<Item = isize>) -> Self {
        let offsets = runs.offsets();
        let (low, high) = (offsets.iter().min().unwrap(), offsets.iter().max().unwrap());
        let mut starts: Vec<_> = distances.collect();
        let lowest = starts.iter().min().unwrap() + low;
        starts.iter_mut().for_each(|start| *start -= lowest);
        let len = (starts.iter().max().unwrap() + high) as usize + runs.run;
        let src = (0..len).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
        Self { starts, runs, src }
    }

    fn naive(&self) -> Vec<u8> {
        let offsets = self.runs.offsets();
        let run = |at: isize| &self.src[at as usize..at as usize + self.runs.run];
        self.starts
            .iter()
            .flat_map(|start| offsets.iter().flat_map(move |offset| run(start + offset)))
            .copied()
            .collect()
    }

    /// Looks at what `way` writes; it returns how many windows it wrote.
    fn check(&self, name: &str, way: impl FnOnce(&mut [u8]) -> usize) {
        let expected = self.naive();
        let mut memory = vec![0xa5; expected.len() + 2 * AROUND];
        let count = way(&mut memory[AROUND..][..expected.len()]);
        let (before, rest) = memory.split_at(AROUND);
        let (out, behind) = rest.split_at(expected.len());
        let bytes = count * self.runs.bytes();
        assert!(out[..bytes] == expected[..bytes], "{name}: other bytes, {:?}", self.runs);
        assert!(before.iter().chain(behind).all(|&byte| byte == 0xa5), "{name}: outside of its slice, {:?}", self.runs);
    }

    /// The same of a way that writes all windows.
    fn check_whole(&self, name: &str, way: impl FnOnce(&mut [u8])) {
        self.check(name, |out| {
            way(out);
            self.starts.len()
        });
    }

    /// All ways that take windows anywhere, of which neighbours are `advance` bytes apart.
    fn check_starts(&self, starts: Starts<'_>, advance: isize) {
        let (src, runs) = (&self.src[..], &self.runs);
        let short = Short::new(runs, advance);
        self.check_whole("the best of this machine", |out| copy_each(src, starts, runs, &short, out));
        self.check_whole("what every machine has", |out| copy_each_anywhere(src, starts, runs, out));
        #[cfg(target_arch = "x86_64")]
        {
            use super::short::{packs, permute::Permute, shuffle::Shuffle};
            self.check("packs", |out| packs::copy_windows(src, starts, runs, out));
            if let Some(permute) = Permute::new(runs, advance) {
                self.check("permutations", |out| permute.copy_windows(src, starts, runs, out));
            }
            if let (Some(shuffle), Starts::Line(line)) = (Shuffle::new(runs, advance), starts) {
                self.check("shuffles", |out| shuffle.copy_windows(src, line, runs, out));
            }
        }
    }

    /// All ways that take a line of windows.
    fn check_line(&self, advance: isize) {
        let (src, runs) = (&self.src[..], &self.runs);
        let line = Line { first: self.starts[0], advance };
        self.check_starts(Starts::Line(line), advance);
        self.check_starts(Starts::Each(&self.starts), advance);
        let short = Short::new(runs, advance);
        self.check_whole("a line", |out| copy_windows(src, line, runs, &short, out));
        if apart::suits(line, runs) {
            self.check("apart", |out| apart::copy_windows(src, line, runs, out));
        }
        if let Some(mut stage) = Stage::new(runs, advance) {
            self.check_whole("a stage", |out| stage.copy_windows(src, line, runs, out));
        }
    }
}

/// Runs of every length that has a way of its own, few and many, close together and far apart, in groups and backward.
fn shapes() -> impl Iterator<Item = Runs> {
    let lengths = (1..=9).chain([11, 12, 15, 16, 17, 24, 32, 33, 64, 72, 96, 128, 160, 200, 256, 257, 288, 300]);
    lengths.flat_map(|run| {
        let strides = [run as isize + 3, -(run as isize) - 50, 1024];
        let rows = (1..=9).chain([12, 20, 27, 33, 49, 64, 65]).filter(move |&rows| run * rows <= 3000);
        rows.flat_map(move |rows| strides.map(|row_stride| (rows, row_stride))).flat_map(move |(rows, row_stride)| {
            let groups = if rows < 5 { vec![vec![0], vec![0, 5, 11], vec![0, -700]] } else { vec![vec![0]] };
            groups.into_iter().map(move |outer| Runs { run, rows, row_stride, outer })
        })
    })
}

#[test]
fn lines() {
    for runs in shapes() {
        let size = runs.run as isize;
        for advance in [1, 3, size, -2] {
            for count in [1, 7, 70] {
                if count == 70 && runs.bytes() > 600 {
                    continue;
                }
                let runs = Runs { outer: runs.outer.clone(), ..runs };
                Case::new(runs, (0..count).map(|i| i * advance)).check_line(advance);
            }
        }
    }
}

#[test]
fn windows_by_id() {
    for runs in shapes() {
        for advance in [1, 8, -3] {
            // Close together, far apart, and each several times.
            let ids: Vec<u64> = (0..60u64).map(|i| 100 + 2 * i + i / 20 * i + i * i % 2 - i % 3).collect();
            let ids: Vec<u64> = ids.into_iter().fold(Vec::new(), |mut ids, id| {
                ids.push(id.max(ids.last().copied().unwrap_or(0)));
                ids
            });
            let runs = Runs { outer: runs.outer.clone(), ..runs };
            let case = Case::new(runs, ids.iter().map(|&id| id as isize * advance));
            let first = case.starts[0].wrapping_sub(ids[0] as isize * advance);
            case.check_starts(Starts::Listed(Listed { ids: Rising::first_of(&ids, 1000), first, advance }), advance);
            // The same windows in another order.
            let mixed = (0..ids.len()).map(|i| ids[i * 7 % ids.len()] as isize * 300);
            let case = Case::new(case.runs, mixed);
            case.check_starts(Starts::Each(&case.starts), advance);
        }
    }
}

/// Ids that nobody has looked at: rising ones in steps of all sizes, some again, some back, and some that are no window.
fn any_ids() -> impl Strategy<Value = Vec<u64>> {
    let step = prop_oneof![20 => 0..6i64, 2 => 0..40i64, 1 => -9..0i64, 1 => Just(i64::MAX / 3), 1 => Just(i64::MIN)];
    let calm = (0..40i64, prop::collection::vec(0..5i64, 32..150));
    let wild = (0..40i64, prop::collection::vec(step, 0..120));
    prop_oneof![calm, wild].prop_map(|(first, steps)| {
        let ids = steps.into_iter().scan(first, |id, step| Some(std::mem::replace(id, id.wrapping_add(step)) as u64));
        ids.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn ids_that_nobody_has_looked_at(
        ids in any_ids(),
        (run, rows, row_stride) in (1..25usize, prop_oneof![3 => 2..9usize, 1 => 9..70usize], prop_oneof![Just(70isize), Just(-300), Just(1000)]),
        advance in 1..12isize,
        windows in (0..10u64, 1..300u64),
    ) {
        let runs = Runs { run, rows, row_stride, outer: vec![0] };
        let windows = windows.0..windows.0 + windows.1;
        // A line of the array, and of the ids as many as are of it.
        let line = Case::new(runs, (0..windows.end - windows.start).map(|i| i as isize * advance));
        let first = line.starts[0].wrapping_sub(windows.start as isize * advance);
        let inside = ids.iter().take_while(|id| windows.contains(id)).count();
        let starts = ids[..inside].iter().map(|&id| first + id as isize * advance).collect();
        let case = Case { starts, ..line };
        let short = Short::new(&case.runs, advance);
        // The target has room for all ids, and shows what is written behind those of the line.
        let expected = case.naive();
        let mut memory = vec![0xa5; ids.len() * case.runs.bytes() + AROUND];
        let out = memory.len() - AROUND;
        let count = short.copy_near(&case.src, &ids, &windows, first, &case.runs, &mut memory[..out]);
        prop_assert!(count <= inside, "{} of {}", count, inside);
        let bytes = count * case.runs.bytes();
        prop_assert_eq!(&memory[..bytes], &expected[..bytes]);
        prop_assert!(memory[out..].iter().all(|&byte| byte == 0xa5));
    }
}

/// Starts that wrap around on their way are outside of the source, though the first and the last are not.
#[test]
fn no_window_is_taken_for_inside() {
    let runs = Runs { run: 4, rows: 3, row_stride: 8, outer: vec![0] };
    let src = [0; 64];
    let ids = [0, 1 << 60, 1 << 61];
    let listed = Starts::Listed(Listed { ids: Rising::first_of(&ids, 1 << 62), first: 0, advance: 8 });
    assert_eq!((listed.at(0), listed.at(2)), (0, 0));
    assert_eq!(runs.loads(src.len(), listed, 4, 3), 1);
    assert_eq!(runs.loads(src.len(), Starts::Line(Line { first: 0, advance: 1 << 62 }), 4, 5), 1);
    assert_eq!(runs.loads(src.len(), Starts::Line(Line { first: 4, advance: 8 }), 4, 100), 6);
    assert_eq!(runs.loads(src.len(), Starts::Line(Line { first: -4, advance: 8 }), 4, 100), 0);
}
