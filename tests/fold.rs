//! The way back, against naive loops.

mod common;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, UInt64Type};
use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Int32Array, Int64Array, LargeListArray, ListArray, RecordBatch,
    UInt64Array,
};
use common::{Case, bytes_of, case, naive, product};
use proptest::prelude::*;
use windrow::fold::{At, Blend, Fold};
use windrow::{DType, Edge, ErrorKind, Layout, PadMode, PatchScan, Pixel, StridedView, TableInfo, WindowSpec};

/// A value of a window that falls on a cell.
#[derive(Clone, Copy, Debug)]
struct Hit {
    window: u64,
    value: f64,
    weight: f64,
    /// The square of the distance from the centre of the window.
    far: i64,
}

/// What falls on each cell, by naive loops over all windows and all of their cells.
struct Judge {
    shape: Vec<usize>,
    hits: Vec<Vec<Hit>>,
}

impl Judge {
    fn new(case: &Case, at: At, blend: Blend, ids: &[u64], values: &[f64], value_shape: &[usize]) -> Self {
        let starts: Vec<_> = naive(&case.view, &case.spec).into_iter().map(|row| row.starts).collect();
        let w = case.spec.window_shape.len();
        let each = |values: &[u64], a: usize| *values.get(a).unwrap_or(&values[0]) as i64;
        let window: Vec<_> = (0..w).map(|a| each(&case.spec.window_shape, a)).collect();
        let dilation: Vec<_> = (0..w).map(|a| each(&case.spec.dilation, a)).collect();
        let mut shape: Vec<usize> = match at {
            At::Grid => {
                (0..w).map(|a| starts.iter().map(|s| s[a]).collect::<std::collections::BTreeSet<_>>().len()).collect()
            }
            _ => case.view.shape()[..w].to_vec(),
        };
        let tail = if at == At::Patch { &value_shape[w..] } else { value_shape };
        shape.extend_from_slice(tail);
        let mut judge = Self { hits: vec![Vec::new(); shape.iter().product()], shape };
        let cells = value_shape.iter().product::<usize>();
        for (i, &id) in ids.iter().enumerate() {
            for (c, cell) in product(value_shape).into_iter().enumerate() {
                let (mut place, mut weight, mut far) = (Vec::new(), 1.0, 0);
                for a in 0..w {
                    let start = starts[id as usize][a];
                    place.push(match at {
                        At::Patch => start + cell[a] as i64 * dilation[a],
                        At::Center => start + dilation[a] * (window[a] - 1) / 2,
                        At::Grid => {
                            let all: std::collections::BTreeSet<_> = starts.iter().map(|s| s[a]).collect();
                            all.iter().position(|&s| s == start).unwrap() as i64
                        }
                    });
                    if at == At::Patch {
                        let (k, n) = (cell[a] as f64, window[a] as f64);
                        far += (2 * cell[a] as i64 - window[a] + 1).pow(2);
                        weight *= match blend {
                            Blend::Gaussian => (-0.5 * ((k - (n - 1.0) / 2.0) / (n / 8.0)).powi(2)).exp(),
                            Blend::Hann => (std::f64::consts::PI * (k + 0.5) / n).sin().powi(2),
                            _ => 1.0,
                        };
                    }
                }
                place.extend(cell[if at == At::Patch { w } else { 0 }..].iter().map(|&c| c as i64));
                if place.iter().zip(&judge.shape).all(|(&p, &n)| (0..n as i64).contains(&p)) {
                    let at = place.iter().zip(&judge.shape).fold(0, |at, (&p, &n)| at * n + p as usize);
                    judge.hits[at].push(Hit { window: id, value: values[i * cells + c], weight, far });
                }
            }
        }
        judge
    }

