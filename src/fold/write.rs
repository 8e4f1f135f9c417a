//! Images into files, some lines at a time.

use std::ops::Range;
use std::path::Path;

use super::target::{Kind, Picture, Target};
use super::{Fold, Recipe, Slab, memory};
use crate::{DType, Result};

/// Lines of about so many bytes are finished at once.
const STEP_BYTES: u64 = 1 << 20;

impl Fold {
    /// Writes the image so far to a file: `.npy`, `.tif`, `.png` or `.zarr` (a folder). It appears when it is whole.
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

    /// What the file will be.
    pub(super) fn picture(&self, recipe: &Recipe) -> Picture {
        Picture {
            dtype: recipe.out,
            shape: recipe.place.shape(),
            lead: recipe.place.lead(),
            axes: recipe.place.axes.iter().map(|axis| axis.name.clone()).collect(),
            #[cfg(feature = "tiff")]
            geo: self.geo_of(recipe),
        }
    }
}

/// Writes lines of a slab, counted from `first` in the file.
pub(super) fn write_lines(
    recipe: &Recipe,
    slab: &Slab,
    lines: Range<u64>,
    first: u64,
    target: &mut dyn Target,
) -> Result<()> {
    let (step, bytes) = (target.step(), recipe.line_bytes());
    let step = step * (STEP_BYTES / (step * bytes).max(1)).max(1);
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
