//! The flat image that columns are slices of: the base itself, or one rearranged copy of it.

use std::ops::Range;

use arrow_buffer::{BooleanBuffer, Buffer};

use crate::encode::Encoder;
use crate::encode::tables::{FILL, Lookup, copy_box};
use crate::source::Band;
use crate::{BufferPool, DType, Grid, GridAxis, Result};

/// Pixels in an order in which every pixel of the window, over all windows, is one contiguous slice.
pub(super) struct Planes {
    /// The pixels; for bools, a bit each.
    pub(super) buffer: Buffer,
    /// Pixels from a window to its neighbour on each sliding axis.
    pub(super) strides: Vec<usize>,
    /// Where the first pixel of the first window lies.
    first: isize,
    /// For every axis of the array, how far each pixel of a window is from the first.
    offsets: Vec<Vec<isize>>,
}

impl Planes {
    /// The planes for `windows`, whose pixels are in `band`.
    pub(super) fn new(encoder: &Encoder, band: &Band, windows: &Range<u64>, pool: &BufferPool) -> Result<Self> {
        if encoder.conversion.is_none()
            && let Some(strides) = slices(&encoder.grid, encoder.dtype, band.view.strides())
        {
            return Ok(Self::base(&encoder.grid, band, windows, strides));
        }
        Self::rearranged(encoder, band, windows, pool)
    }

    /// Where the column of a pixel of the window starts.
    pub(super) fn start(&self, pixel: &[usize]) -> usize {
        let offset: isize = self.offsets.iter().zip(pixel).map(|(offsets, &i)| offsets[i]).sum();
        (self.first + offset) as usize
    }

    /// The base itself.
    fn base(grid: &Grid, band: &Band, windows: &Range<u64>, strides: Vec<usize>) -> Self {
        let view = &band.view;
        let index = grid.index(windows.start);
        let starts = grid.sliding_axes().iter().zip(&index).map(|(&number, &i)| {
            let origin = band.region.0[number].start as i64;
            (grid.axes()[number].start(i) - origin) as isize * view.strides()[number]
        });
        let first = view.offset() as isize + starts.sum::<isize>();
        let offset = |(axis, &stride): (&GridAxis, &isize)| {
            (0..axis.window as isize).map(|i| i * axis.dilation as isize * stride).collect()
        };
        let offsets = grid.axes().iter().zip(view.strides()).map(offset).collect();
        Self { buffer: view.buffer().clone(), strides, first, offsets }
    }

    /// One copy of the image in which windows that are a step apart are neighbours: a plane for each remainder that
    /// the pixels of a window leave, divided by the step (its *phase*), and for each pixel of the axes taken whole.
    fn rearranged(encoder: &Encoder, band: &Band, windows: &Range<u64>, pool: &BufferPool) -> Result<Self> {
        let grid = &encoder.grid;
        let size = encoder.dtype.size();
        let axes: Vec<_> =
            (0..grid.axes().len()).map(|number| PlaneAxis::new(encoder, band, number, windows)).collect();
        // Phases and whole axes outside, windows inside: each plane is flat.
        let plane: usize = axes.iter().map(|axis| axis.len).product();
        let planes: usize = axes.iter().map(|axis| axis.tables.len()).product();
        let mut memory = pool.take(plane * planes * size)?;
        let first = (band.view.offset() * size) as isize;
        let mut phase = vec![0; axes.len()];
        for out in memory.chunks_exact_mut(plane * size) {
            let tables = axes.iter().zip(&phase).map(|(axis, &phase)| &axis.tables[phase]);
            let lookups: Vec<_> =
                tables.map(|table| Lookup { len: table.len(), at: Box::new(move |i| table[i]) }).collect();
            copy_box(band.view.buffer(), first, &lookups, &encoder.fill[..size], out);
            for (i, axis) in phase.iter_mut().zip(&axes).rev() {
                *i += 1;
                if *i < axis.tables.len() {
                    break;
                }
                *i = 0;
            }
        }
        let (mut strides, mut offsets) = (Vec::new(), Vec::new());
        let (mut inside, mut outside) = (1, plane);
        let mut steps = vec![(0, 0); axes.len()];
        for (axis, step) in axes.iter().zip(&mut steps).rev() {
            *step = (inside, outside);
            inside *= axis.len;
            outside *= axis.tables.len();
        }
        for ((axis, plane_axis), (inside, outside)) in grid.axes().iter().zip(&axes).zip(steps) {
            if axis.sliding {
                strides.push(inside);
            }
            let place = plane_axis.places.iter().map(|&(phase, shift)| (phase * outside + shift * inside) as isize);
            offsets.push(place.collect());
        }
        let buffer = finish(encoder, memory.freeze(), plane * planes, pool)?;
        let index = grid.index(windows.start);
        let first = index.iter().zip(grid.sliding_axes()).zip(&strides);
        let first = first.map(|((&i, &number), &stride)| (i - axes[number].windows.start) as isize * stride as isize);
        let first = first.sum();
        Ok(Self { buffer, first, strides, offsets })
    }
}