    /// The cells of the image, and NaN where there is none.
    fn blend(&self, blend: Blend, whole: bool) -> Vec<f64> {
        let one = |hits: &Vec<Hit>| {
            let values = || hits.iter().map(|hit| hit.value);
            let (sum, n) = (values().sum::<f64>(), hits.len() as f64);
            let weights = hits.iter().map(|hit| hit.weight).sum::<f64>();
            let result = match blend {
                _ if hits.is_empty() => f64::NAN,
                Blend::Sum => sum,
                Blend::Mean => sum / n,
                Blend::Max => values().fold(f64::NEG_INFINITY, f64::max),
                Blend::Min => values().fold(f64::INFINITY, f64::min),
                Blend::Last => hits.iter().max_by_key(|hit| hit.window).unwrap().value,
                Blend::CenterCrop => hits.iter().max_by_key(|hit| (-hit.far, hit.window)).unwrap().value,
                Blend::Gaussian | Blend::Hann => hits.iter().map(|hit| hit.value * hit.weight).sum::<f64>() / weights,
            };
            if whole { result.round_ties_even() } else { result }
        };
        self.hits.iter().map(one).collect()
    }
}

/// Numbers that look like none of their neighbours.
fn noise(n: usize, seed: u64, most: u64) -> Vec<u64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    };
    (0..n).map(next).map(|n: u64| n % most).collect()
}

/// Adds values in batches that end where `cuts` say.
fn add_all<T: Pixel>(fold: &mut Fold, ids: &[u64], values: &[T], cells: usize, batch: usize) {
    for (ids, values) in ids.chunks(batch).zip(values.chunks(batch * cells)) {
        fold.add(ids, values).unwrap();
    }
}

