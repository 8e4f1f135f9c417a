//! A fence around decoders that others wrote: what goes wrong in them is an error of one line, a panic too.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

/// Runs a decoder on the file called `name`. What the decoder has worked on is not to be used again after an error.
pub(super) fn guard<T, E: Display>(name: &str, decode: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::format(name, one_line(&error.to_string()))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(Error::format(name, format!("the decoder panicked: {}", one_line(text))))
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_one_line() {
        let message = |result: Result<()>| result.unwrap_err().to_string();
        assert_eq!(message(guard("a.png", || Err("broken\n  badly"))), "a.png: broken badly");
        let panic = || -> Result<(), String> { panic!("index {} out\nof bounds", 7) };
        assert_eq!(message(guard("a.png", panic)), "a.png: the decoder panicked: index 7 out of bounds");
        assert!(guard("a.png", || Ok::<_, String>(3)).is_ok());
    }
}
