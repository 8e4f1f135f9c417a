//! TIFF files: classic and BigTIFF, in strips or tiles, read chunk by chunk.

mod chunk;
mod directory;
mod geo;
mod jpeg;
mod page;
mod stack;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(test)]
use std::sync::Mutex;

use rayon::prelude::*;

use self::chunk::{ChunkDecoder, resize};
pub(crate) use self::directory::TagValues;
pub(crate) use self::geo::AxisMap;
pub use self::geo::GeoTags;
use self::page::{Compression, Page};
use super::file::{DataFile, Stamp};
use super::{Georeference, Identity, OpenOptions, Region, RegionReader, Source, SourceInfo, turned};
use crate::{BufferPool, Result, Scalar, StridedView};

/// One page of a TIFF file.
///
/// The shape is `(y, x)`, or `(y, x, c)` for several samples a pixel, whether they are stored side by side or in planes.
/// Reads classic TIFF and BigTIFF of either byte order; strips and tiles; none, LZW, Deflate, PackBits, Zstandard
/// and JPEG compression; both predictors; unsigned and signed samples of 8 to 64 bits, floats of 16 to 64, and 1 (as `bool`), 2
/// and 4 bits.
///
/// Samples are given as they are stored: palettes are not looked up, white-is-zero images are not inverted, CMYK is
/// four samples, and extra samples are samples as any other. Only JPEG's YCbCr becomes RGB. Chunks that were never
/// written are zeros.
///
/// A region decodes the strips and tiles that it touches, and nothing else. Without compression, rows are read alone,
/// so a file that is one large strip is still read row by row.
#[derive(Debug)]
pub struct TiffSource {
    info: SourceInfo,
    path: PathBuf,
    stamp: Stamp,
    number: usize,
    overview: Option<usize>,
    /// The first page of a stack, or the only one.
    page: Arc<Page>,
    /// Where the pages of a stack are.
    stack: Option<Arc<[u64]>>,
    /// How often each chunk was decoded, over all passes.
    #[cfg(test)]
    decoded: Arc<Mutex<Vec<u32>>>,
}

impl TiffSource {
    /// Page `page`, counted from 0, of the file at `path`. Only tags are read now.
    ///
    /// # Errors
    /// If the file can't be read or has no such page, its tags contradict each other, claim more than the file holds,
    /// or speak of a compression or a kind of pixel that is not read here.
    pub fn open(path: impl AsRef<Path>, page: usize) -> Result<Self> {
        Self::open_overview(path, page, None)
    }

    /// A reduced copy of page `page`: overview `overview`, counted from 0 as GDAL does, of those that follow the page in
    /// the file (cloud-optimized GeoTIFF) or lie below it (OME-TIFF); without one the page itself. It lies where the page
    /// lies, and has its value for missing pixels.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if there is no such copy: the error lists those that there are.
    pub fn open_overview(path: impl AsRef<Path>, page: usize, overview: Option<usize>) -> Result<Self> {
        Self::new(&DataFile::open(path.as_ref())?, page, overview)
    }

    pub(super) fn new(file: &DataFile, page: usize, overview: Option<usize>) -> Result<Self> {
        let first = Page::read(file, page, overview)?;
        Ok(Self {
            info: info(file, &first),
            path: file.path().to_owned(),
            stamp: file.stamp(),
            number: page,
            overview,
            stack: None,
            #[cfg(test)]
            decoded: Arc::new(Mutex::new(vec![0; first.chunks.len()])),
            page: Arc::new(first),
        })
    }

    /// All pages of the file at `path` as one array: the first axis, `page`, counts them. They are read page by page.
    ///
    /// ```no_run
    /// use windrow::source::{Source, TiffSource};
    ///
    /// let volume = TiffSource::open_stack("slices.tif")?;
    /// println!("{} pages", volume.info().shape[0]);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open), of any page; also if the pages differ in their shape or the type of their samples.
    pub fn open_stack(path: impl AsRef<Path>) -> Result<Self> {
        Self::new_stack(&DataFile::open(path.as_ref())?)
    }

