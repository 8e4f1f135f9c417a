//! Many images as one lazy frame.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::*;

use super::gather::by_ids;
use super::map::{On, map};
use super::{ffi, frame, morsel, rows};
use crate::Result;
use crate::collection::{CollectionTaker, PatchCollection};
use crate::encode::Column as TableColumn;

/// The table of many images as a lazy frame: `image` (its path), `window` (the number of the row through all images), and
/// the columns of their scans. It can be collected any number of times.
///
/// ```no_run
/// use polars::prelude::*;
/// use windrow::collection::{PatchCollection, paths};
/// use windrow::{AnySource, PatchScan, WindowSpec};
///
/// let tiles = PatchCollection::new(paths(["tiles/*.png"])?, |path| {
///     Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([8, 8]).step(8)))
/// })?;
/// let corners = windrow::polars::collection::scan(&tiles)?
///     .filter(col("y").eq(lit(0)).and(col("x").eq(lit(0))))
///     .collect()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `image` and `window` are arithmetic; coordinates read the headers of the images that they are of, and patches their
/// pixels, of the rows that are left where a query uses them. [`gathered`](super::gathered) of the collection's
/// [`first`](PatchCollection::first) scan counts the patches. Memory is as [for one image](super#memory), with a few
/// images open on each thread.
///
/// # Errors
/// If an image is bad: the headers of all are read here, to know the number of rows. An image whose pixels are bad is an
/// error of the query, also where a reader leaves it out.
pub fn scan(tiles: &PatchCollection) -> PolarsResult<LazyFrame> {
    let encoder = &tiles.first().plan().encoder;
    let fields = encoder.schema.fields();
    let pixels = |name: &str| {
        let column = fields.iter().position(|field| field.name() == name).map(|place| encoder.columns[place]);
        matches!(column, Some(TableColumn::Patch | TableColumn::Share | TableColumn::Label))
    };
    let schema = tiles.schema();
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let (rows, selection) = tiles.selection()?;
    let mut frame = frame::windows(rows, morsel::rows(tiles.first()))?;
    if let Some(selection) = selection {
        frame = frame.with_columns([rows::windows(selection.clone())]);
    }
    // In steps: a filter on what is cheap is moved below the patches.
    for step in [false, true] {
        let columns: Result<Vec<_>> = names()
            .filter(|name| *name != "window" && pixels(name) == step)
            .map(|name| Ok(column(tiles, name, step)?.alias(name)))
            .collect();
        let columns = columns?;
        if !columns.is_empty() {
            frame = frame.with_columns(columns);
        }
    }
    Ok(frame.select(names().map(col).collect::<Vec<_>>()))
}

/// A column of the table for the rows with the numbers in `window`.
fn column(tiles: &PatchCollection, name: &str, pixels: bool) -> Result<Expr> {
    let of_images = name == "image";
    let one = tiles.select([name])?;
    let dtype = if of_images {
        DataType::String
    } else {
        let none = arrow_array::new_empty_array(one.schema().field(0).data_type());
        ffi::column(name, &none).map_err(|error| crate::Error::argument("dtype", error.to_string()))?.dtype().clone()
    };
    let counter = tiles.first().clone();
    let windows = one.taker()?.num_rows();
    let idle: Arc<Mutex<Vec<CollectionTaker>>> = Arc::default();
    let made = dtype.clone();
    let function = move |rows: Column| {
        by_ids(&rows, windows, &made, |rows, name| {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut taker = kept.map_or_else(|| one.taker(), Ok)?;
            let batch = taker.take(rows)?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(taker);
            if pixels {
                counter.plan().gathered.fetch_add(rows.len() as u64, Ordering::Relaxed);
            }
            if of_images { ffi::strings(name, batch.column(0)) } else { ffi::column(name, batch.column(0)) }
        })
    };
    let typed = move |_: &Schema, rows: &Field| Ok(Field::new(rows.name().clone(), dtype.clone()));
    let on = if of_images { On::Engine } else { On::Other };
    Ok(map(col("window"), on, format!("windrow.{name}"), function, typed))
}
