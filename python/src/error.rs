//! Errors keep their Python class: a missing file is a `FileNotFoundError`, a window that does not fit a `ValueError`.

use std::io;

use arrow_schema::ArrowError;
use pyo3::exceptions::{
    PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyNotImplementedError, PyOSError, PyRuntimeError, PyValueError,
};
use pyo3::prelude::*;
use windrow::{Error, ErrorKind};

/// The exception that says the same as this error.
pub(crate) fn to_py(error: Error) -> PyErr {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Io { name, action, error } => os_error(name, action, error),
        ErrorKind::Unavailable { error, .. } => match error.as_ref().and_then(|error| error.raw_os_error()) {
            Some(number) => PyOSError::new_err((number, text)),
            None => PyNotImplementedError::new_err(text),
        },
        ErrorKind::Memory { .. } => PyMemoryError::new_err(text),
        ErrorKind::Rows { .. } => PyIndexError::new_err(text),
        ErrorKind::Interrupted => PyKeyboardInterrupt::new_err(()),
        ErrorKind::Worker(_) => PyRuntimeError::new_err(text),
        ErrorKind::Arrow(ArrowError::MemoryError(_)) => PyMemoryError::new_err(text),
        ErrorKind::Arrow(ArrowError::IoError(_, error)) => match error.raw_os_error() {
            Some(number) => PyOSError::new_err((number, text)),
            None => PyOSError::new_err(text),
        },
        ErrorKind::Parquet { .. } => PyOSError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

/// An error that came through a record batch reader.
pub(crate) fn arrow_to_py(error: ArrowError) -> PyErr {
    to_py(Error::from(error))
}

/// Python picks the subclass of `OSError` by the number: `FileNotFoundError`, `PermissionError`, …
fn os_error(name: &str, action: &str, error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, format!("cannot {action}: {error}"), name.to_owned())),
        None => io::Error::new(error.kind(), format!("{name}: cannot {action}: {error}")).into(),
    }
}
