//! The Rust side of `peers.py`: one job a line on standard input, one time a line on standard output.
//!
//! A job is JSON: `{"dtype": "uint8", "shape": [..], "window": [..], "step": [..], "threads": 0, "bytes": N}` makes an
//! image and answers with the rows and bytes that a run gathers (at most N bytes). Then
//! - `"run"` drains them once and answers with the seconds,
//! - `"every second"`, `"every third"`, `"sorted"` (one of two by chance, in their order) and `"sorted third"` take as many
//!   windows by id, and `"random"` takes any,
//! - `"matrix"` makes column-major matrices of them,
//! - `"memcpy"` copies as many bytes, a batch at a time between two warm buffers of the same sizes, and `"memcpy2"` does so
//!   on two threads, each between buffers of its own: the limits of the machine,
//! - `"image"` copies the image itself, a batch at a time into a warm buffer: the limit where windows share no pixel.

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde::Deserialize;
use windrow::{BufferPool, DType, PatchScan, PoolBuf, StridedView, WindowSpec};

#[derive(Deserialize)]
struct Job {
    dtype: DType,
    shape: Vec<usize>,
    window: Vec<u64>,
    step: Vec<u64>,
    threads: usize,
    bytes: u64,
    #[serde(default)]
    batch: Option<u64>,
    /// Only the patches, without the ids and coordinates of their windows.
    #[serde(default = "yes")]
    patch_only: bool,
    /// Converts the pixels, scaled and with an offset.
    #[serde(default)]
    to: Option<DType>,
}

fn yes() -> bool {
    true
}

impl Job {
    fn scan(&self) -> Result<PatchScan, Box<dyn Error>> {
        let len = self.shape.iter().product::<usize>() * self.dtype.size();
        // From a pool, and so in huge pages, as numpy's arrays are.
        let mut pixels = BufferPool::new(0).take(len)?;
        pixels.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 31 % 127) as u8);
        let image = StridedView::from_buffer(pixels.freeze(), self.dtype, &self.shape)?;
        let build = |rows: Option<u64>| {
            let spec = WindowSpec::new(self.window.clone()).steps(self.step.clone());
            // One more batch than threads is on its way, as where nobody says how many.
            let prefetch = if self.threads == 0 { 0 } else { self.threads + 1 };
            let builder = PatchScan::builder(image.clone(), spec).prefetch(prefetch);
            let builder = if self.patch_only { builder.columns(["patch"]) } else { builder };
            let builder =
                self.to.into_iter().fold(builder, |builder, to| builder.dtype(to).scale(1.0 / 255.0).offset(-0.5));
            let builder = self.batch.into_iter().fold(builder, |builder, bytes| builder.batch_bytes(bytes));
            rows.into_iter().fold(builder, |builder, rows| builder.rows(..rows)).build()
        };
        let all = build(None)?;
        let rows = all.num_rows().min((self.bytes / all.explain().row_bytes).max(1));
        Ok(build(Some(rows))?)
    }
}

