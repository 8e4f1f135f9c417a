//! The matrix of all windows as memory, judged by naive loops and by the matrices that are made a few rows at a time.
#![cfg(target_os = "linux")]

mod common;

use common::{case, naive};
use proptest::prelude::*;
use windrow::virtual_matrix::{Backing, MatrixOptions, Order, VirtualMatrix};
use windrow::{DType, Edge, PadMode, PatchScan, ScanBuilder, StridedView, WindowSpec};

/// The rows of a matrix that are windows, each as its bytes.
fn windows(matrix: &VirtualMatrix) -> Vec<Vec<u8>> {
    let (rows, columns, size) = (matrix.rows(), matrix.columns(), matrix.dtype().size());
    let bytes = matrix.bytes().to_vec();
    assert_eq!(bytes.len(), rows * columns * size);
    let at = |row: usize, column: usize| match matrix.order() {
        Order::F => (column * rows + row) * size,
        Order::C => (row * columns + column) * size,
    };
    let valid = matrix.valid();
    assert_eq!(valid.len(), rows);
    let row = |row| (0..columns).flat_map(|column| bytes[at(row, column)..][..size].to_vec()).collect();
    (0..rows).filter(|&row| valid[row]).map(row).collect()
}

/// All rows as one matrix in F order, made at once.
fn materialized(scan: &PatchScan) -> Vec<u8> {
    let mut matrices = scan.matrices().unwrap();
    let mut out = vec![0; matrices.row_bytes() * scan.num_rows() as usize];
    assert_eq!(matrices.next_into(&mut out).unwrap() as u64, scan.num_rows());
    out
}

/// The rows of a materialized matrix.
fn rows_of(scan: &PatchScan, columns: usize) -> Vec<Vec<u8>> {
    let (bytes, rows) = (materialized(scan), scan.num_rows() as usize);
    let size = bytes.len() / rows / columns;
    let cell = |row: usize, column: usize| bytes[(column * rows + row) * size..][..size].to_vec();
    (0..rows).map(|row| (0..columns).flat_map(|column| cell(row, column)).collect()).collect()
}

/// On touch, in pages that are used again and in fresh ones; the latter under a limit that holds a fraction.
fn faults(order: Order) -> [MatrixOptions; 2] {
    let fault = MatrixOptions { backing: Some(Backing::Fault), order, ..MatrixOptions::default() };
    [MatrixOptions { recycle: false, ..fault.clone() }, fault]
}

