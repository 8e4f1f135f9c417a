//! Ctrl-C, SIGTERM and SIGHUP: the stream ends with an error, so that its sink cleans up; and if that takes too long,
//! the process ends from beside it, and cleans up as well.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::sink::live;
use crate::{Error, ErrorKind, Result};

/// How long the pipeline has to stop by itself: it looks between batches, and one may be in a slow codec.
const GRACE: Duration = Duration::from_secs(2);

/// Signals this close are one wish: `timeout` and a closed terminal signal a process and its group.
const SAME: Duration = Duration::from_secs(1);

const POLL: Duration = Duration::from_millis(50);

/// The user's wish to stop.
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to the signals that end a process. Whoever sends another one a second later waits no longer. `last` is
    /// the line that is said if the process has to end from beside the pipeline.
    pub(super) fn listen(last: &'static str) -> Result<Self> {
        let (stop, again) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let listen = || -> io::Result<()> {
            for &signal in ending() {
                flag::register(signal, stop.clone())?;
                flag::register(signal, again.clone())?;
            }
            // Caught, it kills no more: the write past the limit fails instead, as on a full disk.
            #[cfg(unix)]
            flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
            let stop = stop.clone();
            thread::Builder::new().name("signals".to_owned()).spawn(move || watch(&stop, &again, last))?;
            Ok(())
        };
        listen()
            .map_err(|error| Error::from(ErrorKind::Io { name: "signals".to_owned(), action: "listen to", error }))?;
        Ok(Self(stop))
    }

    /// An error when the user asks to stop.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    /// A reader that ends with [`ErrorKind::Interrupted`] when the user asks to stop.
    pub(super) fn watch<R: RecordBatchReader>(&self, reader: R) -> Stoppable<R> {
        Stoppable { reader, stop: self.0.clone() }
    }
}

/// A reader that ends when the user asks to stop.
pub(super) struct Stoppable<R> {
    reader: R,
    stop: Arc<AtomicBool>,
}

/// The signals that end a process.
fn ending() -> &'static [i32] {
    #[cfg(unix)]
    if !hangup_is_ignored() {
        return &[SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
    }
    &[SIGINT, SIGTERM]
}

/// Whether we were started by `nohup`, whose wish would be lost if we listened. Only Linux says so in a file.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal_hook::consts::SIGHUP - 1) & 1 == 1
}

/// Waits for a signal, and then for the process to end; ends it if that takes too long.
fn watch(stop: &AtomicBool, again: &AtomicBool, last: &str) {
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(POLL);
    }
    let first = Instant::now();
    loop {
        thread::sleep(POLL);
        let impatient = again.swap(false, Ordering::Relaxed) && first.elapsed() > SAME;
        // A file that has its name already is no longer interrupted: all that is left is to sync its folder.
        if (impatient || first.elapsed() > GRACE) && live::abandon() {
            // Over the progress bar, if there is one.
            let clear = if io::stderr().is_terminal() { "\r\x1b[2K" } else { "" };
            let _ = writeln!(io::stderr(), "{clear}windrow: {last}");
            // Not `std::process::exit`, which may wait for what the pipeline holds.
            low_level::exit(1);
        }
    }
}

impl<R: RecordBatchReader> Iterator for Stoppable<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        if batch.is_some() && self.stop.load(Ordering::Relaxed) {
            return Some(Err(Error::from(ErrorKind::Interrupted).into()));
        }
        batch
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Stoppable<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}
