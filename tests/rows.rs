//! Chosen rows: what every path gives for them, against lists of ids and the naive loop.

mod common;

use common::{Case, Row, case, naive, rows_of_batch};
use proptest::prelude::*;
use windrow::{DType, Layout, PadMode, PatchScan, Permutation, StridedView, TableInfo, WindowSpec};

/// One thing that is done to the rows of a scan.
#[derive(Clone, Debug)]
enum Choice {
    Shuffle(u64, u64),
    Sample(f64, u64),
    Shard(u64, u64),
    Skip(f64),
    List(Vec<f64>),
    Rows(f64, f64),
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let share = || 0.0..=1.0f64;
    let choice = prop_oneof![
        (any::<u64>(), 0..3u64).prop_map(|(seed, epoch)| Choice::Shuffle(seed, epoch)),
        (share(), any::<u64>()).prop_map(|(of, seed)| Choice::Sample(of, seed)),
        (1..5u64).prop_flat_map(|of| (0..of, Just(of))).prop_map(|(index, of)| Choice::Shard(index, of)),
        (0.0..0.5f64).prop_map(Choice::Skip),
        proptest::collection::vec(0.0..1.0f64, 0..40).prop_map(Choice::List),
        (share(), share()).prop_map(|(a, b)| Choice::Rows(a.min(b), a.max(b))),
    ];
    proptest::collection::vec(choice, 0..4)
}

/// The scan, and its ids by plain lists.
fn chosen(scan: &PatchScan, choices: &[Choice]) -> (PatchScan, Vec<u64>) {
    let windows = scan.grid().windows();
    let (mut scan, mut ids) = (scan.clone(), (0..windows).collect::<Vec<_>>());
    for choice in choices {
        let n = ids.len() as u64;
        let part = |share: f64| ((n as f64 * share) as usize).min(ids.len());
        (scan, ids) = match choice {
            Choice::Shuffle(seed, epoch) => {
                let order = Permutation::new(n, *seed, *epoch);
                let shuffled = (0..n).map(|place| ids[order.get(place) as usize]).collect();
                (scan.shuffle(*seed, *epoch).unwrap(), shuffled)
            }
            Choice::Sample(share, seed) => {
                let order = Permutation::new(n, *seed, 0);
                let mut places: Vec<_> = (0..(share * n as f64).round() as u64).map(|place| order.get(place)).collect();
                places.sort_unstable();
                (scan.sample(*share, *seed).unwrap(), places.iter().map(|&place| ids[place as usize]).collect())
            }
            Choice::Shard(index, of) => {
                let shards: Vec<_> = (0..*of).map(|index| scan.shard(index, *of).unwrap()).collect();
                let all: Vec<u64> = shards.iter().flat_map(|s| s.windows(0..s.num_rows()).unwrap()).collect();
                assert_eq!(all, ids, "shards together are all rows");
                let shard = shards[*index as usize].clone();
                let ids = shard.windows(0..shard.num_rows()).unwrap();
                (shard, ids)
            }
            Choice::Skip(share) => (scan.skip(part(*share) as u64).unwrap(), ids[part(*share)..].to_vec()),
            Choice::List(picks) if windows > 0 => {
                let ids: Vec<_> = picks.iter().map(|pick| (pick * windows as f64) as u64).collect();
                (scan.with_windows(ids.clone()).unwrap(), ids)
            }
            Choice::List(_) => (scan, ids),
            Choice::Rows(a, b) => {
                let first = scan.rows().start;
                let rows = first + part(*a) as u64..first + part(*b) as u64;
                (scan.with_rows(rows).unwrap(), ids[part(*a)..part(*b)].to_vec())
            }
        };
    }
    (scan, ids)
}