fn f64s(view: &StridedView) -> Vec<f64> {
    let of = |cell: &[u8]| match view.dtype() {
        DType::U8 => f64::from(cell[0]),
        DType::I16 => i16::from_ne_bytes(cell.try_into().unwrap()).into(),
        DType::I64 => i64::from_ne_bytes(cell.try_into().unwrap()) as f64,
        DType::U64 => u64::from_ne_bytes(cell.try_into().unwrap()) as f64,
        DType::F32 => f32::from_ne_bytes(cell.try_into().unwrap()).into(),
        _ => f64::from_ne_bytes(cell.try_into().unwrap()),
    };
    bytes_of(view).chunks_exact(view.dtype().size()).map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_values_in_any_order_equal_the_naive_loop(
        case in case(),
        at in 0..3usize,
        blend in 0..Blend::ALL.len(),
        kind in 0..4usize,
        tail in 0..3usize,
        picks in proptest::collection::vec(0.0..1.0f64, 1..40),
        seed in any::<u64>(),
        (batch, cut) in (1..9usize, 0.0..1.0f64),
    ) {
        let (at, blend) = (At::ALL[at], Blend::ALL[blend]);
        let grid = PatchScan::new(case.view.clone(), case.spec.clone()).unwrap();
        let windows = grid.grid().windows();
        prop_assume!(windows > 0);
        // Any order, any subset, and some of them twice.
        let ids: Vec<_> = picks.iter().map(|pick| (pick * windows as f64) as u64).collect();
        let w = case.spec.window_shape.len();
        let mut shape: Vec<_> = if at == At::Patch { case.spec.window_shape.clone() } else { Vec::new() };
        shape.extend(std::iter::repeat_n(2, tail));
        let sizes: Vec<_> = shape.iter().map(|&n| n as usize).collect();
        let cells = sizes.iter().product::<usize>();
        let numbers = noise(ids.len() * cells, seed, 200);
        let signed: Vec<_> = numbers.iter().map(|&n| n as f64 - if kind == 0 { 0.0 } else { 100.0 }).collect();
        let new = || Fold::new(&grid).at(at).blend(blend).value_shape(shape.clone());
        let add = |fold: &mut Fold, batch: usize| match kind {
            0 => add_all(fold, &ids, &signed.iter().map(|&v| v as u8).collect::<Vec<_>>(), cells, batch),
            1 => add_all(fold, &ids, &signed.iter().map(|&v| v as i16).collect::<Vec<_>>(), cells, batch),
            2 => add_all(fold, &ids, &signed.iter().map(|&v| v as f32).collect::<Vec<_>>(), cells, batch),
            _ => add_all(fold, &ids, &signed.iter().map(|&v| v as i64).collect::<Vec<_>>(), cells, batch),
        };
        let mut fold = new().fill(7);
        add(&mut fold, batch);
        let image = fold.image().unwrap();

        let judge = Judge::new(&case, at, blend, &ids, &signed, &sizes);
        prop_assert_eq!(image.shape(), &judge.shape[..]);
        let expected = judge.blend(blend, kind != 2);
        let got = f64s(&image);
        for (i, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
            if expected.is_nan() {
                prop_assert_eq!(got, 7.0, "cell {} is covered by none", i);
            } else if blend == Blend::Gaussian || blend == Blend::Hann {
                // Weights are summed in another order: a tie may be rounded to the other side.
                let slack = if kind == 2 { 1e-4 } else { 1.0 };
                prop_assert!((got - expected).abs() <= slack, "cell {}: {}, not {}", i, got, expected);
            } else {
                prop_assert_eq!(got, f64::from(expected as f32), "cell {} of {:?}", i, judge.hits[i]);
            }
        }
        let axes: usize = judge.shape[w..].iter().product();
        let counts: Vec<_> = judge.hits.iter().step_by(axes.max(1)).map(|hits| hits.len() as u32).collect();
        prop_assert_eq!(fold.coverage().unwrap().to_vec::<u32>().unwrap(), counts);

        // The same bits whatever the cuts, and line by line.
        let mut whole = new().fill(7);
        add(&mut whole, ids.len());
        prop_assert_eq!(bytes_of(&whole.image().unwrap()), bytes_of(&image));
        let lines = judge.shape[0] as u64;
        let cut = (cut * (lines + 1) as f64) as u64;
        let mut parts = Vec::new();
        for lines in [0..cut, cut..lines] {
            let mut part = new().fill(7).lines(lines.clone());
            add(&mut part, batch);
            let part = part.image().unwrap();
            prop_assert_eq!(part.shape()[0] as u64, lines.end - lines.start);
            parts.extend(bytes_of(&part));
        }
        prop_assert_eq!(parts, bytes_of(&image));
    }

    #[test]
    fn the_way_there_and_back_is_the_image(
        case in case(),
        layout in 0..3usize,
        blend in 0..Blend::ALL.len(),
        batch in 1..30u64,
        backwards in any::<bool>(),
    ) {
        let blend = Blend::ALL[blend];
        prop_assume!(blend != Blend::Sum);
        let Case { view, spec } = case;
        let layout = [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary][layout];
        let scan = PatchScan::builder(view.clone(), spec.clone()).layout(layout).batch_rows(batch).build().unwrap();
        let table = TableInfo::from_schema(&scan.schema()).unwrap().unwrap();
        let mut fold = Fold::from_table(&table).unwrap().blend(blend).fill(1);
        fold.expect(table.dtype, &table.patch_shape).unwrap();
        let mut batches: Vec<_> = scan.reader().unwrap().map(Result::unwrap).collect();
        if backwards {
            batches.reverse();
        }
        for batch in &batches {
            fold.add_batch(batch).unwrap();
        }
        let image = fold.image().unwrap();
        prop_assert_eq!((image.shape(), image.dtype()), (view.shape(), view.dtype()));
        let counts = fold.coverage().unwrap().to_vec::<u32>().unwrap();
        let tail = view.shape()[spec.window_shape.len()..].iter().product::<usize>();
        let size = view.dtype().size();
        let (got, expected) = (bytes_of(&image), bytes_of(&view));
        for (i, (got, expected)) in got.chunks_exact(size).zip(expected.chunks_exact(size)).enumerate() {
            if counts[i / tail.max(1)] == 0 {
                let one = windrow::Scalar::Int(1).to_cell(view.dtype()).unwrap();
                prop_assert_eq!(got, &one[..size]);
            } else if view.dtype() == DType::F64 && matches!(blend, Blend::Gaussian | Blend::Hann) {
                let of = |cell: &[u8]| f64::from_ne_bytes(cell.try_into().unwrap());
                prop_assert!((of(got) - of(expected)).abs() <= 1e-13 * of(expected).abs(), "{:?} {:?}", got, expected);
            } else {
                prop_assert_eq!(got, expected, "cell {} by {}", i, blend);
            }
        }
        if spec.edge == Edge::Shift && spec.dilation.iter().all(|&d| d == 1) {
            let reaches = spec.step.iter().zip(&spec.window_shape).all(|(step, window)| step <= window);
            prop_assert!(!reaches || counts.iter().all(|&n| n > 0), "every pixel is covered");
        }
    }
}

