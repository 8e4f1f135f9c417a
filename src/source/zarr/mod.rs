//! Zarr arrays of versions 2 and 3: chunks in a folder, a zip archive, or an object store.

mod blosc;
mod codec;
mod meta;
mod place;
mod shard;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
#[cfg(test)]
use std::sync::Mutex;
use std::time::SystemTime;

use rayon::prelude::*;
use serde_json::Value as Json;

use self::meta::{Meta, Wrong};
use self::shard::Shards;
use self::store::Store;
use super::archive::Archive;
use super::copy::{self, Place};
use super::dense::Dense;
use super::guard::guard;
use super::swap::swap_bytes;
use super::{Georeference, Region, RegionReader, Source, SourceInfo};
use crate::digest::Digest;
use crate::{BufferPool, DType, Error, Result, Scalar, StridedView};

/// The most bytes of one chunk.
const MAX_CHUNK: u64 = 4 << 30;

/// One array of a Zarr hierarchy, of version 2 or 3.
///
/// Reads regular grids of chunks, packed by gzip, zlib, Zstandard, Blosc, LZ4, shuffled or not, under CRC32C, their axes
/// turned; and shards, of which only the chunks asked for are read. A chunk that isn't there is of the fill value. Axes have
/// the names that `dimension_names` or `_ARRAY_DIMENSIONS` give them.
///
/// Every chunk is unpacked into memory whose size follows from the shape of a chunk, whatever its bytes claim. A region
/// decodes the chunks that it touches, and nothing else.
#[derive(Debug)]
pub struct ZarrSource {
    info: SourceInfo,
    store: Arc<Store>,
    /// Where in the store the array is.
    node: String,
    meta: Arc<Meta>,
    /// What the array said of itself.
    said: Vec<Vec<u8>>,
    /// Every chunk that was decoded, by place, over all passes.
    #[cfg(test)]
    decoded: Arc<Mutex<Vec<Vec<u64>>>>,
}

impl ZarrSource {
    /// The array at `path`: its folder; or one of a hierarchy, called `member`. Only its metadata are read now. With the
    /// feature `cloud`, `path` may be an address: `s3://bucket/scene.zarr`, `https://host/scene.zarr`.
    ///
    /// ```no_run
    /// use windrow::source::{Source, ZarrSource};
    ///
    /// let source = ZarrSource::open("scene.zarr", Some("B04"))?;
    /// println!("{:?} in chunks of {:?}", source.info().shape, source.info().chunk);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such array (the error says which there are), its metadata are broken, or speak of a codec or a type
    /// of cells that is not read here.
    pub fn open(path: impl AsRef<Path>, member: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let store = match super::is_address(path) {
            #[cfg(feature = "cloud")]
            true => Store::Bucket(crate::bucket::Bucket::to_read(path)?),
            #[cfg(not(feature = "cloud"))]
            true => {
                let message = "this build has no object stores: it needs the feature \"cloud\"";
                return Err(Error::unsupported(super::without_query(path).display().to_string(), message));
            }
            false => Store::Folder(path.to_owned()),
        };
        Self::of(store, member)
    }

    /// An array in an archive.
    pub(super) fn of_archive(archive: &Arc<Archive>, member: Option<&str>) -> Result<Self> {
        Self::of(Store::Archive(archive.clone()), member)
    }

