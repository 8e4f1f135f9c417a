//! Chosen rows, labels and nodata as frames: what the reader gives, and no patch more than is asked for.

use common::case;
use proptest::prelude::*;
use windrow::{LabelAt, MaskAt};

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn chosen_rows_equal_the_reader(case in case(), seed in any::<u64>(), as_file in any::<bool>()) {
        let lens = &case.view.shape()[..case.spec.window_shape.len()];
        let labels = common::array(windrow::DType::U16, lens, &(0..lens.len()).collect::<Vec<_>>(), &vec![false; lens.len()], &vec![true; lens.len()]);
        let value = i64::from(case.view.dtype() != windrow::DType::Bool) * 11;
        let source = if as_file { common::file_like(case.view) } else { case.view.into() };
        let scan = PatchScan::builder(source, case.spec).nodata(value).labels(labels.clone(), LabelAt::Center).build().unwrap();
        for scan in [
            scan.shuffle(seed, 0).unwrap(),
            scan.sample(0.5, seed).unwrap().shuffle(1, 1).unwrap(),
            scan.mask(labels, MaskAt::Any).unwrap(),
            scan.min_valid(0.9).unwrap().skip(0).unwrap(),
        ] {
            let (table, of_reader) = (windrow::polars::scan(&scan).unwrap(), read(&scan));
            for engine in ENGINES {
                let frame = collect(&table, engine).unwrap();
                prop_assert_eq!(frame.schema(), of_reader.schema());
                prop_assert!(frame.equals_missing(&of_reader), "{:?}\n{:?}", frame, of_reader);
            }
        }
    }
}

#[test]
fn nothing_is_gathered_that_no_one_asks_for() {
    for scan in [narrow(), wide()] {
        let scan = scan.shuffle(3, 0).unwrap();
        let table = windrow::polars::scan(&scan).unwrap();
        for engine in ENGINES {
            let (frame, gathered) = counted(&scan, &table.clone().filter(col("y").lt(lit(2))), engine);
            assert_eq!(frame.height() as u64, gathered);
            let ids: Vec<_> = frame.column("window").unwrap().u64().unwrap().iter().flatten().collect();
            let inside = |id: &u64| scan.grid().starts(*id)[0] < 2;
            let expected: Vec<_> = scan.windows(0..scan.num_rows()).unwrap().into_iter().filter(inside).collect();
            assert_eq!(ids, expected);
            let (_, gathered) = counted(&scan, &table.clone().slice(1000, 7), engine);
            assert_eq!(gathered, 7);
            let (_, gathered) = counted(&scan, &table.clone().select([col("window").sum()]), engine);
            assert_eq!(gathered, 0);
        }
    }
}
