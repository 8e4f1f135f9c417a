//! What it costs to choose rows: `cargo bench --bench rows [-- SIDE] [listed|shuffled|sampled]`. Ratios of one run; each
//! line says what was compared.
//!
//! The cases take turns, round after round, and of each the fastest round counts, so that what else a machine does hits
//! all of them alike. Every pass is the whole of it: windows are chosen, and gathered in batches with their ids and
//! coordinates by the threads that a reader has, and dropped. SIDE is that of the image that is shuffled; what is sampled has 10⁹ windows.

use std::hint::black_box;
use std::time::{Duration, Instant};

use windrow::{BufferPool, PatchScan, Pixel, StridedView, WindowSpec};

const ROUNDS: usize = 10;
const SAMPLE: u64 = 100_000;

fn image<T: Pixel + bytemuck::Pod + From<u8>>(side: usize) -> StridedView {
    let mut state = 1u64;
    let pixel = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        T::from((state >> 56) as u8)
    };
    // From a pool, and so in huge pages, as numpy's arrays are.
    let mut bytes = BufferPool::new(0).take(side * side * size_of::<T>()).unwrap();
    bytemuck::cast_slice_mut(&mut bytes).fill_with(pixel);
    StridedView::from_buffer(bytes.freeze(), T::DTYPE, &[side, side]).unwrap()
}

fn drain(scan: &PatchScan) {
    for batch in scan.reader().unwrap() {
        black_box(batch.unwrap());
    }
}

/// The fastest of several rounds, of each of the works, which take turns.
fn best<const N: usize>(works: [&dyn Fn(); N]) -> [f64; N] {
    let mut times = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        for (work, time) in works.iter().zip(&mut times) {
            let start = Instant::now();
            work();
            *time = start.elapsed().min(*time);
        }
    }
    times.map(|time| time.as_secs_f64())
}

/// Windows taken by id in their order, on one thread and without other columns, beside as many that are neighbours. A
/// batch's ids are listed in a cache, as whoever chooses them does.
fn listed(name: &str, image: &StridedView, window: u64) {
    let all = PatchScan::builder(image.clone(), WindowSpec::new([window, window])).columns(["patch"]).prefetch(0);
    let all = all.build().unwrap();
    let (rows, batch) = ((32 << 20) / all.explain().row_bytes, all.explain().batch_rows as usize);
    let grid = all.with_rows(0..rows).unwrap();
    let chance = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let batches = rows as usize / batch;
    let take = |ids: Vec<u64>| {
        let scan = all.clone();
        move || {
            let mut taker = scan.taker().unwrap();
            (0..batches).for_each(|_| drop(black_box(taker.take(&ids).unwrap())));
        }
    };
    let ids = |f: &dyn Fn(u64) -> u64| take((0..batch as u64).map(f).collect());
    let half = ids(&|i| 2 * i + chance(i) % 2);
    let third = ids(&|i| 3 * i + chance(i) % 3);
    let every_third = ids(&|i| 3 * i);
    let [grid, half, third, every_third] = best([&|| drain(&grid), &half, &third, &every_third]);
    println!(
        "listed: {name} {window}x{window}: of the rate in the grid's order ({:.2} ns a row), one of every two by chance {:.2}, \
         one of every three {:.2}, every third {:.2}",
        grid / rows as f64 * 1e9,
        grid / half,
        grid / third,
        grid / every_third
    );
}

/// An epoch over an image, or as much of it as makes 1 GiB.
fn shuffled(name: &str, image: &StridedView, window: u64) {
    let scan = PatchScan::new(image.clone(), WindowSpec::new([window, window])).unwrap();
    let rows = scan.num_rows().min((1 << 30) / scan.explain().row_bytes);
    let first = scan.with_rows(0..rows).unwrap();
    let ids = scan.shuffle(1, 0).unwrap().windows(0..rows.min(1 << 20)).unwrap();
    let [grid, any, arithmetic, touched] = best([
        &|| drain(&first),
        &|| drain(&scan.shuffle(1, 0).unwrap().with_rows(0..rows).unwrap()),
        &|| drop(black_box(scan.shuffle(1, 0).unwrap().windows(0..ids.len() as u64).unwrap())),
        &|| touch(image, &ids, window),
    ]);
    let rate = |rows: u64, time: f64| rows as f64 / time / 1e6;
    println!(
        "shuffled: {name} {window}x{window}: {:.2} of the rate in the grid's order ({:.1} of {:.1} M rows/s; on one thread {:.1} of \
         the order alone, one by one, and {:.1} only to touch their lines of the cache in it)",
        grid / any,
        rate(rows, any),
        rate(rows, grid),
        rate(ids.len() as u64, arithmetic),
        rate(ids.len() as u64, touched)
    );
}

/// Reads a byte of every line of the cache that these windows lie in, on one thread: what of a gather is fetching alone.
fn touch(image: &StridedView, ids: &[u64], window: u64) {
    let (bytes, size, side) = (image.buffer().as_slice(), image.dtype().size(), image.shape()[1] as u64);
    let across = side - window + 1;
    let mut sum = 0u64;
    for id in ids {
        let first = id / across * side + id % across;
        for row in 0..window {
            let start = (first + row * side) as usize * size;
            let end = start + window as usize * size - 1;
            (start..end).step_by(64).chain([end]).for_each(|at| sum += u64::from(bytes[at]));
        }
    }
    black_box(sum);
}

/// A sample of all windows, beside as many that are neighbours.
fn sampled(name: &str, image: &StridedView, window: u64) {
    let scan = PatchScan::new(image.clone(), WindowSpec::new([window, window])).unwrap();
    let (first, sample) = (scan.with_rows(0..SAMPLE).unwrap(), scan.sample(SAMPLE, 1).unwrap());
    let ids = sample.windows(0..SAMPLE).unwrap();
    let [grid, drawn, touched, gathered, both] = best([
        &|| drain(&first),
        &|| drop(black_box(scan.sample(SAMPLE, 1).unwrap())),
        &|| touch(image, &ids, window),
        &|| drain(&sample),
        &|| drain(&scan.sample(SAMPLE, 1).unwrap()),
    ]);
    println!(
        "sampled: {SAMPLE} of {} of {name} {window}x{window}: {:.2} of the rate of the first {SAMPLE} ({:.2} ms beside {:.2}; \
         {:.2} to draw, {:.2} to gather; {:.2} only to touch their lines of the cache, on one thread)",
        scan.num_rows(),
        grid / both,
        both * 1e3,
        grid * 1e3,
        drawn * 1e3,
        gathered * 1e3,
        touched * 1e3
    );
}

fn main() {
    let side = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(4096);
    let only = std::env::args().skip(1).find(|arg| ["listed", "shuffled", "sampled"].contains(&arg.as_str()));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let (bytes, floats) = (image::<u8>(side), image::<f32>(side));
    if wanted("listed") {
        for window in [3, 5, 8] {
            listed(&format!("uint8 {side}²"), &bytes, window);
            listed(&format!("float32 {side}²"), &floats, window);
        }
    }
    if wanted("shuffled") {
        for window in [8, 32] {
            shuffled(&format!("uint8 {side}²"), &bytes, window);
            shuffled(&format!("float32 {side}²"), &floats, window);
        }
    }
    if wanted("sampled") {
        let large = image::<u8>(31_630);
        sampled("uint8", &large, 8);
        sampled("uint8", &large, 32);
    }
}