    fn of(store: Store, member: Option<&str>) -> Result<Self> {
        let node = member.unwrap_or_default().trim_matches('/').to_owned();
        let (meta, said) = read(&store, &node)?;
        let name = store.name_of(&node);
        let broken = |message: String| Error::format(&name, message);
        let Meta { shape, dtype, chunk, .. } = &meta;
        let (shape, dtype, chunk) = (shape.clone(), *dtype, chunk.shape.clone());
        // No machine has larger arrays than these.
        Dense { dtype, swapped: false, fortran: false, shape: shape.clone(), data: 0 }.bytes().map_err(broken)?;
        let bytes = chunk.iter().try_fold(dtype.size() as u64, |bytes, &n| bytes.checked_mul(n));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= MAX_CHUNK) else {
            return Err(Error::unsupported(name, format!("chunks of {chunk:?} {dtype}: at most {MAX_CHUNK} bytes")));
        };
        let index = Shards::bytes(&meta).map_err(broken)?;
        let packed = if meta.chunk.packings.is_empty() { 0 } else { codec::most_packed(bytes).saturating_add(bytes) };
        let info = SourceInfo {
            name: name.clone(),
            shape,
            dtype,
            axes: meta.axes.clone(),
            chunk,
            resident: false,
            working_bytes: bytes.saturating_add(packed).saturating_mul(at_once(&meta) as u64).saturating_add(index),
        };
        Ok(Self {
            info,
            store: Arc::new(store),
            node,
            meta: Arc::new(meta),
            said,
            #[cfg(test)]
            decoded: Arc::default(),
        })
    }
}

/// Whether a folder has what makes it a Zarr array or group.
pub(super) fn is_node(folder: &Path) -> bool {
    NODE.iter().any(|name| folder.join(name).is_file())
}

/// The names of what says that something is an array or a group.
pub(super) const NODE: [&str; 3] = ["zarr.json", ".zarray", ".zgroup"];

/// A name in a folder of a store.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What the array at a place says of itself.
fn read(store: &Store, node: &str) -> Result<(Meta, Vec<Vec<u8>>)> {
    let wrong = |key: &str, wrong| match wrong {
        Wrong::Broken(message) => Error::format(store.name_of(key), message),
        Wrong::Unsupported(message) => Error::unsupported(store.name_of(key), message),
    };
    let key = join(node, "zarr.json");
    if let Some(said) = store.document(&key)? {
        let doc = json(store, &key, &said)?;
        return match doc.get("node_type").and_then(Json::as_str) {
            Some("array") => Ok((meta::version_3(&doc).map_err(|error| wrong(&key, error))?, vec![said])),
            Some("group") => Err(is_group(store, node)),
            _ => Err(Error::format(store.name_of(&key), "it is neither an array nor a group")),
        };
    }
    let key = join(node, ".zarray");
    if let Some(said) = store.document(&key)? {
        let doc = json(store, &key, &said)?;
        let beside = join(node, ".zattrs");
        let attributes = store.document(&beside)?.unwrap_or_default();
        let values = if attributes.is_empty() { Json::Null } else { json(store, &beside, &attributes)? };
        let meta = meta::version_2(&doc, &values).map_err(|error| wrong(&key, error))?;
        return Ok((meta, vec![said, attributes]));
    }
    if store.document(&join(node, ".zgroup"))?.is_some() {
        return Err(is_group(store, node));
    }
    if node.is_empty() {
        let message = "no Zarr array or group: there is no zarr.json, .zarray or .zgroup";
        return Err(Error::format(store.name(), message));
    }
    Err(Error::format(store.name(), format!("no array {node:?}{}", listed(store, ""))))
}

fn json(store: &Store, key: &str, said: &[u8]) -> Result<Json> {
    serde_json::from_slice(said).map_err(|error| Error::format(store.name_of(key), format!("it is no JSON: {error}")))
}

fn is_group(store: &Store, node: &str) -> Error {
    let name = store.name_of(node);
    let message = format!("a group of arrays: name one, as in {name}/NAME{}", listed(store, node));
    Error::unsupported(name, message)
}

