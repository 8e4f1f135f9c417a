//! Windows in no order: read in that of the image, and put where they belong.
//!
//! Every run of a window lies in another line of the cache, and often in another page; windows in any order have all of
//! them fetched from far away. A batch has so many windows that in the order of the image neighbours share lines and pages.
//! So they are gathered in that order, some at a time into a buffer that stays in the first cache, and from there each goes
//! to its place in the batch, which is in the second.

/// Bytes that are gathered at once.
const TILE_BYTES: usize = 16 << 10;

/// Larger windows share too little.
const LARGEST: usize = 2 << 10;

/// An image of so many bytes is in a cache whatever is read of it.
const CACHED: usize = 512 << 10;

/// The image is at most so many times what the windows take.
const SPREAD: usize = 64;

/// Fewer windows are not worth it.
const FEWEST: usize = 256;

/// The places of these windows, about in the order of their ids; `None` if they are read as fast in their own order. A
/// window is `patch` bytes, and what they are of is `image` bytes.
pub(super) fn reading_order(ids: &[u64], patch: usize, image: usize) -> Option<Vec<u32>> {
    let far = image > CACHED && image / SPREAD <= ids.len().saturating_mul(patch);
    if ids.len() < FEWEST || u32::try_from(ids.len()).is_err() || patch > LARGEST || !far || ids.is_sorted() {
        return None;
    }
    Some(sorted_about(ids))
}

/// The places of ids, in the order of the parts of their range: about one part an id.
fn sorted_about(ids: &[u64]) -> Vec<u32> {
    let (low, high) = ids.iter().fold((u64::MAX, 0), |(low, high), &id| (low.min(id), high.max(id)));
    let parts = ids.len().next_power_of_two() as u64;
    let shift = (0..u64::BITS).find(|shift| (high - low) >> shift < parts).unwrap_or(u64::BITS - 1);
    let part = |id: u64| ((id - low) >> shift) as usize;
    // How many there are of each part, then where the next of each part goes.
    let mut next = vec![0u32; parts as usize];
    ids.iter().for_each(|&id| next[part(id)] += 1);
    let mut before = 0;
    for next in &mut next {
        before += std::mem::replace(next, before);
    }
    let mut order = vec![0; ids.len()];
    for (place, &id) in ids.iter().enumerate() {
        let next = &mut next[part(id)];
        order[*next as usize] = place as u32;
        *next += 1;
    }
    order
}

/// Has `gather` write windows a tile at a time, in an order of their places, and copies each to its own; `width` bytes a
/// window.
pub(super) fn in_order(
    ids: &[u64],
    order: &[u32],
    width: usize,
    tile: &mut [u8],
    out: &mut [u8],
    mut gather: impl FnMut(&[u64], &mut [u8]),
) {
    let count = tile.len() / width;
    let mut some = Vec::with_capacity(count);
    for places in order.chunks(count) {
        some.clear();
        some.extend(places.iter().map(|&place| ids[place as usize]));
        let tile = &mut tile[..places.len() * width];
        gather(&some, tile);
        // Of usual sizes the compiler knows how to move them.
        match width {
            64 => spread::<64>(tile, places, out),
            128 => spread::<128>(tile, places, out),
            256 => spread::<256>(tile, places, out),
            _ => {
                for (row, &place) in tile.chunks_exact(width).zip(places) {
                    out[place as usize * width..][..width].copy_from_slice(row);
                }
            }
        }
    }
}

/// Bytes of the tile for windows of so many.
pub(super) fn tile_bytes(width: usize) -> usize {
    (TILE_BYTES / width).max(1) * width
}

fn spread<const WIDTH: usize>(tile: &[u8], places: &[u32], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<WIDTH>();
    for (row, &place) in tile.as_chunks::<WIDTH>().0.iter().zip(places) {
        out[place as usize] = *row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_once_about_in_order() {
        for (count, last) in [(300, 300u64), (1000, 1 << 50), (5000, 40)] {
            let ids: Vec<u64> = (0..count).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (last + 1)).collect();
            let order = sorted_about(&ids);
            let mut places = order.clone();
            places.sort_unstable();
            assert!(places.iter().enumerate().all(|(i, &place)| i == place as usize));
            let sorted: Vec<u64> = order.iter().map(|&place| ids[place as usize]).collect();
            let parts = last / count + 1;
            assert!(sorted.windows(2).all(|pair| pair[0] < pair[1] + 4 * parts));
        }
        assert_eq!(sorted_about(&[u64::MAX, 0, u64::MAX]), [1, 0, 2]);
    }

    #[test]
    fn only_where_it_helps() {
        let ids: Vec<u64> = (0..1000).rev().collect();
        assert!(reading_order(&ids, 64, 1 << 20).is_some());
        assert!(reading_order(&ids, 64, 1 << 12).is_none(), "in a cache");
        assert!(reading_order(&ids, 64, 1 << 40).is_none(), "too far from each other");
        assert!(reading_order(&ids[..10], 64, 1 << 20).is_none(), "few");
        assert!(reading_order(&ids, 1 << 20, 1 << 20).is_none(), "large windows");
        let sorted: Vec<u64> = (0..1000).collect();
        assert!(reading_order(&sorted, 64, 1 << 20).is_none());
    }
}
