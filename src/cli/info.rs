//! What `windrow info` prints.

use bytesize::ByteSize;
use serde::Serialize;

use crate::sink::{Compression, ipc};
use crate::source::SourceInfo as Source;
use crate::{DType, Error, Explain, PatchScan, Result};

/// A scan, and what each sink would hold.
#[derive(Serialize)]
pub(super) struct ScanInfo {
    #[serde(flatten)]
    explain: Explain,
    /// Bytes that an export to Parquet adds to the reader's peak, about.
    #[cfg(feature = "parquet")]
    parquet_bytes: u64,
    /// Bytes that an export to Arrow IPC adds to it.
    ipc_bytes: u64,
}

impl ScanInfo {
    pub(super) fn new(scan: &PatchScan) -> Self {
        let (explain, stored) = (
            scan.explain(),
            scan.prefer_batch_bytes(ipc::batch_bytes(&scan.schema(), Compression::default())).explain(),
        );
        Self {
            #[cfg(feature = "parquet")]
            parquet_bytes: crate::sink::parquet::memory(&scan.schema(), explain.rows, &Default::default()),
            // Its batches are larger.
            ipc_bytes: ipc::memory(stored.batch_bytes, stored.rows.div_ceil(stored.batch_rows.max(1)))
                + stored.peak_bytes.saturating_sub(explain.peak_bytes),
            explain,
        }
    }

    pub(super) fn text(&self, json: bool) -> Result<String> {
        if json {
            return to_json(self);
        }
        #[cfg(feature = "parquet")]
        let parquet = format!("{} for Parquet, ", ByteSize(self.parquet_bytes));
        #[cfg(not(feature = "parquet"))]
        let parquet = "";
        let ipc = ByteSize(self.ipc_bytes);
        Ok(format!("{}\nexport      adds about {parquet}{ipc} for Arrow IPC to the peak", self.explain))
    }
}

/// An image, when there is no window yet.
#[derive(Serialize)]
pub(super) struct SourceInfo<'a> {
    source: &'a str,
    shape: &'a [u64],
    source_dtype: DType,
    axes: Option<&'a [String]>,
}

impl<'a> SourceInfo<'a> {
    pub(super) fn new(info: &'a Source) -> Self {
        Self { source: &info.name, shape: &info.shape, source_dtype: info.dtype, axes: info.axes.as_deref() }
    }

    pub(super) fn text(&self, json: bool) -> Result<String> {
        if json {
            return to_json(self);
        }
        let axes: Vec<_> = match self.axes {
            Some(names) => names.iter().zip(self.shape).map(|(name, n)| format!("{name} {n}")).collect(),
            None => self.shape.iter().map(u64::to_string).collect(),
        };
        let source = format!("source      {}  {}  {}", self.source, axes.join(", "), self.source_dtype);
        Ok(format!("{source}\n\nSay which windows, such as --window 8x8, to see their table."))
    }
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Error::format("info", format!("can't be written as JSON: {error}")))
}
