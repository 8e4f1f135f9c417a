//! Which backing a matrix gets, and what it takes.

use std::ops::Range;
use std::sync::Arc;

use bytesize::ByteSize;

use super::alias::Layout;
use super::region::Region;
use super::{Backing, MatrixOptions, Order};
use crate::encode::{Encoder, columns};
use crate::scan::Plan;
use crate::{Error, PatchScan, Result};

/// A matrix, whatever stands behind it.
pub(super) enum Matrix {
    Alias { region: Region, layout: Layout, encoder: Arc<Encoder>, windows: Range<u64> },
}

impl Matrix {
    pub(super) fn new(scan: &PatchScan, options: &MatrixOptions) -> Result<Self> {
        let plan = scan.plan();
        if plan.encoder.layout == crate::Layout::Columns {
            return Err(Error::argument("layout", "a matrix has a row a window: expected layout tensor or binary"));
        }
        Self::alias(scan, options)
    }

    fn alias(scan: &PatchScan, options: &MatrixOptions) -> Result<Self> {
        if options.order != Order::F {
            let message =
                "\"C\" is not for backing \"alias\", whose columns are slices: expected \"F\", or backing \"fault\"";
            return Err(Error::argument("order", message));
        }
        let plan = scan.plan();
        let layout = Layout::new(&plan.encoder, plan.rows.clone())?;
        if layout.bytes() as u64 > options.max_resident {
            let (most, need) = (ByteSize(options.max_resident), ByteSize(layout.bytes() as u64));
            let message = format!("{most} do not hold the {} planes of backing \"alias\", {need}", layout.planes());
            return Err(Error::argument("max_resident", message + "; backing \"fault\" keeps to any limit"));
        }
        let region = layout.make(&*plan.source, &plan.encoder, &plan.rows)?;
        Ok(Self::Alias { region, layout, encoder: plan.encoder.clone(), windows: plan.rows.clone() })
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Matrix::Alias { layout, .. } => layout.rows,
        }
    }

    pub(super) fn columns(&self) -> usize {
        match self {
            Matrix::Alias { layout, .. } => layout.columns,
        }
    }

    pub(super) fn kind(&self) -> Backing {
        match self {
            Matrix::Alias { .. } => Backing::Alias,
        }
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        match self {
            Matrix::Alias { layout, .. } => layout.bytes() as u64,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: all of the region is mapped, for reading alone, from a file that is sealed: nobody writes to it, and
            // it stays as long as it is. It lives as long as `self`.
            Matrix::Alias { region, .. } => unsafe {
                std::slice::from_raw_parts(region.start().as_ptr(), region.len())
            },
        }
    }

    pub(super) fn valid(&self) -> Vec<bool> {
        match self {
            Matrix::Alias { layout, encoder, windows, .. } => {
                let mut valid = vec![false; layout.rows];
                for (at, ..) in columns::Rows::new(&encoder.grid, windows.clone(), &layout.strides).stretches() {
                    valid[at].fill(true);
                }
                valid
            }
        }
    }
}

/// What a matrix of this scan would be and take.
pub(super) fn explain(plan: &Plan) -> String {
    match Layout::new(&plan.encoder, plan.rows.clone()) {
        Ok(layout) => {
            let (planes, bytes) = (layout.planes(), ByteSize(layout.bytes() as u64));
            format!("alias: {planes} planes, {bytes}, for {}", ByteSize(layout.logical_bytes() as u64))
        }
        Err(error) => format!("no alias: {error}"),
    }
}