    pub(super) fn new_stack(file: &DataFile) -> Result<Self> {
        let (info, first, stack) = stack::open(file)?;
        Ok(Self {
            info,
            path: file.path().to_owned(),
            stamp: file.stamp(),
            number: 0,
            overview: None,
            stack: Some(stack.into()),
            #[cfg(test)]
            decoded: Arc::new(Mutex::new(vec![0; first.chunks.len()])),
            page: Arc::new(first),
        })
    }
}

/// What a page is.
fn info(file: &DataFile, page: &Page) -> SourceInfo {
    let mut shape = vec![page.height, page.width];
    let rows = if page.rows_are_free() && !page.tiled { 1 } else { page.chunk_height };
    let mut chunk = vec![rows, page.chunk_width];
    let mut axes = vec!["y".to_owned(), "x".to_owned()];
    if page.samples > 1 {
        shape.push(page.samples);
        chunk.push(page.chunk_samples());
        axes.push("c".to_owned());
    }
    SourceInfo {
        name: file.name(),
        shape,
        dtype: page.dtype,
        axes: Some(axes),
        chunk,
        resident: false,
        working_bytes: working_bytes(page).saturating_add(file.memory()),
    }
}

impl Source for TiffSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn nodata(&self) -> Option<Scalar> {
        self.page.nodata()
    }

    fn notes(&self) -> Vec<String> {
        turned(self.page.orientation).into_iter().collect()
    }

    fn georeference(&self) -> Option<Georeference> {
        self.page.geo.georeference()
    }

    fn options(&self) -> OpenOptions {
        let page = Some(self.number).filter(|&number| number > 0);
        OpenOptions::new().page(page).overview(self.overview).stack(self.stack.is_some())
    }

    fn identity(&self) -> Result<Identity> {
        let page = if self.stack.is_some() { None } else { Some(self.number) };
        DataFile::reopen(&self.path, &self.stamp)?.identity(page)
    }

    fn fills(&self, first: usize) -> bool {
        first == 0 && !self.page.planar && self.stack.is_none()
    }

    fn stamp(&self) -> Option<String> {
        Some(self.stamp.to_string())
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let file = DataFile::reopen(&self.path, &self.stamp)?;
        if Page::read(&file, self.number, self.overview)? != *self.page {
            return Err(file.broken("the file changed: its tags are no longer the ones that it had"));
        }
        let reader = TiffReader {
            file,
            page: self.page.clone(),
            pool: pool.clone(),
            decoder: ChunkDecoder::new(),
            scratch: Vec::new(),
            slots: Vec::new(),
            #[cfg(test)]
            decoded: self.decoded.clone(),
        };
        match &self.stack {
            None => Ok(Box::new(reader)),
            Some(places) => Ok(Box::new(stack::StackReader::new(reader, places.clone()))),
        }
    }
}

/// One pass over a page.
struct TiffReader {
    file: DataFile,
    page: Arc<Page>,
    pool: BufferPool,
    decoder: ChunkDecoder,
    /// A chunk of which only a part is wanted.
    scratch: Vec<u8>,
    /// Of chunks that are unpacked at once.
    slots: Vec<Slot>,
    #[cfg(test)]
    decoded: Arc<Mutex<Vec<u32>>>,
}

/// A chunk that is unpacked beside others.
struct Slot {
    decoder: ChunkDecoder,
    pixels: Vec<u8>,
}

impl RegionReader for TiffReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let mut views = self.read_all(std::slice::from_ref(region))?;
        Ok(views.remove(0))
    }

    fn read_all(&mut self, regions: &[Region]) -> Result<Vec<StridedView>> {
        let views = self.read_regions(regions);
        // That the file changed says more than what was found in it.
        self.file.check_unchanged()?;
        views
    }

    fn read_into(&mut self, region: &Region, first: usize, out: &mut [u8]) -> Result<()> {
        let samples = region.0.get(2).map_or(1, |samples| samples.end - samples.start);
        if first != 0 || self.page.planar || samples != self.page.samples {
            return super::read_and_copy(self, region, first, out);
        }
        let part = Part { plane: 0, ys: region.0[0].clone(), xs: region.0[1].clone(), out };
        let filled = self.fill(&mut [part]);
        self.file.check_unchanged()?;
        filled
    }
}

