//! Windows that reach into the padding.

use super::gather::Gather;
use super::tables::{FILL, Lookup, copy_box};

/// Copies the window at `index` (one number a sliding axis) into `out`.
pub(super) fn copy_window(gather: &Gather<'_>, index: &[u64], out: &mut [u8]) {
    let mut index = index.iter();
    let axes: Vec<Lookup<'_>> = (0..gather.grid.axes().len())
        .map(|number| {
            let axis = &gather.grid.axes()[number];
            let start = if axis.sliding { index.next().map_or(0, |&i| axis.start(i)) } else { 0 };
            let at = move |i: usize| {
                let position = start + (i as u64 * axis.dilation) as i64;
                match gather.grid.pad_mode().source(position, axis.len) {
                    Some(pixel) => (pixel as i64 - gather.origin[number]) as isize * gather.strides[number],
                    None => FILL,
                }
            };
            Lookup { len: axis.window as usize, at: Box::new(at) }
        })
        .collect();
    copy_box(gather.bytes, gather.first, &axes, &gather.fill[..gather.size], out);
}
