//! Functions of patches against loops over their pixels.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, UInt16Type};
use arrow_array::{Array, Float64Array};
use windrow::{DType, Layout, PatchScan, StridedView, WindowSpec};

use super::{ask, error, scan, session};

const ALL: &str = "SELECT patch_mean(patch) AS mean, patch_std(patch) AS std, patch_sum(patch) AS sum, patch_min(patch) \
                   AS min, patch_max(patch) AS max, patch_quantile(patch, 0.25) AS q FROM t ORDER BY \"window\"";

fn quantile(pixels: &mut [f64], share: f64) -> f64 {
    pixels.sort_by(f64::total_cmp);
    let place = share * (pixels.len() - 1) as f64;
    let (low, high) = (pixels[place as usize], pixels[(place as usize + 1).min(pixels.len() - 1)]);
    low + (high - low) * place.fract()
}

fn close(got: &Float64Array, expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    assert!(got.values().iter().zip(expected).all(near), "{got:?} {expected:?}");
}

#[tokio::test]
async fn functions_are_loops() {
    let scan = scan().sample(200, 1).unwrap();
    let patches = scan.taker().unwrap().take(&scan.windows(0..200).unwrap()).unwrap();
    let leaf = patches["patch"].as_fixed_size_list().values().as_fixed_size_list().values().clone();
    let pixels: Vec<Vec<f64>> = leaf
        .as_primitive::<UInt16Type>()
        .values()
        .chunks(64)
        .map(|p| p.iter().map(|&n| f64::from(n)).collect())
        .collect();
    let of = |f: &dyn Fn(&[f64]) -> f64| pixels.iter().map(|patch| f(patch)).collect::<Vec<_>>();
    let mean = |patch: &[f64]| patch.iter().sum::<f64>() / 64.0;
    for layout in [Layout::Tensor, Layout::FixedShapeTensor] {
        for dtype in [DType::U16, DType::F32, DType::F64, DType::I64, DType::U64] {
            let builder = PatchScan::builder(scan.source().clone(), WindowSpec::new([8, 8])).rows_of(&scan);
            let scan = builder.layout(layout).dtype(dtype).lossy(true).build().unwrap();
            let (ctx, _) = session(&scan, 2);
            let got = ask(&ctx, ALL).await;
            close(got["mean"].as_primitive::<Float64Type>(), &of(&mean));
            close(got["sum"].as_primitive::<Float64Type>(), &of(&|patch| patch.iter().sum()));
            let std = |patch: &[f64]| (patch.iter().map(|n| (n - mean(patch)).powi(2)).sum::<f64>() / 64.0).sqrt();
            close(got["std"].as_primitive::<Float64Type>(), &of(&std));
            close(got["q"].as_primitive::<Float64Type>(), &of(&|patch| quantile(&mut patch.to_vec(), 0.25)));
            assert_eq!(*got["min"].data_type(), dtype.arrow());
            let ends = ask(
                &ctx,
                "SELECT CAST(patch_min(patch) AS DOUBLE), CAST(patch_max(patch) AS DOUBLE) FROM t ORDER BY \"window\"",
            )
            .await;
            close(ends.column(0).as_primitive(), &of(&|patch| patch.iter().copied().fold(f64::INFINITY, f64::min)));
            close(ends.column(1).as_primitive(), &of(&|patch| patch.iter().copied().fold(0.0, f64::max)));
        }
    }
}

#[tokio::test]
async fn nulls_and_nan() {
    let image = StridedView::from_vec(vec![1i16, -9, 3, -9, -9, -9, 4, -9, -9], &[3, 3]).unwrap();
    let scan = PatchScan::builder(image, WindowSpec::new([2, 2])).nodata(-9.0).build().unwrap();
    let (ctx, _) = session(&scan, 1);
    let got = ask(&ctx, ALL).await;
    let list = |name: &str| got[name].as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    assert_eq!(list("mean"), [Some(1.0), Some(3.0), Some(4.0), None]);
    assert_eq!(list("std"), [Some(0.0), Some(0.0), Some(0.0), None]);
    assert_eq!(got["max"].as_primitive::<Int16Type>().iter().collect::<Vec<_>>(), [Some(1), Some(3), Some(4), None]);

    let image = StridedView::from_vec(vec![1.0, f64::NAN, 3.0, 2.0, 5.0, 4.0], &[2, 3]).unwrap();
    let (ctx, _) = session(&PatchScan::new(image, WindowSpec::new([2, 2])).unwrap(), 1);
    let got = ask(&ctx, ALL).await;
    for column in got.columns() {
        assert!(column.as_primitive::<Float64Type>().values().iter().all(|n| n.is_nan()));
    }
}

#[tokio::test]
async fn pixels_by_their_place() {
    let image = StridedView::from_vec((0..30u8).collect(), &[5, 6]).unwrap();
    let (ctx, _) = session(&PatchScan::new(image.clone(), WindowSpec::new([2, 3])).unwrap(), 1);
    let got = ask(&ctx, "SELECT CAST(patch[2][3] AS INT) AS corner FROM t WHERE y = 3 AND x = 1").await;
    assert_eq!(got["corner"].as_primitive::<arrow_array::types::Int32Type>().values(), &[27]);
    assert!(error(&ctx, "SELECT patch_quantile(patch, 1.5) FROM t").await.contains("1.5 is not a share from 0 to 1"));
    assert!(error(&ctx, "SELECT patch_mean(y) FROM t").await.contains("expected patches"));
    let binary = PatchScan::builder(image, WindowSpec::new([2, 3])).layout(Layout::Binary).build().unwrap();
    let (ctx, _) = session(&binary, 1);
    assert!(error(&ctx, "SELECT patch_mean(patch) FROM t").await.contains("layout binary"));
}

/// The short way to a pixel goes where DataFusion's own goes.
#[tokio::test]
async fn pixels_by_any_place() {
    let pixels: Vec<i16> = (0..5 * 6 * 2).map(|i| if i % 7 == 3 { -9 } else { i }).collect();
    let image = StridedView::from_vec(pixels, &[5, 6, 2]).unwrap();
    let builder = |layout| PatchScan::builder(image.clone(), WindowSpec::new([2, 3])).nodata(-9.0).layout(layout);
    for layout in [Layout::Tensor, Layout::FixedShapeTensor] {
        let scan = builder(layout).build().unwrap();
        let (ctx, table) = session(&scan, 1);
        let plain = datafusion::prelude::SessionContext::new();
        plain.register_table("t", std::sync::Arc::new(table)).unwrap();
        let places: &[&str] = match layout {
            Layout::Tensor => {
                &["[1][1][1]", "[2][3][2]", "[-1][-2][1]", "[0][1][1]", "[3][1][1]", "[1][2][-3]", "[2]", "[1][2]"]
            }
            _ => &["[1]", "[12]", "[-1]", "[13]", "[0]"],
        };
        for place in places {
            let sql = format!("SELECT patch{place}, x FROM t WHERE y > 0 ORDER BY \"window\"");
            assert_eq!(ask(&ctx, &sql).await, ask(&plain, &sql).await, "{sql}");
        }
        let sql = format!("EXPLAIN SELECT patch{} FROM t", places[0]);
        assert!(format!("{:?}", ask(&ctx, &sql).await).contains("patch_pixel"));
    }
}
