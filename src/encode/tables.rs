//! Copies boxes of pixels whose positions are looked up axis by axis: the slow way that takes padding too.

/// Marks a position that holds the padding value.
pub(crate) const FILL: isize = isize::MIN;

/// Positions of the innermost axis that are looked up ahead. More are looked up anew for every line, so that the memory
/// stays bounded however large a window is.
const AHEAD: usize = 4096;

/// Where the positions of a box lie on one axis.
pub(crate) struct Lookup<'a> {
    /// How many positions.
    pub(crate) len: usize,
    /// The distance in bytes of a position from the array's first pixel, or [`FILL`].
    pub(crate) at: Box<dyn Fn(usize) -> isize + 'a>,
}

/// Copies a box in C order into `out`. `fill` is one pixel of padding.
pub(crate) fn copy_box(src: &[u8], first: isize, axes: &[Lookup<'_>], fill: &[u8], out: &mut [u8]) {
    let Some((inner, outer)) = axes.split_last() else { return };
    if out.is_empty() {
        return;
    }
    let mut table: Vec<isize> = (0..inner.len.min(AHEAD)).map(&inner.at).collect();
    let mut place = vec![0; outer.len()];
    for line in out.chunks_exact_mut(inner.len * fill.len()) {
        let base = outer.iter().zip(&place).try_fold(first, |base, (axis, &i)| match (axis.at)(i) {
            FILL => None,
            offset => Some(base + offset),
        });
        for (i, piece) in line.chunks_mut(AHEAD * fill.len()).enumerate() {
            if inner.len > AHEAD {
                table.clear();
                table.extend((i * AHEAD..i * AHEAD + piece.len() / fill.len()).map(&inner.at));
            }
            copy_line(src, base, &table, fill, piece);
        }
        for (i, axis) in place.iter_mut().zip(outer).rev() {
            *i += 1;
            if *i < axis.len {
                break;
            }
            *i = 0;
        }
    }
}

fn copy_line(src: &[u8], base: Option<isize>, table: &[isize], fill: &[u8], out: &mut [u8]) {
    let Some(base) = base else {
        return out.chunks_exact_mut(fill.len()).for_each(|cell| cell.copy_from_slice(fill));
    };
    let together = |pair: &[isize]| pair[1].wrapping_sub(pair[0]) == fill.len() as isize;
    if table[0] != FILL && table.windows(2).all(together) {
        let at = (base + table[0]) as usize;
        return out.copy_from_slice(&src[at..at + out.len()]);
    }
    match fill.len() {
        1 => copy_cells::<1>(src, base, table, fill, out),
        2 => copy_cells::<2>(src, base, table, fill, out),
        4 => copy_cells::<4>(src, base, table, fill, out),
        _ => copy_cells::<8>(src, base, table, fill, out),
    }
}

fn copy_cells<const N: usize>(src: &[u8], base: isize, table: &[isize], fill: &[u8], out: &mut [u8]) {
    for (&offset, cell) in table.iter().zip(out.chunks_exact_mut(N)) {
        if offset == FILL {
            cell.copy_from_slice(fill);
        } else {
            let at = (base + offset) as usize;
            cell.copy_from_slice(&src[at..at + N]);
        }
    }
}
