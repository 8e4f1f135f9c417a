//! Zarr arrays, written here in every arrangement; zarr-python judges those that it writes in `tests/foreign`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use windrow::source::{AnySource, OpenOptions, Region};
use windrow::{DType, ErrorKind, StridedView};

use crate::npzs::zip;
use crate::suite::{array, bytes, check};

/// How an array is written.
#[derive(Clone, Debug)]
pub struct Zarr {
    pub version: u8,
    pub chunk: Vec<usize>,
    /// Chunks of a shard on each axis.
    pub shard: Option<Vec<usize>>,
    pub index_at_start: bool,
    /// Axes in the order of the chunk.
    pub order: Vec<usize>,
    pub big_endian: bool,
    pub packing: &'static str,
    pub separator: char,
}

impl Zarr {
    pub fn plain(version: u8, chunk: &[usize]) -> Self {
        let order = (0..chunk.len()).collect();
        let (chunk, separator) = (chunk.to_vec(), if version == 2 { '.' } else { '/' });
        Self { version, chunk, shard: None, index_at_start: false, order, big_endian: false, packing: "", separator }
    }

    /// The files of an array, by name. Chunks of zeros are left out.
    pub fn files(&self, view: &StridedView) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let shape = view.shape();
        let per = self.shard.clone().unwrap_or_else(|| vec![1; shape.len()]);
        let mut shards = BTreeMap::<Vec<usize>, (Vec<u8>, Vec<u8>)>::new();
        let counts: Vec<_> = shape.iter().zip(&self.chunk).map(|(n, of)| n.div_ceil(*of)).collect();
        for number in 0..counts.iter().product::<usize>() {
            let mut rest = number;
            let mut place = vec![0; counts.len()];
            for axis in (0..counts.len()).rev() {
                (place[axis], rest) = (rest % counts[axis], rest / counts[axis]);
            }
            let cells = self.cells(view, &place);
            if cells.iter().all(|&byte| byte == 0) {
                continue;
            }
            let packed = self.pack(cells);
            if self.shard.is_none() {
                files.insert(self.name(&place), packed);
                continue;
            }
            let shard: Vec<_> = place.iter().zip(&per).map(|(n, of)| n / of).collect();
            let within = place.iter().zip(&per).fold(0, |at, (n, of)| at * of + n % of);
            let chunks = per.iter().product::<usize>();
            let (data, index) = shards.entry(shard).or_insert_with(|| (vec![], vec![0xff; 16 * chunks]));
            let start = data.len() + if self.index_at_start { 16 * chunks } else { 0 };
            index[within * 16..][..8].copy_from_slice(&(start as u64).to_le_bytes());
            index[within * 16 + 8..][..8].copy_from_slice(&(packed.len() as u64).to_le_bytes());
            data.extend(packed);
        }
        for (place, (data, index)) in shards {
            let parts = if self.index_at_start { [index, data] } else { [data, index] };
            files.insert(self.name(&place), parts.concat());
        }
        let stored: Vec<_> = self.chunk.iter().zip(&per).map(|(n, of)| n * of).collect();
        match self.version {
            2 => files.insert(".zarray".into(), self.version_2(view).to_string().into_bytes()),
            _ => files.insert("zarr.json".into(), self.version_3(view, &stored).to_string().into_bytes()),
        };
        files
    }

    pub fn write(&self, folder: &Path, view: &StridedView) {
        for (name, content) in self.files(view) {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn name(&self, place: &[usize]) -> String {
        let numbers: Vec<_> = place.iter().map(usize::to_string).collect();
        let name = numbers.join(&self.separator.to_string());
        if self.version == 2 { name } else { format!("c{}{name}", self.separator) }
    }

    /// The cells of a chunk in the order that they are stored in; those outside of the array are 90, or false.
    fn cells(&self, view: &StridedView, place: &[usize]) -> Vec<u8> {
        let size = view.dtype().size();
        let ranges: Vec<_> = place
            .iter()
            .zip(&self.chunk)
            .zip(view.shape())
            .map(|((n, of), len)| n * of..(n * of + of).min(*len))
            .collect();
        let part = ranges
            .iter()
            .enumerate()
            .fold(view.clone(), |view, (axis, range)| view.slice(axis, range.clone(), 1).unwrap());
        let part = part.transpose(&self.order).unwrap();
        let full: Vec<_> = self.order.iter().map(|&axis| self.chunk[axis]).collect();
        let mut cells = vec![if view.dtype() == DType::Bool { 0 } else { 90 }; full.iter().product::<usize>() * size];
        for (number, cell) in bytes(&part, self.big_endian).chunks(size).enumerate() {
            let (mut rest, mut at, mut stride) = (number, 0, 1);
            for axis in (0..full.len()).rev() {
                at += rest % part.shape()[axis] * stride;
                rest /= part.shape()[axis];
                stride *= full[axis];
            }
            cells[at * size..][..size].copy_from_slice(cell);
        }
        cells
    }

    fn pack(&self, cells: Vec<u8>) -> Vec<u8> {
        match self.packing {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&cells).unwrap();
                encoder.finish().unwrap()
            }
            "zlib" => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&cells).unwrap();
                encoder.finish().unwrap()
            }
            "zstd" => zstd::encode_all(&*cells, 1).unwrap(),
            _ => cells,
        }
    }

    fn version_2(&self, view: &StridedView) -> serde_json::Value {
        let kind = if view.dtype().is_float() {
            'f'
        } else if view.dtype() == DType::Bool {
            'b'
        } else if view.dtype().name().starts_with('u') {
            'u'
        } else {
            'i'
        };
        let order = match (view.dtype().size(), self.big_endian) {
            (1, _) => '|',
            (_, true) => '>',
            _ => '<',
        };
        let compressor = if self.packing.is_empty() { json!(null) } else { json!({"id": self.packing, "level": 1}) };
        let is_c = self.order.iter().is_sorted();
        json!({
            "zarr_format": 2, "shape": view.shape(), "chunks": self.chunk, "dtype": format!("{order}{kind}{}", view.dtype().size()),
            "order": if is_c { "C" } else { "F" }, "filters": null, "compressor": compressor, "fill_value": 0,
            "dimension_separator": self.separator.to_string(),
        })
    }

    fn version_3(&self, view: &StridedView, stored: &[usize]) -> serde_json::Value {
        let mut codecs = Vec::new();
        if !self.order.iter().is_sorted() {
            codecs.push(json!({"name": "transpose", "configuration": {"order": self.order}}));
        }
        let endian = if self.big_endian { "big" } else { "little" };
        codecs.push(json!({"name": "bytes", "configuration": {"endian": endian}}));
        if !self.packing.is_empty() {
            codecs.push(json!({"name": self.packing, "configuration": {}}));
        }
        if self.shard.is_some() {
            let location = if self.index_at_start { "start" } else { "end" };
            let settings = json!({
                "chunk_shape": self.chunk, "codecs": codecs, "index_location": location,
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            });
            codecs = vec![json!({"name": "sharding_indexed", "configuration": settings})];
        }
        json!({
            "zarr_format": 3, "node_type": "array", "shape": view.shape(), "data_type": view.dtype().name(),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": self.separator.to_string()}},
            "fill_value": if view.dtype() == DType::Bool { json!(false) } else { json!(0) },
            "codecs": codecs, "attributes": {},
        })
    }
}

