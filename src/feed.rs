//! What a pass reads: the image, and the labels that go with it.

use std::ops::Range;

use crate::encode::Encoder;
use crate::source::{Band, Bands, Source};
use crate::{BufferPool, Grid, Result};

/// The open sources of a pass; `None` for what is not asked for.
pub(crate) struct Feed {
    pub(crate) image: Option<Bands>,
    pub(crate) labels: Option<Bands>,
}

/// Of each source the piece that holds some windows.
#[derive(Clone, Default)]
pub(crate) struct Slab {
    pub(crate) image: Option<Band>,
    pub(crate) labels: Option<Band>,
}

impl Feed {
    /// Starts a pass over the windows `windows`.
    pub(crate) fn open(source: &dyn Source, encoder: &Encoder, windows: Range<u64>, pool: &BufferPool) -> Result<Self> {
        let mut feed = Self { image: None, labels: None };
        if windows.is_empty() {
            return Ok(feed);
        }
        let open = |source: &dyn Source, grid: &Grid| {
            Bands::open(source, pool, grid.region(windows.clone()), grid.sliding_axes()[0])
        };
        if encoder.needs_pixels() {
            feed.image = Some(open(source, &encoder.grid)?);
        }
        if let Some(labels) = encoder.needed_labels() {
            feed.labels = Some(open(&*labels.source, &labels.grid)?);
        }
        Ok(feed)
    }

    /// Whether what holds the windows `windows` is another piece, and so large that nobody should hold the last one
    /// meanwhile.
    pub(crate) fn lets_go(&self, encoder: &Encoder, windows: &Range<u64>) -> bool {
        let goes = |bands: &Option<Bands>, grid: &Grid| {
            let lead = grid.sliding_axes()[0];
            bands.as_ref().is_some_and(|bands| bands.is_heavy() && bands.moves(&grid.region(windows.clone()).0[lead]))
        };
        goes(&self.image, &encoder.grid)
            || encoder.labels.as_ref().is_some_and(|labels| goes(&self.labels, &labels.grid))
    }

    /// What holds the windows `windows`, of which there is at least one.
    pub(crate) fn slab(&mut self, encoder: &Encoder, windows: Range<u64>) -> Result<Slab> {
        let band = |bands: &mut Option<Bands>, grid: &Grid| {
            let lead = grid.sliding_axes()[0];
            bands.as_mut().map(|bands| bands.band(grid.region(windows.clone()).0[lead].clone())).transpose()
        };
        let image = band(&mut self.image, &encoder.grid)?;
        let labels = match &encoder.labels {
            Some(labels) => band(&mut self.labels, &labels.grid)?,
            None => None,
        };
        Ok(Slab { image, labels })
    }
}
