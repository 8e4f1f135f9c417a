//! Layout `columns`: slices of the base, judged by naive loops and by addresses.

mod common;

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use common::{Row, case, naive, patch_bytes};
use proptest::prelude::*;
use windrow::{DType, Edge, Layout, PadMode, PatchScan, StridedView, WindowSpec, Wrap};

/// The rows of a batch that are windows: id, and what the judge knows of them.
fn windows(batch: &RecordBatch, sliding: usize, wrap: Wrap) -> Vec<(u64, Row)> {
    let ids = batch["window"].as_primitive::<UInt64Type>();
    let pixels: Vec<_> =
        (0..batch.num_columns()).filter(|&i| batch.schema().field(i).name().starts_with("p_")).collect();
    let cells: Vec<_> = pixels.iter().map(|&i| patch_bytes(batch.column(i))).collect();
    let valid = |row: usize| match wrap {
        Wrap::Null => {
            let nulls: Vec<_> = batch.columns().iter().map(|column| column.is_null(row)).collect();
            assert!(nulls.iter().all(|&null| null == nulls[0]), "one bitmap for all");
            !nulls[0]
        }
        Wrap::Column => {
            assert!(batch.columns().iter().all(|column| column.null_count() == 0));
            batch["valid"].as_boolean().value(row)
        }
    };
    (0..batch.num_rows())
        .filter(|&row| valid(row))
        .map(|row| {
            let starts = (1..=sliding).map(|i| batch.column(i).as_primitive::<Int64Type>().value(row)).collect();
            let size = |cells: &Vec<u8>| cells.len() / batch.num_rows();
            let pixels = cells.iter().flat_map(|c| c[row * size(c)..][..size(c)].iter().copied()).collect();
            (ids.value(row), Row { starts, pixels })
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1200))]

    #[test]
    fn windows_equal_the_naive_loop(
        case in case().prop_filter("no slice", |case| case.spec.edge != Edge::Shift),
        wrap in prop_oneof![Just(Wrap::Null), Just(Wrap::Column)],
        batch_rows in proptest::option::of(1..20u64),
        (a, b) in (0.0..1.0f64, 0.0..1.0f64),
    ) {
        let expected = naive(&case.view, &case.spec);
        let n = expected.len() as f64;
        let (a, b) = ((a * (n + 1.0)) as u64, (b * (n + 1.0)) as u64);
        let rows = a.min(b)..a.max(b);
        let sliding = case.spec.window_shape.len();
        let mut builder = PatchScan::builder(case.view, case.spec).layout(Layout::Columns).wrap(wrap).rows(rows.clone());
        if let Some(rows) = batch_rows {
            builder = builder.batch_rows(rows);
        }
        let scan = builder.build().unwrap();
        let mut got = Vec::new();
        for batch in scan.reader().unwrap() {
            let batch = batch.unwrap();
            assert_eq!(batch.schema(), scan.schema());
            got.extend(windows(&batch, sliding, wrap));
        }
        let ids: Vec<_> = got.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids, rows.clone().collect::<Vec<_>>(), "every window once, in order");
        for ((_, row), expected) in got.iter().zip(&expected[rows.start as usize..]) {
            prop_assert_eq!(row, expected);
        }
    }
}

/// The addresses that a column's values take.
fn addresses(column: &dyn Array) -> Range<usize> {
    let data = column.to_data();
    let buffer = &data.buffers()[0];
    let width = data.data_type().primitive_width().unwrap();
    let start = buffer.as_ptr() as usize + data.offset() * width;
    start..start + data.len() * width
}

fn scan(image: &StridedView, spec: WindowSpec) -> PatchScan {
    PatchScan::builder(image.clone(), spec).layout(Layout::Columns).build().unwrap()
}

/// Whether every pixel column of the first batch lies within the image's buffer.
fn is_alias(image: &StridedView, scan: &PatchScan) -> bool {
    let batch = scan.reader().unwrap().next().unwrap().unwrap();
    let base = image.buffer().as_ptr() as usize;
    let base = base..base + image.buffer().len();
    let pixels: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .filter(|field| field.name().starts_with("p_"))
        .map(|field| addresses(&batch[field.name().as_str()]))
        .collect();
    assert!(!pixels.is_empty());
    pixels.iter().all(|column| base.start <= column.start && column.end <= base.end)
}

#[test]
fn columns_of_a_flat_image_are_slices_of_it() {
    let image = common::array(DType::F32, &[40, 50], &[0, 1], &[false; 2], &[false; 2]);
    let part = image.slice(0, 3..33, 1).unwrap().slice(1, 5..45, 1).unwrap();
    let planar = common::array(DType::U8, &[3, 20, 30], &[0, 1, 2], &[false; 3], &[false; 3]);
    let volume = common::array(DType::U16, &[8, 9, 10], &[0, 1, 2], &[false; 3], &[false; 3]);
    for (image, spec) in [
        (&image, WindowSpec::new([7, 7])),
        (&image, WindowSpec::new([3, 3]).dilations([2, 4])),
        (&part, WindowSpec::new([5, 4])),
        (&planar, WindowSpec::new([4, 4]).axes([1, 2])),
        (&volume, WindowSpec::new([3, 2, 4])),
    ] {
        let scan = scan(image, spec.clone());
        assert!(is_alias(image, &scan), "{spec:?}");
        assert!(scan.explain().copies.starts_with("no pixel"), "{}", scan.explain().copies);
    }
}