/// One axis of the rearranged image.
struct PlaneAxis {
    /// Windows that the planes serve.
    windows: Range<u64>,
    /// Pixels of a plane on this axis.
    len: usize,
    /// For each phase, where the pixels of its plane lie in the band.
    tables: Vec<Vec<isize>>,
    /// For each pixel of a window its phase, by number, and its place in the plane.
    places: Vec<(usize, usize)>,
}

impl PlaneAxis {
    fn new(encoder: &Encoder, band: &Band, number: usize, windows: &Range<u64>) -> Self {
        let axis = &encoder.grid.axes()[number];
        let stride = band.view.strides()[number] * encoder.dtype.size() as isize;
        if !axis.sliding {
            // Every pixel of the axis is a plane of its own.
            let tables = (0..axis.len as isize).map(|i| vec![i * stride]).collect();
            let places = (0..axis.len as usize).map(|i| (i, 0)).collect();
            return Self { windows: 0..1, len: 1, tables, places };
        }
        let sliding = encoder.grid.sliding_axes().iter().position(|&axis| axis == number).unwrap_or(0);
        let windows = encoder.grid.spans(windows.clone())[sliding].clone();
        let far = (axis.extent - 1) / axis.step;
        let len = (windows.end - windows.start + far) as usize;
        let distance = |i: u64| i * axis.dilation;
        let mut phases: Vec<u64> = (0..axis.window).map(|i| distance(i) % axis.step).collect();
        phases.sort_unstable();
        phases.dedup();
        let have = &band.region.0[number];
        let start = axis.start(windows.start);
        let pixel = |phase: u64, i: usize| {
            let position = start + (i as u64 * axis.step + phase) as i64;
            match encoder.grid.pad_mode().source(position, axis.len) {
                // No window touches what is not in the band: it is the rest behind the last window.
                Some(pixel) if have.contains(&pixel) => (pixel - have.start) as isize * stride,
                _ => FILL,
            }
        };
        let tables = phases.iter().map(|&phase| (0..len).map(|i| pixel(phase, i)).collect()).collect();
        let place = |i| {
            let phase = phases.iter().position(|&phase| phase == distance(i) % axis.step);
            (phase.unwrap_or(0), (distance(i) / axis.step) as usize)
        };
        let places = (0..axis.window).map(place).collect();
        Self { windows, len, tables, places }
    }
}

/// Converts the rearranged pixels, and packs bools to bits.
fn finish(encoder: &Encoder, pixels: Buffer, count: usize, pool: &BufferPool) -> Result<Buffer> {
    if let Some(conversion) = &encoder.conversion {
        let mut converted = pool.take(count * conversion.to().size())?;
        conversion.apply(&pixels, &mut converted);
        return Ok(converted.freeze());
    }
    if encoder.dtype == DType::Bool {
        return Ok(BooleanBuffer::collect_bool(count, |i| pixels[i] != 0).into_inner());
    }
    Ok(pixels)
}

/// If columns can be slices of an array with these strides: how far neighbouring windows are from each other on each
/// sliding axis.
///
/// 1. Neighbouring windows on the last axis are neighbouring pixels: step 1 and stride 1.
/// 2. On each axis before, they are a whole number of lines of the next axis apart, and lines don't overlap.
/// 3. There is no padding, and a pixel takes whole bytes in Arrow.
pub(crate) fn slices(grid: &Grid, dtype: DType, array: &[isize]) -> Option<Vec<usize>> {
    if dtype == DType::Bool || grid.sliding().any(|axis| axis.step != 1 || axis.interior() != (0..axis.count)) {
        return None;
    }
    let mut strides = vec![0; grid.sliding_axes().len()];
    let mut inner: Option<(usize, usize)> = None; // stride and windows of the axis behind
    for (slot, &number) in strides.iter_mut().zip(grid.sliding_axes()).rev() {
        let stride = usize::try_from(array[number]).ok()?;
        let fits = match inner {
            None => stride == 1,
            Some((line, count)) => stride.is_multiple_of(line) && stride >= line * count,
        };
        if !fits {
            return None;
        }
        *slot = stride;
        inner = Some((stride, grid.axes()[number].count as usize));
    }
    Some(strides)
}
