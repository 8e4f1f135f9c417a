//! What a scan holds in memory, and what it copies: arithmetic on the plan.

use bytesize::ByteSize;

use super::Plan;
use crate::encode::{Column, Layout, columns, converted_rows};
use crate::groups::PIECE_BYTES;
use crate::source::{Source, band_bytes, pass_bytes, tiles_bytes};
use crate::view::c_strides;
use crate::{Edge, Grid, PadMode};

/// What the program itself takes: code, libraries, threads. Measured by `windrow stream` of a tiny image; object stores
/// bring much code of others, and a query engine far more.
pub(crate) const PROGRAM_BYTES: u64 = if cfg!(feature = "datafusion") {
    42 << 20
} else if cfg!(feature = "cloud") {
    14 << 20
} else {
    9 << 20
};

/// The memory of a scan while it is read.
pub(super) struct Cost {
    /// The most bytes of one band.
    pub(super) band_bytes: u64,
    /// The most bytes of all.
    pub(super) peak_bytes: u64,
    /// What is copied, in words.
    pub(super) copies: String,
}

impl Cost {
    pub(super) fn new(plan: &Plan, batch_bytes: u64) -> Self {
        let rows = plan.rows.end - plan.rows.start;
        let pixels = plan.encoder.needs_pixels() && rows > 0;
        let lines = lines(plan);
        let (band_bytes, pass_bytes) = if pixels { bands(plan, lines) } else { (0, 0) };
        let (batch_bytes, copies) = match plan.encoder.layout {
            _ if !pixels => (batch_bytes, "nothing: no pixel is asked for".to_owned()),
            Layout::Columns => columns_batch(plan, lines),
            _ => (batch_bytes, dense_copies(plan)),
        };
        let flying = (plan.flying() as u64 + 1).min(rows.div_ceil(plan.batch_rows));
        // Ids of rows that are no neighbours are listed, and sorted by the tiles that they touch; what was read in the order
        // of the file is brought into theirs.
        let listed = match &plan.selection {
            all if all.is_all() => 0,
            some if some.is_sorted() && plan.is_resident() => plan.batch_rows.saturating_mul(8),
            _ => plan.batch_rows.saturating_mul(64),
        };
        let again = match &plan.selection {
            all if all.is_all() || plan.is_resident() => 0,
            _ if has_tiles(&*plan.source) || plan.selection.is_sorted() => batch_bytes.min(PIECE_BYTES as u64),
            _ => batch_bytes,
        };
        let batch_bytes =
            batch_bytes.saturating_add(conversion_bytes(plan)).saturating_add(listed).saturating_add(again);
        let peak_bytes = pass_bytes
            .saturating_add(label_bytes(plan, lines))
            .saturating_add(plan.selection.bytes())
            .saturating_add(flying.saturating_mul(batch_bytes))
            .saturating_add(PROGRAM_BYTES);
        Self { band_bytes, peak_bytes, copies }
    }
}

/// The most places on the first sliding axis that a batch touches.
fn lines(plan: &Plan) -> u64 {
    let grid = &plan.encoder.grid;
    if !plan.selection.is_all() {
        // A file is read window by window.
        return 1;
    }
    let line = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>().max(1);
    (plan.batch_rows - 1).div_ceil(line).saturating_add(1).min(grid.axes()[grid.sliding_axes()[0]].count)
}

/// The most bytes of a band, and of all that a pass holds: the batch that reaches furthest decides.
fn bands(plan: &Plan, lines: u64) -> (u64, u64) {
    let grid = &plan.encoder.grid;
    let number = grid.sliding_axes()[0];
    let axis = &grid.axes()[number];
    let full = grid.region(plan.hull());
    let inside = lines.saturating_sub(1).saturating_mul(axis.step).saturating_add(axis.extent);
    let reach = if plan.selection.is_all() { inside.max(border_reach(plan, number)) } else { inside };
    let line = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>().max(1);
    let advance = if reach > inside { reach } else { (plan.batch_rows.div_ceil(line)).saturating_mul(axis.step) };
    let info = plan.source.info();
    // An image file that is decoded whole is in memory whole, whatever rows are asked for.
    let decoded = if info.resident && plan.source.view().is_none() { info.bytes() } else { 0 };
    let shared = plan.encoder.layout == Layout::Columns;
    let band = band_bytes(info, &full, number, reach);
    let pass = pass_bytes(&*plan.source, &full, number, (reach, advance), plan.flying() as u64, shared);
    let (band, pass) = anywhere(plan, &*plan.source, grid, (band, pass));
    (band.max(decoded), pass.max(decoded).saturating_add(info.working_bytes))
}

