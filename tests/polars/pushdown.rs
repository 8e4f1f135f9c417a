//! Counted: a query gathers the patches that it needs, and no other.

use super::*;

/// The numbers of the issue that asked for this, on 16.8 million windows.
#[test]
fn of_millions_of_windows_only_those_that_are_needed() {
    let image = StridedView::from_vec(vec![7u8; 4103 * 4103], &[4103, 4103]).unwrap();
    let scan = PatchScan::new(image, WindowSpec::new([8, 8])).unwrap();
    assert_eq!(scan.num_rows(), 1 << 24);
    let table = windrow::polars::scan(&scan).unwrap();
    let labels = df!("y" => (0..100i64).collect::<Vec<_>>(), "x" => (0..100i64).map(|i| i * 3).collect::<Vec<_>>(),
        "label" => vec![1u8; 100])
    .unwrap()
    .lazy();
    for engine in ENGINES {
        let count = |frame: LazyFrame| counted(&scan, &frame, engine);
        let number = |frame: &DataFrame| frame.columns()[0].get(0).unwrap().extract::<u64>().unwrap();
        let (frame, patches) = count(table.clone().filter(col("y").lt(lit(10))).select([len()]));
        assert_eq!((number(&frame), patches), (10 * 4096, 0));
        let (frame, patches) = count(table.clone().select([len()]));
        assert_eq!((number(&frame), patches), (1 << 24, 0));
        let (frame, patches) = count(table.clone().select([col("window").sum()]));
        assert_eq!((number(&frame), patches), ((1 << 23) * ((1 << 24) - 1), 0));
        let (frame, patches) = count(table.clone().limit(5));
        assert_eq!((frame.shape(), patches), ((5, 4), 5));
        let (frame, patches) = count(table.clone().slice(8_000_000, 5));
        assert_eq!((number(&frame), frame.height(), patches), (8_000_000, 5, 5));
        let corner = col("y").eq(lit(7)).and(col("x").lt(lit(3)));
        let (frame, patches) = count(table.clone().filter(corner));
        assert_eq!((number(&frame), frame.height(), patches), (7 * 4096, 3, 3));
        // A join can't be moved below the patches: they come last.
        let windows = table.clone().select([col("window"), col("y"), col("x")]);
        let joined =
            windows.join(labels.clone(), [col("y"), col("x")], [col("y"), col("x")], JoinArgs::new(JoinType::Inner));
        let (frame, patches) = count(joined.with_columns([windrow::polars::patch(&scan)]));
        assert_eq!((frame.shape(), patches), ((100, 5), 100));
        // And no join is needed to know the windows of some points.
        let points = labels.clone().with_columns([windrow::polars::window_at(&scan)]);
        let (frame, patches) = count(points.with_columns([windrow::polars::patch(&scan)]));
        assert_eq!((frame.shape(), patches), ((100, 5), 100));
    }
}

/// Read from below: what comes first stands last.
#[test]
fn plans_say_so_before_they_run() {
    for scan in [narrow(), wide()] {
        let table = windrow::polars::scan(&scan).unwrap();
        let top = table.filter(col("y").lt(lit(10)));
        let plan = top.clone().select([len()]).explain(true).unwrap();
        assert!(!plan.contains("windrow.patch"), "{plan}");
        let plan = top.select([col("patch")]).explain(true).unwrap();
        let (patches, filter) = (plan.find("windrow.patch").unwrap(), plan.find("FILTER").unwrap());
        assert!(patches < filter, "{plan}");
        assert!(!plan.contains("\"x\""), "{plan}");
    }
}

