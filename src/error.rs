//! One error type: what was got, what was expected, and where.

use std::io;
use std::path::Path;

use arrow_schema::ArrowError;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done. Its [`kind`](Error::kind) can be matched on; its text is one line for a person.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused a read or a write.
    #[error("{}: cannot {action}: {error}", printable(.name))]
    Io {
        /// The file or stream.
        name: String,
        /// What was tried: `open`, `read`, …
        action: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A file is broken: its bytes are not what its format promises.
    #[error("{}: {message}", printable(.name))]
    Format {
        /// The file.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file is sound, but this build has no way to read it.
    #[error("{}: {message}", printable(.name))]
    Unsupported {
        /// The file.
        name: String,
        /// What is missing.
        message: String,
    },
    /// A shape, stride or offset does not describe elements of its buffer.
    #[error("not a view of its buffer: {0}")]
    View(String),
    /// The windows do not fit the array.
    #[error("axis {axis}: {message}")]
    Window {
        /// The axis, by name.
        axis: String,
        /// Both numbers: what was got, what was expected.
        message: String,
    },
    /// An argument can't be used. Its name is the one that the user typed.
    #[error("{name}: {message}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// What was got and what was expected.
        message: String,
    },
    /// A row range reaches outside of the table.
    #[error("rows {start}..{end} reach outside of the table, which has {rows} rows: 0..{rows}")]
    Rows {
        /// First row asked for.
        start: u64,
        /// One past the last row asked for.
        end: u64,
        /// Rows that there are.
        rows: u64,
    },
    /// A number is larger than this machine or Arrow can hold.
    #[error("{what} is too large: {got}, at most {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How much it is.
        got: String,
        /// How much is allowed.
        limit: String,
    },
    /// Memory could not be had.
    #[error("no memory for {what}: {bytes} bytes")]
    Memory {
        /// What it was for.
        what: &'static str,
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The system has no way to do something, or does not allow it to this process.
    #[error("{what} can't be had here: {message}")]
    Unavailable {
        /// What was asked for.
        what: &'static str,
        /// Why not, and what to use in its place.
        message: String,
        /// What the system said, if it was asked.
        #[source]
        error: Option<io::Error>,
    },
    /// The user asked to stop (Ctrl-C, SIGTERM, a cancelled scan).
    #[error("interrupted")]
    Interrupted,
    /// A thread of the reader died. Please report it.
    #[error("a worker panicked: {0}")]
    Worker(String),
    /// Arrow refused something.
    #[error(transparent)]
    Arrow(ArrowError),
    /// The Parquet writer refused something.
    #[cfg(feature = "parquet")]
    #[error("{}: {error}", printable(.name))]
    Parquet {
        /// The file.
        name: String,
        /// What the writer said.
        #[source]
        error: parquet::errors::ParquetError,
    },
}

/// The name of a file as text of one line: it may hold any character, one that moves the cursor too.
fn printable(name: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    name.chars().map(escape).collect()
}

impl Error {
    /// The kind of this error, to match on.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// Whether the error is the user's wish to stop.
    pub fn is_interrupted(&self) -> bool {
        matches!(*self.0, ErrorKind::Interrupted)
    }

    pub(crate) fn io(path: &Path, action: &'static str, error: io::Error) -> Self {
        ErrorKind::Io { name: path.display().to_string(), action, error }.into()
    }

    pub(crate) fn format(name: impl Into<String>, message: impl Into<String>) -> Self {
        ErrorKind::Format { name: name.into(), message: message.into() }.into()
    }

    pub(crate) fn unsupported(name: impl Into<String>, message: impl Into<String>) -> Self {
        ErrorKind::Unsupported { name: name.into(), message: message.into() }.into()
    }

    pub(crate) fn view(message: impl Into<String>) -> Self {
        ErrorKind::View(message.into()).into()
    }

    pub(crate) fn window(axis: impl Into<String>, message: impl Into<String>) -> Self {
        ErrorKind::Window { axis: axis.into(), message: message.into() }.into()
    }

    pub(crate) fn argument(name: &'static str, message: impl Into<String>) -> Self {
        ErrorKind::Argument { name, message: message.into() }.into()
    }

    pub(crate) fn too_large(what: &'static str, got: impl ToString, limit: impl ToString) -> Self {
        ErrorKind::TooLarge { what, got: got.to_string(), limit: limit.to_string() }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}

/// An error of ours that went through Arrow (a [`RecordBatchReader`](arrow_array::RecordBatchReader)) comes back
/// as itself.
impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(inner) => ErrorKind::Arrow(ArrowError::ExternalError(inner)).into(),
            },
            other => ErrorKind::Arrow(other).into(),
        }
    }
}

/// Chosen so that the C stream interface reports an I/O error as `EIO`, a lack of memory as `ENOMEM`, and the rest as
/// `EINVAL`; a Rust consumer can downcast the external error.
impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match *error.0 {
            ErrorKind::Io { error, .. } | ErrorKind::Unavailable { error: Some(error), .. } => {
                ArrowError::IoError(text, error)
            }
            ErrorKind::Memory { .. } => ArrowError::MemoryError(text),
            ErrorKind::Arrow(error) => error,
            kind => ArrowError::ExternalError(Box::new(Error::from(kind))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_survives_the_way_through_arrow() {
        let arrow = ArrowError::from(Error::window("y", "window 9 is larger than the array: 8"));
        let back = Error::from(arrow);
        assert!(matches!(back.kind(), ErrorKind::Window { axis, .. } if axis == "y"));
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let error = Error::format("a\nb\u{1b}[2J\u{e9} .npy", "empty");
        assert_eq!(error.to_string(), "a\\nb\\u{1b}[2J\u{e9} .npy: empty");
        let error = Error::io(Path::new("a\rb"), "open", io::ErrorKind::NotFound.into());
        assert!(error.to_string().starts_with("a\\rb: cannot open"));
    }

    #[test]
    fn io_stays_io() {
        let error = Error::io(Path::new("a.npy"), "open", io::ErrorKind::NotFound.into());
        assert!(
            matches!(ArrowError::from(error), ArrowError::IoError(text, _) if text.starts_with("a.npy: cannot open"))
        );
    }
}