fn all_rows(scan: &PatchScan) -> (Vec<u64>, Vec<Row>) {
    let (mut ids, mut rows) = (Vec::new(), Vec::new());
    for batch in scan.reader().unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.schema(), scan.schema());
        ids.extend_from_slice(common::ids_of(&batch));
        rows.extend(rows_of_batch(&batch));
    }
    (ids, rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1200))]

    #[test]
    fn chosen_rows_are_those_of_the_list(
        case in case(),
        choices in choices(),
        batch_rows in 1..20u64,
        prefetch in 0..3usize,
        as_file in any::<bool>(),
        fixed in any::<bool>(),
    ) {
        let expected = naive(&case.view, &case.spec);
        let Case { view, spec } = case;
        let source = if as_file { common::file_like(view) } else { view.into() };
        let layout = if fixed { Layout::FixedShapeTensor } else { Layout::Binary };
        let scan = PatchScan::builder(source, spec).layout(layout).batch_rows(batch_rows).prefetch(prefetch).build().unwrap();
        let (scan, ids) = chosen(&scan, &choices);
        prop_assert_eq!(scan.num_rows(), ids.len() as u64);
        prop_assert_eq!(&scan.windows(0..scan.num_rows()).unwrap(), &ids);
        for (row, &id) in ids.iter().enumerate() {
            prop_assert_eq!(scan.window(row as u64), Some(id));
        }
        let (got, rows) = all_rows(&scan);
        prop_assert_eq!(&got, &ids);
        for (row, &id) in rows.iter().zip(&ids) {
            prop_assert_eq!(row, &expected[id as usize]);
        }
        let table = TableInfo::from_schema(&scan.schema()).unwrap().unwrap();
        prop_assert_eq!(&table.selection[..], scan.steps());
        prop_assert_eq!(table.rows, (scan.rows().start, scan.rows().end));
        prop_assert_eq!(scan.explain().rows, ids.len() as u64);
    }

    #[test]
    fn matrices_of_chosen_rows(case in case(), choices in choices(), room in 1..20usize, as_file in any::<bool>()) {
        let expected = naive(&case.view, &case.spec);
        let size = case.view.dtype().size();
        let Case { view, spec } = case;
        let source = if as_file { common::file_like(view) } else { view.into() };
        let (scan, ids) = chosen(&PatchScan::new(source, spec).unwrap(), &choices);
        let mut matrices = scan.matrices().unwrap();
        let mut memory = vec![0; room * matrices.row_bytes()];
        let mut done = 0;
        loop {
            let count = matrices.next_into(&mut memory).unwrap();
            if count == 0 {
                break;
            }
            for (row, &id) in ids[done..done + count].iter().enumerate() {
                for (pixel, cell) in expected[id as usize].pixels.chunks_exact(size).enumerate() {
                    prop_assert_eq!(&memory[(pixel * count + row) * size..][..size], cell);
                }
            }
            done += count;
        }
        prop_assert_eq!(done, ids.len());
    }

    #[test]
    fn within_is_a_filter_on_coordinates(
        case in case(),
        (a, b) in (-3..8i64, 0..9i64),
        (c, d) in (-3..8i64, 0..9i64),
        shard in 0..3u64,
    ) {
        let scan = PatchScan::new(case.view.clone(), case.spec.clone()).unwrap().shard(shard, 3).unwrap();
        let names: Vec<_> = scan.grid().sliding().map(|axis| axis.name.clone()).collect();
        let bounds: Vec<_> = names.iter().map(String::as_str).zip([a..a + b, c..c + d]).collect();
        let part = scan.within(bounds.clone()).unwrap();
        let inside = |id: &u64| {
            scan.grid().starts(*id).iter().zip(&bounds).all(|(start, (_, range))| range.contains(start))
        };
        let expected: Vec<u64> = scan.rows().filter(inside).collect();
        prop_assert_eq!(part.windows(0..part.num_rows()).unwrap(), expected.clone());
        let sample = scan.sample(0.5, 3).unwrap();
        let of_sample: Vec<u64> = sample.windows(0..sample.num_rows()).unwrap().into_iter().filter(inside).collect();
        let part = sample.within(bounds).unwrap();
        prop_assert_eq!(part.windows(0..part.num_rows()).unwrap(), of_sample);
    }
}

fn scan() -> PatchScan {
    let image = StridedView::from_vec((0..=255u8).collect(), &[16, 16]).unwrap();
    PatchScan::new(image, WindowSpec::new([3, 3])).unwrap()
}

