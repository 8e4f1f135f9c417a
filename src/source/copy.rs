//! Boxes of one dense array into those of another.

/// A part of dense memory: where it starts, and how far its neighbours are on each axis, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) strides: Vec<usize>,
}

impl Place {
    /// The strides of a dense C array.
    pub(super) fn dense(shape: &[usize], size: usize) -> Self {
        let mut strides = vec![size; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Self { start: 0, strides }
    }

    /// The same by the numbers of its axes, which lie in memory in this order.
    #[cfg(feature = "zarr")]
    pub(super) fn by(&self, order: &[usize]) -> Self {
        let mut strides = vec![0; order.len()];
        for (&axis, &stride) in order.iter().zip(&self.strides) {
            strides[axis] = stride;
        }
        Self { start: self.start, strides }
    }

    /// The box that starts there.
    pub(super) fn at(&self, first: impl IntoIterator<Item = usize>) -> Self {
        Self { start: self.of(first), strides: self.strides.clone() }
    }

    /// Where a cell starts.
    fn of(&self, index: impl IntoIterator<Item = usize>) -> usize {
        self.start + index.into_iter().zip(&self.strides).map(|(n, stride)| n * stride).sum::<usize>()
    }
}

/// Copies a box of `shape`, cells of `size` bytes. Runs of cells are copied at once.
pub(super) fn copy(from: &[u8], source: &Place, to: &mut [u8], target: &Place, shape: &[usize], size: usize) {
    let Some((&count, outer)) = shape.split_last() else { return };
    let (step_from, step_to) = (source.strides[outer.len()], target.strides[outer.len()]);
    runs(outer, &mut |index| {
        let mut at = source.of(index.iter().copied());
        let mut out = target.of(index.iter().copied());
        if step_from == size && step_to == size {
            to[out..out + count * size].copy_from_slice(&from[at..at + count * size]);
            return;
        }
        for _ in 0..count {
            to[out..out + size].copy_from_slice(&from[at..at + size]);
            (at, out) = (at + step_from, out + step_to);
        }
    });
}

/// Fills a box of `shape` with one cell.
#[cfg(feature = "zarr")]
pub(super) fn fill(cell: &[u8], to: &mut [u8], target: &Place, shape: &[usize]) {
    let Some((&count, outer)) = shape.split_last() else { return };
    let step = target.strides[outer.len()];
    let zero = cell.iter().all(|&byte| byte == 0);
    runs(outer, &mut |index| {
        let out = target.of(index.iter().copied());
        if zero && step == cell.len() {
            to[out..out + count * step].fill(0);
            return;
        }
        for i in 0..count {
            let out = out + i * step;
            to[out..out + cell.len()].copy_from_slice(cell);
        }
    });
}

/// Calls back for every index of the outer axes, in C order.
fn runs(shape: &[usize], each: &mut impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        each(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&axis| index[axis] + 1 < shape[axis]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_box_and_a_filled_one() {
        let from: Vec<u8> = (0..12).collect();
        // Four rows of three, read by columns.
        let source = Place { start: 0, strides: vec![1, 3] }.at([1, 1]);
        let mut to = vec![99; 12];
        let target = Place::dense(&[3, 4], 1);
        copy(&from, &source, &mut to, &target.at([0, 1]), &[2, 3], 1);
        assert_eq!(to, [99, 4, 7, 10, 99, 5, 8, 11, 99, 99, 99, 99]);
    }

    #[cfg(feature = "zarr")]
    #[test]
    fn a_box_is_filled() {
        let mut to = vec![99; 12];
        fill(&[7], &mut to, &Place::dense(&[3, 4], 1).at([2, 0]), &[1, 2]);
        assert_eq!(to, [99, 99, 99, 99, 99, 99, 99, 99, 7, 7, 99, 99]);
    }
}
