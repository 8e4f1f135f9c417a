//! Two workers beside one: `cargo bench -p windrow-distributed --bench workers [rounds]`.
//!
//! Workers are processes of this machine, each on a processor of its own where there is `taskset`, and this process only
//! waits. One and two of them take turns, round after round, and of each the fastest round counts.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::prelude::SessionContext;
use tokio::runtime::Runtime;
use windrow::datafusion::{PatchTable, scan_of};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const SIDE: usize = 1200;

/// Nothing but arithmetic.
const QUERY: &str = "SELECT y / 100 AS block, count(*), sum(patch_quantile(patch, 0.5)), avg(patch_std(patch)) FROM t \
                     GROUP BY block ORDER BY block";

struct Worker(Child, String);

impl Worker {
    fn start(processor: usize) -> Result<Self> {
        let program = env!("CARGO_BIN_EXE_windrow-worker");
        let listen = ["--listen", "127.0.0.1:0", "--threads", "2"];
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &processor.to_string(), program]).args(listen).stdout(Stdio::piped());
        let mut child =
            pinned.spawn().or_else(|_| Command::new(program).args(listen).stdout(Stdio::piped()).spawn())?;
        let mut url = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut url)?;
        Ok(Self(child, url.trim().to_owned()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<()> {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("scene.raw");
    let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    std::fs::File::create(&image)?.write_all(&(0..SIDE * SIDE).map(noise).collect::<Vec<_>>())?;
    let raw = format!("u8:{SIDE}x{SIDE}");
    let scan = scan_of(image.to_str().ok_or("path")?, [("window", "8x8"), ("raw", &raw)])?;
    let workers = [Worker::start(0)?, Worker::start(1)?];
    let runtime = Runtime::new()?;
    let session = |of: usize| -> Result<SessionContext> {
        let urls = workers[..of].iter().map(|worker| worker.1.as_str()).collect::<Vec<_>>().join(",");
        let ctx = windrow_distributed::session(windrow_distributed::workers(&urls)?)?;
        ctx.register_table("t", Arc::new(PatchTable::new(&scan)?))?;
        Ok(ctx)
    };
    let sessions = [session(1)?, session(2)?];
    let mut best = [Duration::MAX; 2];
    for _ in 0..rounds {
        let mut answers = Vec::new();
        for (ctx, best) in sessions.iter().zip(&mut best) {
            let start = Instant::now();
            answers.push(runtime.block_on(async { ctx.sql(QUERY).await?.collect().await })?);
            *best = start.elapsed().min(*best);
        }
        let text =
            |i: usize| datafusion::arrow::util::pretty::pretty_format_batches(&answers[i]).map(|t| t.to_string());
        if text(0)?.lines().count() != text(1)?.lines().count() {
            return Err("two workers answer otherwise than one".into());
        }
    }
    let [one, two] = best.map(|time| time.as_secs_f64());
    println!("{} windows: one worker {one:.3} s, two {two:.3} s: {:.2} times as fast", scan.num_rows(), one / two);
    Ok(())
}
