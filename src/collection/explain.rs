//! How many rows there are and what they take, from the headers of all images.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

use super::PatchCollection;
use super::plan::is_of_image;
use super::reader::SMALL;
use crate::scan::{PROGRAM_BYTES, mib, with_margin};
use crate::window::by;
use crate::{DType, Error, Layout, PatchScan, Result};

/// The facts of a [`PatchCollection`], from the headers of its images.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainCollection {
    /// The images.
    pub images: u64,
    /// Those of them that have no window, or are left out.
    pub without_rows: u64,
    /// Pixels of a patch on each axis.
    pub patch_shape: Vec<u64>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// How patches are held.
    pub layout: Layout,
    /// The type of the pixels in the table.
    pub dtype: DType,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes a row.
    pub row_bytes: u64,
    /// Bytes of all rows, if they were made at once.
    pub dense_bytes: u64,
    /// Rows of a batch, at most.
    pub batch_rows: u64,
    /// The most memory that the process takes while a reader is drained.
    pub peak_bytes: u64,
}

impl fmt::Display for ExplainCollection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = bytesize::ByteSize;
        let without =
            if self.without_rows == 0 { String::new() } else { format!(", {} without rows", self.without_rows) };
        writeln!(f, "images      {}{without}", self.images)?;
        writeln!(f, "windows     of {}", by(&self.patch_shape))?;
        writeln!(f, "rows        {}", self.rows)?;
        writeln!(f, "columns     {}  ({}, {})", self.columns.join(", "), self.layout, self.dtype)?;
        writeln!(f, "row         {}", bytes(self.row_bytes))?;
        writeln!(f, "all rows    {}", bytes(self.dense_bytes))?;
        writeln!(f, "batch       at most {} rows", self.batch_rows)?;
        write!(f, "peak memory {}, whatever the number of rows", bytes(self.peak_bytes))
    }
}

/// What the header of an image says: its rows, and what they take while they are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// The number of the row behind its last one; at first, of its rows.
    pub(super) end: u64,
    pub(super) bytes: u64,
    pub(super) small: bool,
}

impl Count {
    fn of(scan: &PatchScan) -> Self {
        let explain = scan.explain();
        let small = explain.dense_bytes.max(explain.base_bytes) <= SMALL;
        let peak = explain.peak_bytes.saturating_sub(PROGRAM_BYTES);
        // A small image is made into rows as a whole.
        let bytes = if small { peak.saturating_add(explain.dense_bytes) } else { peak };
        Self { end: explain.rows, bytes, small }
    }
}

/// The rows of an image.
pub(super) fn rows_of(counts: &[Count], image: usize) -> Range<u64> {
    image.checked_sub(1).map_or(0, |before| counts[before].end)..counts[image].end
}

impl PatchCollection {
    /// The rows of each image, and what they take.
    pub(super) fn counts(&self) -> Result<&[Count]> {
        if let Some(counts) = self.plan.counts.get() {
            return Ok(counts);
        }
        let count = |path: &PathBuf| match self.plan.scan(path) {
            Ok(scan) => Ok(Count::of(&scan)),
            Err(error) if self.skip_bad && is_of_image(&error) => Ok(Count::default()),
            Err(error) => Err(error),
        };
        let counts: Vec<Result<Count>> = if self.prefetch == Some(0) {
            self.plan.paths.iter().map(count).collect()
        } else {
            self.plan.paths.par_iter().map(count).collect()
        };
        let mut end = 0u64;
        // Of several bad images the first by name is told of, whichever thread was the faster.
        let counts = counts.into_iter().map(|count| {
            let count = count?;
            let more = || Error::too_large("the rows of all images", "more", u64::MAX);
            end = end.checked_add(count.end).ok_or_else(more)?;
            Ok(Count { end, ..count })
        });
        let counts = counts.collect::<Result<_>>()?;
        Ok(self.plan.counts.get_or_init(|| counts))
    }

