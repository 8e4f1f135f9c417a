//! Zarr, version 3: a folder of chunks, each a file of Zstandard.
//!
//! Of the two versions the newer is written: it names the axes, and says all in one file. Whole chunks are written at once, so
//! that none is ever read back.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Picture, Target};
use crate::sink::folder::AtomicFolder;
use crate::{DType, Error, Result};

/// Cells of a chunk on the axis that lines are counted on, at most.
const CHUNK_LINES: u64 = 256;

/// Bytes of a chunk before compression, about at most.
const CHUNK_BYTES: u64 = 1 << 20;

/// Bytes of the lines that are held until their chunks are whole, at most, but for one line.
const SLAB_BYTES: u64 = 8 << 20;

/// The file that says what the array is.
const ABOUT: &str = "zarr.json";

pub(super) struct ZarrTarget {
    folder: AtomicFolder,
    picture: Picture,
    chunk: Vec<u64>,
    bytes: AtomicU64,
}

impl ZarrTarget {
    pub(super) fn create(path: &Path, picture: Picture) -> Result<Self> {
        let chunk = chunk(&picture);
        let folder = AtomicFolder::create(path, ABOUT, is_array)?;
        Ok(Self { folder, picture, chunk, bytes: AtomicU64::new(0) })
    }

    /// Writes the chunk with these numbers: `place` in cells of the array, of lines that start at `first`.
    fn chunk(&self, numbers: &[u64], lines: &Range<u64>, bytes: &[u8]) -> Result<()> {
        let Picture { dtype, shape, lead, .. } = &self.picture;
        let size = dtype.size();
        // What lies behind the end of the array is zero.
        let mut cells = vec![0; self.chunk.iter().product::<u64>() as usize * size];
        // The part of the chunk that there is of the array, in the lines that came.
        let starts: Vec<_> = numbers.iter().zip(&self.chunk).map(|(number, chunk)| number * chunk).collect();
        let have: Vec<_> = (0..shape.len()).map(|axis| self.chunk[axis].min(shape[axis] - starts[axis])).collect();
        let of = |axis: usize| if axis == *lead { lines.end - lines.start } else { shape[axis] };
        let from = |axis: usize| starts[axis] - if axis == *lead { lines.start } else { 0 };
        let Some((&run, outer)) = have.split_last() else { return Ok(()) };
        let run_bytes = run as usize * size;
        let mut place = vec![0; outer.len()];
        for _ in 0..outer.iter().product::<u64>() {
            let last = outer.len();
            let at = |step: &dyn Fn(usize) -> u64, start: &dyn Fn(usize) -> u64| {
                let outer = (0..last).fold(0, |at, axis| at * step(axis) + start(axis) + place[axis]);
                (outer * step(last) + start(last)) as usize * size
            };
            let (source, target) = (at(&of, &from), at(&|axis| self.chunk[axis], &|_| 0));
            cells[target..target + run_bytes].copy_from_slice(&bytes[source..source + run_bytes]);
            for (place, &end) in place.iter_mut().zip(outer).rev() {
                *place += 1;
                if *place < end {
                    break;
                }
                *place = 0;
            }
        }
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        let name = format!("c/{}", numbers.join("/"));
        let packed = zstd::bulk::compress(&cells, 1).map_err(|error| Error::io(Path::new(&name), "compress", error))?;
        self.bytes.fetch_add(packed.len() as u64, Ordering::Relaxed);
        self.folder.write(&name, &packed)
    }
}

impl Target for ZarrTarget {
    fn step(&self) -> u64 {
        self.chunk[self.picture.lead]
    }

