//! Windows in no order: read in that of the image, and put where they belong.
//!
//! Every run of a window lies in another line of the cache, and often in another page; windows in any order have all of
//! them fetched from far away. A batch has so many windows that in the order of the image neighbours share lines and pages.
//! So they are gathered in that order, some at a time into a buffer that stays in the first cache, and from there each goes
//! to its place in the batch: past the caches where a batch is larger than they are, since otherwise every line of it would
//! be read before it is written, and throw out what is still to be read. That brought a half to 8×8 windows of bytes;
//! batches of eight times the size bring a fifth more, and so stay small. `cargo bench --bench rows -- shuffled`.

use crate::{BufferPool, PoolBuf, Result};

/// Bytes that are gathered at once.
const TILE_BYTES: usize = 16 << 10;

/// Larger windows share too little.
const LARGEST: usize = 2 << 10;

/// An image of so many bytes is in a cache whatever is read of it; and so is a batch.
const CACHED: usize = 512 << 10;

/// The image is at most so many times what the windows take.
const SPREAD: usize = 64;

/// Fewer windows are not worth it.
const FEWEST: usize = 256;

/// Ids that show whether all are in order.
const LOOKED_AT: usize = 64;

/// Windows in the order of their ids, and the place of each among the rows.
pub(super) struct Order {
    ids: PoolBuf,
    places: PoolBuf,
}

impl Order {
    fn ids(&self) -> &[u64] {
        bytemuck::cast_slice(&self.ids)
    }

    fn places(&self) -> &[u32] {
        bytemuck::cast_slice(&self.places)
    }
}

/// Windows in the order of their ids; `None` if they are read as fast in their own. A window is `patch` bytes, and what
/// they are of is `image` bytes.
pub(super) fn reading_order(ids: &[u64], patch: usize, image: usize, pool: &BufferPool) -> Result<Option<Order>> {
    let near = image / SPREAD <= ids.len().saturating_mul(patch);
    if ids.len() < FEWEST
        || u32::try_from(ids.len()).is_err()
        || patch > LARGEST
        || image <= CACHED
        || !near
        || seem_sorted(ids)
    {
        return Ok(None);
    }
    sorted(ids, pool).map(Some)
}

/// Whether ids are about in order: some of them are. If they are not in truth, they are read a little slower.
fn seem_sorted(ids: &[u64]) -> bool {
    (0..LOOKED_AT).map(|i| ids[i * (ids.len() - 1) / (LOOKED_AT - 1)]).is_sorted()
}

/// Ids in their order: each is put into a part of their range, of which there is about one an id, and moved within it.
fn sorted(ids: &[u64], pool: &BufferPool) -> Result<Order> {
    let (low, high) = ids.iter().fold((u64::MAX, 0), |(low, high), &id| (low.min(id), high.max(id)));
    let parts = ids.len().next_power_of_two() as u64;
    let shift = (0..u64::BITS).find(|shift| (high - low) >> shift < parts).unwrap_or(u64::BITS - 1);
    let part = |id: u64| ((id - low) >> shift) as usize;
    // How many there are of each part, then where the next of each part goes.
    let mut next = pool.take(parts as usize * 4)?;
    let next: &mut [u32] = bytemuck::cast_slice_mut(&mut next);
    next.fill(0);
    ids.iter().for_each(|&id| next[part(id)] += 1);
    let mut before = 0;
    for next in next.iter_mut() {
        before += std::mem::replace(next, before);
    }
    let mut order = Order { ids: pool.take(ids.len() * 8)?, places: pool.take(ids.len() * 4)? };
    let (sorted, places): (&mut [u64], &mut [u32]) =
        (bytemuck::cast_slice_mut(&mut order.ids), bytemuck::cast_slice_mut(&mut order.places));
    for (place, &id) in ids.iter().enumerate() {
        let next = &mut next[part(id)];
        (sorted[*next as usize], places[*next as usize]) = (id, place as u32);
        *next += 1;
    }
    // Ids that are spread evenly are a few a part. Others may be many, and stay in about their order.
    for i in 1..sorted.len() {
        let farthest = i.saturating_sub(MOST_MOVED);
        let mut at = i;
        while at > farthest && sorted[at - 1] > sorted[at] {
            sorted.swap(at - 1, at);
            places.swap(at - 1, at);
            at -= 1;
        }
    }
    Ok(order)
}

/// By so many places an id is moved within its part.
const MOST_MOVED: usize = 8;

