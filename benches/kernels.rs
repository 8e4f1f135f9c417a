//! The gather kernels one by one, beside a memcpy of the same bytes: `cargo bench --bench kernels`.
//!
//! Everything is single-threaded, batch by batch into recycled buffers; throughput is of patch bytes.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use windrow::{DType, Layout, PatchScan, Pixel, StridedView, WindowSpec};

/// An image of nearly 16 million pixels; its lines are no power of two long, those of `ALIASED` are.
const SIDE: usize = 4000;
const ALIASED: usize = 4096;

fn image<T: Pixel + Default + Clone>(shape: &[usize]) -> StridedView {
    StridedView::from_vec(vec![T::default(); shape.iter().product()], shape).unwrap()
}

/// The first rows of a scan, 128 MiB of them.
fn scan(image: &StridedView, spec: WindowSpec, dtype: Option<DType>) -> PatchScan {
    let build = |rows: Option<u64>| {
        let mut builder = PatchScan::builder(image.clone(), spec.clone()).columns(["patch"]).prefetch(0);
        if let Some(rows) = rows {
            builder = builder.rows(..rows);
        }
        if let Some(dtype) = dtype {
            builder = builder.dtype(dtype).scale(1.0 / 255.0);
        }
        builder.build().unwrap()
    };
    let all = build(None);
    build(Some(all.num_rows().min((128 << 20) / all.explain().row_bytes)))
}

fn drain(scan: &PatchScan) {
    for batch in scan.reader().unwrap() {
        black_box(batch.unwrap());
    }
}

fn sequential(c: &mut Criterion) {
    let mut group = c.benchmark_group("sequential");
    group.sample_size(10);
    let mut bench = |name: String, scan: PatchScan| {
        group.throughput(Throughput::Bytes(scan.explain().dense_bytes));
        group.bench_function(name, |b| b.iter(|| drain(&scan)));
    };
    for side in [SIDE, ALIASED] {
        for window in [3, 5, 8, 32] {
            let spec = WindowSpec::new([window, window]);
            bench(format!("uint8 {window}x{window} in {side}"), scan(&image::<u8>(&[side, side]), spec.clone(), None));
            bench(format!("float32 {window}x{window} in {side}"), scan(&image::<f32>(&[side, side]), spec, None));
        }
    }
    let spec = WindowSpec::new([8, 8]);
    bench("uint8 8x8 to float32".into(), scan(&image::<u8>(&[SIDE, SIDE]), spec.clone(), Some(DType::F32)));
    bench("uint8 8x8 step 8".into(), scan(&image::<u8>(&[SIDE, SIDE]), spec.clone().step(8), None));
    bench("uint8 3x3 of RGB".into(), scan(&image::<u8>(&[2000, 2000, 3]), WindowSpec::new([3, 3]), None));
    bench("float32 4x4x4".into(), scan(&image::<f32>(&[200, 200, 200]), WindowSpec::new([4, 4, 4]), None));
    let batch = 4 << 20;
    let (source, mut target) = (vec![1u8; batch], vec![0u8; batch]);
    group.throughput(Throughput::Bytes(batch as u64));
    group.bench_function("memcpy", |b| b.iter(|| black_box(&mut target).copy_from_slice(black_box(&source))));
    group.finish();
}

fn by_id(c: &mut Criterion) {
    let mut group = c.benchmark_group("by id");
    group.sample_size(10);
    let scan = scan(&image::<f32>(&[SIDE, SIDE]), WindowSpec::new([8, 8]), None);
    let windows = scan.grid().windows();
    let count = 16_384u64;
    let sorted: Vec<u64> = (0..count).map(|i| i * (windows / count)).collect();
    let dense: Vec<u64> = (0..count).map(|i| 1_000_000 + 2 * i).collect();
    let random: Vec<u64> = (0..count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % windows).collect();
    group.throughput(Throughput::Bytes(count * 256));
    for (name, ids) in [("every second window", dense), ("sorted, far apart", sorted), ("random", random)] {
        let mut taker = scan.taker().unwrap();
        group.bench_with_input(BenchmarkId::new("float32 8x8", name), &ids, |b, ids| {
            b.iter(|| black_box(taker.take(ids).unwrap()))
        });
    }
    group.finish();
}

fn columns(c: &mut Criterion) {
    let image = image::<f32>(&[SIDE, SIDE]);
    let mut group = c.benchmark_group("columns");
    group.sample_size(10);
    for (name, step) in [("7x7, slices", 1), ("7x7 step 2, one copy", 2)] {
        let spec = WindowSpec::new([7, 7]).step(step);
        let scan = PatchScan::builder(image.clone(), spec).layout(Layout::Columns).columns(["patch"]).build().unwrap();
        group.bench_function(name, |b| b.iter(|| drain(&scan)));
    }
    group.finish();
}

criterion_group!(benches, sequential, by_id, columns);
criterion_main!(benches);
