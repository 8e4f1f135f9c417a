//! Between ids and coordinates, as expressions.

use polars::prelude::*;

use crate::encode::Map;
use crate::{Grid, PatchScan};

/// Where the windows of the column `window` start on one sliding axis.
pub(super) fn start(grid: &Grid, sliding: usize) -> Expr {
    let axis = &grid.axes()[grid.sliding_axes()[sliding]];
    let inner: u64 = grid.sliding().skip(sliding + 1).map(|axis| axis.count).product();
    // A grid without windows has rows of no axis; the expression must only be valid.
    let mut index = col("window");
    if inner > 1 {
        // Of integers this is integer division.
        index = index / lit(inner);
    }
    if sliding > 0 {
        index = index % lit(axis.count.max(1));
    }
    // The grid keeps all of them below 2^62.
    let mut place = index.clone().cast(DataType::Int64);
    if axis.step != 1 {
        place = place * lit(axis.step as i64);
    }
    if axis.before != 0 {
        place = place - lit(axis.before as i64);
    }
    if axis.shifted {
        place = when(index.eq(lit(axis.count - 1))).then(lit(axis.start(axis.count - 1))).otherwise(place);
    }
    place
}

/// Where the middles of the windows of the column `window` lie on the map: one coordinate.
pub(super) fn middle(grid: &Grid, map: &Map, coordinate: usize) -> Expr {
    let [a, b, c] = map.terms(coordinate);
    let [y, x] = map.axes().map(|axis| match axis.sliding {
        Some(sliding) => start(grid, sliding).cast(DataType::Float64) + lit(axis.middle),
        None => lit(axis.middle),
    });
    lit(a) * x + lit(b) * y + lit(c)
}

/// The id of the window that starts at the coordinates in the columns of the scan's axes (`y`, `x`); null where no
/// window starts, or a coordinate is null. The inverse of the scan's coordinates: for tables of labelled points, which
/// need no join.
///
/// ```
/// use polars::prelude::*;
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
/// let labels = df!("y" => [7i64, 0, 8], "x" => [7i64, 1, 0], "label" => ["a", "b", "none starts here"])?;
/// let frame = labels
///     .lazy()
///     .with_columns([windrow::polars::window_at(&scan)])
///     .with_columns([windrow::polars::patch(&scan)])
///     .collect()?;
/// assert_eq!(frame.column("window")?.u64()?.to_vec(), [Some(63), Some(1), None]);
/// assert_eq!(frame.column("patch")?.null_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn window_at(scan: &PatchScan) -> Expr {
    let grid = scan.grid().clone();
    let axes: Vec<_> = grid.sliding().map(|axis| col(axis.name.as_str())).collect();
    let ids = move |columns: &mut [Column]| {
        let starts =
            columns.iter().map(|column| column.strict_cast(&DataType::Int64)).collect::<PolarsResult<Vec<_>>>()?;
        let starts = starts.iter().map(Column::i64).collect::<PolarsResult<Vec<_>>>()?;
        let height = starts.iter().map(|starts| starts.len()).max().unwrap_or(0);
        let mut at = vec![0; starts.len()];
        let ids: UInt64Chunked = (0..height)
            .map(|row| {
                for (at, starts) in at.iter_mut().zip(&starts) {
                    // A literal is one value for all rows.
                    *at = starts.get(if starts.len() == 1 { 0 } else { row })?;
                }
                grid.window_at(&at)
            })
            .collect();
        Ok(ids.into_column())
    };
    map_multiple(ids, axes, |_, _| Ok(Field::new("window".into(), DataType::UInt64))).alias("window")
}
