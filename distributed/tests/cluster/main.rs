//! Queries over two worker processes answer what one process answers, and gather every window once.

mod answers;
mod codec;
mod command;
mod faults;
mod strangers;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::error::Result;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion_distributed::{DistributedExec, DistributedMetricsFormat, rewrite_distributed_plan_with_metrics};
use tempfile::TempDir;
use windrow::datafusion::{PatchTable, scan_of};

/// A worker, as a process of its own.
pub(crate) struct WorkerProcess {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl WorkerProcess {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windrow-worker"));
        let mut child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two workers, an image, and the sessions that ask: of the workers, and of this process alone.
pub(crate) struct Cluster {
    pub(crate) workers: Vec<WorkerProcess>,
    pub(crate) folder: TempDir,
    pub(crate) image: PathBuf,
    pub(crate) ctx: SessionContext,
    pub(crate) alone: SessionContext,
}

pub(crate) const HEIGHT: usize = 400;
pub(crate) const WIDTH: usize = 500;

/// Windows of 16 by 16.
pub(crate) const WINDOWS: usize = (HEIGHT - 15) * (WIDTH - 15);

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of(2)
    }

    pub(crate) fn of(workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("scene.npy");
        write_npy(&image, 0);
        let workers: Vec<_> = (0..workers).map(|_| WorkerProcess::start()).collect();
        let urls = workers.iter().map(|worker| worker.url.as_str()).collect::<Vec<_>>().join(",");
        let ctx = windrow_distributed::session(windrow_distributed::workers(&urls).unwrap()).unwrap();
        let alone = SessionContext::new_with_config(windrow::datafusion::config().with_target_partitions(3));
        windrow::datafusion::register(&alone).unwrap();
        for ctx in [&ctx, &alone] {
            ctx.register_table("t", Arc::new(table(&image, "16x16"))).unwrap();
            ctx.register_table("u", Arc::new(table(&image, "8x8"))).unwrap();
        }
        Self { workers, folder, image, ctx, alone }
    }

    /// What the workers answer, and how many windows they gathered for it, all together.
    pub(crate) async fn ask(&self, sql: &str) -> Result<(RecordBatch, Option<usize>)> {
        let plan = self.ctx.sql(sql).await?.create_physical_plan().await?;
        let batches = collect(plan.clone(), self.ctx.task_ctx()).await?;
        let answer = concat_batches(&plan.schema(), &batches)?;
        if !plan.is::<DistributedExec>() {
            return Ok((answer, None));
        }
        let plan = rewrite_distributed_plan_with_metrics(plan, DistributedMetricsFormat::Aggregated).await?;
        Ok((answer, Some(gathered(&plan))))
    }

    /// What one process answers.
    pub(crate) async fn ask_alone(&self, sql: &str) -> RecordBatch {
        let plan = self.alone.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let batches = collect(plan.clone(), self.alone.task_ctx()).await.unwrap();
        concat_batches(&plan.schema(), &batches).unwrap()
    }
}

/// A table of an image.
pub(crate) fn table(image: &Path, window: &str) -> PatchTable {
    PatchTable::new(&scan_of(image.to_str().unwrap(), [("window", window)]).unwrap()).unwrap()
}

/// Pixels of whole numbers, so that sums are exact in any order.
pub(crate) fn pixels(salt: u32) -> Vec<u8> {
    (0..(HEIGHT * WIDTH) as u32).map(|i| ((i ^ salt).wrapping_mul(2654435761) >> 24) as u8).collect()
}

pub(crate) fn write_npy(path: &Path, salt: u32) {
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({HEIGHT}, {WIDTH}), }}");
    header.extend(std::iter::repeat_n(' ', 63 - (10 + header.len()) % 64));
    header.push('\n');
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(&pixels(salt)).unwrap();
}

/// The windows that all leaves of a plan gathered.
fn gathered(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name("patches_gathered"));
    own.map_or(0, |own| own.as_usize()) + plan.children().into_iter().map(gathered).sum::<usize>()
}