/// Seconds that it takes to take the windows of a scan by id, a batch at a time: every second or third one, half of them
/// or a third by chance in their order, or any. A batch's ids are listed just before they are taken, untimed; where the
/// windows end, a batch begins again with the first.
fn take(scan: &PatchScan, how: &str) -> windrow::Result<f64> {
    let (explain, windows) = (scan.explain(), scan.grid().windows());
    let chance = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let apart = match how {
        "every second" | "sorted" => 2,
        "every third" | "sorted third" => 3,
        _ => 0,
    };
    let id = |first: u64, i: u64| match how {
        "every second" | "every third" => first + apart * i,
        "sorted" | "sorted third" => first + apart * i + (chance(first + i) >> 32) % apart,
        _ => chance(first + i) % windows,
    };
    let (mut taker, mut ids, mut seconds) = (scan.taker()?, Vec::new(), 0.0);
    for first in (0..explain.rows).step_by(explain.batch_rows as usize) {
        let count = explain.batch_rows.min(explain.rows - first);
        let first = if apart == 0 { first } else { apart * first % (windows - apart * count).max(1) };
        ids.clear();
        ids.extend((0..count).map(|i| id(first, i)));
        let start = Instant::now();
        black_box(taker.take(&ids)?);
        seconds += start.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// Seconds of `copies` copies of so many bytes, shared by so many threads.
fn memcpy(bytes: usize, copies: u64, threads: u64) -> windrow::Result<f64> {
    let (pool, start) = (BufferPool::new(0), Barrier::new(threads as usize));
    let copy = &|mut source: PoolBuf, mut target: PoolBuf, copies: u64| {
        source.fill(1);
        target.fill(0);
        start.wait();
        let start = Instant::now();
        for _ in 0..copies {
            black_box(&mut target).copy_from_slice(black_box(&source));
        }
        (start, Instant::now())
    };
    let pairs =
        (0..threads).map(|_| Ok((pool.take(bytes)?, pool.take(bytes)?))).collect::<windrow::Result<Vec<_>>>()?;
    let times: Vec<_> = thread::scope(|scope| {
        let spawn = |(i, (source, target))| {
            let share = copies * (i as u64 + 1) / threads - copies * i as u64 / threads;
            scope.spawn(move || copy(source, target, share))
        };
        let threads: Vec<_> = pairs.into_iter().enumerate().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("a copy can't fail")).collect()
    });
    let (first, last) = (times.iter().map(|t| t.0).min(), times.iter().map(|t| t.1).max());
    Ok(last.zip(first).map_or(0.0, |(last, first)| (last - first).as_secs_f64()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut current: Option<PatchScan> = None;
    for line in stdin().lock().lines() {
        let line = line?;
        match (line.trim(), &current) {
            ("run", Some(scan)) => {
                let start = Instant::now();
                for batch in scan.reader()? {
                    black_box(batch?);
                }
                println!("{}", start.elapsed().as_secs_f64());
            }
            (job @ ("every second" | "every third" | "sorted" | "sorted third" | "random"), Some(scan)) => {
                println!("{}", take(scan, job)?)
            }
            ("matrix", Some(scan)) => {
                let mut memory = BufferPool::new(0).take(scan.explain().batch_bytes as usize)?;
                memory.fill(0);
                let start = Instant::now();
                let mut matrices = scan.matrices()?;
                while matrices.next_into(&mut memory)? > 0 {
                    black_box(&memory);
                }
                println!("{}", start.elapsed().as_secs_f64());
            }
            ("image", Some(scan)) => {
                let view = scan.source().view().ok_or("no array")?;
                let mut batch = BufferPool::new(0).take(scan.explain().batch_bytes as usize)?;
                batch.fill(0);
                let start = Instant::now();
                for piece in view.buffer().chunks_exact(batch.len()) {
                    black_box(&mut batch).copy_from_slice(black_box(piece));
                }
                let pieces = view.buffer().len() / batch.len() * batch.len();
                let share = scan.explain().dense_bytes as f64 / pieces.max(1) as f64;
                println!("{}", start.elapsed().as_secs_f64() * share);
            }
            (job @ ("memcpy" | "memcpy2"), Some(scan)) => {
                let explain = scan.explain();
                let copies = explain.dense_bytes / explain.batch_bytes;
                println!("{}", memcpy(explain.batch_bytes as usize, copies, if job == "memcpy" { 1 } else { 2 })?);
            }
            (job, _) if job.starts_with('{') => {
                let scan = serde_json::from_str::<Job>(job)?.scan()?;
                let explain = scan.explain();
                println!("{} {}", explain.rows, explain.dense_bytes / explain.batch_bytes * explain.batch_bytes);
                current = Some(scan);
            }
            // `cargo bench` and `cargo test` may start this without a job.
            _ => return Ok(()),
        }
        stdout().flush()?;
    }
    Ok(())
}
