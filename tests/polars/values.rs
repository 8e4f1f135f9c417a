//! Bit for bit the rows of the reader, and of the naive loop behind it.

use arrow_array::Array;
use common::{case, naive};
use proptest::prelude::*;
use windrow::{DType, Edge, Layout, Wrap};

use super::*;

/// The layouts with a row a window.
const DENSE: [Layout; 3] = [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary];

/// The bytes of all pixels of a patch column.
fn bytes(column: &Column) -> Vec<u8> {
    let series = column.as_materialized_series().rechunk();
    if let Ok(values) = series.binary() {
        return values.iter().flatten().flatten().copied().collect();
    }
    let leaf = series.get_leaf_array().rechunk();
    macro_rules! cells {
        ($($dtype:ident, $values:ident);*) => {
            match leaf.dtype() {
                DataType::Boolean => leaf.bool().unwrap().iter().map(|cell| u8::from(cell.unwrap())).collect(),
                $(DataType::$dtype => bytemuck::cast_slice(leaf.$values().unwrap().cont_slice().unwrap()).to_vec(),)*
                other => panic!("{other}"),
            }
        };
    }
    cells!(UInt8, u8; UInt16, u16; UInt32, u32; UInt64, u64; Int8, i8; Int16, i16; Int32, i32; Int64, i64; Float16, f16;
        Float32, f32; Float64, f64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn frames_equal_the_reader(
        case in case(),
        layout in 0..DENSE.len(),
        as_file in any::<bool>(),
        (a, b) in (0.0..1.0f64, 0.0..1.0f64),
    ) {
        let expected = naive(&case.view, &case.spec);
        let n = expected.len() as f64;
        let (a, b) = ((a * (n + 1.0)) as u64, (b * (n + 1.0)) as u64);
        let rows = a.min(b)..a.max(b);
        let sliding = case.spec.window_shape.len();
        let source = if as_file { common::file_like(case.view) } else { case.view.into() };
        let scan = PatchScan::builder(source, case.spec).layout(DENSE[layout]).rows(rows.clone()).build().unwrap();
        let table = windrow::polars::scan(&scan).unwrap();
        let of_reader = read(&scan);
        for engine in ENGINES {
            let frame = collect(&table, engine).unwrap();
            prop_assert_eq!(frame.schema(), of_reader.schema());
            prop_assert!(frame.equals_missing(&of_reader), "{:?}\n{:?}", frame, of_reader);
            let expected = &expected[rows.start as usize..rows.end as usize];
            for axis in 0..sliding {
                let starts: Vec<_> = frame.columns()[1 + axis].i64().unwrap().iter().flatten().collect();
                prop_assert_eq!(starts, expected.iter().map(|row| row.starts[axis]).collect::<Vec<_>>());
            }
            if !expected.is_empty() {
                let pixels: Vec<u8> = expected.iter().flat_map(|row| row.pixels.iter().copied()).collect();
                prop_assert_eq!(bytes(frame.column("patch").unwrap()), pixels);
            }
        }
    }

    #[test]
    fn patches_of_any_ids(
        case in case(),
        layout in 0..DENSE.len(),
        picks in proptest::collection::vec(proptest::option::weighted(0.8, 0.0..1.0f64), 1..30),
        as_file in any::<bool>(),
    ) {
        let source = if as_file { common::file_like(case.view) } else { case.view.into() };
        let scan = PatchScan::builder(source, case.spec).layout(DENSE[layout]).build().unwrap();
        let rows = scan.num_rows();
        prop_assume!(rows > 0);
        let ids: Vec<_> = picks.iter().map(|pick| pick.map(|pick| (pick * rows as f64) as i32)).collect();
        let picks = df!("id" => &ids).unwrap().lazy();
        let all = read(&scan);
        let axes: Vec<_> = scan.grid().sliding().map(|axis| col(axis.name.as_str())).collect();
        for engine in ENGINES {
            let (frame, patches) = counted(&scan, &picks.clone().with_columns([windrow::polars::patch_of(&scan, col("id"))]), engine);
            prop_assert_eq!(patches, ids.iter().flatten().count() as u64);
            let places: IdxCa = ids.iter().map(|id| id.map(|id| id as u32)).collect();
            let expected = all.column("patch").unwrap().take(&places).unwrap();
            prop_assert!(frame.column("patch").unwrap().equals_missing(&expected));
            // From coordinates back to ids.
            let at = all.clone().lazy().select(axes.clone()).with_columns([windrow::polars::window_at(&scan)]);
            let at = collect(&at, engine).unwrap();
            prop_assert!(at.column("window").unwrap().equals(all.column("window").unwrap()));
        }
    }

    #[test]
    fn columns_equal_the_reader(
        case in case().prop_filter("no slice", |case| case.spec.edge != Edge::Shift),
        wrap in prop_oneof![Just(Wrap::Null), Just(Wrap::Column)],
        as_file in any::<bool>(),
    ) {
        let source = if as_file { common::file_like(case.view) } else { case.view.into() };
        let scan = PatchScan::builder(source, case.spec).layout(Layout::Columns).wrap(wrap);
        let scan = scan.batch_rows(u64::MAX).build().unwrap();
        let table = windrow::polars::scan(&scan).unwrap();
        let of_reader = read(&scan);
        for engine in ENGINES {
            let frame = collect(&table, engine).unwrap();
            prop_assert_eq!(frame.schema(), of_reader.schema());
            prop_assert!(frame.equals_missing(&of_reader));
        }
    }
}

#[test]
fn every_type_of_pixels() {
    for dtype in DType::ALL {
        let image = common::array(dtype, &[9, 11, 2], &[0, 1, 2], &[false; 3], &[false; 3]);
        for layout in DENSE {
            let scan = PatchScan::builder(image.clone(), WindowSpec::new([3, 4])).layout(layout).build().unwrap();
            let frame = collect(&windrow::polars::scan(&scan).unwrap(), Engine::Streaming).unwrap();
            let expected: Vec<u8> = naive(&image, scan.spec()).into_iter().flat_map(|row| row.pixels).collect();
            assert_eq!(bytes(frame.column("patch").unwrap()), expected, "{dtype} {layout}");
            let pixel = match dtype {
                DType::Bool => DataType::Boolean,
                DType::F16 => DataType::Float16,
                _ => DataType::from_arrow_dtype(&arrow_type(dtype)),
            };
            let list = |inner, n| DataType::Array(Box::new(inner), n);
            let wanted = match layout {
                Layout::Tensor => list(list(list(pixel, 2), 4), 3),
                Layout::FixedShapeTensor => list(pixel, 24),
                _ => DataType::Binary,
            };
            assert_eq!(frame.column("patch").unwrap().dtype(), &wanted);
        }
    }
}

fn arrow_type(dtype: DType) -> ArrowDataType {
    match dtype {
        DType::U8 => ArrowDataType::UInt8,
        DType::U16 => ArrowDataType::UInt16,
        DType::U32 => ArrowDataType::UInt32,
        DType::U64 => ArrowDataType::UInt64,
        DType::I8 => ArrowDataType::Int8,
        DType::I16 => ArrowDataType::Int16,
        DType::I32 => ArrowDataType::Int32,
        DType::I64 => ArrowDataType::Int64,
        DType::F32 => ArrowDataType::Float32,
        DType::F64 => ArrowDataType::Float64,
        DType::Bool | DType::F16 => unreachable!("tested by name"),
    }
}

/// Where a column's first value lies.
fn address(column: &Column) -> *const u8 {
    let series = column.as_materialized_series();
    if let Ok(values) = series.binary() {
        return values.get(0).unwrap().as_ptr();
    }
    let leaf = series.get_leaf_array();
    leaf.f32().unwrap().cont_slice().unwrap().as_ptr().cast()
}

#[test]
fn no_value_is_copied_on_the_way_to_a_data_frame() {
    let image = common::array(DType::F32, &[40, 50], &[0, 1], &[false; 2], &[false; 2]);
    for layout in DENSE {
        let scan = PatchScan::builder(image.clone(), WindowSpec::new([5, 5])).layout(layout).build().unwrap();
        let batch = scan.reader().unwrap().next().unwrap().unwrap();
        let mut data = batch["patch"].to_data();
        while let Some(child) = data.child_data().first() {
            data = child.clone();
        }
        let place = data.buffers()[0].as_ptr();
        let window = batch["window"].to_data().buffers()[0].as_ptr();
        let frame = windrow::polars::data_frame(&batch).unwrap();
        drop(batch);
        assert_eq!(address(frame.column("patch").unwrap()), place, "{layout}");
        assert_eq!(frame.column("window").unwrap().u64().unwrap().cont_slice().unwrap().as_ptr().cast(), window);
    }
}

#[test]
fn columns_are_slices_of_the_image() {
    let image = common::array(DType::F32, &[40, 50], &[0, 1], &[false; 2], &[false; 2]);
    let expected: Vec<f32> = image.to_vec().unwrap();
    let base = image.buffer().as_ptr();
    let scan = PatchScan::builder(image, WindowSpec::new([5, 5])).layout(Layout::Columns).build().unwrap();
    let frame = windrow::polars::scan(&scan).unwrap().collect().unwrap();
    drop(scan);
    for (name, place) in [("p_0_0", 0), ("p_0_4", 4), ("p_3_2", 152), ("p_4_4", 204)] {
        let column = frame.column(name).unwrap();
        assert_eq!(column.n_chunks(), 1);
        let values = column.f32().unwrap().downcast_as_array().values().clone();
        assert_eq!(values.as_ptr().cast(), base.wrapping_add(place * 4));
        assert_eq!(values[7], expected[place + 7]);
        assert_eq!(column.null_count(), 35 * 4, "rows that wrap around");
    }
    let batch = PatchScan::new(gray(3, 3), WindowSpec::new([2, 2])).unwrap();
    assert_eq!(batch.schema().field(0).data_type(), &arrow_schema::DataType::UInt64);
}

#[test]
fn only_the_columns_of_the_scan_in_their_order() {
    for columns in [&["x"][..], &["patch", "y"], &["patch"], &["window"], &["x", "window", "y"]] {
        for engine in ENGINES {
            let scan = PatchScan::builder(gray(10, 10), WindowSpec::new([3, 3]));
            let scan = scan.columns(columns.iter().copied()).rows(5..60).build().unwrap();
            let (frame, patches) = counted(&scan, &windrow::polars::scan(&scan).unwrap(), engine);
            assert!(frame.equals(&read(&scan)), "{columns:?}");
            assert_eq!(patches, if columns.contains(&"patch") { 55 } else { 0 });
        }
    }
}

#[test]
fn any_number_of_times_and_with_itself() {
    for scan in [narrow(), wide()] {
        let table = windrow::polars::scan(&scan).unwrap().filter((col("window") % lit(100u64)).eq(lit(0u64)));
        for engine in ENGINES {
            let (first, second) = (collect(&table, engine).unwrap(), collect(&table, engine).unwrap());
            assert!(first.equals(&second));
            let joined =
                table.clone().join(table.clone(), [col("window")], [col("window")], JoinArgs::new(JoinType::Inner));
            let joined = collect(&joined.sort(["window"], Default::default()), engine).unwrap();
            assert!(joined.column("patch").unwrap().equals(&first.column("patch").unwrap().clone()));
            assert_eq!(
                joined.column("patch").unwrap().clone().with_name("patch_right".into()),
                *joined.column("patch_right").unwrap()
            );
        }
    }
}

#[test]
fn a_filter_on_pixels() {
    for scan in [narrow(), wide()] {
        let flat = PatchScan::builder(scan.source().clone(), scan.spec().clone()).layout(Layout::FixedShapeTensor);
        let flat = flat.build().unwrap();
        let table = windrow::polars::scan(&flat).unwrap();
        let bright = table.filter(col("patch").arr().get(lit(0), false).gt(lit(250u8 - 10))).select([col("window")]);
        let pixels: Vec<u8> =
            naive(&scan.source().view().unwrap().clone(), scan.spec()).iter().map(|row| row.pixels[0]).collect();
        let expected: Vec<u64> =
            (0..).zip(pixels).filter(|(_, pixel)| *pixel > 240).map(|(window, _)| window).collect();
        for engine in ENGINES {
            let frame = collect(&bright, engine).unwrap();
            let got: Vec<u64> = frame.column("window").unwrap().u64().unwrap().iter().flatten().collect();
            assert_eq!(got, expected);
        }
    }
}