fn alias() -> MatrixOptions {
    MatrixOptions { backing: Some(Backing::Alias), ..MatrixOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn aliased_windows_equal_the_naive_loop(
        case in case().prop_filter("no plane", |case| case.spec.edge != Edge::Shift),
        (a, b) in (0.0..1.0f64, 0.0..1.0f64),
    ) {
        let expected = naive(&case.view, &case.spec);
        let n = expected.len() as f64;
        let (a, b) = ((a * (n + 1.0)) as u64, (b * (n + 1.0)) as u64);
        let rows = a.min(b)..a.max(b);
        prop_assume!(!rows.is_empty());
        let scan = PatchScan::builder(case.view, case.spec).rows(rows.clone()).build().unwrap();
        let matrix = VirtualMatrix::new(&scan, &alias()).unwrap();
        prop_assert_eq!(matrix.bytes().as_ptr() as usize % 4096, 0);
        let expected: Vec<_> = expected[rows.start as usize..rows.end as usize].iter().map(|row| row.pixels.clone()).collect();
        prop_assert_eq!(windows(&matrix), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn windows_made_on_touch_equal_the_naive_loop(case in case(), seed in any::<u64>(), selected in any::<bool>()) {
        let expected = naive(&case.view, &case.spec);
        prop_assume!(!expected.is_empty());
        let scan = PatchScan::builder(case.view, case.spec).build().unwrap();
        let count = expected.len() as u64;
        let ids: Vec<u64> = (0..count.min(50)).map(|i| seed.wrapping_mul(i + 1) % count).collect();
        let chosen = if selected { ids.clone() } else { (0..count).collect() };
        let expected: Vec<_> = chosen.iter().map(|&id| expected[id as usize].pixels.clone()).collect();
        for options in [Order::C, Order::F].into_iter().flat_map(faults) {
            let options = MatrixOptions { windows: selected.then(|| ids.clone()), ..options };
            let matrix = VirtualMatrix::new(&scan, &options).unwrap();
            prop_assert_eq!(&windows(&matrix), &expected);
        }
    }
}

/// An image of more blocks than one, whose lines are not whole pages.
fn photograph(dtype: DType) -> StridedView {
    let (height, width) = (150, 1300);
    let pixels = (0..height * width).map(|i: usize| i.wrapping_mul(2_654_435_761) >> 7);
    match dtype {
        DType::U8 => StridedView::from_vec(pixels.map(|v| v as u8).collect(), &[height, width]),
        DType::U16 => StridedView::from_vec(pixels.map(|v| v as u16).collect(), &[height, width]),
        _ => StridedView::from_vec(pixels.map(|v| v as f64).collect(), &[height, width]),
    }
    .unwrap()
}

/// Scans whose matrices are not trivial.
fn scans() -> Vec<(&'static str, ScanBuilder)> {
    let mut padded = WindowSpec::new([5, 4]).step(3).dilation(2);
    (padded.edge, padded.pad_mode) = (Edge::Pad, PadMode::Reflect);
    let lines = StridedView::from_vec((0..60_000u16).collect(), &[60_000]).unwrap();
    let channels = photograph(DType::U8).restride(vec![140, 400, 3], vec![1300, 3, 1]).unwrap();
    vec![
        ("plain", PatchScan::builder(photograph(DType::U8), WindowSpec::new([4, 5]))),
        ("converted", PatchScan::builder(photograph(DType::U8), WindowSpec::new([4, 5])).dtype(DType::F32)),
        ("scaled", PatchScan::builder(photograph(DType::U16), WindowSpec::new([3, 3])).scale(0.25).offset(-3.0)),
        ("padded", PatchScan::builder(photograph(DType::F64), padded)),
        ("one axis", PatchScan::builder(lines, WindowSpec::new([7]).step(2))),
        ("channels", PatchScan::builder(channels, WindowSpec::new([3, 3])).dtype(DType::F32)),
        ("some rows", PatchScan::builder(photograph(DType::U8), WindowSpec::new([4, 5])).rows(2000..90_000)),
    ]
}

#[test]
fn aliased_windows_equal_those_of_a_materialized_matrix() {
    for (name, builder) in scans() {
        let scan = builder.build().unwrap();
        let matrix = VirtualMatrix::new(&scan, &alias()).unwrap();
        assert!(windows(&matrix) == rows_of(&scan, matrix.columns()), "{name}");
    }
}

#[test]
fn windows_made_on_touch_equal_those_of_a_materialized_matrix() {
    for (name, builder) in scans().into_iter().chain([("shifted", shifted())]) {
        let scan = builder.build().unwrap();
        let columns = scan.grid().patch_shape().iter().product::<u64>() as usize;
        let expected = rows_of(&scan, columns);
        for options in [Order::C, Order::F].into_iter().flat_map(faults) {
            let options = MatrixOptions { max_resident: 6 << 20, ..options };
            let matrix = VirtualMatrix::new(&scan, &options).unwrap();
            assert!(windows(&matrix) == expected, "{name}, {options:?}");
            assert!(matrix.resident_bytes() <= options.max_resident);
        }
    }
}

fn shifted() -> ScanBuilder {
    let mut spec = WindowSpec::new([5, 6]).step(4);
    spec.edge = Edge::Shift;
    PatchScan::builder(photograph(DType::U16), spec).dtype(DType::F32)
}

/// Threads that read anywhere in a matrix and compare: one of which a part in a hundred is there, or one of aliases. Seconds
/// here, and where `WINDROW_LONG` is set a minute for each of the ways, over all types.
#[test]
fn eight_threads_read_anywhere_under_a_limit() {
    let seconds = if std::env::var_os("WINDROW_LONG").is_some() { 20.0 } else { 0.2 };
    let of = |dtype| PatchScan::builder(photograph(dtype), WindowSpec::new([9, 9]));
    for scan in [of(DType::U8), of(DType::U8).dtype(DType::F32), of(DType::F64)] {
        let scan = scan.build().unwrap();
        let expected = materialized(&scan);
        let limited = |options| MatrixOptions { max_resident: expected.len() as u64 / 100, ..options };
        for options in [Order::F, Order::C].into_iter().flat_map(faults).map(limited).chain([alias()]) {
            let matrix = VirtualMatrix::new(&scan, &options).unwrap();
            read_anywhere(&matrix, &expected, seconds);
        }
    }
}

/// Eight threads compare elements of a matrix, in no order, with those of the materialized one.
fn read_anywhere(matrix: &VirtualMatrix, expected: &[u8], seconds: f64) {
    let (columns, size) = (matrix.columns(), matrix.dtype().size());
    let valid = matrix.valid();
    let rows: Vec<usize> = (0..matrix.rows()).filter(|&row| valid[row]).collect();
    assert_eq!(expected.len(), rows.len() * columns * size);
    let start = std::time::Instant::now();
    let compare = &|thread: u64| {
        let mut random = thread + 1;
        while start.elapsed().as_secs_f64() < seconds {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let cell = (random >> 20) as usize % (rows.len() * columns);
            let (window, column) = (cell / columns, cell % columns);
            let at = match matrix.order() {
                Order::F => column * matrix.rows() + rows[window],
                Order::C => rows[window] * columns + column,
            };
            let place = (column * rows.len() + window) * size;
            let (got, expected) = (&matrix.bytes()[at * size..][..size], &expected[place..][..size]);
            assert_eq!(got, expected, "window {window}, column {column} of {}", matrix.explain());
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|thread| drop(scope.spawn(move || compare(thread)))));
}

/// Bytes of these addresses that are in memory.
fn resident(bytes: &[u8]) -> u64 {
    let mine = bytes.as_ptr_range();
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut inside, mut kib) = (false, 0);
    for line in text.lines() {
        let (first, rest) = line.split_once(' ').unwrap();
        if let Some((start, _)) = first.split_once('-') {
            let start = usize::from_str_radix(start, 16).unwrap();
            inside = (mine.start as usize..mine.end as usize).contains(&start);
        } else if inside && first == "Rss:" {
            kib += rest.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        }
    }
    kib << 10
}

/// Readers that go through the columns, and from place to place in one column, as trees do: what is made ahead of them, by
/// two threads, and in whole pieces, takes no more memory, and shows the same.
#[test]
fn what_is_made_ahead_is_no_more_than_promised() {
    let scan = PatchScan::builder(photograph(DType::U8), WindowSpec::new([8, 8])).dtype(DType::F32).build().unwrap();
    let expected = materialized(&scan);
    let rows = scan.num_rows() as usize;
    for part in [100, 20, 3] {
        for options in faults(Order::F) {
            let options = MatrixOptions { max_resident: (expected.len() / part) as u64, ..options };
            let matrix = VirtualMatrix::new(&scan, &options).unwrap();
            let (bytes, expected) = (matrix.bytes(), &expected[..]);
            std::thread::scope(|scope| {
                for thread in 0..2 {
                    scope.spawn(move || {
                        for column in (thread..64).step_by(2) {
                            let column = column * rows * 4..(column + 1) * rows * 4;
                            assert!(bytes[column.clone()] == expected[column], "in order");
                        }
                    });
                    scope.spawn(move || {
                        for (column, i) in (0..20).flat_map(|column| (0..5000).map(move |i| (column, i))) {
                            let at = ((column * 29 + thread) % 64 * rows + i * 7919 % rows) * 4;
                            assert!(bytes[at..at + 4] == expected[at..at + 4], "here and there");
                        }
                    });
                }
            });
            let (there, most) = (resident(bytes), matrix.resident_bytes());
            assert!(there > 0 && there <= most, "{there} bytes of {most}, {options:?}");
        }
    }
}

#[cfg(feature = "image")]
#[test]
fn a_file_is_read_in_bands() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/camera.png");
    let scan =
        PatchScan::builder(windrow::AnySource::open(path, None).unwrap(), WindowSpec::new([6, 6])).build().unwrap();
    let matrix = VirtualMatrix::new(&scan, &alias()).unwrap();
    assert!(windows(&matrix) == rows_of(&scan, 36));
}

#[test]
fn memory_is_that_of_a_few_images() {
    let scan = PatchScan::builder(photograph(DType::U8), WindowSpec::new([8, 8])).dtype(DType::F32).build().unwrap();
    let matrix = VirtualMatrix::new(&scan, &alias()).unwrap();
    // Lines of 1300 pixels take two pages.
    let image = 150 * 2048 * 4;
    assert!(matrix.resident_bytes() <= 8 * (image + 4096), "{}", matrix.resident_bytes());
    assert!(matrix.bytes().len() as u64 > 3 * matrix.resident_bytes());
    assert!(scan.explain().matrix.starts_with("alias: 8 planes, "), "{}", scan.explain().matrix);
}

#[test]
fn what_can_not_be_is_an_error() {
    let image = || photograph(DType::U8);
    let fault = || faults(Order::F)[1].clone();
    let refused = |builder: ScanBuilder, options: MatrixOptions| {
        VirtualMatrix::new(&builder.build().unwrap(), &options).unwrap_err().to_string()
    };
    let mut shifted = WindowSpec::new([4, 4]).step(3);
    shifted.edge = Edge::Shift;
    let message = refused(PatchScan::builder(image(), shifted), alias());
    assert!(message.starts_with("backing: the last window of axis y is shifted"), "{message}");
    let message =
        refused(PatchScan::builder(image(), WindowSpec::new([4, 4])), MatrixOptions { order: Order::C, ..alias() });
    assert!(message.starts_with("order: \"C\" is not for backing \"alias\""), "{message}");
    let message =
        refused(PatchScan::builder(image(), WindowSpec::new([4, 4])), MatrixOptions { max_resident: 4096, ..alias() });
    assert!(message.starts_with("max_resident: 4.0 KiB do not hold the 8 planes"), "{message}");
    let message = refused(PatchScan::builder(image(), WindowSpec::new([4, 4])).rows(5..5), alias());
    assert!(message.starts_with("rows: no window"), "{message}");
    let message =
        refused(PatchScan::builder(image(), WindowSpec::new([4, 4])), MatrixOptions { max_resident: 4096, ..fault() });
    assert!(message.starts_with("max_resident: 4.0 KiB of pages for a matrix of"), "{message}");
    let message = refused(
        PatchScan::builder(image(), WindowSpec::new([4, 4])),
        MatrixOptions { max_resident: 4096, copy_source: true, ..fault() },
    );
    assert!(message.starts_with("max_resident: 4.0 KiB do not hold the pixels"), "{message}");
    let message = refused(
        PatchScan::builder(image(), WindowSpec::new([4, 4])),
        MatrixOptions { windows: Some(vec![5, 1 << 40]), ..fault() },
    );
    assert!(message.starts_with("window: no window 1099511627776 (row 1)"), "{message}");
    let large = StridedView::from_vec(vec![0u8], &[1]).unwrap().broadcast_to(&[1 << 30, 1 << 30]).unwrap();
    let message = refused(PatchScan::builder(large, WindowSpec::new([200, 100])), alias());
    assert!(message.contains("too large") || message.contains("max_resident"), "{message}");
}