/// The same where windows are read in no order: by bands, or by tiles.
fn anywhere(plan: &Plan, source: &dyn Source, grid: &Grid, (band, pass): (u64, u64)) -> (u64, u64) {
    let info = source.info();
    if plan.selection.is_all() || info.resident {
        return (band, pass);
    }
    let extent =
        |axis: &crate::GridAxis| if axis.sliding && !wraps(plan) { axis.extent.min(axis.len) } else { axis.len };
    let extents: Vec<_> = grid.axes().iter().map(extent).collect();
    // What is small enough is read as a whole, whatever it is.
    let whole = info.bytes();
    let tiles = tiles_bytes(info, &extents, plan.cache_bytes);
    let tiles = if whole <= plan.cache_bytes { tiles.max(whole) } else { tiles };
    if plan.selection.is_sorted() || !has_tiles(source) { (band.max(tiles), pass.max(tiles)) } else { (tiles, tiles) }
}

/// Whether pixels of a source are decoded many at a time.
fn has_tiles(source: &dyn Source) -> bool {
    source.info().chunk.iter().any(|&n| n > 1)
}

/// The most bytes of labels that a pass holds.
fn label_bytes(plan: &Plan, lines: u64) -> u64 {
    let Some(labels) = plan.encoder.needed_labels() else { return 0 };
    let (info, axis) = (labels.source.info(), &labels.grid.axes()[0]);
    let full = labels.grid.region(plan.hull());
    let reach = lines.saturating_sub(1).saturating_mul(axis.step).saturating_add(axis.extent);
    let decoded = if info.resident && labels.source.view().is_none() { info.bytes() } else { 0 };
    let advance = lines.saturating_mul(axis.step);
    let pass = pass_bytes(&*labels.source, &full, 0, (reach, advance), plan.flying() as u64, false);
    let (_, pass) = anywhere(plan, &*labels.source, &labels.grid, (0, pass));
    pass.max(decoded).saturating_add(info.working_bytes)
}

/// The most pixels along the first sliding axis that a batch at either end needs: padding may mirror or wrap, and so
/// ask for pixels far from each other. Padding is widest at the ends, so their first batches show it.
fn border_reach(plan: &Plan, number: usize) -> u64 {
    const LOOKED_AT: u64 = 32;
    let (grid, rows, batch) = (&plan.encoder.grid, &plan.rows, plan.batch_rows);
    let batches = (rows.end - rows.start).div_ceil(batch);
    let ends = (0..batches.min(LOOKED_AT)).chain(batches.saturating_sub(LOOKED_AT)..batches);
    let reach = |i: u64| {
        let start = rows.start + i * batch;
        let need = grid.region(start..(start + batch).min(rows.end)).0[number].clone();
        need.end - need.start
    };
    ends.map(reach).max().unwrap_or(0)
}

/// Whether a window may want both ends of the image at once.
fn wraps(plan: &Plan) -> bool {
    plan.spec.edge == Edge::Pad && plan.spec.pad_mode == PadMode::Wrap
}

/// What a batch takes beside itself while it is converted: the pixels it is gathered from, or a piece of it, as they were.
fn conversion_bytes(plan: &Plan) -> u64 {
    let encoder = &plan.encoder;
    if encoder.conversion.is_none() || encoder.layout == Layout::Columns || !encoder.needs_pixels() {
        return 0;
    }
    if encoder.nodata.is_some() {
        return plan.batch_rows.saturating_mul(encoder.gathered_bytes() as u64);
    }
    if !plan.selection.is_all() {
        return (encoder.cells() * encoder.dtype.size()).max(16 << 10) as u64;
    }
    let rows = plan.rows.start..plan.rows.end.min(plan.rows.start + plan.batch_rows);
    let window = encoder.grid.patch_shape().iter().product::<u64>() * encoder.dtype.size() as u64;
    converted_rows(&encoder.grid, rows, encoder.dtype, encoder.out_dtype())
        .map_or_else(|| window.max(16 << 10), |(_, bytes)| bytes)
}