/// A rectangle of one plane, and the memory that it is to be in.
struct Part<'a> {
    plane: u64,
    ys: Range<u64>,
    xs: Range<u64>,
    out: &'a mut [u8],
}

/// What a chunk and a part have in common.
struct Common {
    /// The number of the part.
    part: usize,
    chunk: Chunk,
    /// The bytes of its lines in the part, and those of its columns in each of them.
    lines: Range<usize>,
    columns: Range<usize>,
}

impl TiffReader {
    fn read_regions(&mut self, regions: &[Region]) -> Result<Vec<StridedView>> {
        let (planar, dtype, pixel) = (self.page.planar, self.page.dtype, self.pixel());
        let samples = |region: &Region| region.0.get(2).cloned().unwrap_or(0..1);
        // In memory as in the file: plane by plane, or all samples of a pixel side by side.
        let planes = |region: &Region| if planar { samples(region) } else { 0..1 };
        let plane_bytes = |region: &Region| region.shape()[..2].iter().product::<usize>() * pixel;
        let mut memories = Vec::with_capacity(regions.len());
        for region in regions {
            memories.push(self.pool.take(plane_bytes(region) * planes(region).count())?);
        }
        let mut parts = Vec::with_capacity(regions.len());
        for (region, memory) in regions.iter().zip(&mut memories) {
            for (plane, out) in planes(region).zip(memory.chunks_exact_mut(plane_bytes(region))) {
                parts.push(Part { plane, ys: region.0[0].clone(), xs: region.0[1].clone(), out });
            }
        }
        self.fill(&mut parts)?;
        let in_chunk = self.page.chunk_samples() as usize;
        let view = |(region, memory): (&Region, crate::PoolBuf)| {
            let shape = [planes(region).count(), region.shape()[0], region.shape()[1], in_chunk];
            let view = StridedView::from_buffer(memory.freeze(), dtype, &shape)?;
            if planar {
                let view = view.transpose(&[1, 2, 0, 3])?;
                return view.restride(view.shape()[..3].to_vec(), view.strides()[..3].to_vec());
            }
            let samples = samples(region);
            let view =
                view.slice(3, if in_chunk == 1 { 0..1 } else { samples.start as usize..samples.end as usize }, 1)?;
            let axes = 1..1 + region.0.len();
            view.restride(view.shape()[axes.clone()].to_vec(), view.strides()[axes].to_vec())
        };
        regions.iter().zip(memories).map(view).collect()
    }

    /// The bytes of a pixel in a chunk.
    fn pixel(&self) -> usize {
        self.page.chunk_samples() as usize * self.page.dtype.size()
    }