#[test]
fn all_types_orders_and_versions() {
    for dtype in DType::ALL {
        for (version, big_endian, packing, turned) in [
            (2, false, "", false),
            (2, true, "gzip", true),
            (3, true, "zstd", true),
            (3, false, "gzip", false),
            (2, false, "zlib", true),
        ] {
            let view = array(dtype, &[21, 10, 3]);
            let order = if turned { vec![2, 1, 0] } else { vec![0, 1, 2] };
            let zarr = Zarr { big_endian, packing, order, ..Zarr::plain(version, &[4, 7, 2]) };
            let folder = TempDir::new().unwrap();
            zarr.write(folder.path(), &view);
            let source = AnySource::open(folder.path(), None).unwrap();
            assert_eq!(source.info().chunk, [4, 7, 2]);
            check(&source, &view, None);
        }
    }
}

#[test]
fn all_arrangements_of_chunks() {
    let view = array(DType::U16, &[37, 41]);
    for (chunk, shard) in
        [([5, 41], [2, 1]), ([64, 64], [1, 1]), ([1, 1], [50, 3]), ([8, 10], [3, 5]), ([37, 3], [1, 2])]
    {
        for (shard, index_at_start) in [(None, false), (Some(shard.to_vec()), false), (Some(shard.to_vec()), true)] {
            for packing in ["", "zstd"] {
                let turned = vec![1, 0];
                let zarr =
                    Zarr { shard: shard.clone(), index_at_start, packing, order: turned, ..Zarr::plain(3, &chunk) };
                let folder = TempDir::new().unwrap();
                zarr.write(folder.path(), &view);
                check(&AnySource::open(folder.path(), None).unwrap(), &view, None);
            }
        }
    }
    for (version, separator) in [(2, '/'), (2, '.'), (3, '/'), (3, '.')] {
        let folder = TempDir::new().unwrap();
        Zarr { separator, ..Zarr::plain(version, &[10, 10]) }.write(folder.path(), &view);
        check(&AnySource::open(folder.path(), None).unwrap(), &view, None);
    }
}

