//! What it costs to choose rows: `cargo bench --bench rows [-- SIDE] [shuffled|sampled]`. Ratios of one run; each line says what was compared.
//!
//! The cases take turns, round after round, and of each the fastest round counts, so that what else a machine does hits
//! all of them alike. Every pass is the whole of it: windows are chosen, and gathered in batches with their ids and coordinates by
//! the threads that a reader has, and dropped. SIDE is that of the image that is shuffled; what is sampled has 10⁹ windows.

use std::hint::black_box;
use std::time::{Duration, Instant};

use windrow::{PatchScan, Pixel, StridedView, WindowSpec};

const ROUNDS: usize = 25;
const SAMPLE: u64 = 100_000;

fn image<T: Pixel + Clone + From<u8>>(side: usize) -> StridedView {
    let mut state = 1u64;
    let mut pixel = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        T::from((state >> 56) as u8)
    };
    StridedView::from_vec((0..side * side).map(|_| pixel()).collect(), &[side, side]).unwrap()
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

/// An epoch over an image, or as much of it as makes 64 MiB.
fn shuffled(name: &str, image: &StridedView, window: u64) {
    let scan = PatchScan::new(image.clone(), WindowSpec::new([window, window])).unwrap();
    let rows = scan.num_rows().min((1 << 26) / scan.explain().row_bytes);
    let first = scan.with_rows(0..rows).unwrap();
    let [grid, any, arithmetic] =
        best([&|| drain(&first), &|| drain(&scan.shuffle(1, 0).unwrap().with_rows(0..rows).unwrap()), &|| {
            black_box(scan.shuffle(1, 0).unwrap().windows(0..rows).unwrap());
        }]);
    let rate = |time: f64| rows as f64 / time / 1e6;
    println!(
        "shuffled: {name} {window}x{window}: {:.2} of the rate in the grid's order ({:.1} of {:.1} M rows/s; {:.1} M/s of the \
         order alone, one by one, on one thread)",
        grid / any,
        rate(any),
        rate(grid),
        rate(arithmetic)
    );
}

/// A sample of all windows, beside as many that are neighbours.
fn sampled(name: &str, image: &StridedView, window: u64) {
    let scan = PatchScan::new(image.clone(), WindowSpec::new([window, window])).unwrap();
    let (first, sample) = (scan.with_rows(0..SAMPLE).unwrap(), scan.sample(SAMPLE, 1).unwrap());
    let [grid, drawn, gathered, both] =
        best([&|| drain(&first), &|| drop(black_box(scan.sample(SAMPLE, 1).unwrap())), &|| drain(&sample), &|| {
            drain(&scan.sample(SAMPLE, 1).unwrap())
        }]);
    println!(
        "sampled: {SAMPLE} of {} of {name} {window}x{window}: {:.2} of the rate of the first {SAMPLE} ({:.2} ms beside {:.2}; \
         {:.2} to draw, {:.2} to gather)",
        scan.num_rows(),
        grid / both,
        both * 1e3,
        grid * 1e3,
        drawn * 1e3,
        gathered * 1e3
    );
}

fn main() {
    let side = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(4096);
    let only = std::env::args().skip(1).find(|arg| ["shuffled", "sampled"].contains(&arg.as_str()));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    if wanted("shuffled") {
        let (bytes, floats) = (image::<u8>(side), image::<f32>(side));
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