fn scan(shape: &[usize], spec: WindowSpec) -> PatchScan {
    let view = StridedView::from_vec(vec![0u8; shape.iter().product()], shape).unwrap();
    PatchScan::new(view, spec).unwrap()
}

#[test]
fn a_float_mean_is_within_its_last_place_and_integers_of_64_bits_are_exact() {
    let scan = scan(&[40], WindowSpec::new([9]));
    let ids: Vec<_> = (0..32).collect();
    let tenths: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.1).collect();
    let mut fold = Fold::new(&scan);
    let values: Vec<_> = ids.iter().flat_map(|&i| tenths[i as usize..][..9].to_vec()).collect();
    fold.add(&ids, &values).unwrap();
    for (got, expected) in fold.image().unwrap().to_vec::<f64>().unwrap().into_iter().zip(tenths) {
        assert!((got - expected).abs() <= 4.0 * f64::EPSILON * expected, "{got} {expected}");
    }
    for most in [u64::MAX, u64::MAX - 1, (1 << 53) + 1] {
        let mut fold = Fold::new(&scan);
        fold.add(&ids, &vec![most; 32 * 9]).unwrap();
        assert_eq!(fold.image().unwrap().to_vec::<u64>().unwrap(), [most; 40]);
    }
    let mut fold = Fold::new(&scan).blend(Blend::Sum);
    fold.add(&ids, &vec![i64::MIN; 32 * 9]).unwrap();
    let message = fold.image().unwrap_err().to_string();
    assert!(message.contains("which no int64 is"), "{message}");
}

#[test]
fn types_of_the_image() {
    let scan = scan(&[4], WindowSpec::new([2]));
    let fold = |blend: Blend, dtype: Option<DType>| {
        let fold = Fold::new(&scan).blend(blend);
        let mut fold = if let Some(dtype) = dtype { fold.dtype(dtype) } else { fold };
        fold.add(&[0, 1, 2], &[200u8, 201, 100, 255, 0, 3]).unwrap();
        fold.image()
    };
    assert_eq!(fold(Blend::Sum, None).unwrap().to_vec::<u64>().unwrap(), [200, 301, 255, 3]);
    assert_eq!(fold(Blend::Mean, None).unwrap().to_vec::<u8>().unwrap(), [200, 150, 128, 3]);
    assert_eq!(fold(Blend::Mean, Some(DType::F32)).unwrap().to_vec::<f32>().unwrap(), [200.0, 150.5, 127.5, 3.0]);
    assert_eq!(fold(Blend::Max, Some(DType::I16)).unwrap().to_vec::<i16>().unwrap(), [200, 201, 255, 3]);
    let message = fold(Blend::Sum, Some(DType::U8)).unwrap_err().to_string();
    assert!(message.contains("301") && message.contains("uint8"), "{message}");
    let mut bools = Fold::new(&scan);
    bools.add(&[0, 1], &[true, true, false, true]).unwrap();
    assert_eq!(bools.image().unwrap().to_vec::<bool>().unwrap(), [true, false, true, false]);
}

#[test]
fn nan_is_a_value_and_null_is_none() {
    let scan = scan(&[4], WindowSpec::new([2]));
    for (blend, expected) in [
        (Blend::Mean, [1.0, f32::NAN, f32::NAN, 4.0]),
        (Blend::Max, [1.0, f32::NAN, f32::NAN, 4.0]),
        (Blend::Last, [1.0, f32::NAN, 3.0, 4.0]),
    ] {
        let mut fold = Fold::new(&scan).blend(blend);
        fold.add(&[0, 1, 2], &[1.0f32, 2.0, f32::NAN, f32::NAN, 3.0, 4.0]).unwrap();
        let got = fold.image().unwrap().to_vec::<f32>().unwrap();
        assert_eq!(format!("{got:?}"), format!("{expected:?}"));
    }
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![2, 0, 1]));
    let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None, Some(-6)]));
    let batch = RecordBatch::try_from_iter([("window", ids), ("class", values)]).unwrap();
    let mut fold = Fold::new(&scan).fill(9);
    fold.add_batch(&batch).unwrap();
    assert_eq!(fold.image().unwrap().to_vec::<i32>().unwrap(), [9, -6, 5]);
    assert_eq!(fold.coverage().unwrap().to_vec::<u32>().unwrap(), [0, 1, 1]);
}

