//! Filters on ids and coordinates: which windows they leave, before anything is gathered.

use std::ops::Range;

use datafusion::common::Column;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use crate::encode::Column as TableColumn;
use crate::rows::{IdSetBuilder, Step};
use crate::scan::first_that;
use crate::{Grid, PatchScan, Result};

/// What filters leave of the ids and of the coordinates on each sliding axis: windows that are in all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    window: Ranges,
    axes: Vec<Ranges>,
}

/// A column that is known before anything is gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Window,
    Axis(usize),
}

/// The column of this name.
pub(super) fn known(grid: &Grid, name: &str) -> Option<Known> {
    if name == "window" {
        return Some(Known::Window);
    }
    grid.sliding().position(|axis| axis.name == name).map(Known::Axis)
}

/// What is known, as the table names and types it.
pub(super) fn known_columns(grid: &Grid) -> Vec<TableColumn> {
    std::iter::once(TableColumn::Window).chain((0..grid.sliding().count()).map(TableColumn::Start)).collect()
}

impl Kept {
    pub(super) fn all(grid: &Grid) -> Self {
        Self { window: Ranges::all(), axes: vec![Ranges::all(); grid.sliding().count()] }
    }

    /// Whether these are filters of such a grid.
    pub(super) fn is_of(&self, grid: &Grid) -> bool {
        self.axes.len() == grid.sliding().count()
    }

    /// Leaves what a filter leaves too; false, and nothing is done, if it is of another kind.
    pub(super) fn narrow(&mut self, grid: &Grid, filter: &Expr) -> bool {
        let Some((column, numbers)) = numbers(grid, filter) else { return false };
        let ranges = match column {
            Known::Window => &mut self.window,
            Known::Axis(axis) => &mut self.axes[axis],
        };
        *ranges = ranges.and(&numbers);
        true
    }

    /// The rows of a scan, whose ids rise, that are left.
    pub(super) fn rows(&self, scan: &PatchScan) -> Result<PatchScan> {
        let grid = scan.grid();
        let mut places = Vec::with_capacity(self.axes.len());
        for (axis, ranges) in grid.sliding().zip(&self.axes) {
            // Starts rise with the place.
            let first = |bound: i128| first_that(axis.count, |place| i128::from(axis.start(place)) >= bound);
            let of_axis = ranges.iter().map(|range| first(range.start)..first(range.end));
            places.push(of_axis.filter(|range| !range.is_empty()).collect::<Vec<_>>());
        }
        let mut lines =
            Lines { grid, places: &places, windows: &self.window, found: IdSetBuilder::new(grid.windows()) };
        lines.push(0, 0)?;
        let found = lines.found.finish()?;
        let mut runs = found.runs(0..found.len());
        match (runs.next(), runs.next()) {
            // Neighbours are read without a list of them.
            (None, _) => scan.with_rows(scan.rows().start..scan.rows().start),
            (Some(run), None) if scan.is_range() => {
                let rows = scan.rows();
                let start = run.start.clamp(rows.start, rows.end);
                scan.with_rows(start..run.end.clamp(start, rows.end))
            }
            _ => {
                drop(runs);
                let step = Step::Within { axes: Vec::new() };
                scan.choose(scan.plan().selection.retain(scan.rows(), found, "filter", step)?)
            }
        }
    }
}

/// The ids at chosen places of each axis.
struct Lines<'a> {
    grid: &'a Grid,
    places: &'a [Vec<Range<u64>>],
    windows: &'a Ranges,
    found: IdSetBuilder,
}

impl Lines<'_> {
    /// Those whose places on the axes before `axis` come to the number `outer`.
    fn push(&mut self, axis: usize, outer: u64) -> Result<()> {
        let counts: Vec<u64> = self.grid.sliding().map(|axis| axis.count).collect();
        let whole = |axis: usize| matches!(&self.places[axis][..], [all] if *all == (0..counts[axis]));
        let inner: u64 = counts[(axis + 1).min(counts.len())..].iter().product();
        if axis == counts.len() {
            return self.run(outer..outer + 1);
        }
        let rest_is_whole = (axis + 1..counts.len()).all(whole);
        for places in self.places[axis].clone() {
            let base = outer * counts[axis];
            if rest_is_whole {
                self.run((base + places.start) * inner..(base + places.end) * inner)?;
                continue;
            }
            for place in places {
                self.push(axis + 1, base + place)?;
            }
        }
        Ok(())
    }

    fn run(&mut self, ids: Range<u64>) -> Result<()> {
        let run = i128::from(ids.start)..i128::from(ids.end);
        // Both ends are ids of the run.
        self.windows.within(run).try_for_each(|both| self.found.push(both.start as u64..both.end as u64))
    }
}

/// The numbers of one column that a filter leaves, if it is of such a kind: comparisons with whole numbers, BETWEEN, IN,
/// and AND, OR and NOT of them.
fn numbers(grid: &Grid, filter: &Expr) -> Option<(Known, Ranges)> {
    let column = |expr: &Expr| match expr {
        Expr::Column(Column { name, .. }) => known(grid, name),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let ((a, left), (b, right)) = (numbers(grid, left)?, numbers(grid, right)?);
            let both = if *op == Operator::And { left.and(&right) } else { left.or(right) };
            (a == b).then_some((a, both))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), column(right)) {
            (Some(known), None) => Some((known, compared(*op, whole(right)?)?)),
            (None, Some(known)) => Some((known, compared(op.swap()?, whole(left)?)?)),
            _ => None,
        },
        Expr::Between(Between { expr, negated, low, high }) => {
            let (low, high) = (whole(low)?, whole(high)?);
            let inside = Ranges::of(low..high.saturating_add(1));
            Some((column(expr)?, if *negated { inside.not() } else { inside }))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let listed = Ranges::listed(list.iter().map(whole).collect::<Option<Vec<_>>>()?);
            Some((column(expr)?, if *negated { listed.not() } else { listed }))
        }
        Expr::Not(inner) => numbers(grid, inner).map(|(known, numbers)| (known, numbers.not())),
        // Neither is ever null.
        Expr::IsNotNull(expr) => Some((column(expr)?, Ranges::all())),
        Expr::IsNull(expr) => Some((column(expr)?, Ranges::none())),
        _ => None,
    }
}

/// Numbers that compare so with another.
fn compared(op: Operator, n: i128) -> Option<Ranges> {
    Some(match op {
        Operator::Eq => Ranges::listed([n]),
        Operator::NotEq => Ranges::listed([n]).not(),
        Operator::Lt => Ranges::below(n),
        Operator::LtEq => Ranges::below(n + 1),
        Operator::Gt => Ranges::from(n + 1),
        Operator::GtEq => Ranges::from(n),
        _ => return None,
    })
}

/// A literal that is a whole number; null is none.
fn whole(expr: &Expr) -> Option<i128> {
    let Expr::Literal(value, _) = expr else { return None };
    match *value {
        ScalarValue::Int8(n) => n.map(Into::into),
        ScalarValue::Int16(n) => n.map(Into::into),
        ScalarValue::Int32(n) => n.map(Into::into),
        ScalarValue::Int64(n) => n.map(Into::into),
        ScalarValue::UInt8(n) => n.map(Into::into),
        ScalarValue::UInt16(n) => n.map(Into::into),
        ScalarValue::UInt32(n) => n.map(Into::into),
        ScalarValue::UInt64(n) => n.map(Into::into),
        _ => None,
    }
}
