//! The flat image that columns are slices of: the base itself, or one rearranged copy of it.

use std::ops::Range;

use arrow_buffer::{BooleanBuffer, Buffer};

use crate::encode::Encoder;
use crate::encode::tables::{FILL, Lookup, copy_box};
use crate::source::Band;
use crate::{BufferPool, DType, Grid, GridAxis, PadMode, Result};

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
        let axes = PlaneAxis::all(grid, windows);
        // Phases and whole axes outside, windows inside: each plane is flat.
        let plane: usize = axes.iter().map(|axis| axis.len).product();
        let planes: usize = axes.iter().map(|axis| axis.phases.len()).product();
        let mut memory = pool.take(plane * planes * size)?;
        let lead = 0..axes[grid.sliding_axes()[0]].len;
        let mut phase = vec![0; axes.len()];
        for out in memory.chunks_exact_mut(plane * size) {
            copy_plane(grid, &axes, &phase, lead.clone(), band, &encoder.fill[..size], out);
            next_phase(&axes, &mut phase);
        }
        let (mut strides, mut offsets) = (Vec::new(), Vec::new());
        let (mut inside, mut outside) = (1, plane);
        let mut steps = vec![(0, 0); axes.len()];
        for (axis, step) in axes.iter().zip(&mut steps).rev() {
            *step = (inside, outside);
            inside *= axis.len;
            outside *= axis.phases.len();
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
pub(crate) struct PlaneAxis {
    /// Windows that the planes serve.
    pub(crate) windows: Range<u64>,
    /// Positions of a plane on this axis.
    pub(crate) len: usize,
    /// The phase of each plane: how far its pixels are from the starts of windows. For an axis that is taken whole, every
    /// pixel.
    pub(crate) phases: Vec<u64>,
    /// For each pixel of a window its phase, by number, and its place in the plane.
    pub(crate) places: Vec<(usize, usize)>,
    /// Where the first position lies in the array, and how far it is to the next one.
    start: i64,
    step: u64,
    array: u64,
    mode: PadMode,
}

impl PlaneAxis {
    /// Every axis of the array, for these windows.
    pub(crate) fn all(grid: &Grid, windows: &Range<u64>) -> Vec<Self> {
        let spans = grid.spans(windows.clone());
        let span = |number| grid.sliding_axes().iter().position(|&axis| axis == number).map(|i| spans[i].clone());
        (0..grid.axes().len()).map(|number| Self::new(grid, number, span(number))).collect()
    }

    /// `windows` are those of a sliding axis.
    fn new(grid: &Grid, number: usize, windows: Option<Range<u64>>) -> Self {
        let (axis, mode) = (&grid.axes()[number], grid.pad_mode());
        let Some(windows) = windows else {
            // Every pixel of the axis is a plane of its own.
            let places = (0..axis.len as usize).map(|i| (i, 0)).collect();
            let phases = (0..axis.len).collect();
            return Self { windows: 0..1, len: 1, phases, places, start: 0, step: 1, array: axis.len, mode };
        };
        let far = (axis.extent - 1) / axis.step;
        let len = (windows.end - windows.start + far) as usize;
        let distance = |i: u64| i * axis.dilation;
        let mut phases: Vec<u64> = (0..axis.window).map(|i| distance(i) % axis.step).collect();
        phases.sort_unstable();
        phases.dedup();
        let place = |i| {
            let phase = phases.binary_search(&(distance(i) % axis.step));
            (phase.unwrap_or(0), (distance(i) / axis.step) as usize)
        };
        let places = (0..axis.window).map(place).collect();
        let start = axis.start(windows.start);
        Self { windows, len, phases, places, start, step: axis.step, array: axis.len, mode }
    }

    /// The pixels of the array that stand at some positions, in planes of any phase.
    #[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
    pub(crate) fn touched(&self, positions: Range<usize>) -> Range<u64> {
        let at = |i: usize| self.start + (i as u64 * self.step) as i64;
        let last = self.phases.last().copied().unwrap_or(0) as i64;
        self.mode.hull(at(positions.start), at(positions.end - 1) + last + 1, self.array)
    }

    /// Where the pixels at some positions of a plane lie on this axis of a band that holds the pixels `have`.
    fn table(&self, phase: usize, positions: Range<usize>, have: &Range<u64>, stride: isize) -> Vec<isize> {
        let pixel = |i: usize| {
            let position = self.start + (i as u64 * self.step + self.phases[phase]) as i64;
            match self.mode.source(position, self.array) {
                // No window touches what is not in the band: it is the rest behind the last window.
                Some(pixel) if have.contains(&pixel) => (pixel - have.start) as isize * stride,
                _ => FILL,
            }
        };
        positions.map(pixel).collect()
    }
}

/// The phases of the next plane, the last axis first.
pub(crate) fn next_phase(axes: &[PlaneAxis], phase: &mut [usize]) {
    for (i, axis) in phase.iter_mut().zip(axes).rev() {
        *i += 1;
        if *i < axis.phases.len() {
            break;
        }
        *i = 0;
    }
}

/// Copies a part of the plane with these phases into `out`, densely: the positions `lead` of the first sliding axis, and
/// all of the others.
pub(crate) fn copy_plane(
    grid: &Grid,
    axes: &[PlaneAxis],
    phase: &[usize],
    lead: Range<usize>,
    band: &Band,
    fill: &[u8],
    out: &mut [u8],
) {
    let mut first = (band.view.offset() * fill.len()) as isize;
    let mut lookups = Vec::with_capacity(axes.len());
    for (number, (axis, &phase)) in axes.iter().zip(phase).enumerate() {
        let stride = band.view.strides()[number] * fill.len() as isize;
        if !grid.axes()[number].sliding {
            // One pixel of this axis: the lines run over the axes that are left.
            first += axis.phases[phase] as isize * stride;
            continue;
        }
        let positions = if number == grid.sliding_axes()[0] { lead.clone() } else { 0..axis.len };
        let table = axis.table(phase, positions, &band.region.0[number], stride);
        lookups.push(Lookup { len: table.len(), at: Box::new(move |i| table[i]) });
    }
    copy_box(band.view.buffer(), first, &lookups, fill, out);
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