/// Has `gather` write windows a tile at a time, in the order of their ids, and copies each to its own place; `width` bytes
/// a window.
pub(super) fn in_order(
    order: &Order,
    width: usize,
    tile: &mut [u8],
    out: &mut [u8],
    mut gather: impl FnMut(&[u64], &mut [u8]) -> Result<()>,
) -> Result<()> {
    let count = tile.len() / width;
    for (ids, places) in order.ids().chunks(count).zip(order.places().chunks(count)) {
        let tile = &mut tile[..ids.len() * width];
        gather(ids, tile)?;
        // Of usual sizes the compiler knows how to move them.
        match width {
            _ if out.len() > CACHED && stream::suits(width, out) => stream::spread(tile, width, places, out),
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
    Ok(())
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

/// Rows that are written past the caches, on x86-64.
#[cfg(target_arch = "x86_64")]
mod stream {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_sfence, _mm_stream_si128};

    /// Bytes of a line of the cache.
    const LINE: usize = 64;

    /// Whether rows are whole lines.
    pub(super) fn suits(width: usize, out: &[u8]) -> bool {
        width.is_multiple_of(LINE) && out.as_ptr().addr().is_multiple_of(LINE)
    }

    /// Writes each row of `tile` to its place.
    pub(super) fn spread(tile: &[u8], width: usize, places: &[u32], out: &mut [u8]) {
        assert!(suits(width, out));
        for (row, &place) in tile.chunks_exact(width).zip(places) {
            let out = &mut out[place as usize * width..][..width];
            let (row, _) = row.as_chunks::<16>();
            let (out, _) = out.as_chunks_mut::<16>();
            for (from, to) in row.iter().zip(out) {
                // SAFETY: both are 16 bytes, and those of `to` are aligned to as many, since `out` is and the rows are
                // of whole lines. SSE2 is part of every x86-64.
                unsafe { _mm_stream_si128(to.as_mut_ptr().cast(), _mm_loadu_si128(from.as_ptr().cast())) };
            }
        }
        // SAFETY: it only orders what was written before whatever follows, as others expect of stores.
        unsafe { _mm_sfence() };
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod stream {
    pub(super) fn suits(_: usize, _: &[u8]) -> bool {
        false
    }

    pub(super) fn spread(_: &[u8], _: usize, _: &[u32], _: &mut [u8]) {
        unreachable!("it suits no rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_once_in_order() {
        let pool = BufferPool::new(0);
        for (count, last) in [(300, 300u64), (1000, 1 << 50), (5000, 40)] {
            let ids: Vec<u64> = (0..count).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (last + 1)).collect();
            let order = sorted(&ids, &pool).unwrap();
            let mut places = order.places().to_vec();
            places.sort_unstable();
            assert!(places.iter().enumerate().all(|(i, &place)| i == place as usize));
            assert!(order.ids().iter().zip(order.places()).all(|(&id, &place)| id == ids[place as usize]));
            assert!(order.ids().is_sorted());
        }
        assert_eq!(sorted(&[u64::MAX, 0, u64::MAX], &pool).unwrap().places(), [1, 0, 2]);
        // All but one in one part: not sorted, but each there once.
        let ids: Vec<u64> = (0..100).rev().chain([1 << 60]).collect();
        let mut places = sorted(&ids, &pool).unwrap().places().to_vec();
        places.sort_unstable();
        assert!(places.iter().enumerate().all(|(i, &place)| i == place as usize));
    }

    #[test]
    fn rows_go_to_their_places_whatever_their_width() {
        let pool = BufferPool::new(0);
        for width in [9, 64, 128, 192, 256, 2048] {
            let count = 300 + (2 * CACHED) / width;
            let ids: Vec<u64> = (0..count as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_000).collect();
            let order = reading_order(&ids, width, 1 << 20, &pool).unwrap().unwrap();
            let mut out = pool.take(count * width).unwrap();
            in_order(&order, width, &mut vec![0; tile_bytes(width)], &mut out, |ids, tile| {
                for (id, row) in ids.iter().zip(tile.chunks_exact_mut(width)) {
                    row.fill(*id as u8);
                    row[..2].copy_from_slice(&(*id as u16).to_ne_bytes());
                }
                Ok(())
            })
            .unwrap();
            for (id, row) in ids.iter().zip(out.chunks_exact(width)) {
                assert!(row[..2] == (*id as u16).to_ne_bytes() && row[2..].iter().all(|&byte| byte == *id as u8));
            }
        }
    }

    #[test]
    fn only_where_it_helps() {
        let reading_order =
            |ids: &[u64], patch, image| super::reading_order(ids, patch, image, &BufferPool::new(0)).unwrap();
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
