//! Windows that reach into the padding.

use super::gather::Gather;
use super::tables::{FILL, copy_box};

/// Copies the window at `index` (one number a sliding axis) into `out`.
pub(super) fn copy_window(gather: &Gather<'_>, index: &[u64], out: &mut [u8]) {
    let mut index = index.iter();
    let tables: Vec<Vec<isize>> = (0..gather.grid.axes().len())
        .map(|number| {
            let axis = &gather.grid.axes()[number];
            let start = if axis.sliding { index.next().map_or(0, |&i| axis.start(i)) } else { 0 };
            (0..axis.window)
                .map(|i| {
                    let position = start + (i * axis.dilation) as i64;
                    match gather.grid.pad_mode().source(position, axis.len) {
                        Some(pixel) => (pixel as i64 - gather.origin[number]) as isize * gather.strides[number],
                        None => FILL,
                    }
                })
                .collect()
        })
        .collect();
    copy_box(gather.bytes, gather.first, &tables, &gather.fill[..gather.size], out);
}