fn dense_copies(plan: &Plan) -> String {
    let info = plan.source.info();
    let grid = &plan.encoder.grid;
    let name = &grid.axes()[grid.sliding_axes()[0]].name;
    if info.resident {
        "every row into its batch; the source is in memory whole".to_owned()
    } else if !plan.selection.is_all() && !plan.selection.is_sorted() {
        let (cache, all) = (ByteSize(plan.cache_bytes), ByteSize(info.bytes()));
        if info.bytes() <= plan.cache_bytes {
            format!("every row into its batch; rows are in another order: the source is kept once it is read ({all})")
        } else if has_tiles(&*plan.source) {
            format!(
                "every row into its batch; rows are in another order: of the tiles of the source ({all}) {cache} are kept, \
                 and others are decoded again"
            )
        } else {
            "every row into its batch; rows are in another order, and each is read where it lies".to_owned()
        }
    } else if wraps(plan) {
        format!("every row into its batch; wrapping takes both ends of axis {name} at once")
    } else if !plan.selection.is_all() && has_tiles(&*plan.source) {
        format!("every row into its batch; the source is read in bands along {name}, or by tile where rows are few")
    } else {
        format!("every row into its batch; the source is read in bands along {name}")
    }
}

/// The bytes of a batch of slices that are not the source's, and what they are.
fn columns_batch(plan: &Plan, lines: u64) -> (u64, String) {
    let encoder = &plan.encoder;
    let (grid, info) = (&encoder.grid, plan.source.info());
    let numbers = encoder
        .columns
        .iter()
        .filter(|column| matches!(column, Column::Window | Column::Start(_) | Column::Map(_)))
        .count();
    let of_lines = |others: &dyn Fn(&crate::GridAxis) -> u64| {
        grid.sliding().skip(1).fold(lines, |n, axis| n.saturating_mul(others(axis)))
    };
    let strides = match plan.source.view() {
        Some(view) => Some(view.strides().to_vec()),
        None => c_strides(&info.shape.iter().map(|&n| n as usize).collect::<Vec<_>>()),
    };
    let slices = strides.and_then(|strides| columns::slices(grid, info.dtype, &strides));
    if encoder.conversion.is_none() && slices.is_some() {
        let numbers = of_lines(&|axis| axis.len).saturating_mul(8 * numbers as u64);
        let decoded = if plan.source.view().is_some() { "the source" } else { "each band, as it is decoded" };
        let text = format!("no pixel: every column is a slice of {decoded}{}", and_numbers(numbers));
        return (numbers, text);
    }
    let far = |axis: &crate::GridAxis| (axis.extent - 1) / axis.step;
    let lead = far(&grid.axes()[grid.sliding_axes()[0]]);
    let positions = of_lines(&|axis| axis.count + far(axis));
    let plane = positions / lines.max(1) * lines.saturating_add(lead);
    let size = encoder.out_dtype().size() + if encoder.conversion.is_some() { info.dtype.size() } else { 0 };
    let image = plane.saturating_mul(planes(grid)).saturating_mul(size as u64);
    let numbers = positions.saturating_mul(8 * numbers as u64);
    let what = if info.resident { "one image" } else { "one image a band" };
    let text =
        format!("{what}, rearranged so that every column is a slice: {}{}", ByteSize(image), and_numbers(numbers));
    (image.saturating_add(numbers), text)
}

/// How many planes a rearranged image has.
fn planes(grid: &Grid) -> u64 {
    let axis_planes = |axis: &crate::GridAxis| if axis.sliding { axis.step.min(axis.window) } else { axis.len };
    grid.axes().iter().fold(1, |n, axis| n.saturating_mul(axis_planes(axis)))
}

fn and_numbers(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!("; window ids and coordinates take {}", ByteSize(bytes)) }
}