    fn write(&mut self, lines: Range<u64>, bytes: &[u8]) -> Result<()> {
        let Picture { shape, lead, .. } = &self.picture;
        let chunks = |axis: usize| {
            if axis == *lead {
                lines.start / self.chunk[axis]..lines.end.div_ceil(self.chunk[axis])
            } else {
                0..shape[axis].div_ceil(self.chunk[axis])
            }
        };
        let ranges: Vec<_> = (0..shape.len()).map(chunks).collect();
        let count = ranges.iter().map(|range| range.end - range.start).product::<u64>();
        (0..count).into_par_iter().try_for_each(|mut number| {
            let mut numbers = vec![0; ranges.len()];
            for (slot, range) in numbers.iter_mut().zip(&ranges).rev() {
                let len = range.end - range.start;
                *slot = range.start + number % len;
                number /= len;
            }
            self.chunk(&numbers, &lines, bytes)
        })
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        let Self { folder, picture, chunk, bytes } = *self;
        let about = serde_json::to_string_pretty(&about(&picture, &chunk)).unwrap_or_default();
        folder.commit(about.as_bytes())?;
        Ok(bytes.into_inner() + about.len() as u64)
    }
}

/// What the array is.
fn about(picture: &Picture, chunk: &[u64]) -> Value {
    let zero = match picture.dtype {
        DType::Bool => json!(false),
        DType::F16 | DType::F32 | DType::F64 => json!(0.0),
        _ => json!(0),
    };
    // What is called missing is what chunks that are not there would hold: some readers take either for the other.
    let attributes = attributes(picture);
    let fill = attributes.get("_FillValue").filter(|_| picture.dtype != DType::Bool).unwrap_or(&zero);
    let endian = if cfg!(target_endian = "little") { "little" } else { "big" };
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": picture.shape,
        "data_type": picture.dtype.name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": endian}},
            {"name": "zstd", "configuration": {"level": 1, "checksum": false}},
        ],
        "dimension_names": picture.axes,
        "attributes": attributes,
    })
}

/// Where the image is on the earth, as the conventions "spatial" and "proj" of Zarr have it (<https://github.com/zarr-conventions>),
/// of its system also what GDAL before 3.13 reads; and the value of pixels that are missing, as files of climate and
/// forecast have it.
#[cfg(feature = "tiff")]
fn attributes(picture: &Picture) -> Value {
    let mut found = serde_json::Map::new();
    let Some(geo) = &picture.geo else { return found.into() };
    let nan = |text: &str| text.parse().is_ok_and(f64::is_nan).then(|| json!("NaN"));
    let number = |text: &str| serde_json::from_str(text).ok().filter(Value::is_number).or_else(|| nan(text));
    found.extend(geo.nodata().and_then(number).map(|value| ("_FillValue".into(), value)));
    let (Some(place), [y, x, ..]) = (geo.georeference(), &picture.axes[..]) else { return found.into() };
    let mut conventions = vec![convention("spatial", "spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4")];
    found.insert("spatial:dimensions".into(), json!([y, x]));
    found.insert("spatial:transform".into(), json!(place.transform));
    if let Some(epsg) = place.epsg {
        conventions.push(convention("geo-proj", "proj:", "f17cb550-5864-4468-aeb7-f3180cfb622f"));
        found.insert("proj:code".into(), json!(format!("EPSG:{epsg}")));
        found.insert("_CRS".into(), json!({"url": format!("http://www.opengis.net/def/crs/EPSG/0/{epsg}")}));
    }
    found.insert("zarr_conventions".into(), conventions.into());
    found.into()
}

/// How an array says that it follows a convention.
#[cfg(feature = "tiff")]
fn convention(repository: &str, name: &str, uuid: &str) -> Value {
    json!({
        "uuid": uuid,
        "name": name,
        "schema_url": format!("https://raw.githubusercontent.com/zarr-conventions/{repository}/refs/tags/v1/schema.json"),
        "spec_url": format!("https://github.com/zarr-conventions/{repository}/blob/v1/README.md"),
    })
}

#[cfg(not(feature = "tiff"))]
fn attributes(_: &Picture) -> Value {
    json!({})
}

