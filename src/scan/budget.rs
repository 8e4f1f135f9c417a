//! A scan within a limit of memory, or an error that says what it would take.

use std::sync::Arc;

use bytesize::ByteSize;

use super::PatchScan;
use crate::{Error, Layout, Result};

/// With what is added to the sum of all that is known to be held: an allocator's own, what is freed a moment later, the
/// state of codecs, and how much larger one build of the program is than another.
pub(crate) fn with_margin(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4).saturating_add(8 << 20)
}

impl PatchScan {
    /// The same table, read in at most so many bytes of memory, the program itself included: with fewer batches made ahead
    /// and smaller ones, if that is needed. A size of batches that was chosen stays. What
    /// [`explain`](Self::explain) expects is held to with a quarter to spare, and 8 MiB.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0f32; 1 << 18], &[512, 512])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([8, 8]))?;
    /// let small = scan.max_memory(64 << 20)?;
    /// assert_eq!(small.num_rows(), scan.num_rows());
    /// assert!(small.explain().peak_bytes <= 64 << 20);
    /// let error = scan.max_memory(1 << 20).unwrap_err().to_string();
    /// assert!(error.contains("it takes"), "{error}");
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If even one row at a time takes more: the error says how much.
    pub fn max_memory(&self, bytes: u64) -> Result<Self> {
        self.fit(bytes, |_| 0)
    }

    /// As [`max_memory`](Self::max_memory), of a reader whose consumer takes `more` besides.
    pub(crate) fn fit(&self, bytes: u64, more: impl Fn(&Self) -> u64) -> Result<Self> {
        let needs = |scan: &Self| with_margin(scan.explain().peak_bytes.saturating_add(more(scan)));
        let plan = &*self.0;
        let (mut prefetch, mut batch_rows, mut cache) = (plan.prefetch, plan.batch_rows, plan.cache_bytes);
        let mut least = self.clone();
        loop {
            if needs(&least) <= bytes {
                return Ok(least);
            }
            // A batch ahead is worth more than its rows, and both more than what may be decoded again.
            if plan.keeps_tiles() && cache > 0 {
                cache = if cache > 1 << 20 { cache / 2 } else { 0 };
            } else if prefetch > 1 {
                prefetch -= 1;
            } else if batch_rows > 1 && !plan.batch_chosen && plan.encoder.layout != Layout::Columns {
                batch_rows /= 2;
            } else if prefetch > 0 {
                prefetch = 0;
            } else {
                break;
            }
            let mut again = plan.with(plan.selection.clone(), plan.rows.clone(), plan.encoder.clone());
            if let Some(plan) = Arc::get_mut(&mut again.0) {
                (plan.prefetch, plan.cache_bytes) = (prefetch, cache);
                (plan.batch_rows, plan.batch_chosen) = (batch_rows, true);
            }
            least = again;
        }
        let (explain, sink) = (least.explain(), more(&least));
        let info = plan.source.info();
        let mut parts = vec![format!("{} of pixels", ByteSize(explain.band_bytes))];
        parts.extend((sink > 0).then(|| format!("{} for what is written", ByteSize(sink))));
        let mut help = Vec::new();
        help.extend(info.resident.then_some("a format that is read in parts, such as TIFF, .npy or Zarr"));
        help.extend((plan.batch_chosen && explain.batch_rows > 1).then_some("smaller batches"));
        help.extend((sink > 8 << 20).then_some("fewer threads (RAYON_NUM_THREADS=1)"));
        let help = if help.is_empty() { String::new() } else { format!(", or {}", help.join(", or ")) };
        let message = format!(
            "{}: it takes {} at the least, {} of it: expected {} or more{help}",
            ByteSize(bytes),
            ByteSize(needs(&least)),
            parts.join(" and "),
            mib(needs(&least)),
        );
        Err(Error::argument("max_memory", message))
    }
}

/// Bytes as they may be typed, rounded up.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use crate::{PatchScan, StridedView, WindowSpec};

    #[test]
    fn a_plan_shrinks_until_it_fits_or_says_what_would() {
        let image = StridedView::from_vec(vec![0u16; 1 << 20], &[1024, 1024]).unwrap();
        let all = PatchScan::builder(image.clone(), WindowSpec::new([64, 64])).prefetch(8).build().unwrap();
        let mut last = all.explain();
        let program = super::with_margin(crate::scan::PROGRAM_BYTES);
        for mib in [50, 32, 23, 19] {
            let most = program + (mib << 20);
            let explain = all.max_memory(most).unwrap().explain();
            assert!(super::with_margin(explain.peak_bytes) <= most, "{explain}");
            assert!((explain.prefetch, explain.batch_rows) <= (last.prefetch, last.batch_rows), "{explain}");
            assert_eq!(explain.rows, last.rows);
            last = explain;
        }
        let error = all.max_memory(8 << 20).unwrap_err().to_string();
        let least: u64 = error.split("expected ").nth(1).unwrap().split("MiB").next().unwrap().parse().unwrap();
        assert!(all.max_memory(least << 20).is_ok() && all.max_memory((least - 1) << 20).is_err(), "{error}");
        // What was asked for stays.
        let chosen = PatchScan::builder(image, WindowSpec::new([64, 64])).batch_rows(3000).build().unwrap();
        let error = chosen.max_memory(20 << 20).unwrap_err().to_string();
        assert!(error.contains("smaller batches"), "{error}");
    }
}
