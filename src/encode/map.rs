//! Where the middles of windows lie on the map: arithmetic on where they start.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::ScalarBuffer;

use super::coords::fill_starts;
use crate::named::named;
use crate::rows::Rows;
use crate::source::Georeference;
use crate::{BufferPool, Grid, Result};

/// Which coordinates a table has, unless its columns are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coords {
    /// Where windows start, in pixels: a column for each axis that the window slides over.
    #[default]
    Pixel,
    /// These, and where the middle of each window lies on the map: `easting` and `northing`, or `longitude` and
    /// `latitude`.
    Map,
}

named! { Coords, "coords": Pixel = "pixel", Map = "map" }

/// Rows whose starts are looked up together: what stays in the first cache.
const STEP: usize = 512;

/// Where windows lie on the map.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    place: Georeference,
    /// The image's axes, y and x.
    axes: [MapAxis; 2],
}

/// An axis of the image under the map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapAxis {
    /// Its number among those that the window slides over; `None` if every window takes all of it.
    pub(crate) sliding: Option<usize>,
    /// From the start of a window to its middle, in pixels.
    pub(crate) middle: f64,
}

impl Map {
    /// For windows of an image that lies at `place`; its axes y and x are those of the map.
    pub(crate) fn new(grid: &Grid, place: Georeference) -> Option<Self> {
        let axis = |name: &str| {
            let number = grid.axes().iter().position(|axis| axis.name == name)?;
            let axis = &grid.axes()[number];
            let sliding = grid.sliding_axes().iter().position(|&sliding| sliding == number);
            Some(MapAxis { sliding, middle: axis.extent as f64 / 2.0 })
        };
        Some(Self { place, axes: [axis("y")?, axis("x")?] })
    }

    /// The axes of the image: y and x.
    #[cfg(feature = "polars")]
    pub(crate) fn axes(&self) -> [MapAxis; 2] {
        self.axes
    }

    /// What a coordinate is of x, of y, and of 1.
    pub(crate) fn terms(&self, coordinate: usize) -> [f64; 3] {
        let [a, b, c, d, e, f] = self.place.transform;
        [[a, b, c], [d, e, f]][coordinate]
    }

    /// A coordinate of each window of `rows`.
    pub(super) fn column(
        &self,
        grid: &Grid,
        coordinate: usize,
        rows: &Rows<'_>,
        pool: &BufferPool,
    ) -> Result<ArrayRef> {
        let [a, b, c] = self.terms(coordinate);
        let mut memory = pool.take(rows.len() * 8)?;
        let cells: &mut [f64] = bytemuck::cast_slice_mut(&mut memory);
        let mut starts = [[0; STEP]; 2];
        for (i, cells) in cells.chunks_mut(STEP).enumerate() {
            let rows = rows.slice(i * STEP..i * STEP + cells.len());
            for (axis, starts) in self.axes.iter().zip(&mut starts) {
                if let Some(sliding) = axis.sliding {
                    fill_starts(grid, sliding, &rows, &mut starts[..cells.len()]);
                }
            }
            let [ys, xs] = &starts;
            for ((cell, y), x) in cells.iter_mut().zip(ys).zip(xs) {
                *cell = a * (*x as f64 + self.axes[1].middle) + b * (*y as f64 + self.axes[0].middle) + c;
            }
        }
        Ok(Arc::new(Float64Array::new(ScalarBuffer::from(memory.freeze()), None)))
    }

    /// A coordinate of one window.
    pub(super) fn at(&self, grid: &Grid, coordinate: usize, id: u64) -> f64 {
        let starts = grid.starts(id);
        let middle = |axis: MapAxis| axis.sliding.map_or(0, |sliding| starts[sliding]) as f64 + axis.middle;
        let [a, b, c] = self.terms(coordinate);
        a * middle(self.axes[1]) + b * middle(self.axes[0]) + c
    }
}
