//! Asks workers: `windrow-distributed --help`.

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use windrow::cli::shared::{self, SqlArgs};
use windrow_distributed::{session_with, workers};

const EXAMPLES: &str = "\
Examples:
  windrow-worker --listen 127.0.0.1:9431 &
  windrow-worker --listen 127.0.0.1:9432 &
  windrow-distributed sql 'SELECT avg(patch_std(patch)) FROM t' --table t=/data/scene.tif,window=8x8 \\
    --workers http://127.0.0.1:9431,http://127.0.0.1:9432
  windrow-distributed sql \"SELECT y / 100 AS line, max(patch_mean(patch)) AS brightest
    FROM patches('/data/scene.tif', window => '8x8') GROUP BY line\" \\
    --workers http://10.0.0.1:9431,http://10.0.0.2:9431 -o lines.parquet
Each file lies at the same path on every worker.";

/// SQL over patches on several processes or machines.
#[derive(Debug, Parser)]
#[command(name = "windrow-distributed", version, about, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask in SQL, as `windrow sql` does, and let workers gather
    #[command(after_help = EXAMPLES)]
    Sql {
        #[command(flatten)]
        sql: SqlArgs,
        /// The addresses of the workers
        #[arg(short, long, value_name = "URL,…")]
        workers: String,
        /// How many threads of each worker a query takes, about [default: processors of this machine, at least 2]
        #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=4096))]
        partitions: Option<u16>,
    },
}

fn main() -> ExitCode {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_of_what_has_ended(info) {
            tell(info);
        }
    }));
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let Command::Sql { sql, workers: urls, partitions } = args.command;
    let session = |config: SessionConfig, memory: Arc<RuntimeEnv>| -> windrow::Result<SessionContext> {
        let config = match partitions {
            Some(partitions) => config.with_target_partitions(partitions.into()),
            None => config,
        };
        Ok(session_with(config, memory, workers(&urls)?))
    };
    shared::sql("windrow-distributed", &sql, session)
}

/// Whether somebody waited for a task that was cancelled. A query that ends early, since a worker has, cancels all that it has
/// under way; the task of datafusion-distributed that waits for that panics then, when nobody asks for it any more. The error
/// of the query is what tells of it.
fn is_of_what_has_ended(info: &PanicHookInfo<'_>) -> bool {
    let cancelled = |text: &String| text.starts_with("task ") && text.ends_with(" was cancelled");
    let waits = info.location().is_some_and(|at| at.file().ends_with("join_set.rs"));
    waits && info.payload().downcast_ref::<String>().is_some_and(cancelled)
}