    /// Fills rectangles from all chunks that they touch.
    fn fill(&mut self, parts: &mut [Part<'_>]) -> Result<()> {
        let page = self.page.clone();
        self.file.want(|| parts.iter().flat_map(|part| page.places(part.plane, &part.ys, &part.xs)));
        let (height, width, pixel) = (page.chunk_height, page.chunk_width, self.pixel());
        let (across, down, at_once) = (page.chunks_across(), page.chunks_down(), most_at_once(&page));
        let mut pending = Vec::new();
        for number in 0..parts.len() {
            let Part { plane, ys, xs, .. } = &parts[number];
            let (plane, ys, xs) = (*plane, ys.clone(), xs.clone());
            let out_row = (xs.end - xs.start) as usize * pixel;
            for cy in ys.start / height..ys.end.div_ceil(height) {
                let top = cy * height;
                let rows = ys.start.max(top) - top..ys.end.min(top + height) - top;
                let first = (top + rows.start - ys.start) as usize * out_row;
                let lines = first..first + (rows.end - rows.start) as usize * out_row;
                for cx in xs.start / width..xs.end.div_ceil(width) {
                    let left = cx * width;
                    let columns = xs.start.max(left)..xs.end.min(left + width);
                    let to = (columns.start - xs.start) as usize * pixel..(columns.end - xs.start) as usize * pixel;
                    let chunk = Chunk {
                        index: ((plane * down + cy) * across + cx) as usize,
                        rows: rows.clone(),
                        columns: columns.start - left..columns.end - left,
                        stored_rows: page.stored_rows(cy),
                    };
                    if at_once < 2 || page.is_sparse(chunk.index) {
                        self.read_chunk(&chunk, pixel, &mut parts[number].out[lines.clone()], to)?;
                        continue;
                    }
                    pending.push(Common { part: number, chunk, lines: lines.clone(), columns: to });
                    if pending.len() == at_once {
                        self.read_together(&pending, pixel, parts)?;
                        pending.clear();
                    }
                }
            }
        }
        self.read_together(&pending, pixel, parts)
    }

    /// Fills what chunks and parts have in common; the chunks are unpacked by all threads of the pool.
    fn read_together(&mut self, commons: &[Common], pixel: usize, parts: &mut [Part<'_>]) -> Result<()> {
        if let [Common { part, chunk, lines, columns }] = commons {
            return self.read_chunk(chunk, pixel, &mut parts[*part].out[lines.clone()], columns.clone());
        }
        while self.slots.len() < commons.len() {
            self.slots.push(Slot { decoder: ChunkDecoder::new(), pixels: Vec::new() });
        }
        let chunk_row = self.page.chunk_width as usize * pixel;
        for (Slot { decoder, pixels }, Common { chunk, .. }) in self.slots.iter_mut().zip(commons) {
            #[cfg(test)]
            {
                self.decoded.lock().unwrap().get_mut(chunk.index).into_iter().for_each(|count| *count += 1);
            }
            decoder.load(&self.file, &self.page, chunk.index, chunk.stored_rows)?;
            resize(pixels, chunk.stored_rows as usize * chunk_row)?;
        }
        let (name, page) = (self.file.name(), &*self.page);
        let slots = self.slots.par_iter_mut().zip(commons);
        let done: Vec<Result<()>> = slots
            .map(|(Slot { decoder, pixels }, Common { chunk, .. })| {
                decoder.unpack(&name, page, chunk.index, chunk.stored_rows, pixels)
            })
            .collect();
        done.into_iter().collect::<Result<()>>()?;
        for (Slot { pixels, .. }, Common { part, chunk, lines, columns }) in self.slots.iter().zip(commons) {
            let Part { xs, out, .. } = &mut parts[*part];
            let out_row = (xs.end - xs.start) as usize * pixel;
            let from = chunk.columns.start as usize * pixel..chunk.columns.end as usize * pixel;
            let rows = pixels.chunks_exact(chunk_row).skip(chunk.rows.start as usize);
            for (out, row) in out[lines.clone()].chunks_exact_mut(out_row).zip(rows) {
                out[columns.clone()].copy_from_slice(&row[from.clone()]);
            }
        }
        Ok(())
    }

    /// Fills the columns `to` (in bytes) of the rows of `out` with a part of one chunk.
    fn read_chunk(&mut self, chunk: &Chunk, pixel: usize, out: &mut [u8], to: Range<usize>) -> Result<()> {
        let Chunk { index, rows, columns, stored_rows } = chunk;
        let count = (rows.end - rows.start) as usize;
        let out_row = out.len() / count;
        if self.page.is_sparse(*index) {
            // However large it claims to be: there is nothing to decode.
            out.chunks_exact_mut(out_row).for_each(|row| row[to.clone()].fill(0));
            return Ok(());
        }
        #[cfg(test)]
        {
            // Pages of a stack may have more chunks than the first.
            self.decoded.lock().unwrap().get_mut(*index).into_iter().for_each(|count| *count += 1);
        }
        let chunk_row = self.page.chunk_width as usize * pixel;
        let free = self.page.rows_are_free();
        let whole_rows = to.len() == chunk_row && out_row == chunk_row;
        if whole_rows && if free { self.page.bits >= 8 } else { *rows == (0..*stored_rows) } {
            // The chunk is as wide as the region: it is decoded into place.
            return self.decoder.decode(&self.file, &self.page, *index, rows.clone(), out);
        }
        // Of rows that can be read alone, a few at a time.
        let step = if free { (SCRATCH / chunk_row as u64).max(1) as usize } else { count };
        let from = columns.start as usize * pixel..columns.end as usize * pixel;
        for (i, out) in out.chunks_mut(step * out_row).enumerate() {
            let start = rows.start + (i * step) as u64;
            let wanted = start..start + (out.len() / out_row) as u64;
            let decoded = if free { wanted.clone() } else { 0..*stored_rows };
            resize(&mut self.scratch, (decoded.end - decoded.start) as usize * chunk_row)?;
            self.decoder.decode(&self.file, &self.page, *index, decoded.clone(), &mut self.scratch)?;
            let source = self.scratch.chunks_exact(chunk_row).skip((wanted.start - decoded.start) as usize);
            for (out, row) in out.chunks_exact_mut(out_row).zip(source) {
                out[to.clone()].copy_from_slice(&row[from.clone()]);
            }
        }
        Ok(())
    }
}

/// A part of a chunk.
struct Chunk {
    index: usize,
    rows: Range<u64>,
    columns: Range<u64>,
    /// The rows that the chunk has in all.
    stored_rows: u64,
}

/// Chunks that are unpacked at once, and about the most bytes of them.
const MOST_AT_ONCE: u64 = 16;
const AT_ONCE_BYTES: u64 = 64 << 20;

/// How many chunks of a page are unpacked at once.
fn most_at_once(page: &Page) -> usize {
    if page.rows_are_free() {
        return 1;
    }
    let bytes = page.chunk_width * page.chunk_samples() * page.dtype.size() as u64 * page.chunk_height;
    let threads = rayon::current_num_threads() as u64;
    threads.min(MOST_AT_ONCE).min(AT_ONCE_BYTES / bytes.max(1)).max(1) as usize
}

/// Bytes of rows that are read at once, where they can't be read into place.
const SCRATCH: u64 = 1 << 20;

/// The most bytes that a reader of this page keeps: a chunk as it is in the file, and what it is decoded into.
fn working_bytes(page: &Page) -> u64 {
    /// Tables of a decoder.
    const STATE: u64 = 256 << 10;
    let chunk_row = page.chunk_width * page.chunk_samples() * page.dtype.size() as u64;
    // Samples of fewer than 8 bits are unpacked from a buffer of their own.
    let bits = |rows: u64| if page.bits < 8 { page.row_bytes() * rows } else { 0 };
    if page.rows_are_free() {
        let rows = (SCRATCH / chunk_row).clamp(1, page.chunk_height);
        return chunk_row * rows + bits(rows);
    }
    let per_plane = (page.chunks_across() * page.chunks_down()) as usize;
    let written = page.chunks.iter().enumerate().filter(|(chunk, _)| !page.is_sparse(*chunk));
    let largest = written.map(|(i, &(_, packed))| {
        let rows = page.stored_rows((i % per_plane) as u64 / page.chunks_across());
        let unpacked = chunk_row * rows;
        packed
            + match page.compression {
                // Its decoder has a copy of both, and perhaps coefficients of two bytes.
                Compression::Jpeg => packed + 4 * unpacked,
                _ => unpacked + bits(rows),
            }
    });
    let chunks = (most_at_once(page) as u64).min(page.chunks.len() as u64).max(1);
    largest.max().map_or(0, |bytes| (bytes + STATE).saturating_mul(chunks))
}