/// Windows of an image that no cache holds are read in its order, and are where they belong all the same.
#[test]
fn shuffled_windows_of_a_large_image_are_those_taken_one_by_one() {
    let pixels = (0..900 * 1000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let image = StridedView::from_vec(pixels, &[900, 1000]).unwrap();
    for (spec, dtype) in [
        (WindowSpec::new([8, 8]), None),
        (WindowSpec::new([8, 8]), Some(DType::F32)),
        (WindowSpec::new([5, 7]).steps([1, 2]).pad([(2, 2), (2, 2)], PadMode::Reflect), None),
        (WindowSpec::new([3, 11]).dilation(3), Some(DType::F64)),
    ] {
        let builder = PatchScan::builder(image.clone(), spec);
        let scan = dtype.into_iter().fold(builder, |builder, dtype| builder.dtype(dtype)).build().unwrap();
        let shuffled = scan.shuffle(1, 2).unwrap().with_rows(5..12_000).unwrap();
        let mut taker = scan.taker().unwrap();
        let mut row = 0;
        for batch in shuffled.reader().unwrap() {
            let batch = batch.unwrap();
            let rows = rows_of_batch(&batch);
            for (&id, found) in common::ids_of(&batch).iter().zip(rows) {
                assert_eq!(Some(id), shuffled.window(row));
                row += 1;
                if row % 13 == 0 {
                    assert_eq!([found], rows_of_batch(&taker.take(&[id]).unwrap())[..]);
                }
            }
        }
        assert_eq!(row, shuffled.num_rows());
    }
}

#[test]
fn a_large_sample_takes_a_bit_a_row() {
    let image = StridedView::from_vec(vec![0u8], &[1, 1]).unwrap().broadcast_to(&[30_000, 33_334]).unwrap();
    let scan = PatchScan::new(image, WindowSpec::new([1, 1])).unwrap();
    assert_eq!(scan.num_rows(), 1_000_020_000);
    let sample = scan.sample(100_000, 1).unwrap();
    let ids = sample.windows(0..100_000).unwrap();
    assert!(ids.is_sorted_by(|a, b| a < b));
    // A tenth of them in each tenth of the image.
    let first = ids.iter().filter(|&&id| id < 100_002_000).count();
    assert!((9_500..10_500).contains(&first), "{first}");
    assert!(sample.explain().peak_bytes < scan.explain().peak_bytes + (2 << 20));
    let thousand = StridedView::from_vec(vec![0u8], &[1, 1]).unwrap().broadcast_to(&[1000, 1000]).unwrap();
    let scan = PatchScan::builder(thousand, WindowSpec::new([1, 1])).prefetch(0).batch_rows(1000).build().unwrap();
    let half = scan.sample(0.5, 9).unwrap();
    assert!(half.windows(0..500_000).unwrap().is_sorted_by(|a, b| a < b));
    let more = half.explain().peak_bytes - scan.explain().peak_bytes;
    assert!(more < 150_000, "{more} bytes");
}

#[test]
fn what_is_asked_for_wrongly_is_said() {
    let scan = scan();
    for (result, words) in [
        (scan.sample(197, 0), "sample: 197 rows, without replacement, of 196"),
        (scan.sample(1.01, 0), "sample: a share of 1.01: expected 0 to 1"),
        (scan.sample(f64::NAN, 0), "a share of NaN"),
        (scan.shard(3, 3), "shard: 3 of 3: expected a number from 0"),
        (scan.shard(0, 0), "shard: 0 of 0"),
        (scan.skip(197), "skip: 197 rows of 196"),
        (scan.with_windows([5, 196]), "window: no window 196 (row 1): there are 196"),
        (scan.within([("z", 0..3)]), "within: no axis \"z\": the window slides over y, x"),
        (scan.within([("y", 0..3), ("y", 0..3)]), "named twice"),
        (scan.shuffle(0, 0).unwrap().within([("y", 0..3)]), "within: the rows are shuffled already"),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let image = StridedView::from_vec(vec![0u8; 100], &[10, 10]).unwrap();
    let columns = PatchScan::builder(image.clone(), WindowSpec::new([3, 3])).layout(Layout::Columns).build().unwrap();
    assert!(columns.shuffle(0, 0).unwrap_err().to_string().contains("layout: its columns are slices"));
    assert_eq!(columns.shard(1, 2).unwrap().num_rows(), 32);
    let other = PatchScan::builder(image, WindowSpec::new([4, 4])).rows_of(&scan).build();
    assert!(other.unwrap_err().to_string().contains("another grid"));
}

#[test]
fn the_steps_are_told() {
    let scan = scan().shard(1, 2).unwrap().sample(20, 7).unwrap().shuffle(3, 4).unwrap().skip(5).unwrap();
    let said: Vec<_> = scan.steps().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["rows 98..196", "a sample of 20 (seed 7)", "shuffled (seed 3, epoch 4)"]);
    assert_eq!((scan.rows(), scan.num_rows()), (5..20, 15));
    assert!(scan.explain().to_string().contains("rows        15 of rows 98..196; a sample of 20 (seed 7); shuffled"));
    let schema = scan.schema();
    let json = &schema.metadata[windrow::METADATA_KEY];
    assert!(json.contains(r#"{"shuffle":{"seed":3,"epoch":4,"rows":20}}"#), "{json}");
    // A reader that stops early, and one that starts over.
    let first = scan.reader().unwrap().next().unwrap().unwrap();
    assert_eq!(common::ids_of(&first), common::ids_of(&scan.reader().unwrap().next().unwrap().unwrap()));
    let converted = PatchScan::builder(scan.source().clone(), scan.spec().clone()).dtype(DType::F32).rows_of(&scan);
    assert_eq!(converted.build().unwrap().windows(0..15).unwrap(), scan.windows(0..15).unwrap());
}
