//! The Rust side of `peers.py`: one job a line on standard input, one time a line on standard output.
//!
//! A job is JSON: `{"dtype": "uint8", "shape": [..], "window": [..], "step": [..], "threads": 0, "bytes": N}` makes an
//! image and answers with the rows and bytes that a run gathers (at most N bytes); `"run"` drains them once and answers
//! with the seconds; `"memcpy"` copies as many bytes, a batch at a time between two warm buffers.

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use arrow_buffer::{Buffer, MutableBuffer};
use serde::Deserialize;
use windrow::{DType, PatchScan, StridedView, WindowSpec};

#[derive(Deserialize)]
struct Job {
    dtype: DType,
    shape: Vec<usize>,
    window: Vec<u64>,
    step: Vec<u64>,
    threads: usize,
    bytes: u64,
}

impl Job {
    fn scan(&self) -> Result<PatchScan, Box<dyn Error>> {
        let len = self.shape.iter().product::<usize>() * self.dtype.size();
        let pixels: Buffer = MutableBuffer::from_iter((0..len).map(|i| (i * 31 % 127) as u8)).into();
        let image = StridedView::from_buffer(pixels, self.dtype, &self.shape)?;
        let build = |rows: Option<u64>| {
            let spec = WindowSpec::new(self.window.clone()).steps(self.step.clone());
            let builder = PatchScan::builder(image.clone(), spec).columns(["patch"]).prefetch(self.threads);
            rows.into_iter().fold(builder, |builder, rows| builder.rows(..rows)).build()
        };
        let all = build(None)?;
        let rows = all.num_rows().min((self.bytes / all.explain().row_bytes).max(1));
        Ok(build(Some(rows))?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut current: Option<PatchScan> = None;
    let (mut source, mut target) = (Vec::new(), Vec::new());
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
            ("memcpy", Some(scan)) => {
                let explain = scan.explain();
                source.resize(explain.batch_bytes as usize, 1u8);
                target.resize(explain.batch_bytes as usize, 0u8);
                let start = Instant::now();
                for _ in 0..explain.dense_bytes / explain.batch_bytes {
                    black_box(&mut target).copy_from_slice(black_box(&source));
                }
                println!("{}", start.elapsed().as_secs_f64());
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