#[test]
fn archives_and_groups() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (array(DType::F32, &[9, 8]), array(DType::U8, &[6, 5, 4]));
    let mut files = BTreeMap::from([("zarr.json".to_owned(), br#"{"zarr_format": 3, "node_type": "group"}"#.to_vec())]);
    files.insert("deep/zarr.json".into(), br#"{"zarr_format": 3, "node_type": "group"}"#.to_vec());
    for (name, view, zarr) in
        [("B04", &a, Zarr::plain(3, &[4, 4])), ("deep/B05", &b, Zarr { packing: "zstd", ..Zarr::plain(2, &[2, 3, 4]) })]
    {
        files.extend(zarr.files(view).into_iter().map(|(file, content)| (format!("{name}/{file}"), content)));
    }
    let scene = folder.path().join("scene.zarr");
    for (file, content) in &files {
        let path = scene.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let members: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    let (stored, deflated) = (folder.path().join("a.zip"), folder.path().join("b.zarr.zip"));
    fs::write(&stored, zip(&members, false)).unwrap();
    fs::write(&deflated, zip(&members, true)).unwrap();
    for place in [&scene, &stored, &deflated] {
        check(&AnySource::open(place.join("B04"), None).unwrap(), &a, None);
        check(&AnySource::open_with(place, &OpenOptions::new().member("deep/B05")).unwrap(), &b, None);
        let source = AnySource::open(place.join("deep/B05"), None).unwrap();
        assert_eq!(AnySource::open(&source.info().name, None).unwrap().info(), source.info());
        let message = |path: &Path| {
            let error = AnySource::open(path, None).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Format { .. } | ErrorKind::Unsupported { .. }), "{error:?}");
            error.to_string()
        };
        assert!(message(place).ends_with("NAME: it has B04, deep/B05"), "{}", message(place));
        assert!(message(&place.join("deep")).ends_with("deep/NAME: it has B05"), "{}", message(&place.join("deep")));
        assert!(
            message(&place.join("B06")).ends_with("no array \"B06\": it has B04, deep/B05"),
            "{}",
            message(&place.join("B06"))
        );
        let paged = AnySource::open(place.join("B04"), Some(1)).unwrap_err().to_string();
        assert!(paged.contains("no page"), "{paged}");
    }
}

#[test]
fn the_size_of_a_chunk_is_known_before_it_is_unpacked() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::U8, &[8, 8]);
    for packing in ["", "gzip", "zlib", "zstd"] {
        let zarr = Zarr { packing, ..Zarr::plain(3, &[8, 8]) };
        zarr.write(folder.path(), &view);
        let read = || {
            let source = AnySource::open(folder.path(), None).unwrap();
            let mut reader = source.open(&windrow::BufferPool::new(0)).unwrap();
            reader.read(&Region::whole(&[8, 8])).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read(), Ok(()));
        for wrong in [vec![1; 63], vec![1; 65], vec![0; 32 << 20]] {
            fs::write(folder.path().join("c/0/0"), zarr.pack(wrong)).unwrap();
            let message = read().unwrap_err();
            assert!(message.contains("c/0/0: ") && !message.contains('\n'), "{message}");
        }
        fs::write(folder.path().join("c/0/0"), b"nonsense").unwrap();
        assert!(read().is_err());
    }
    assert!(crate::LARGEST.load(std::sync::atomic::Ordering::Relaxed) < 128 << 20);
}