#[test]
fn small_and_large_morsels_alike() {
    for scan in [narrow(), wide()] {
        let rows = scan.num_rows();
        let width = scan.grid().grid_shape()[1];
        let table = windrow::polars::scan(&scan).unwrap();
        let expected = read(&scan);
        for engine in ENGINES {
            for (query, wanted) in [
                (table.clone().limit(5), 0..5),
                (table.clone().tail(3), rows - 3..rows),
                (table.clone().slice(1000, 7), 1000..1007),
                (table.clone().slice(rows as i64 - 2, 7), rows - 2..rows),
                (table.clone().filter(col("y").eq(lit(2)).and(col("x").lt(lit(5)))), 2 * width..2 * width + 5),
                (table.clone().filter(col("window").gt_eq(lit(rows - 4))), rows - 4..rows),
                (table.clone().filter(col("y").eq(lit(9))).limit(2), 9 * width..9 * width + 2),
                (table.clone().filter(col("y").eq(lit(9))).slice(3, 2), 9 * width + 3..9 * width + 5),
            ] {
                let (frame, patches) = counted(&scan, &query, engine);
                let length = (wanted.end - wanted.start) as usize;
                assert!(
                    frame.equals(&expected.slice(wanted.start as i64, length)),
                    "{wanted:?}, {engine:?}: {frame:?}"
                );
                assert_eq!(patches, length as u64, "{wanted:?}, {engine:?}");
            }
            let (frame, patches) = counted(&scan, &table.clone().select([col("x"), col("y")]), engine);
            assert_eq!((frame.height() as u64, patches), (rows, 0));
            let (frame, patches) = counted(&scan, &table.clone().select([len()]), engine);
            assert_eq!((frame.columns()[0].u32().unwrap().get(0), patches), (Some(rows as u32), 0));
            let groups = table.clone().group_by([col("y")]).agg([len(), col("x").max()]);
            assert_eq!(counted(&scan, &groups, engine).1, 0);
        }
    }
}

#[test]
fn a_sorted_sample_with_the_pixels_last() {
    let scan = wide();
    let expected = read(&scan);
    let table = windrow::polars::scan(&scan).unwrap().select([col("window"), col("x")]);
    let mask = (col("window") % lit(1000u64)).eq(lit(17u64));
    let query = table
        .filter(mask)
        .sort(["x"], SortMultipleOptions::new().with_order_descending(true))
        .limit(3)
        .with_columns([windrow::polars::patch(&scan)]);
    for engine in ENGINES {
        let (frame, patches) = counted(&scan, &query, engine);
        assert_eq!(patches, 3);
        for row in 0..3 {
            let window = frame.column("window").unwrap().u64().unwrap().get(row).unwrap();
            let one = expected.slice(window as i64, 1);
            assert!(frame.slice(row as i64, 1).column("patch").unwrap().equals(one.column("patch").unwrap()));
        }
    }
}

/// More windows than Polars counts rows in a frame: two frames under one plan. The array is one line, seen 70,000 times.
#[test]
fn more_rows_than_fit_into_32_bits() {
    let line: Vec<u8> = (0..70_000usize).map(|i| (i % 251) as u8).collect();
    let line = StridedView::from_vec(line, &[70_000]).unwrap();
    let image =
        StridedView::try_new(line.buffer().clone(), windrow::DType::U8, vec![70_000; 2], vec![0, 1], 0).unwrap();
    for (window, width) in [([2, 2], 69_999u64), ([64, 64], 69_937)] {
        let scan = PatchScan::new(image.clone(), WindowSpec::new(window)).unwrap();
        let rows = scan.num_rows();
        assert!(rows > 1 << 32);
        let table = windrow::polars::scan(&scan).unwrap();
        for start in [0, 12_345] {
            let query = table.clone().slice(start as i64, 5);
            let (frame, patches) = counted(&scan, &query, Engine::Streaming);
            let part =
                PatchScan::builder(image.clone(), WindowSpec::new(window)).rows(start..start + 5).build().unwrap();
            assert!(frame.equals(&read(&part)), "{start}: {frame:?}");
            assert_eq!(patches, 5);
        }
        // Where the frames meet, by a scan of the rows around that place.
        for start in [(1 << 32) - 4, (1 << 32) + 12_345, rows - 5] {
            let part =
                PatchScan::builder(image.clone(), WindowSpec::new(window)).rows(start..start + 5).build().unwrap();
            let (frame, patches) = counted(&part, &windrow::polars::scan(&part).unwrap(), Engine::Streaming);
            assert!(frame.equals(&read(&part)), "{start}: {frame:?}");
            assert_eq!(patches, 5);
            assert_eq!(frame.column("y").unwrap().i64().unwrap().get(0), Some((start / width) as i64));
        }
    }
}
