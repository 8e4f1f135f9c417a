//! Copies pixels by an index table an axis: the slow way that takes any box, padding included.

/// Marks a position that holds the padding value.
pub(super) const FILL: isize = isize::MIN;

/// Copies a box in C order into `out`. `tables` has, for every axis, the distance in bytes of each position from
/// `first`, or [`FILL`]; `fill` is one pixel.
pub(super) fn copy_box(src: &[u8], first: isize, tables: &[Vec<isize>], fill: &[u8], out: &mut [u8]) {
    let Some((inner, outer)) = tables.split_last() else { return };
    if out.is_empty() {
        return;
    }
    let run = contiguous(inner, fill.len());
    let mut place = vec![0; outer.len()];
    for line in out.chunks_exact_mut(inner.len() * fill.len()) {
        let base = outer.iter().zip(&place).try_fold(first, |base, (table, &i)| match table[i] {
            FILL => None,
            offset => Some(base + offset),
        });
        match (base, fill.len()) {
            (Some(base), _) if run => {
                let at = (base + inner[0]) as usize;
                line.copy_from_slice(&src[at..at + line.len()]);
            }
            (_, 1) => copy_line::<1>(src, base, inner, fill, line),
            (_, 2) => copy_line::<2>(src, base, inner, fill, line),
            (_, 4) => copy_line::<4>(src, base, inner, fill, line),
            _ => copy_line::<8>(src, base, inner, fill, line),
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

/// Whether the positions of a table lie side by side.
fn contiguous(table: &[isize], size: usize) -> bool {
    !table.contains(&FILL) && table.windows(2).all(|pair| pair[1] - pair[0] == size as isize)
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
