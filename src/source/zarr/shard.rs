//! Shards: several chunks in one value, and an index that says where each is.

use std::collections::HashMap;

use super::meta::Meta;
use super::store::{Store, Value};
use crate::Result;

/// The most bytes of the index of a shard, and of all that a reader keeps.
const MOST_INDEX: u64 = 64 << 20;
const KEPT_BYTES: u64 = 16 << 20;
const KEPT: usize = 128;

/// A chunk that was never written.
const NOWHERE: u64 = u64::MAX;

/// The shards that were read last, with their indices.
#[derive(Debug, Default)]
pub(super) struct Shards {
    kept: HashMap<Vec<u64>, Option<(Value, Vec<u8>)>>,
    bytes: u64,
}

impl Shards {
    /// The most bytes that a reader keeps of an array's shards.
    pub(super) fn bytes(meta: &Meta) -> Result<u64, String> {
        if meta.shard.is_none() {
            return Ok(0);
        }
        let shards =
            meta.shape.iter().zip(&meta.stored).fold(1, |all: u64, (n, of)| all.saturating_mul(n.div_ceil(*of)));
        match index_bytes(meta) {
            Some(bytes) if bytes <= MOST_INDEX => Ok(bytes.saturating_mul(shards).min(KEPT_BYTES).max(bytes)),
            _ => Err(format!(
                "a shard of {:?} cells in chunks of {:?}: its index is too large",
                meta.stored, meta.chunk.shape
            )),
        }
    }

    /// In which shard a chunk is.
    pub(super) fn of(meta: &Meta, place: &[u64]) -> Vec<u64> {
        let per = meta.stored.iter().zip(&meta.chunk.shape).map(|(of, n)| of / n);
        place.iter().zip(per).map(|(place, per)| place / per).collect()
    }

    /// Where a chunk is: in which value, from which byte on, how many; none if it was never written.
    pub(super) fn find(
        &mut self,
        store: &Store,
        meta: &Meta,
        place: &[u64],
        key: impl Fn(&[u64]) -> String,
    ) -> Result<Option<(&Value, u64, u64)>> {
        let per: Vec<_> = meta.stored.iter().zip(&meta.chunk.shape).map(|(of, n)| of / n).collect();
        let shard = Self::of(meta, place);
        let within = place.iter().zip(&per).fold(0, |at, (place, per)| at * per + place % per) as usize;
        if !self.kept.contains_key(&shard) {
            let read = read(store, meta, &key(&shard))?;
            let bytes = read.as_ref().map_or(0, |(_, index)| index.len() as u64);
            if self.kept.len() == KEPT || self.bytes + bytes > KEPT_BYTES {
                self.kept.clear();
                self.bytes = 0;
            }
            self.bytes += bytes;
            self.kept.insert(shard.clone(), read);
        }
        let Some(Some((value, index))) = self.kept.get(&shard) else { return Ok(None) };
        let big_endian = meta.shard.as_ref().is_some_and(|shard| shard.big_endian);
        let number = |at: usize| {
            let bytes = index[at * 8..].first_chunk::<8>().copied().unwrap_or_default();
            if big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
        };
        match (number(2 * within), number(2 * within + 1)) {
            (NOWHERE, NOWHERE) => Ok(None),
            (start, bytes) => Ok(Some((value, start, bytes))),
        }
    }
}

/// The bytes of the index of a shard, without its checksum.
fn index_bytes(meta: &Meta) -> Option<u64> {
    let mut per = meta.stored.iter().zip(&meta.chunk.shape).map(|(of, n)| of / n);
    per.try_fold(16, |bytes: u64, per| bytes.checked_mul(per))
}

/// Reads the index of a shard, if it is there.
fn read(store: &Store, meta: &Meta, key: &str) -> Result<Option<(Value, Vec<u8>)>> {
    let Some(shard) = &meta.shard else { return Ok(None) };
    let cells = meta.stored.iter().fold(meta.dtype.size() as u64, |bytes, &n| bytes.saturating_mul(n));
    let bytes = index_bytes(meta).unwrap_or(u64::MAX);
    let most = super::codec::most_packed(cells).saturating_add(bytes.saturating_mul(258));
    let Some(value) = store.value(key, most)? else { return Ok(None) };
    let stored = bytes + if shard.checksum { 4 } else { 0 };
    if value.len < stored {
        return Err(value.broken(format!("a shard of {} bytes, whose index alone takes {stored}", value.len)));
    }
    let mut index = value.read(if shard.at_end { value.len - stored } else { 0 }, stored)?;
    if shard.checksum {
        let sum = index.split_off(bytes as usize);
        let (sum, is) = (u32::from_le_bytes(sum.first_chunk().copied().unwrap_or_default()), crc32c::crc32c(&index));
        if sum != is {
            return Err(value.broken(format!("the checksum of its index is {is:08x}: expected {sum:08x}")));
        }
    }
    Ok(Some((value, index)))
}
