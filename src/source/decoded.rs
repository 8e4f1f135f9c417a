//! [`Decoded`]: an image that is decoded as a whole, once for all who read it.

use std::sync::{Mutex, PoisonError};

use super::{AnySource, Region};
use crate::{BufferPool, Result};

/// What a source that is decoded as a whole (PNG, JPEG, …) gave to the first who asked.
#[derive(Debug, Default)]
pub(crate) struct Decoded(Mutex<Option<AnySource>>);

impl Decoded {
    /// The source, or what it holds as an array in memory. Other threads wait for the one that decodes.
    pub(crate) fn of(&self, source: &AnySource) -> Result<AnySource> {
        let whole = Region::whole(&source.info().shape);
        if !source.info().resident || source.view().is_some() || whole.pixels() == 0 {
            return Ok(source.clone());
        }
        let mut decoded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &*decoded {
            Some(image) => image.clone(),
            None => decoded.insert(source.open(&BufferPool::new(0))?.read(&whole)?.into()).clone(),
        })
    }
}
