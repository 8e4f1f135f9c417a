//! What is known of a table without reading it.

use std::ops::Range;

use arrow_schema::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::scalar::ScalarValue;

use crate::encode::{Column, Encoder};
use crate::scan::row_bytes;
use crate::{PatchScan, Result};

/// The statistics of some rows of a scan, all of them exact that are given as such.
pub(super) fn of(scan: &PatchScan, encoder: &Encoder, rows: Range<u64>) -> Result<Statistics> {
    let count = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
    let bytes = row_bytes(&encoder.grid, &encoder.columns, encoder.out_dtype(), encoder.labels.as_deref());
    let column = |(column, field): (&Column, &arrow_schema::FieldRef)| {
        let mut known = ColumnStatistics::new_unknown();
        if !field.is_nullable() {
            known.null_count = Precision::Exact(0);
        }
        if let Some((least, most, exact)) = bounds(scan, *column, &rows) {
            let of = |n: i128| match field.data_type() {
                DataType::UInt64 => ScalarValue::UInt64(Some(n as u64)),
                _ => ScalarValue::Int64(Some(n as i64)),
            };
            let precise = |n| if exact { Precision::Exact(of(n)) } else { Precision::Inexact(of(n)) };
            (known.min_value, known.max_value) = (precise(least), precise(most));
        }
        known
    };
    Ok(Statistics {
        num_rows: Precision::Exact(count),
        total_byte_size: Precision::Exact(count.saturating_mul(bytes as usize)),
        column_statistics: encoder.columns.iter().zip(encoder.schema.fields()).map(column).collect(),
    })
}

/// The least and the greatest value of a column, and whether both occur.
fn bounds(scan: &PatchScan, column: Column, rows: &Range<u64>) -> Option<(i128, i128, bool)> {
    let selection = &scan.plan().selection;
    if rows.is_empty() || !selection.is_sorted() {
        return None;
    }
    let (first, last) = (selection.id(rows.start), selection.id(rows.end - 1));
    match column {
        Column::Window => Some((first.into(), last.into(), true)),
        Column::Start(sliding) => {
            let grid = scan.grid();
            let axis = grid.sliding().nth(sliding)?;
            let inner: u64 = grid.sliding().skip(sliding + 1).map(|axis| axis.count).product();
            let (low, high) = (first / inner, last / inner);
            // On the leading axis, and as long as an outer one stays where it is, places rise with the ids.
            if low / axis.count == high / axis.count {
                return Some((axis.start(low % axis.count).into(), axis.start(high % axis.count).into(), true));
            }
            // Neighbours that reach over a whole line have every place of it.
            let whole = selection.is_all() && last - first >= 2 * axis.count * inner;
            Some((axis.start(0).into(), axis.start(axis.count - 1).into(), whole))
        }
        _ => None,
    }
}
