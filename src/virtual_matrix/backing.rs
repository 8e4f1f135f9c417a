//! Which backing a matrix gets, and what it takes.

use std::ops::Range;
use std::sync::Arc;

use bytesize::ByteSize;

use super::alias::Layout;
use super::fault::{Fault, Means};
use super::fill::{Filler, Selection};
use super::region::Region;
use super::{Backing, MatrixOptions, Order};
use crate::encode::{Encoder, columns};
use crate::scan::Plan;
use crate::{Error, PatchScan, Result};

/// A matrix, whatever stands behind it.
pub(super) enum Matrix {
    Alias { region: Region, layout: Layout, encoder: Arc<Encoder>, windows: Range<u64> },
    Fault(Fault),
}

impl Matrix {
    pub(super) fn new(scan: &PatchScan, options: &MatrixOptions) -> Result<Self> {
        let plan = scan.plan();
        if plan.encoder.layout == crate::Layout::Columns {
            return Err(Error::argument("layout", "a matrix has a row a window: expected layout tensor or binary"));
        }
        if plan.encoder.nodata.is_some() {
            return Err(Error::argument("nodata", "a matrix has no nulls: leave it out, or drop windows by min_valid"));
        }
        match options.backing {
            Some(Backing::Alias) => Self::alias(plan, layout(plan, options)?),
            Some(Backing::Fault) => Self::fault(plan, options),
            None => match layout(plan, options) {
                Ok(layout) => Self::alias(plan, layout),
                Err(_) => Self::fault(plan, options),
            },
        }
    }

    fn alias(plan: &Plan, layout: Layout) -> Result<Self> {
        let region = layout.make(&*plan.source, &plan.encoder, &plan.rows)?;
        Ok(Self::Alias { region, layout, encoder: plan.encoder.clone(), windows: plan.rows.clone() })
    }

    fn fault(plan: &Plan, options: &MatrixOptions) -> Result<Self> {
        let rows = match &options.windows {
            None if plan.selection.is_all() => Selection::Range(plan.rows.clone()),
            None => Selection::Ids(plan.selection.ids(plan.rows.clone())),
            Some(ids) => {
                let windows = plan.encoder.grid.windows();
                if let Some((row, id)) = ids.iter().enumerate().find(|(_, id)| **id >= windows) {
                    let message = format!("no window {id} (row {row}): there are {windows}");
                    return Err(Error::argument("window", message));
                }
                Selection::Ids(ids.clone())
            }
        };
        if rows.len() == 0 {
            return Err(Error::argument("rows", "no window: a virtual matrix has at least one row"));
        }
        let filler = Filler::new(plan, rows, options.order, options.copy_source)?;
        Ok(Self::Fault(Fault::new(filler, options.max_resident, options.recycle)?))
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Matrix::Alias { layout, .. } => layout.rows,
            Matrix::Fault(fault) => fault.filler.rows(),
        }
    }

    pub(super) fn columns(&self) -> usize {
        match self {
            Matrix::Alias { layout, .. } => layout.columns,
            Matrix::Fault(fault) => fault.filler.columns(),
        }
    }

    pub(super) fn kind(&self) -> Backing {
        match self {
            Matrix::Alias { .. } => Backing::Alias,
            Matrix::Fault(_) => Backing::Fault,
        }
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        match self {
            Matrix::Alias { layout, .. } => layout.bytes() as u64,
            Matrix::Fault(fault) => fault.resident_bytes as u64,
        }
    }

    pub(super) fn explain(&self) -> String {
        let (all, most) = (ByteSize(self.bytes().len() as u64), ByteSize(self.resident_bytes()));
        match self {
            Matrix::Alias { layout, .. } => format!("alias: {} planes, {most}, for {all}", layout.planes()),
            Matrix::Fault(fault) => format!("fault: at most {most} for {all}; {}", fault.means.describe()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: all of the region is mapped, for reading alone, from a file that is sealed: nobody writes to it, and
            // it stays as long as it is. It lives as long as `self`.
            Matrix::Alias { region, .. } => unsafe {
                std::slice::from_raw_parts(region.start().as_ptr(), region.len())
            },
            Matrix::Fault(fault) => fault.bytes(),
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
            Matrix::Fault(_) => vec![true; self.rows()],
        }
    }
}

/// The layout of aliased columns, if they are allowed and there is room for their planes.
fn layout(plan: &Plan, options: &MatrixOptions) -> Result<Layout> {
    if options.order != Order::F {
        let message =
            "\"C\" is not for backing \"alias\", whose columns are slices: expected \"F\", or backing \"fault\"";
        return Err(Error::argument("order", message));
    }
    let layout = planes(plan, options.windows.is_none())?;
    if layout.bytes() as u64 > options.max_resident {
        let (most, need) = (ByteSize(options.max_resident), ByteSize(layout.bytes() as u64));
        let message = format!("{most} do not hold the {} planes of backing \"alias\", {need}", layout.planes());
        return Err(Error::argument("max_resident", message + "; backing \"fault\" keeps to any limit"));
    }
    Ok(layout)
}

/// The planes of all rows of a scan, whose row numbers are ids only where its windows are neighbours.
fn planes(plan: &Plan, neighbours: bool) -> Result<Layout> {
    if !neighbours || !plan.selection.is_all() {
        let message = "backing \"alias\" has neighbouring rows: expected a range of them, or backing \"fault\"";
        return Err(Error::argument("rows", message));
    }
    Layout::new(&plan.encoder, plan.rows.clone())
}

/// What a matrix of this scan would be and take.
pub(super) fn explain(plan: &Plan) -> String {
    let alias = match planes(plan, true) {
        Ok(layout) => {
            let (planes, bytes) = (layout.planes(), ByteSize(layout.bytes() as u64));
            format!("alias: {planes} planes, {bytes}, for {}", ByteSize(layout.logical_bytes() as u64))
        }
        Err(error) => format!("no alias ({error})"),
    };
    match Means::probe() {
        Ok(means) => format!("{alias}; fault: {}", means.describe()),
        Err(error) => format!("{alias}; no fault ({error})"),
    }
}