/// The arrays below a group, in words.
fn listed(store: &Store, node: &str) -> String {
    /// So many are shown, and so many groups looked into.
    const SHOWN: usize = 20;
    const GROUPS: usize = 200;
    let (mut groups, mut looked, mut arrays) = (vec![(node.to_owned(), 0)], 0, Vec::new());
    let is_array = |node: &str| -> Option<bool> {
        if let Ok(Some(said)) = store.document(&join(node, "zarr.json")) {
            let doc: Json = serde_json::from_slice(&said).ok()?;
            return Some(doc.get("node_type")?.as_str()? == "array");
        }
        let there = |name| matches!(store.document(&join(node, name)), Ok(Some(_)));
        if there(".zarray") { Some(true) } else { there(".zgroup").then_some(false) }
    };
    while let Some((group, depth)) = groups.pop() {
        looked += 1;
        for child in store.folders(&group).unwrap_or_default() {
            let child = join(&group, &child);
            match is_array(&child) {
                Some(true) => arrays.push(child),
                Some(false) if depth < 8 && looked < GROUPS => groups.push((child, depth + 1)),
                _ => {}
            }
            if arrays.len() > SHOWN {
                break;
            }
        }
    }
    arrays.sort();
    let below = |array: &String| array.strip_prefix(node).unwrap_or(array).trim_start_matches('/').to_owned();
    let mut names: Vec<_> = arrays.iter().take(SHOWN).map(below).collect();
    if arrays.len() > SHOWN {
        names.push("…".to_owned());
    }
    if names.is_empty() { String::new() } else { format!(": it has {}", names.join(", ")) }
}

impl Source for ZarrSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn nodata(&self) -> Option<Scalar> {
        self.meta.nodata
    }

    fn georeference(&self) -> Option<Georeference> {
        self.meta.place
    }

    /// Of what it says of itself: its chunks are many.
    fn stamp(&self) -> Option<String> {
        let digests = self.said.iter().filter_map(|said| Digest::of(&said[..]).ok());
        Some(digests.map(|digest| format!("metadata of {digest}")).collect::<Vec<_>>().join(", "))
    }

    fn fills(&self, _first: usize) -> bool {
        true
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let reader = ZarrReader {
            store: self.store.clone(),
            node: self.node.clone(),
            meta: self.meta.clone(),
            said: self.said.clone(),
            opened: SystemTime::now(),
            pool: pool.clone(),
            shards: Shards::default(),
            held: Vec::new(),
            #[cfg(test)]
            decoded: self.decoded.clone(),
        };
        reader.check_unchanged()?;
        Ok(Box::new(reader))
    }
}

/// One pass over an array.
struct ZarrReader {
    store: Arc<Store>,
    node: String,
    meta: Arc<Meta>,
    said: Vec<Vec<u8>>,
    opened: SystemTime,
    pool: BufferPool,
    shards: Shards,
    /// The chunks that were unpacked last, and where they are; none is a chunk that was never written.
    held: Vec<(Vec<u64>, Option<Vec<u8>>)>,
    #[cfg(test)]
    decoded: Arc<Mutex<Vec<Vec<u64>>>>,
}

impl RegionReader for ZarrReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let mut views = self.read_all(std::slice::from_ref(region))?;
        Ok(views.remove(0))
    }

    fn read_all(&mut self, regions: &[Region]) -> Result<Vec<StridedView>> {
        let dtype = self.meta.dtype;
        let mut memories = Vec::with_capacity(regions.len());
        for region in regions {
            memories.push(self.pool.take(region.shape().iter().product::<usize>() * dtype.size())?);
        }
        let part = |(region, out)| Part { region, target: Place::dense(&Region::shape(region), dtype.size()), out };
        let mut parts: Vec<_> = regions.iter().zip(memories.iter_mut().map(|memory| &mut **memory)).map(part).collect();
        self.fill_unchanged(&mut parts)?;
        let view = |(region, memory): (&Region, crate::PoolBuf)| {
            StridedView::from_buffer(memory.freeze(), dtype, &region.shape())
        };
        regions.iter().zip(memories).map(view).collect()
    }

    fn read_into(&mut self, region: &Region, first: usize, out: &mut [u8]) -> Result<()> {
        let shape = region.shape();
        let order = super::bands::order(shape.len(), first);
        let stored: Vec<_> = order.iter().map(|&axis| shape[axis]).collect();
        let target = Place::dense(&stored, self.meta.dtype.size()).by(&order);
        self.fill_unchanged(&mut [Part { region, target, out }])
    }
}

/// A box of the array, and the memory that it is to be in, in some order of its axes.
struct Part<'a> {
    region: &'a Region,
    target: Place,
    out: &'a mut [u8],
}

