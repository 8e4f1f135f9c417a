//! Systems that have no virtual matrix: every question is answered with what to use in its place.

use super::{Backing, MatrixOptions};
use crate::scan::Plan;
use crate::{ErrorKind, PatchScan, Result};

/// There is none.
pub(super) enum Matrix {}

const MESSAGE: &str = "it needs Linux with 64 bits; matrices of some rows at a time (matrix_batches) are everywhere";

impl Matrix {
    pub(super) fn new(_: &PatchScan, _: &MatrixOptions) -> Result<Self> {
        Err(ErrorKind::Unavailable { what: "a virtual matrix", message: MESSAGE.to_owned(), error: None }.into())
    }

    pub(super) fn rows(&self) -> usize {
        match *self {}
    }

    pub(super) fn columns(&self) -> usize {
        match *self {}
    }

    pub(super) fn kind(&self) -> Backing {
        match *self {}
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        match *self {}
    }

    pub(super) fn explain(&self) -> String {
        match *self {}
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match *self {}
    }

    pub(super) fn valid(&self) -> Vec<bool> {
        match *self {}
    }
}

pub(super) fn explain(_: &Plan) -> String {
    format!("none: {MESSAGE}")
}
