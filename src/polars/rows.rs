//! From row numbers to window ids, where rows are chosen windows or in another order.

use polars::prelude::{Column, DataType, Expr, Field, IntoColumn, PolarsResult, Schema, UInt64Chunked, col};

use super::map::{On, map};
use crate::rows::Selection;

/// The window ids of the row numbers in the column `window`.
pub(super) fn windows(selection: Selection) -> Expr {
    let ids = move |rows: Column| -> PolarsResult<Column> {
        let numbers = rows.u64()?;
        // Polars panics on the first value of none.
        if numbers.is_empty() {
            return Ok(rows);
        }
        // A morsel mostly is a stretch of rows.
        let ids: UInt64Chunked = match (numbers.first(), numbers.last()) {
            (Some(first), Some(last)) if is_stretch(numbers, first, last) => {
                UInt64Chunked::from_vec(rows.name().clone(), selection.ids(first..last + 1))
            }
            _ => numbers.iter().map(|row| row.map(|row| selection.id(row))).collect(),
        };
        Ok(ids.into_column().with_name(rows.name().clone()))
    };
    let dtype = |_: &Schema, rows: &Field| Ok(Field::new(rows.name().clone(), DataType::UInt64));
    map(col("window"), On::Engine, "windrow.window", ids, dtype)
}

fn is_stretch(numbers: &UInt64Chunked, first: u64, last: u64) -> bool {
    last.checked_sub(first) == Some(numbers.len() as u64 - 1)
        && numbers.iter().zip(first..).all(|(row, expected)| row == Some(expected))
}
