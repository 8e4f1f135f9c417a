//! A scan as a [Polars](https://docs.pola.rs) lazy frame, and its patches as an expression.
//!
//! [`scan`] gives the table: Polars filters, slices, joins and projects it, and only the windows that are left at the
//! place where a query uses `patch` are gathered.
//!
//! ```
//! use polars::prelude::*;
//! use windrow::{PatchScan, StridedView, WindowSpec};
//!
//! let image = StridedView::from_vec((0..=255u8).collect(), &[16, 16])?;
//! let table = windrow::polars::scan(&PatchScan::new(image, WindowSpec::new([3, 3]))?)?;
//! let frame = table.filter(col("y").eq(lit(7)).and(col("x").lt(lit(2)))).collect()?;
//! assert_eq!(frame.height(), 2);
//! assert_eq!(frame.column("patch")?.dtype(), &DataType::Array(
//!     Box::new(DataType::Array(Box::new(DataType::UInt8), 3)), 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//! The window ids are the row index of a frame of height n without any column; the coordinates are expressions over
//! the ids, and the patches an elementwise function of them, which gathers exactly the ids that it is given. So every
//! pushdown is Polars' own, `explain` of a frame shows it, and a count or a filter on coordinates reads no pixel.
//!
//! Pixels in memory are gathered on the streaming engine's own threads, into memory that the rows before have left in the
//! cache. What is read from a file on the way may have to wait, and does so on other threads.
//!
//! # Memory
//! [`collect`](polars::prelude::LazyFrame::collect) with the default engine holds the whole result, and every column
//! that the query makes on the way, `patch` included. The streaming engine holds a few *morsels* of it:
//! `collect_with_engine(Engine::Streaming)`, the sinks, and `collect_batches`. Polars' own morsels have 100,000 rows,
//! however wide; where patches are wide, the frame gives its rows in morsels of a few MiB instead. They stay small
//! through filters and expressions. Sorts, joins, group-bys and frames of your own come in Polars' morsels again: with
//! wide patches behind those, make the process's morsels smaller, before its first query, by the environment variable
//! `POLARS_STREAMING_CHUNK_SIZE` (rows; `POLARS_IDEAL_MORSEL_SIZE` is overwritten by it in 0.55). Sinks hold a few row
//! groups or record batches, which have 122,880 rows unless their options say otherwise: for wide patches set
//! `row_group_size` or `record_batch_size`.
//!
//! A file that is decoded as a whole (PNG, JPEG, …) is decoded by the first query that uses pixels, and stays in memory
//! as long as the frame and its copies.
//!
//! # More than 2³² rows
//! Polars counts the rows of a frame in 32 bits, so that longer tables are several frames under one plan. Filters and
//! slices then stop above the ids and run over them; the rows of a [`ScanBuilder`](crate::ScanBuilder::rows) are
//! arithmetic. `len` is Polars' error there; [`PatchScan::num_rows`] knows.
//!
//! # Types
//! Polars has no fixed-size binary and no extension for tensors: layout `binary` becomes `Binary`, and layout
//! `fixed-shape-tensor` a flat `Array(T, pixels)`, on which every function of Polars' namespace `arr` works pixel by
//! pixel. Layout `tensor` becomes the nested `Array(T, shape)`. Layout `columns` is read when the frame is made; its
//! columns are slices of the image all the same.

pub mod collection;
mod coords;
mod error;
mod ffi;
mod frame;
mod gather;
mod map;
mod morsel;
mod rolling;
mod rows;

use polars::prelude::{Expr, LazyFrame, PolarsResult, col};

pub use coords::window_at;
pub use ffi::data_frame;
pub use gather::{gathered, patch_of};

use crate::encode::Column;
use crate::{Layout, PatchScan};

/// The table of a scan as a lazy frame: the scan's rows, columns and layout. It can be collected any number of times.
///
/// ```
/// use polars::prelude::*;
/// use windrow::{Layout, PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let scan = PatchScan::builder(image, WindowSpec::new([2, 2])).layout(Layout::FixedShapeTensor).build()?;
/// let brightest = windrow::polars::scan(&scan)?
///     .select([col("y"), col("x"), col("patch").arr().max().alias("max")])
///     .sort(["max"], SortMultipleOptions::new().with_order_descending(true))
///     .limit(1)
///     .collect()?;
/// assert_eq!(brightest.column("y")?.i64()?.get(0), Some(8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the layout is `columns` and the source can't be read; for all others, a source that fails does so in the query.
pub fn scan(scan: &PatchScan) -> PolarsResult<LazyFrame> {
    let encoder = &scan.plan().encoder;
    if encoder.layout == Layout::Columns {
        return rolling::scan(scan);
    }
    let schema = scan.schema();
    let named = || encoder.columns.iter().zip(schema.fields());
    let mut frame = frame::windows(scan.rows(), morsel::rows(scan))?;
    let selection = &scan.plan().selection;
    if !selection.is_all() {
        frame = frame.with_columns([rows::windows(selection.clone())]);
    }
    // In steps: a filter on coordinates is moved below the patches, but not below the coordinates.
    let starts = named().filter_map(|(column, field)| match column {
        Column::Start(sliding) => Some(coords::start(scan.grid(), *sliding).alias(field.name().as_str())),
        Column::Map(coordinate) => {
            let map = encoder.map.as_ref()?;
            Some(coords::middle(scan.grid(), map, *coordinate).alias(field.name().as_str()))
        }
        _ => None,
    });
    let starts: Vec<_> = starts.collect();
    if !starts.is_empty() {
        frame = frame.with_columns(starts);
    }
    let gathered: Vec<_> = named()
        .filter(|(column, _)| matches!(column, Column::Patch | Column::Share | Column::Label))
        .map(|(column, field)| gather::gathered_of(scan, *column, col("window")).alias(field.name().as_str()))
        .collect();
    if !gathered.is_empty() {
        frame = frame.with_columns(gathered);
    }
    Ok(frame.select(named().map(|(_, field)| col(field.name().as_str())).collect::<Vec<_>>()))
}

/// The patches of the windows in the column `window`, as an expression for any frame: a sample, a table of labels, the
/// result of a query that came first. [`patch_of`] takes the ids from another column.
///
/// ```
/// use polars::prelude::*;
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
/// let picks = df!("window" => [63u64, 0, 9], "label" => ["a", "b", "a"])?;
/// let frame = picks.lazy().with_columns([windrow::polars::patch(&scan)]).collect()?;
/// assert_eq!(frame.shape(), (3, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn patch(scan: &PatchScan) -> Expr {
    patch_of(scan, col("window"))
}
