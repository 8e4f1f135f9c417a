//! From files of values to files of images, in as many passes as memory needs.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;

use super::input::{Input, Wanted};
use super::target::{Kind, Target};
use super::values::Column;
use super::write::write_lines;
use super::{Fold, Recipe, Slab};
use crate::{DType, Error, Result};

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    /// The shape of the image.
    pub(crate) shape: Vec<u64>,
    /// The type of its cells.
    pub(crate) dtype: DType,
    /// How often the file was read.
    pub(crate) passes: u64,
    /// Bytes of the image's file.
    pub(crate) bytes: u64,
}

impl Fold {
    /// Folds all rows of a file into an image in another, in passes that take about so many bytes each. `look` is asked
    /// after every piece whether to go on.
    pub(crate) fn convert(
        mut self,
        input: &Input,
        output: &Path,
        bytes: u64,
        look: &dyn Fn() -> Result<()>,
    ) -> Result<Folded> {
        let kind = Kind::of(output)?;
        let (grid, table, column) = (self.grid.clone(), self.table.clone(), self.column.clone());
        let wanted =
            Wanted { column: column.as_deref(), grid: &grid, table: &table, windows: Cell::new((0, u64::MAX)) };
        if input.is_once() {
            return self.flow(input, &wanted, output, bytes, look);
        }
        let mut target = None;
        let (mut start, mut passes) = (0, 0);
        let (shape, dtype) = loop {
            input.read(&wanted, &mut |column| {
                if self.made.is_none() && !column.ids.is_empty() {
                    let recipe = self.recipe_of(&column)?;
                    let made = kind.create(output, self.picture(&recipe))?;
                    let most = first_lines(&recipe, bytes, made.step(), 1);
                    wanted.windows.set(recipe.windows(&most));
                    (target, self.lines) = (Some(made), Some(most));
                }
                look()?;
                self.add_column(column)?;
                Ok(true)
            })?;
            passes += 1;
            let (Some((recipe, slab)), Some(target)) = (self.made.take(), &mut target) else {
                return Err(Error::argument("values", "none came: no row has one"));
            };
            let lines = slab.lines();
            write_lines(&recipe, &slab, lines.clone(), 0, &mut **target)?;
            drop(slab);
            let end = recipe.place.axes[recipe.place.lead()].len;
            let height = lines.end - lines.start;
            start += height;
            if start >= end {
                let (shape, dtype) = (recipe.place.shape(), recipe.out);
                break (shape, dtype);
            }
            let next = start..end.min(start + height);
            wanted.windows.set(recipe.windows(&next));
            let slab = Slab::new(&recipe, next)?;
            self.made = Some((recipe, slab));
        };
        let bytes = target.map_or(Ok(0), |target| target.commit())?;
        Ok(Folded { shape, dtype, passes, bytes })
    }

    /// The same for rows that come a single time: all at once, or, if there is not the memory for that, in the order of
    /// their windows, so that lines are finished and written on the way.
    fn flow(
        &mut self,
        input: &Input,
        wanted: &Wanted<'_>,
        output: &Path,
        bytes: u64,
        look: &dyn Fn() -> Result<()>,
    ) -> Result<Folded> {
        let kind = Kind::of(output)?;
        let mut target = None;
        input.read(wanted, &mut |column| {
            if column.ids.is_empty() {
                return Ok(true);
            }
            if self.made.is_none() {
                let recipe = self.recipe_of(&column)?;
                let made = kind.create(output, self.picture(&recipe))?;
                let extent = recipe.place.axes[recipe.place.lead()].extent();
                self.lines = Some(first_lines(&recipe, bytes, made.step(), extent.saturating_add(made.step())));
                target = Some(made);
                // Checks the values, and makes room for them.
                self.prepare(column.dtype, column.shape.as_deref(), recipe.place.cells as u64)?;
            }
            look()?;
            if let Some(target) = &mut target {
                self.flow_column(column, &mut **target)?;
            }
            Ok(true)
        })?;
        let (Some((recipe, mut slab)), Some(mut target)) = (self.made.take(), target) else {
            return Err(Error::argument("values", "none came: no row has one"));
        };
        let end = recipe.place.axes[recipe.place.lead()].len;
        while slab.lines().start < end {
            let lines = slab.lines();
            let piece = lines.start..lines.end.min(end);
            write_lines(&recipe, &slab, piece.clone(), 0, &mut *target)?;
            slab.advance(&recipe, piece.end)?;
        }
        let bytes = target.commit()?;
        Ok(Folded { shape: recipe.place.shape(), dtype: recipe.out, passes: 1, bytes })
    }

    /// Adds rows for which lines may have to be finished first.
    fn flow_column(&mut self, column: Column, target: &mut dyn Target) -> Result<()> {
        self.check_ids(&column.ids)?;
        let Some((recipe, slab)) = &mut self.made else { return Ok(()) };
        let (wanted, lines) = (recipe.lines_of(&column.ids), slab.lines());
        if wanted.start < lines.start && !wanted.is_empty() {
            let message = format!(
                "a window reaches back to line {}, but what is before line {} is written: give a file, whose rows may come \
                 in any order, or more --memory",
                wanted.start, lines.start
            );
            return Err(Error::argument("values", message));
        }
        // Whole strips that no window of these reaches back to.
        let done = wanted.start - wanted.start % target.step();
        while wanted.end > slab.lines().end && done > slab.lines().start {
            let lines = slab.lines();
            let piece = lines.start..done.min(lines.end);
            write_lines(recipe, slab, piece.clone(), 0, target)?;
            slab.advance(recipe, piece.end)?;
        }
        // A single window has room behind whatever is not yet a whole strip.
        if wanted.end > slab.lines().end && column.ids.len() > 1 {
            let (first, rest) = column.split();
            self.flow_column(first, target)?;
            return self.flow_column(rest, target);
        }
        self.add_column(column)
    }

    fn recipe_of(&self, column: &Column) -> Result<Recipe> {
        let cells = column.bytes.len() / column.ids.len() / column.dtype.size();
        self.recipe(column.dtype, column.shape.as_deref(), cells as u64)
    }
}

/// The lines of the first pass: as many as there is memory for, in whole strips, and at least so many.
fn first_lines(recipe: &Recipe, bytes: u64, step: u64, least: u64) -> Range<u64> {
    let all = recipe.place.axes[recipe.place.lead()].len;
    let most = recipe.lines_in(bytes).max(least);
    0..if most < all { most.next_multiple_of(step).min(all) } else { all }
}
