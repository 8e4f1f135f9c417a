//! Work on rayon's pool whose result is waited for in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use crate::{ErrorKind, Result};

/// What `work` gives; if it panics, that is an error.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(ErrorKind::Worker(text.unwrap_or_default()).into())
    })
}

/// Something that is made on rayon's pool.
pub(crate) struct Job<T>(Receiver<Result<T>>);

impl<T: Send + 'static> Job<T> {
    /// Starts `work`. If it panics, that is the job's error. A job that is dropped runs on for nobody.
    pub(crate) fn spawn(work: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(1);
        rayon::spawn(move || {
            let result = caught(work);
            // Whoever dropped the job no longer listens.
            let _ = sender.send(result);
        });
        Self(receiver)
    }

    /// A job whose result is there.
    pub(crate) fn done(result: Result<T>) -> Self {
        let (sender, receiver) = sync_channel(1);
        // There is room for one.
        let _ = sender.send(result);
        Self(receiver)
    }

    /// The result, if it is there; it is given once.
    pub(crate) fn poll(&self) -> Option<Result<T>> {
        self.0.try_recv().ok()
    }

    /// Waits for the result. A thread of rayon's pool works on other jobs meanwhile: if all of them only waited, nobody
    /// would do the work.
    pub(crate) fn wait(self) -> Result<T> {
        let gone = || Err(ErrorKind::Worker("it ended without a result".to_owned()).into());
        loop {
            match self.0.try_recv() {
                Ok(result) => return result,
                Err(TryRecvError::Disconnected) => return gone(),
                Err(TryRecvError::Empty) => match rayon::yield_now() {
                    Some(rayon::Yield::Executed) => {}
                    Some(rayon::Yield::Idle) => std::thread::yield_now(),
                    None => return self.0.recv().unwrap_or_else(|_| gone()),
                },
            }
        }
    }
}