impl ZarrReader {
    fn fill_unchanged(&mut self, parts: &mut [Part<'_>]) -> Result<()> {
        let filled = self.fill(parts);
        if self.store.is_near() {
            // That the array changed says more than what was found in it.
            self.check_unchanged()?;
        }
        filled
    }

    /// Fails if the array no longer says of itself what it said.
    fn check_unchanged(&self) -> Result<()> {
        self.store.check_unchanged()?;
        if let Store::Archive(_) = *self.store {
            return Ok(());
        }
        let names: &[&str] = if self.said.len() == 1 { &["zarr.json"] } else { &[".zarray", ".zattrs"] };
        for (name, said) in names.iter().zip(&self.said) {
            if self.store.document(&join(&self.node, name))?.unwrap_or_default() != *said {
                let name = self.store.name_of(&self.node);
                return Err(Error::format(name, "the array changed after its metadata were read"));
            }
        }
        Ok(())
    }

    /// Fills boxes from all chunks that they touch, of which a few are unpacked side by side.
    fn fill(&mut self, parts: &mut [Part<'_>]) -> Result<()> {
        let meta = self.meta.clone();
        let (chunk, at_once) = (&meta.chunk.shape, at_once(&meta));
        let mut wanted = Vec::with_capacity(at_once);
        for number in 0..parts.len() {
            let region = parts[number].region;
            let mut place: Vec<u64> = region.0.iter().zip(chunk).map(|(range, n)| range.start / n).collect();
            loop {
                wanted.push((number, place.clone()));
                if wanted.len() == at_once {
                    self.copy_chunks(&wanted, parts)?;
                    wanted.clear();
                }
                if !next(&mut place, region, chunk) {
                    break;
                }
            }
        }
        self.copy_chunks(&wanted, parts)
    }

    /// Fills what these chunks have in common with a part each.
    fn copy_chunks(&mut self, wanted: &[(usize, Vec<u64>)], parts: &mut [Part<'_>]) -> Result<()> {
        let meta = self.meta.clone();
        let (chunk, size, source) = (&meta.chunk.shape, meta.dtype.size(), chunk_place(&meta));
        self.hold(wanted)?;
        for (number, place) in wanted {
            let Part { region, target, out } = &mut parts[*number];
            // In the coordinates of the array.
            let common: Vec<_> = (0..place.len())
                .map(|axis| {
                    let first = place[axis] * chunk[axis];
                    let (range, end) = (&region.0[axis], first.saturating_add(chunk[axis]));
                    (range.start.max(first), range.end.min(end), first)
                })
                .collect();
            let lengths: Vec<_> = common.iter().map(|(start, end, _)| (end - start) as usize).collect();
            let target =
                target.at(common.iter().zip(&region.0).map(|((start, ..), range)| (start - range.start) as usize));
            let held = self.held.iter().find(|(held, _)| held == place).and_then(|(_, data)| data.as_deref());
            match held {
                Some(data) => {
                    let source = source.at(common.iter().map(|(start, _, first)| (start - first) as usize));
                    copy::copy(data, &source, out, &target, &lengths, size);
                }
                None => copy::fill(&meta.fill, out, &target, &lengths),
            }
        }
        Ok(())
    }

    /// Has these chunks in memory, unpacked, and no others.
    fn hold(&mut self, wanted: &[(usize, Vec<u64>)]) -> Result<()> {
        self.held.retain(|(held, _)| wanted.iter().any(|(_, place)| place == held));
        let mut packed = Vec::<(Vec<u64>, Packed)>::with_capacity(wanted.len());
        for (_, place) in wanted {
            let known = |other: &Vec<u64>| other == place;
            if !self.held.iter().any(|(held, _)| known(held)) && !packed.iter().any(|(other, _)| known(other)) {
                match self.load(place)? {
                    Some(found) => packed.push((place.clone(), found)),
                    None => self.held.push((place.clone(), None)),
                }
            }
        }
        let meta = &*self.meta;
        let unpack = |(place, packed): (Vec<u64>, Packed)| {
            let data = packed.unpack(meta, &place)?;
            Ok((place, Some(data)))
        };
        let unpacked: Vec<Result<_>> = match packed.len() {
            0 | 1 => packed.into_iter().map(unpack).collect(),
            _ => packed.into_par_iter().map(unpack).collect(),
        };
        for chunk in unpacked {
            self.held.push(chunk?);
        }
        Ok(())
    }

    /// A chunk that isn't there was never written, unless it is just being removed.
    fn missing(&self, key: &str) -> Result<Option<Packed>> {
        self.store.check_missing(key, self.opened).map(|()| None)
    }

    /// The bytes of a chunk as they are stored; none if it was never written.
    fn load(&mut self, place: &[u64]) -> Result<Option<Packed>> {
        let meta = self.meta.clone();
        let bytes = chunk_bytes(&meta);
        let key = |place: &[u64]| join(&self.node, &meta.names.of(place));
        let whole;
        let (value, start, packed) = if meta.shard.is_some() {
            match self.shards.find(&self.store, &meta, place, key)? {
                Some(found) => found,
                None => return self.missing(&key(&Shards::of(&meta, place))),
            }
        } else {
            match self.store.whole(&key(place), codec::most_packed(bytes))? {
                Some(value) => whole = value,
                None => return self.missing(&key(place)),
            }
            (&whole, 0, whole.len)
        };
        #[cfg(test)]
        {
            self.decoded.lock().unwrap().push(place.to_vec());
        }
        let packings = &meta.chunk.packings;
        if packed > codec::most_packed(bytes) || !codec::is_plausible(packings, packed, bytes) {
            return Err(value.broken(format!("chunk {place:?}: {packed} bytes of {packings:?} can't be {bytes} bytes")));
        }
        Ok(Some(Packed { data: value.read(start, packed)?, name: value.name().to_owned() }))
    }
}

/// The place of the next chunk of a region, in C order; `false` if that was the last.
fn next(place: &mut [u64], region: &Region, chunk: &[u64]) -> bool {
    let next = (0..place.len()).rev().find(|&axis| (place[axis] + 1) * chunk[axis] < region.0[axis].end);
    let Some(axis) = next else { return false };
    place[axis] += 1;
    for axis in axis + 1..place.len() {
        place[axis] = region.0[axis].start / chunk[axis];
    }
    true
}

/// The bytes of a chunk, unpacked.
fn chunk_bytes(meta: &Meta) -> u64 {
    meta.chunk.shape.iter().product::<u64>() * meta.dtype.size() as u64
}

/// Chunks that are unpacked at once, and about the most bytes of them.
const MOST_AT_ONCE: u64 = 16;
const AT_ONCE_BYTES: u64 = 64 << 20;

fn at_once(meta: &Meta) -> usize {
    let threads = rayon::current_num_threads() as u64;
    threads.min(MOST_AT_ONCE).min(AT_ONCE_BYTES / chunk_bytes(meta).max(1)).max(1) as usize
}

/// A chunk as it is stored.
struct Packed {
    /// What it is called in errors.
    name: String,
    data: Vec<u8>,
}

impl Packed {
    fn unpack(self, meta: &Meta, place: &[u64]) -> Result<Vec<u8>> {
        let Self { name, data } = self;
        let packings = &meta.chunk.packings;
        let unpack = || codec::unpack(packings, data, chunk_bytes(meta) as usize);
        let mut data = guard("", unpack).map_err(|error| match error.kind() {
            crate::ErrorKind::Format { message, .. } => Error::format(&name, format!("chunk {place:?}: {message}")),
            _ => error,
        })?;
        if meta.chunk.swapped {
            swap_bytes(&mut data, meta.dtype.size());
        }
        if meta.dtype == DType::Bool {
            data.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Ok(data)
    }
}

/// How the cells of a chunk lie, by the axes of the array.
fn chunk_place(meta: &Meta) -> Place {
    let order = &meta.chunk.order;
    let stored: Vec<_> = order.iter().map(|&axis| meta.chunk.shape[axis] as usize).collect();
    Place::dense(&stored, meta.dtype.size()).by(order)
}