/// A table of (window, value) pairs.
fn batch(ids: Vec<i64>, name: &str, values: ArrayRef) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    RecordBatch::try_from_iter([("window", ids), (name, values)]).unwrap()
}

#[test]
fn lists_of_any_kind_are_values() {
    let scan = scan(&[3, 3], WindowSpec::new([2, 2]));
    let rows =
        || vec![Some(vec![Some(1), Some(2), Some(3), Some(4)]), None, Some((5..9).map(Some).collect::<Vec<_>>())];
    let expected = [1, 2, 0, 5, 6, 0, 7, 8, 0];
    let long = || std::iter::once(Some(vec![Some(0); 4])).chain(rows());
    let lists: [[ArrayRef; 2]; 3] = [
        [rows(), long().collect()]
            .map(|rows| Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows)) as ArrayRef),
        [rows(), long().collect()]
            .map(|rows| Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(rows)) as ArrayRef),
        [rows(), long().collect()]
            .map(|rows| Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(rows, 4)) as ArrayRef),
    ];
    for [list, long] in lists {
        // Flat patches, and a slice of a longer array.
        for batch in [batch(vec![0, 3, 2], "patch", list.clone()), batch(vec![9, 0, 3, 2], "patch", long).slice(1, 3)] {
            let mut fold = Fold::new(&scan).blend(Blend::Max);
            fold.add_batch(&batch).unwrap();
            assert_eq!(fold.image().unwrap().to_vec::<i32>().unwrap(), expected, "{:?}", list.data_type());
        }
        let mut scores = Fold::new(&scan).at(At::Grid);
        scores.add_batch(&batch(vec![0, 1, 2], "scores", list.clone())).unwrap();
        let image = scores.image().unwrap();
        assert_eq!(image.shape(), [2, 2, 4]);
        assert_eq!(image.to_vec::<i32>().unwrap(), [1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]);
    }
    let bytes: Vec<&[u8]> = vec![&[1, 2, 3, 4], &[5, 6, 7, 8]];
    let mut fold = Fold::new(&scan).blend(Blend::Last);
    fold.add_batch(&batch(vec![0, 2], "patch", Arc::new(BinaryArray::from(bytes)))).unwrap();
    assert_eq!(fold.image().unwrap().to_vec::<u8>().unwrap(), [1, 2, 0, 5, 6, 0, 7, 8, 0]);
}

#[test]
fn what_can_not_be_folded_says_why() {
    let scan = scan(&[6, 6], WindowSpec::new([2, 2]));
    let numbers = |n: i32| -> ArrayRef { Arc::new(Int32Array::from_iter_values(0..n)) };
    let ragged: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([
        Some(vec![Some(1.0), Some(2.0)]),
        Some(vec![Some(1.0)]),
    ]));
    let holes: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([
        Some(vec![Some(1.0), None]),
        Some(vec![Some(1.0), None]),
    ]));
    let texts: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["a", "b"]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"abc"[..], &b"abc"[..]]));
    for (batch, part) in [
        (batch(vec![0, 25], "prediction", numbers(2)), "no window 25: there are 25, 0..25"),
        (batch(vec![0, -1], "prediction", numbers(2)), "no window -1: ids count from 0"),
        (batch(vec![0, 1], "a", ragged), "column \"a\" has values of 2 and of 1 items"),
        (batch(vec![0, 1], "a", holes), "a null within a value"),
        (batch(vec![0, 1], "a", texts), "column \"a\" is of type Utf8: expected numbers"),
        (batch(vec![0, 1], "a", bytes), "has values of 3 bytes: expected 4"),
        (RecordBatch::try_from_iter([("id", numbers(2)), ("a", numbers(2))]).unwrap(), "which of id, a?"),
        (RecordBatch::try_from_iter([("a", numbers(2))]).unwrap(), "no column \"window\": there are a"),
        (RecordBatch::try_from_iter([("window", numbers(2))]).unwrap(), "no column \"prediction\": there are window"),
    ] {
        let message = Fold::new(&scan).add_batch(&batch).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let message = |result: windrow::Result<()>| result.unwrap_err().to_string();
    let mut fold = Fold::new(&scan);
    assert!(message(fold.image().map(drop)).contains("none came yet"));
    assert!(message(fold.add(&[0, 1], &[0u8; 7])).contains("7 cells for 2 windows"));
    assert!(message(Fold::new(&scan).at(At::Patch).add(&[0], &[0u8; 3])).contains("are no patches of windows 2x2"));
    fold.add(&[0], &[1u8; 4]).unwrap();
    assert!(message(fold.add(&[1], &[1u8; 3])).contains("3 uint8 a window, but those before were 4 uint8"));
    assert!(message(fold.add(&[1], &[1.0f32; 4])).contains("4 float32 a window"));
    assert!(message(fold.add(&[25], &[1u8; 4])).contains("no window 25"));
    // What was refused left nothing behind.
    assert_eq!(fold.image().unwrap().to_vec::<u8>().unwrap().iter().map(|&v| u32::from(v)).sum::<u32>(), 4);
    assert!(message(Fold::new(&scan).fill(0.5).add(&[0], &[1u8; 4])).contains("fill: 0.5 is not a uint8"));
    assert!(message(Fold::new(&scan).lines(3..8).add(&[0], &[1u8; 4])).contains("3..8: the image has 6"));
    let mut table = TableInfo::from_schema(&scan.schema()).unwrap().unwrap();
    table.source.axes.pop();
    assert!(Fold::from_table(&table).unwrap_err().to_string().contains("1 names for 2 axes"));
}

