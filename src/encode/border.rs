//! Windows that reach into the padding: every pixel by an index table an axis.

use super::gather::Gather;

/// Marks a position that holds the padding value.
const FILL: isize = isize::MIN;

/// Copies the window at `index` (one number a sliding axis) into `out`.
pub(super) fn copy_window(gather: &Gather<'_>, index: &[u64], out: &mut [u8]) {
    let mut sliding = 0;
    let tables: Vec<Vec<isize>> = (0..gather.grid.axes().len())
        .map(|number| {
            let axis = &gather.grid.axes()[number];
            let start = if axis.sliding {
                sliding += 1;
                axis.start(index[sliding - 1])
            } else {
                0
            };
            let stride = gather.strides[number];
            (0..axis.window)
                .map(|i| {
                    let position = start + (i * axis.dilation) as i64;
                    match gather.grid.pad_mode().source(position, axis.len) {
                        Some(pixel) => (pixel as i64 - gather.origin[number]) as isize * stride,
                        None => FILL,
                    }
                })
                .collect()
        })
        .collect();
    let Some((inner, outer)) = tables.split_last() else { return };
    let size = gather.size;
    let mut place = vec![0; outer.len()];
    for line in out.chunks_exact_mut(inner.len() * size) {
        let base = outer.iter().zip(&place).try_fold(gather.first, |base, (table, &i)| match table[i] {
            FILL => None,
            offset => Some(base + offset),
        });
        let fill = &gather.fill[..size];
        match size {
            1 => copy_line::<1>(gather.bytes, base, inner, fill, line),
            2 => copy_line::<2>(gather.bytes, base, inner, fill, line),
            4 => copy_line::<4>(gather.bytes, base, inner, fill, line),
            _ => copy_line::<8>(gather.bytes, base, inner, fill, line),
        }
        for (i, table) in place.iter_mut().zip(outer).rev() {
            *i += 1;
            if *i < table.len() {
                break;
            }
            *i = 0;
        }
    }
}

fn copy_line<const N: usize>(src: &[u8], base: Option<isize>, table: &[isize], fill: &[u8], out: &mut [u8]) {
    for (&offset, cell) in table.iter().zip(out.chunks_exact_mut(N)) {
        match base {
            Some(base) if offset != FILL => {
                let at = (base + offset) as usize;
                cell.copy_from_slice(&src[at..at + N]);
            }
            _ => cell.copy_from_slice(fill),
        }
    }
}
