//! Rows to columns, a block at a time, so that both sides stay in cache.

/// Pixels of a block's side.
const SIDE: usize = 32;

/// Writes `rows` rows of pixels of `size` bytes column by column.
pub(crate) fn transpose(pixels: &[u8], out: &mut [u8], rows: usize, size: usize) {
    match size {
        1 => fixed::<1>(pixels, out, rows),
        2 => fixed::<2>(pixels, out, rows),
        4 => fixed::<4>(pixels, out, rows),
        8 => fixed::<8>(pixels, out, rows),
        _ => unreachable!("a pixel has 1, 2, 4 or 8 bytes"),
    }
}

fn fixed<const N: usize>(pixels: &[u8], out: &mut [u8], rows: usize) {
    let ((pixels, _), (out, _)) = (pixels.as_chunks::<N>(), out.as_chunks_mut::<N>());
    if rows == 0 {
        return;
    }
    let columns = pixels.len() / rows;
    for first_row in (0..rows).step_by(SIDE) {
        let end_row = (first_row + SIDE).min(rows);
        for first in (0..columns).step_by(SIDE) {
            for column in first..(first + SIDE).min(columns) {
                let target = &mut out[column * rows + first_row..column * rows + end_row];
                for (i, slot) in target.iter_mut().enumerate() {
                    *slot = pixels[(first_row + i) * columns + column];
                }
            }
        }
    }
}