#[test]
fn what_would_not_fit_is_refused_before_memory_is_taken() {
    let mut table = TableInfo::from_schema(&scan(&[6, 6], WindowSpec::new([2, 2])).schema()).unwrap().unwrap();
    table.source.shape = vec![1 << 30, 1 << 30];
    let error = Fold::from_table(&table).unwrap().expect(DType::U8, &[2, 2]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. } | ErrorKind::Memory { .. }), "{error}");
    table.source.shape = vec![1 << 20, 1 << 20];
    let mut some = Fold::from_table(&table).unwrap().lines(5..9);
    some.add(&[6 << 20], &[1u8; 4]).unwrap();
    assert!(some.memory().unwrap() < 64 << 20, "{}", some.memory().unwrap());
}

#[test]
fn same_padding_and_centres_are_a_value_a_pixel() {
    for window in 1..6u64 {
        let image: Vec<_> = (0..7 * 9).collect();
        let spec = WindowSpec::new([window, window]).pad_same(PadMode::Reflect);
        let scan = scan(&[7, 9], spec);
        let mut fold = Fold::new(&scan).at(At::Center);
        let ids: Vec<_> = (0..scan.num_rows()).collect();
        fold.add(&ids, &image).unwrap();
        assert_eq!(fold.image().unwrap().to_vec::<i32>().unwrap(), image);
    }
}

#[test]
fn windows_by_name_and_channels_first() {
    let image = StridedView::from_vec((0..2 * 5 * 6u16).collect(), &[2, 5, 6]).unwrap();
    let spec = WindowSpec::new([2, 3]).axes([1, 2]).step(2).edge(Edge::Shift);
    let scan = PatchScan::new(image.clone(), spec).unwrap();
    let batches: Vec<_> = scan.reader().unwrap().map(Result::unwrap).collect();
    for blend in [Blend::Mean, Blend::CenterCrop, Blend::Last] {
        let mut fold = Fold::new(&scan).blend(blend);
        batches.iter().for_each(|batch| fold.add_batch(batch).unwrap());
        assert_eq!(bytes_of(&fold.image().unwrap()), bytes_of(&image));
        let mut lines = Fold::new(&scan).blend(blend).lines(1..4);
        batches.iter().for_each(|batch| lines.add_batch(batch).unwrap());
        assert_eq!(bytes_of(&lines.image().unwrap()), bytes_of(&image.slice(1, 1..4, 1).unwrap()));
    }
    let ids = batches[0]["window"].as_primitive::<UInt64Type>().values();
    assert_eq!(ids.len() as u64, scan.num_rows());
}