#[test]
fn what_is_not_flat_takes_one_copy() {
    let image = common::array(DType::F32, &[40, 50], &[0, 1], &[false; 2], &[false; 2]);
    let colors = common::array(DType::U8, &[40, 50, 3], &[0, 1, 2], &[false; 3], &[false; 3]);
    let bits = common::array(DType::Bool, &[40, 50], &[0, 1], &[false; 2], &[false; 2]);
    for (image, spec) in [
        (&image, WindowSpec::new([3, 3]).step(2)),
        (&image, WindowSpec::new([3, 3]).pad_same(PadMode::Edge)),
        (&image.reverse(1).unwrap(), WindowSpec::new([3, 3])),
        (&image.transpose(&[1, 0]).unwrap(), WindowSpec::new([3, 3])),
        (&colors, WindowSpec::new([3, 3])),
        (&bits, WindowSpec::new([3, 3])),
    ] {
        let scan = scan(image, spec.clone());
        let copies = scan.explain().copies;
        assert!(copies.starts_with("one image"), "{spec:?}: {copies}");
        let batch = scan.reader().unwrap().next().unwrap().unwrap();
        let places: std::collections::HashSet<_> =
            batch.columns()[3..].iter().map(|column| column.to_data().buffers()[0].data_ptr()).collect();
        assert_eq!(places.len(), 1, "all columns are slices of one buffer");
    }
}

#[test]
fn the_base_lives_as_long_as_its_last_column() {
    let image = common::array(DType::U16, &[20, 30], &[0, 1], &[false; 2], &[false; 2]);
    let expected: Vec<u16> = image.to_vec().unwrap();
    let mut batch = scan(&image, WindowSpec::new([3, 3])).reader().unwrap().next().unwrap().unwrap();
    drop(image);
    let last = batch.remove_column(11);
    drop(batch);
    assert_eq!(last.to_data().buffers()[0].typed_data::<u16>()[0], expected[2 * 30 + 2]);
}

#[test]
fn the_worked_example() {
    let image = StridedView::from_vec((0..9u8).collect(), &[3, 3]).unwrap();
    let batch = scan(&image, WindowSpec::new([2, 2])).reader().unwrap().next().unwrap().unwrap();
    // The rolling view: rows 0 to 4, of which row 2 wraps around and is masked.
    let column = |name: &str| batch[name].as_primitive::<arrow_array::types::UInt8Type>().clone();
    let rolling = ["p_0_0", "p_0_1", "p_1_0", "p_1_1"].map(|name| column(name).values().to_vec());
    assert_eq!(rolling, [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [3, 4, 5, 6, 7], [4, 5, 6, 7, 8]]);
    let mask: Vec<_> = (0..5).map(|row| batch["window"].is_null(row)).collect();
    assert_eq!(mask, [false, false, true, false, false]);
    let rows: Vec<_> = windows(&batch, 2, Wrap::Null).into_iter().map(|(_, row)| row.pixels).collect();
    assert_eq!(rows, [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]);
}

#[test]
fn only_the_columns_asked_for() {
    let image = common::array(DType::U8, &[20, 30], &[0, 1], &[false; 2], &[false; 2]);
    let build = |columns: &[&str]| {
        let builder = PatchScan::builder(image.clone(), WindowSpec::new([3, 3])).layout(Layout::Columns);
        builder.columns(columns.iter().copied()).build()
    };
    let names = |columns: &[&str]| {
        let schema = build(columns).unwrap().schema();
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["p_2_1", "x"]), ["p_2_1", "x"]);
    assert_eq!(names(&["patch"]).len(), 9);
    // Without pixels there is nothing to roll over: every row is a window.
    let batch = build(&["y", "x"]).unwrap().reader().unwrap().next().unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch["y"].null_count()), (18 * 28, 0));
    for (columns, part) in [(&["p_3_0"][..], "p_0_0"), (&["valid"], "no column"), (&["patch", "p_0_0"], "twice")] {
        let message = build(columns).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn shifted_windows_and_too_many_columns_are_refused() {
    let image = common::array(DType::U8, &[20, 400], &[0, 1], &[false; 2], &[false; 2]);
    let build = |spec| PatchScan::builder(image.clone(), spec).layout(Layout::Columns).build();
    let message = build(WindowSpec::new([3, 3]).step(2).edge(Edge::Shift)).unwrap_err().to_string();
    assert!(message.contains("shifted") && message.contains("axis y"), "{message}");
    let message = build(WindowSpec::new([400, 400]).pad([(400, 0)], PadMode::Edge)).unwrap_err().to_string();
    assert!(message.contains("400x400") && message.contains("65536"), "{message}");
}