/// Chunks of as many lines as may be held, cut on the other axes, from the first on, until they are small enough.
fn chunk(picture: &Picture) -> Vec<u64> {
    let mut chunk: Vec<_> = picture.shape.iter().map(|&n| n.max(1)).collect();
    chunk[picture.lead] = (SLAB_BYTES / picture.line_bytes().max(1)).clamp(1, CHUNK_LINES.min(chunk[picture.lead]));
    for axis in (0..chunk.len()).filter(|&axis| axis != picture.lead) {
        let bytes = chunk.iter().fold(picture.dtype.size() as u64, |bytes, &n| bytes.saturating_mul(n));
        chunk[axis] = chunk[axis].div_ceil(bytes.div_ceil(CHUNK_BYTES).min(chunk[axis]));
    }
    chunk
}

/// Whether a folder is an array of Zarr, which another one may replace; not a group, which may hold several.
fn is_array(folder: &Path) -> bool {
    let about = std::fs::read(folder.join(ABOUT)).ok();
    let about = about.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    folder.join(".zarray").is_file() || about.is_some_and(|about| about["node_type"] == "array")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(dtype: DType, shape: &[u64], lead: usize) -> Picture {
        let axes = (0..shape.len()).map(|i| format!("a{i}")).collect();
        Picture {
            dtype,
            shape: shape.to_vec(),
            lead,
            axes,
            #[cfg(feature = "tiff")]
            geo: None,
        }
    }

    #[test]
    fn chunks_are_of_bounded_bytes() {
        assert_eq!(chunk(&picture(DType::U8, &[300, 451, 3], 0)), [256, 451, 3]);
        assert_eq!(chunk(&picture(DType::U8, &[10, 20], 0)), [10, 20]);
        assert_eq!(chunk(&picture(DType::F32, &[50_000, 50_000], 0)), [41, 6250]);
        assert_eq!(chunk(&picture(DType::U8, &[3, 1000, 4000], 1)), [1, 256, 4000]);
        assert_eq!(chunk(&picture(DType::F64, &[5, 1 << 40], 0))[0], 1);
    }

    #[test]
    fn lines_in_pieces_are_chunks_that_our_reader_reads() {
        use crate::source::{Region, Source, ZarrSource};
        let folder = tempfile::tempdir().unwrap();
        for (n, (shape, lead)) in [(vec![600u64, 5, 3], 0), (vec![2, 600, 7], 1), (vec![7], 0)].into_iter().enumerate()
        {
            let path = folder.path().join(format!("{n}.zarr"));
            let all: Vec<u16> = (0..shape.iter().product::<u64>() as u16).collect();
            let mut target = Box::new(ZarrTarget::create(&path, picture(DType::U16, &shape, lead)).unwrap());
            let view =
                crate::StridedView::from_vec(all.clone(), &shape.iter().map(|&n| n as usize).collect::<Vec<_>>());
            let (view, step, end) = (view.unwrap(), target.step(), shape[lead]);
            for start in (0..end).step_by(step as usize) {
                let lines = start..end.min(start + step);
                let piece = view.slice(lead, lines.start as usize..lines.end as usize, 1).unwrap();
                target.write(lines, bytemuck::cast_slice(&piece.to_vec::<u16>().unwrap())).unwrap();
            }
            target.commit().unwrap();
            let source = ZarrSource::open(&path, None).unwrap();
            assert_eq!(source.info().axes.as_ref().map(Vec::len), Some(shape.len()));
            let region = Region(shape.iter().map(|&n| 0..n).collect());
            let read = source.open(&crate::BufferPool::new(1)).unwrap().read(&region).unwrap();
            assert_eq!(read.to_vec::<u16>().unwrap(), all);
        }
        // A group is not replaced.
        let group = folder.path().join("group.zarr");
        std::fs::create_dir(&group).unwrap();
        std::fs::write(group.join(ABOUT), r#"{"zarr_format": 3, "node_type": "group"}"#).unwrap();
        assert!(ZarrTarget::create(&group, picture(DType::U16, &[7], 0)).is_err());
    }
}