    /// What the table will be and cost. Reads the headers of all images.
    ///
    /// # Errors
    /// As [`num_rows`](Self::num_rows).
    pub fn explain(&self) -> Result<ExplainCollection> {
        let counts = self.counts()?;
        let rows = self.num_rows()?;
        let first = self.plan.first.explain();
        let images = self.plan.paths.len() as u64;
        Ok(ExplainCollection {
            images,
            without_rows: (0..counts.len()).filter(|&image| rows_of(counts, image).is_empty()).count() as u64,
            patch_shape: first.patch_shape,
            columns: self.plan.schema.fields().iter().map(|field| field.name().clone()).collect(),
            layout: first.layout,
            dtype: first.dtype,
            rows,
            row_bytes: self.row_bytes(),
            dense_bytes: rows.saturating_mul(self.row_bytes()),
            batch_rows: self.plan.batch_rows,
            peak_bytes: self.peak_bytes(counts),
        })
    }

    /// The most memory of a process that reads the table.
    fn peak_bytes(&self, counts: &[Count]) -> u64 {
        let ahead = self.ahead() as u64;
        let small = counts.iter().filter(|count| count.small).map(|count| count.bytes).max().unwrap_or(0);
        let mut large = [0; 2];
        for count in counts.iter().filter(|count| !count.small) {
            let [first, second] = large;
            large = if count.bytes > first { [count.bytes, first] } else { [first, second.max(count.bytes)] };
        }
        let largest = large[0].max(small);
        // While one large image is read the next one is opened.
        let large = if ahead > 0 { large[0].saturating_add(large[1]) } else { large[0] };
        // What is piled up, what is made of it, and what was given away.
        let batches = self.plan.batch_rows.saturating_mul(self.row_bytes()).saturating_mul(3);
        // A path is kept twice.
        let names = self.plan.names.get_array_memory_size() as u64;
        let lists = names.saturating_mul(2).saturating_add(counts.len() as u64 * 96);
        let chosen = self.chosen.as_ref().map_or(0, |chosen| chosen.bytes());
        if self.is_mixed() {
            // Images that stay open, the one that is opened, and the rows of a batch in two orders.
            let image = largest.saturating_add(self.cache_bytes);
            let numbers = self.plan.batch_rows.saturating_mul(64);
            return [image, batches, numbers, lists, chosen].into_iter().fold(PROGRAM_BYTES, u64::saturating_add);
        }
        [small.saturating_mul(ahead.max(1)), large, batches, lists, chosen]
            .into_iter()
            .fold(PROGRAM_BYTES, u64::saturating_add)
    }

    /// The same table, read in at most so many bytes of memory, the program itself included: with fewer images prepared
    /// ahead, or fewer kept open, if that is needed. Reads the headers of all images.
    ///
    /// # Errors
    /// If even one image at a time takes more: the error says how much. As [`num_rows`](Self::num_rows), too.
    pub fn max_memory(self, bytes: u64) -> Result<Self> {
        self.fit(bytes, |_| 0)
    }

    /// As [`max_memory`](Self::max_memory), of a reader whose consumer takes `more` besides for so many rows.
    pub(crate) fn fit(mut self, bytes: u64, more: impl Fn(u64) -> u64) -> Result<Self> {
        let more = more(self.num_rows()?);
        loop {
            let needs = with_margin(self.peak_bytes(self.counts()?).saturating_add(more));
            if needs <= bytes {
                return Ok(self);
            }
            if self.is_mixed() && self.cache_bytes > 0 {
                self.cache_bytes = if self.cache_bytes > 1 << 20 { self.cache_bytes / 2 } else { 0 };
                continue;
            }
            let ahead = self.ahead();
            if ahead == 0 {
                let message = format!(
                    "{}: it takes {} at the least: expected {} or more, or smaller batches, or fewer threads \
                     (RAYON_NUM_THREADS=1)",
                    bytesize::ByteSize(bytes),
                    bytesize::ByteSize(needs),
                    mib(needs),
                );
                return Err(Error::argument("max_memory", message));
            }
            self.prefetch = Some(ahead - 1);
        }
    }
}
