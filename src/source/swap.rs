//! Numbers in the other byte order.

/// Reverses the bytes of every cell of `size` bytes, in place.
pub(crate) fn swap_bytes(bytes: &mut [u8], size: usize) {
    match size {
        2 => swap::<2>(bytes),
        4 => swap::<4>(bytes),
        8 => swap::<8>(bytes),
        _ => {}
    }
}

/// A constant size lets the compiler turn the reversal into one shuffle.
fn swap<const N: usize>(bytes: &mut [u8]) {
    let (cells, _) = bytes.as_chunks_mut::<N>();
    for cell in cells {
        cell.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_reversed_and_bytes_stay() {
        let original: Vec<u8> = (0..16).collect();
        for (size, expected) in [(1, [0, 1, 2]), (2, [1, 0, 3]), (4, [3, 2, 1]), (8, [7, 6, 5])] {
            let mut bytes = original.clone();
            swap_bytes(&mut bytes, size);
            assert_eq!(bytes[..3], expected);
            swap_bytes(&mut bytes, size);
            assert_eq!(bytes, original);
        }
    }
}
