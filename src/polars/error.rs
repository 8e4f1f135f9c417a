//! Our errors as Polars' errors: the text is kept, and an I/O error stays one.

use std::sync::Arc;

use polars::prelude::PolarsError;

use crate::{Error, ErrorKind};

impl From<Error> for PolarsError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::Io { error, .. } => {
                let io = std::io::Error::new(error.kind(), text.clone());
                PolarsError::IO { error: Arc::new(io), msg: Some(text.into()) }
            }
            _ => PolarsError::ComputeError(text.into()),
        }
    }
}
