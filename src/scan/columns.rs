//! Which columns a table has, and which of them are asked for.

use std::collections::{HashMap, HashSet};

use crate::encode::{Column, Coords, Labels, Layout, Wrap, columns};
use crate::{DType, Error, Grid, Result};

/// Columns that a table may have: engines slow down long before.
const MOST_COLUMNS: u64 = 1 << 16;

/// Refuses what a layout has no way to hold.
pub(super) fn check_layout(grid: &Grid, layout: Layout) -> Result<()> {
    if layout != Layout::Columns {
        return Ok(());
    }
    if let Some(axis) = grid.sliding().find(|axis| axis.shifted) {
        let message = format!("a shifted window is no slice (axis {}): pad, or use layout tensor", axis.name);
        return Err(Error::argument("layout", message));
    }
    let cells = grid.patch_shape().iter().try_fold(1u64, |n, &len| n.checked_mul(len));
    if cells.is_none_or(|cells| cells > MOST_COLUMNS) {
        let shape = crate::window::by(&grid.patch_shape());
        let got = format!("{shape} pixels a window, a column each (layout tensor has one for all)");
        return Err(Error::too_large("the number of columns", got, MOST_COLUMNS));
    }
    Ok(())
}

/// The columns asked for, in their order, of all that the table can have; `None` asks for all, but for coordinates on the
/// map, which `coords` asks for.
pub(super) fn resolve(all: &[(String, Column)], asked: Option<&[String]>, coords: Coords) -> Result<Vec<Column>> {
    let mut known = HashMap::with_capacity(all.len());
    for (name, column) in all {
        if known.insert(name.as_str(), *column).is_some() {
            return Err(Error::argument("axes", format!("two columns would be named {name:?}: rename that axis")));
        }
    }
    let Some(asked) = asked else {
        let wanted = |column: &Column| coords == Coords::Map || !matches!(column, Column::Map(_));
        return Ok(all.iter().map(|(_, column)| *column).filter(wanted).collect());
    };
    let refuse = |message: String| Err(Error::argument("columns", message));
    if coords == Coords::Map {
        let message = "map adds columns to those that a table has without being asked: name them among the columns";
        return Err(Error::argument("coords", message));
    }
    if asked.is_empty() {
        return refuse(format!("none asked for: expected some of {}", list(all)));
    }
    let mut chosen = Vec::with_capacity(asked.len());
    for name in asked {
        match known.get(name.as_str()) {
            Some(column) => chosen.push(*column),
            // All pixels, by the name that they have in the other layouts.
            None if name == "patch" => {
                chosen.extend(all.iter().map(|(_, column)| *column).filter(|c| matches!(c, Column::Pixel(_))));
            }
            None if ["easting", "northing", "longitude", "latitude"].contains(&&**name)
                && !all.iter().any(|(_, column)| matches!(column, Column::Map(_))) =>
            {
                return refuse(format!("no column {name:?}: the image does not say where on the map it lies"));
            }
            None => return refuse(format!("no column {name:?}: the table has {}", list(all))),
        }
    }
    let mut seen = HashSet::with_capacity(chosen.len());
    if let Some(twice) = chosen.iter().find(|column| !seen.insert(**column)) {
        let name = all.iter().find(|(_, column)| column == twice).map_or("", |(name, _)| name);
        return refuse(format!("{name:?} is asked for twice"));
    }
    Ok(chosen)
}

/// Every column that the table can have; `map` are the names of coordinates on the map.
pub(super) fn all(
    grid: &Grid,
    layout: Layout,
    wrap: Wrap,
    map: Option<[&str; 2]>,
    nodata: bool,
    labels: bool,
) -> Vec<(String, Column)> {
    let mut all = vec![("window".to_owned(), Column::Window)];
    all.extend(grid.sliding().enumerate().map(|(i, axis)| (axis.name.clone(), Column::Start(i))));
    all.extend(map.into_iter().flatten().enumerate().map(|(i, name)| (name.to_owned(), Column::Map(i))));
    if layout != Layout::Columns {
        if labels {
            all.push(("label".to_owned(), Column::Label));
        }
        if nodata {
            all.push(("valid".to_owned(), Column::Share));
        }
        all.push(("patch".to_owned(), Column::Patch));
        return all;
    }
    if wrap == Wrap::Column {
        all.push(("valid".to_owned(), Column::Valid));
    }
    let shape = grid.patch_shape();
    let pixels = 0..shape.iter().product::<u64>() as usize;
    all.extend(pixels.map(|pixel| (columns::name(&shape, pixel), Column::Pixel(pixel))));
    all
}

/// The names, for an error; of very many the first ones.
fn list(all: &[(String, Column)]) -> String {
    let (shown, more) = if all.len() > 12 { (&all[..8], ", …, ") } else { (all, "") };
    let names: Vec<_> = shown.iter().map(|(name, _)| name.as_str()).collect();
    let last = if more.is_empty() { "" } else { &all[all.len() - 1].0 };
    format!("{}{more}{last}", names.join(", "))
}

/// Bytes of one row of these columns.
pub(crate) fn row_bytes(grid: &Grid, columns: &[Column], dtype: DType, labels: Option<&Labels>) -> u64 {
    let patch = grid.patch_shape().iter().product::<u64>() * dtype.size() as u64;
    let bytes = |column: &Column| match column {
        Column::Window | Column::Start(_) | Column::Map(_) | Column::Share => 8,
        Column::Label => labels.map_or(0, Labels::bytes),
        Column::Patch => patch,
        Column::Pixel(_) => dtype.size() as u64,
        Column::Valid => 1,
    };
    columns.iter().map(bytes).sum()
}
