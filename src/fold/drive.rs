//! From files of values to files of images, in as many passes as memory needs.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;

use super::input::{Input, Wanted};
use super::target::{Kind, Picture, Target};
use super::{Fold, Recipe, Slab, memory};
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
    /// Writes the image so far to a file: `.npy`, `.tif` or `.png`. It appears when it is whole.
    ///
    /// TIFF and PNG hold images of two axes, or of three with channels last; PNG those of `uint8` and `uint16`.
    ///
    /// # Memory
    /// A few lines of the image, and for PNG all of it.
    ///
    /// # Errors
    /// As [`image`](Self::image), or if the format does not hold such an image, or the file can't be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<u64> {
        let (recipe, slab) = self.made()?;
        let path = path.as_ref();
        let mut picture = self.picture(recipe);
        picture.shape = self.image_type()?.1;
        let mut target = Kind::of(path)?.create(path, picture)?;
        let lines = slab.lines();
        write_lines(recipe, slab, lines.clone(), lines.start, &mut *target)?;
        target.commit()
    }

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
        let mut target = None;
        let (mut start, mut passes) = (0, 0);
        let (shape, dtype) = loop {
            input.read(&wanted, &mut |column| {
                if self.made.is_none() && !column.ids.is_empty() {
                    let cells = column.bytes.len() / column.ids.len() / column.dtype.size();
                    let recipe = self.recipe(column.dtype, column.shape.as_deref(), cells as u64)?;
                    let made = kind.create(output, self.picture(&recipe))?;
                    let most = self.first_lines(&recipe, bytes, made.step(), input.is_once())?;
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

    /// The lines of the first pass: as many as there is memory for, in whole strips.
    fn first_lines(&self, recipe: &Recipe, bytes: u64, step: u64, once: bool) -> Result<Range<u64>> {
        let all = recipe.place.axes[recipe.place.lead()].len;
        let most = recipe.lines_in(bytes);
        if most < all && once {
            let needs = format!("{} bytes", recipe.bytes(all));
            let limit = format!("{bytes} bytes of --memory; a file can be read several times");
            return Err(Error::too_large("the image for one pass over a pipe", needs, limit));
        }
        Ok(0..if most < all { (most - most % step).max(step).min(all) } else { all })
    }

    fn picture(&self, recipe: &Recipe) -> Picture {
        Picture {
            dtype: recipe.out,
            shape: recipe.place.shape(),
            lead: recipe.place.lead(),
            #[cfg(feature = "tiff")]
            geo: self.geo_of(recipe),
        }
    }
}

/// Writes lines of a slab, counted from `first` in the file.
fn write_lines(recipe: &Recipe, slab: &Slab, lines: Range<u64>, first: u64, target: &mut dyn Target) -> Result<()> {
    let step = target.step();
    let bytes = recipe.line_bytes();
    let mut start = lines.start;
    let rows = step.min(lines.end - lines.start) * bytes;
    let mut buffer = memory(&[usize::try_from(rows).unwrap_or(usize::MAX)], DType::U8)?;
    while start < lines.end {
        let piece = start..lines.end.min(start + step);
        let out = &mut buffer[..((piece.end - piece.start) * bytes) as usize];
        slab.finish(recipe, piece.clone(), out)?;
        target.write(piece.start - first..piece.end - first, out)?;
        start = piece.end;
    }
    Ok(())
}
