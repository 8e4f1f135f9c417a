//! The command line: arguments, progress, exit codes. What it does stands in the library.

mod args;
mod collection;
mod commands;
mod fold;
mod info;
mod progress;
mod rows;
#[cfg(feature = "datafusion")]
mod sql;
mod stop;
mod text;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{Error, ErrorKind, Result};

/// Runs the command line with these arguments (the first is the name of the program): 0 is success, 1 an error that one
/// line on standard error explains, 2 a misused command line.
pub fn run<T: Into<OsString> + Clone>(args: impl IntoIterator<Item = T>) -> ExitCode {
    let args = match args::Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let code = error.exit_code();
            // `--help` into a closed pipe is no error.
            let _ = error.print();
            return ExitCode::from(code as u8);
        }
    };
    if let Some(message) = args.misused() {
        let error = args::Args::command().error(clap::error::ErrorKind::ArgumentConflict, message);
        let _ = error.print();
        return ExitCode::from(error.exit_code() as u8);
    }
    let interrupted = args.interrupted();
    ended("windrow", commands::run(args), interrupted)
}

/// How a program ends, and the line that it says about it.
fn ended(program: &str, result: Result<()>, interrupted: &str) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let line = if error.is_interrupted() { interrupted.to_owned() } else { line(&error) };
            let _ = writeln!(io::stderr(), "{program}: {line}");
            ExitCode::from(1)
        }
    }
}

/// What the commands of `windrow-distributed` have in common with these.
#[cfg(feature = "datafusion")]
#[doc(hidden)]
pub mod shared {
    use std::process::ExitCode;
    use std::sync::Arc;

    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::prelude::{SessionConfig, SessionContext};

    pub use super::args::SqlArgs;
    use crate::Result;

    /// `windrow sql` in a session of another kind.
    pub fn sql(
        program: &str,
        args: &SqlArgs,
        session: impl FnOnce(SessionConfig, Arc<RuntimeEnv>) -> Result<SessionContext> + Send,
    ) -> ExitCode {
        super::ended(program, super::sql::run(args, args.interrupted(), session), args.interrupted())
    }

    /// Ends a program, with one line on standard error if it failed.
    pub fn ended(program: &str, result: Result<()>) -> ExitCode {
        super::ended(program, result, "interrupted")
    }

    /// What DataFusion may take of memory: about so many bytes, given as a text; what is more goes to a temporary folder.
    ///
    /// # Errors
    /// If the text is no number of bytes, or there is no temporary folder.
    pub fn memory(text: &str) -> Result<Arc<RuntimeEnv>> {
        super::sql::memory(text)
    }
}

/// Resolves the arguments of `windrow info`.
#[cfg(fuzzing)]
pub(crate) fn resolve<'a>(image: &'a std::path::Path, args: impl Iterator<Item = &'a str>) {
    let image = [OsString::from("windrow"), "info".into(), image.into()];
    let args = image.into_iter().chain(args.map(OsString::from));
    if let Ok(args::Args { command: args::Command::Info { scan, .. } }) = args::Args::try_parse_from(args) {
        match scan.scan() {
            Ok(Some((scan, _))) => assert!(scan.explain().to_string().len() > 1),
            Ok(None) => {}
            Err(error) => assert!(!line(&error).contains('\n')),
        }
    }
}

/// An error in one line, whatever a file's name or an argument has in it; arguments are named as they are typed.
fn line(error: &Error) -> String {
    text::printable(&match error.kind() {
        ErrorKind::Argument { name: "window_shape", message } => format!("--window: {message}"),
        // Given without its name.
        ErrorKind::Argument { name: "values", message } => format!("values: {message}"),
        ErrorKind::Argument { name, message } => format!("--{}: {message}", name.replace('_', "-")),
        _ => error.to_string(),
    })
}

/// Whether the reader of our standard output went away: it has what it wanted.
fn is_closed_pipe(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io { name, error, .. }
        if name == commands::STDOUT && error.kind() == io::ErrorKind::BrokenPipe)
}
