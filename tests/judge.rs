//! Every row, bit for bit, against naive loops.

mod common;

use common::{case, naive, patch_bytes, rows_of};
use proptest::prelude::*;
use windrow::{DType, Layout, PatchScan, WindowSpec};

/// The layouts with a row a window.
const DENSE: [Layout; 3] = [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn rows_equal_the_naive_loop(
        case in case(),
        layout in 0..DENSE.len(),
        batch_rows in 1..20u64,
        prefetch in 0..3usize,
        (a, b) in (0.0..1.0f64, 0.0..1.0f64),
    ) {
        let expected = naive(&case.view, &case.spec);
        let n = expected.len() as f64;
        let (a, b) = ((a * (n + 1.0)) as u64, (b * (n + 1.0)) as u64);
        let rows = a.min(b)..a.max(b);
        let scan = PatchScan::builder(case.view, case.spec)
            .layout(DENSE[layout])
            .batch_rows(batch_rows)
            .prefetch(prefetch)
            .rows(rows.clone())
            .build()
            .unwrap();
        prop_assert_eq!(scan.grid().windows(), expected.len() as u64);
        let got = rows_of(&scan);
        prop_assert_eq!(&got[..], &expected[rows.start as usize..rows.end as usize]);
        for (row, id) in got.iter().zip(rows) {
            prop_assert_eq!(scan.grid().window_at(&row.starts), Some(id));
        }
    }

    #[test]
    fn converted_rows_equal_the_naive_loop(case in case(), batch_rows in 1..20u64) {
        let dtype = case.view.dtype();
        let expected = naive(&case.view, &case.spec);
        let scan = PatchScan::builder(case.view, case.spec)
            .dtype(DType::F64).lossy(true).scale(0.5).offset(-3.0).batch_rows(batch_rows).columns(["patch"]).build()
            .unwrap();
        let got: Vec<u8> = scan.reader().unwrap().flat_map(|batch| patch_bytes(batch.unwrap().column(0))).collect();
        let got: Vec<f64> = got.chunks_exact(8).map(|cell| f64::from_ne_bytes(cell.try_into().unwrap())).collect();
        let cells = expected.iter().flat_map(|row| row.pixels.chunks_exact(dtype.size()));
        let expected: Vec<f64> = cells.map(|cell| to_f64(dtype, cell) * 0.5 - 3.0).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn six_axes() {
    let image = common::array(DType::I16, &[2, 3, 2, 4, 3, 5], &[5, 0, 3, 1, 4, 2], &[false; 6], &[true; 6]);
    for spec in [
        WindowSpec::new([1, 2, 2, 3, 1, 2]).steps([1, 1, 1, 1, 2, 2]).edge(windrow::Edge::Shift),
        WindowSpec::new([2; 6]).pad_same(windrow::PadMode::Reflect),
    ] {
        let expected = naive(&image, &spec);
        let scan = PatchScan::builder(image.clone(), spec).batch_rows(7).build().unwrap();
        assert_eq!(rows_of(&scan), expected);
    }
}

/// Lists of windows that are gathered in different ways, the last window of the image among them.
fn lists(windows: u64) -> [(&'static str, Vec<u64>); 7] {
    let chance = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let some =
        |keep: &dyn Fn(u64) -> bool| (0..windows).filter(|&id| keep(id)).chain([windows - 1]).collect::<Vec<_>>();
    let half = some(&|id| chance(id) % 2 == 0);
    let mut any: Vec<_> = half.iter().map(|&id| chance(id) % windows).collect();
    any.push(windows - 1);
    [
        ("every third", some(&|id| id % 3 == 0)),
        ("a few of each line", some(&|id| chance(id) % 23 == 0)),
        ("runs", some(&|id| id % 53 < 40)),
        ("runs and repeats", (0..windows).flat_map(|id| vec![id; if id % 100 < 45 { 1 } else { 2 }]).collect()),
        ("backward", half.iter().rev().copied().collect()),
        ("half", half),
        ("any", any),
    ]
}

/// Lines long enough for every kernel, in images whose lines are 4096 bytes apart and in others, forward and backward,
/// against the strided view of all windows.
#[test]
fn long_lines_equal_the_strided_view() {
    let mut checked = 0;
    for dtype in [DType::U8, DType::U16, DType::F32, DType::F64] {
        for (width, height, backward) in [(97, 15, false), (4096 / dtype.size(), 13, false), (150, 12, true)] {
            let image = common::array(dtype, &[height, width], &[0, 1], &[false, backward], &[false; 2]);
            for window in [
                [1, 1],
                [1, 3],
                [2, 2],
                [3, 3],
                [2, 7],
                [4, 4],
                [5, 5],
                [6, 3],
                [7, 7],
                [8, 8],
                [3, 9],
                [9, 7],
                [10, 4],
                [9, 17],
            ] {
                for step in [1, 2, 5] {
                    for dilation in [1, 2] {
                        let spec = WindowSpec::new(window).steps([1, step]).dilations([1, dilation]);
                        if window[1] * dilation > 17 {
                            continue;
                        }
                        let scan = PatchScan::builder(image.clone(), spec).columns(["patch"]).prefetch(0);
                        let scan = scan.batch_rows(1_000).build().unwrap();
                        let batches = scan.reader().unwrap();
                        let got: Vec<u8> = batches.flat_map(|batch| patch_bytes(batch.unwrap().column(0))).collect();
                        let all = scan.grid().window_view(&image).unwrap();
                        let expected = common::bytes_of(&all);
                        assert!(
                            got == expected,
                            "{dtype} {width}, window {window:?}, step {step}, dilation {dilation}"
                        );
                        let windows = scan.grid().windows();
                        let width = expected.len() / windows as usize;
                        let mut taker = scan.taker().unwrap();
                        for (name, ids) in lists(windows) {
                            let got = patch_bytes(taker.take(&ids).unwrap().column(0));
                            let rows = ids.iter().flat_map(|&id| &expected[id as usize * width..][..width]);
                            assert!(
                                got.iter().eq(rows),
                                "{dtype} {width}, window {window:?}, step {step}, dilation {dilation}: {name}"
                            );
                        }
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 400, "{checked}");
}

fn to_f64(dtype: DType, cell: &[u8]) -> f64 {
    match dtype {
        DType::Bool | DType::U8 => cell[0].into(),
        DType::I8 => (cell[0] as i8).into(),
        DType::U16 => u16::from_ne_bytes(cell.try_into().unwrap()).into(),
        DType::I16 => i16::from_ne_bytes(cell.try_into().unwrap()).into(),
        DType::U32 => u32::from_ne_bytes(cell.try_into().unwrap()).into(),
        DType::I32 => i32::from_ne_bytes(cell.try_into().unwrap()).into(),
        DType::U64 => u64::from_ne_bytes(cell.try_into().unwrap()) as f64,
        DType::I64 => i64::from_ne_bytes(cell.try_into().unwrap()) as f64,
        DType::F16 => half::f16::from_ne_bytes(cell.try_into().unwrap()).to_f64(),
        DType::F32 => f32::from_ne_bytes(cell.try_into().unwrap()).into(),
        DType::F64 => f64::from_ne_bytes(cell.try_into().unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn taken_rows_equal_the_naive_loop(
        case in case(),
        layout in 0..DENSE.len(),
        picks in proptest::collection::vec(0.0..1.0f64, 0..30),
        sorted in any::<bool>(),
        as_file in any::<bool>(),
    ) {
        let expected = naive(&case.view, &case.spec);
        let mut ids: Vec<_> = picks.iter().map(|pick| (pick * expected.len() as f64) as u64).collect();
        if sorted {
            ids.sort_unstable();
        }
        prop_assume!(!expected.is_empty() || ids.is_empty());
        let source = if as_file { common::file_like(case.view) } else { case.view.into() };
        let scan = PatchScan::builder(source, case.spec).layout(DENSE[layout]).build().unwrap();
        let mut taker = scan.taker().unwrap();
        for ids in [&ids[..], &ids[..ids.len() / 2]] {
            let batch = taker.take(ids).unwrap();
            prop_assert_eq!(batch.num_rows(), ids.len());
            prop_assert_eq!(batch.schema(), scan.schema());
            for (row, &id) in common::rows_of_batch(&batch).iter().zip(ids) {
                prop_assert_eq!(row, &expected[id as usize]);
            }
        }
        let past = taker.take(&[0, expected.len() as u64]).unwrap_err().to_string();
        prop_assert!(past.contains(&format!("no window {}", if expected.is_empty() { 0 } else { expected.len() })), "{}", past);
    }

    #[test]
    fn rows_of_a_file_equal_the_naive_loop(case in case(), batch_rows in 1..20u64, prefetch in 0..3usize) {
        let expected = naive(&case.view, &case.spec);
        let source = common::file_like(case.view);
        let scan = PatchScan::builder(source, case.spec).batch_rows(batch_rows).prefetch(prefetch).build().unwrap();
        prop_assert_eq!(rows_of(&scan), expected);
    }

    #[test]
    fn matrices_equal_the_naive_loop(case in case(), room in 1..20usize, convert in any::<bool>(), as_file in any::<bool>()) {
        let (dtype, expected) = (case.view.dtype(), naive(&case.view, &case.spec));
        let source = if as_file { common::file_like(case.view) } else { case.view.into() };
        let mut builder = PatchScan::builder(source, case.spec);
        if convert {
            builder = builder.dtype(DType::F64).lossy(true);
        }
        let mut matrices = builder.build().unwrap().matrices().unwrap();
        let pixels = expected.first().map_or(0, |row| row.pixels.len() / dtype.size());
        let size = if convert { 8 } else { dtype.size() };
        let mut memory = vec![0; room * matrices.row_bytes()];
        let mut row = 0;
        loop {
            let count = matrices.next_into(&mut memory).unwrap();
            if count == 0 {
                break;
            }
            for i in 0..count {
                for pixel in 0..pixels {
                    let got = &memory[(pixel * count + i) * size..][..size];
                    let cell = &expected[row + i].pixels[pixel * dtype.size()..][..dtype.size()];
                    if convert {
                        prop_assert_eq!(f64::from_ne_bytes(got.try_into().unwrap()), to_f64(dtype, cell));
                    } else {
                        prop_assert_eq!(got, cell);
                    }
                }
            }
            row += count;
        }
        prop_assert_eq!(row, expected.len());
    }
}
