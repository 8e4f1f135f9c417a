//! Functions of a column as expressions, and the threads on which they run.
//!
//! A function that Polars does not know might wait for a file, or call Polars and so wait for its own thread. So the
//! streaming engine hands every morsel of [`Expr::map`] to another thread, and waits: that thread has to be woken, and the
//! pixels that it gathered are in the cache of another core than the one that goes on with them. What does no more than
//! compute is run where its rows are.

use polars::prelude::{Column, Expr, Field, PlSmallStr, PolarsResult, Schema, map_multiple};

/// Where a function runs in the streaming engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// On the engine's threads: it only computes.
    Engine,
    /// On a thread that may wait.
    Other,
}

/// An elementwise function of a column, under a name that plans show.
pub(super) fn map<F, T>(column: Expr, on: On, name: impl Into<PlSmallStr>, function: F, field: T) -> Expr
where
    F: Fn(Column) -> PolarsResult<Column> + 'static + Send + Sync,
    T: Fn(&Schema, &Field) -> PolarsResult<Field> + 'static + Send + Sync,
{
    if on == On::Other {
        return column.map_with_fmt_str(function, field, name);
    }
    // Functions of several columns are trusted to call nobody.
    let function = move |columns: &mut [Column]| function(std::mem::take(&mut columns[0]));
    let mut mapped = map_multiple(function, [column], move |schema, fields| field(schema, &fields[0]));
    if let Expr::AnonymousFunction { fmt_str, .. } = &mut mapped {
        **fmt_str = name.into();
    }
    mapped
}
