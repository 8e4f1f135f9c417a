//! `windrow sql`: queries over patches.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use datafusion::datasource::file_format::options::ArrowReadOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionConfig, SessionContext};
use tokio::runtime::{Builder, Runtime};

use super::args::SqlArgs;
use super::commands::{STDOUT, refuse_itself};
use super::stop::Stop;
use super::text;
use crate::datafusion::output::{self, Answer, Kind, plain};
use crate::datafusion::{PatchTable, config, register, scan_of};
use crate::{Error, ErrorKind, Result, parse};

/// Stack of the threads that plan and compute: a sum of thousands of terms is a tree as deep. What is not used is only
/// reserved.
const STACK: usize = 512 << 20;

pub(super) fn run(
    args: &SqlArgs,
    interrupted: &'static str,
    session: impl FnOnce(SessionConfig, Arc<RuntimeEnv>) -> Result<SessionContext> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let asks = thread::Builder::new().name("sql".to_owned()).stack_size(STACK);
        let asks = asks.spawn_scoped(scope, || ask(args, interrupted, session)).map_err(no_threads)?;
        asks.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn no_threads(error: io::Error) -> Error {
    ErrorKind::Io { name: "threads".to_owned(), action: "start", error }.into()
}

fn ask(
    args: &SqlArgs,
    interrupted: &'static str,
    session: impl FnOnce(SessionConfig, Arc<RuntimeEnv>) -> Result<SessionContext>,
) -> Result<()> {
    let kind = args.output.as_deref().map(Kind::of).transpose()?;
    let limit: usize = parse::number("limit", &args.limit)?;
    let memory = memory(&args.memory)?;
    let stop = Stop::listen(interrupted)?;
    let start = Instant::now();
    let runtime = Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().map_err(no_threads)?;
    // What is wrong in the variables of the environment.
    if SessionConfig::from_env().map_err(plain)?.batch_size() == 0 {
        return Err(Error::format("DATAFUSION_EXECUTION_BATCH_SIZE", "0: expected at least 1"));
    }
    let ctx = session(config().with_information_schema(true), memory)?;
    register(&ctx).map_err(plain)?;
    for table in &args.table {
        add(&ctx, &runtime, table, args.output.as_deref())?;
    }
    let frame = runtime.block_on(ctx.sql(&args.query)).map_err(plain)?;
    let cut = limit > 0 && is_query(frame.logical_plan());
    // One row more than is shown tells whether there are more.
    let frame = match kind {
        None if cut => frame.limit(0, Some(limit.saturating_add(1))).map_err(plain)?,
        _ => frame,
    };
    let stream = runtime.block_on(frame.execute_stream()).map_err(plain)?;
    let answer = stop.watch(Answer::new(stream, runtime.handle().clone()));
    let (Some(kind), Some(path)) = (kind, &args.output) else { return show(answer, limit, cut) };
    let written = output::write(answer, path, kind)?;
    if !args.quiet {
        let (path, took) = (text::printable(&path.display().to_string()), text::duration(start.elapsed()));
        let bytes = bytesize::ByteSize(written.bytes);
        let _ = writeln!(io::stderr(), "{path}: {} rows, {bytes}, in {took}", written.rows);
    }
    Ok(())
}

/// Whether a plan has rows that can be cut off, and is not a statement that does something.
fn is_query(plan: &LogicalPlan) -> bool {
    !matches!(
        plan,
        LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::DescribeTable(_)
    )
}

/// The session of this process alone.
pub(super) fn local(config: SessionConfig, memory: Arc<RuntimeEnv>) -> Result<SessionContext> {
    Ok(SessionContext::new_with_config_rt(config, memory))
}

/// So much memory; what is more goes to disk where it can.
pub(super) fn memory(text: &str) -> Result<Arc<RuntimeEnv>> {
    let pool = FairSpillPool::new(usize::try_from(parse::bytes("memory", text)?).unwrap_or(usize::MAX));
    RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc().map_err(plain)
}

/// Adds a table: `name=IMAGE,window=8x8,step=2`, or `name=FILE` of a format that holds tables.
fn add(ctx: &SessionContext, runtime: &Runtime, table: &str, output: Option<&Path>) -> Result<()> {
    let refuse = |message: &str| {
        let message = format!("{table:?}: {message}: expected name=IMAGE,window=8x8, or name=FILE.parquet");
        Err(Error::argument("table", message))
    };
    let Some((name, rest)) = table.split_once('=') else { return refuse("no name") };
    let name = name.trim();
    if name.is_empty() {
        return refuse("no name");
    }
    // What has no name goes on where the last option ended: axes=y,x.
    let mut parts: Vec<String> = Vec::new();
    for part in rest.split(',') {
        match parts.last_mut() {
            Some(last) if !part.contains('=') => {
                last.push(',');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    let (path, options) = (&parts[0], &parts[1..]);
    if let Some(output) = output {
        refuse_itself("a table of the query", Path::new(path), output)?;
    }
    let ending =
        Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    // As SQL reads names without quotes: in small letters.
    let quoted = format!("\"{}\"", name.to_ascii_lowercase().replace('"', "\"\""));
    if options.is_empty() {
        let there = |path: &str| {
            Path::new(path).metadata().map(|_| ()).map_err(|error| Error::io(Path::new(path), "open", error))
        };
        let is_folder = path.ends_with('/') || Path::new(path).is_dir();
        let added = match ending.as_str() {
            _ if is_folder => {
                there(path)?;
                let folder = format!("{}/", path.trim_end_matches('/'));
                Some(runtime.block_on(ctx.register_parquet(quoted.as_str(), folder, ParquetReadOptions::default())))
            }
            "parquet" => {
                there(path)?;
                Some(runtime.block_on(ctx.register_parquet(quoted.as_str(), path, ParquetReadOptions::default())))
            }
            "arrow" | "arrows" | "feather" | "ipc" => {
                there(path)?;
                let options = ArrowReadOptions { file_extension: &ending, ..ArrowReadOptions::default() };
                Some(runtime.block_on(ctx.register_arrow(quoted.as_str(), path, options)))
            }
            "csv" => {
                there(path)?;
                Some(runtime.block_on(ctx.register_csv(quoted.as_str(), path, CsvReadOptions::default())))
            }
            _ => None,
        };
        if let Some(added) = added {
            return added.map_err(plain);
        }
    }
    let mut named = Vec::with_capacity(options.len());
    for option in options {
        match option.split_once('=') {
            Some(pair) => named.push(pair),
            None => return refuse("an option without a value"),
        }
    }
    let scan = PatchTable::new(&scan_of(path, named)?)?;
    ctx.register_table(quoted.as_str(), Arc::new(scan)).map_err(plain).map(|_| ())
}

/// Prints the rows; if they are `cut`, only so many.
fn show(answer: impl arrow_array::RecordBatchReader, limit: usize, cut: bool) -> Result<()> {
    let schema = answer.schema();
    let (mut batches, mut rows) = (Vec::new(), 0);
    for batch in answer {
        let batch = batch?;
        rows += batch.num_rows();
        batches.push(batch);
    }
    let more = cut && rows > limit;
    if more {
        let mut left = limit;
        for batch in &mut batches {
            *batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
        }
    }
    let fail = |error| Error::from(ErrorKind::Io { name: STDOUT.to_owned(), action: "write", error });
    io::stdout().lock().write_all(output::table(&schema, &batches)?.as_bytes()).map_err(fail)?;
    if more {
        let _ = writeln!(io::stderr(), "note: there are more rows: --limit shows them, -o writes all into a file");
    }
    Ok(())
}
