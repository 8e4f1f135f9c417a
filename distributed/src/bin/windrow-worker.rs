//! Gathers windows for queries of others: `windrow-worker --help`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Builder;
use windrow::cli::shared;
use windrow::{Error, ErrorKind, Result};
use windrow_distributed::Worker;

const EXAMPLES: &str = "\
Examples:
  windrow-worker --listen 127.0.0.1:9431
      for queries from this machine
  windrow-worker --listen 10.0.0.1:9431 --memory 8GiB
      for queries from a network that is trusted: whoever reaches the port reads any file that the worker can read
SIGTERM and Ctrl-C end it: what is being asked is answered first, for ten seconds at most.";

/// Gathers windows for queries of windrow-distributed.
#[derive(Debug, Parser)]
#[command(name = "windrow-worker", version, about, after_help = EXAMPLES)]
struct Args {
    /// Where queries come in; port 0 is any that is free. The address is written to standard output
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9431")]
    listen: SocketAddr,
    /// Memory for sorts, joins and groups, about; what is more goes to a temporary folder
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    memory: String,
    /// Threads [default: processors of this machine]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
}

/// How long queries may go on after the worker was asked to end.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match Args::try_parse() {
        Ok(args) => shared::ended("windrow-worker", run(&args)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(error.exit_code() as u8)
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let memory = shared::memory(&args.memory)?;
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    // One that gathers must not keep the others from hearing.
    let threads = args.threads.map_or_else(processors, usize::from).max(2);
    let fail = |action| move |error| Error::from(ErrorKind::Io { name: "threads".to_owned(), action, error });
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(fail("start"))?;
    let served = runtime.block_on(async {
        let worker = Worker::bind(args.listen, memory).await?;
        let (ended, mut end) = tokio::sync::watch::channel(false);
        let signals = signals().map_err(fail("listen to signals"))?;
        // Who started it may not care for the address.
        let _ = writeln!(io::stdout(), "{}", worker.url());
        let stop = async move {
            signals.await;
            let _ = ended.send(true);
        };
        let patience = async move {
            let _ = end.wait_for(|ended| *ended).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = worker.serve(stop) => served,
            () = patience => {
                let _ = writeln!(io::stderr(), "windrow-worker: ended while it was asked");
                Ok(())
            }
        }
    });
    // What gathers is not waited for.
    runtime.shutdown_background();
    served
}

/// Is done when the process is to end.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Is done when the process is to end.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
