//! TIFF files: classic and BigTIFF, in strips or tiles, read chunk by chunk.

mod chunk;
mod directory;
mod jpeg;
mod page;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(test)]
use std::sync::Mutex;

use self::chunk::{ChunkDecoder, resize};
use self::page::Page;
use super::file::DataFile;
use super::{Region, RegionReader, Source, SourceInfo};
use crate::{BufferPool, Result, StridedView};

/// One page of a TIFF file.
///
/// The shape is `(y, x)`, or `(y, x, c)` for several samples a pixel, whether they are stored side by side or in planes.
/// Reads classic TIFF and BigTIFF of either byte order; strips and tiles; none, LZW, Deflate, PackBits and JPEG
/// compression; both predictors; unsigned and signed samples of 8 to 64 bits, floats of 16 to 64, and 1 (as `bool`), 2
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
    number: usize,
    page: Arc<Page>,
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
        let file = DataFile::open(path.as_ref())?;
        let number = page;
        let page = Page::read(&file, number)?;
        let mut shape = vec![page.height, page.width];
        let rows = if page.rows_are_free() && !page.tiled { 1 } else { page.chunk_height };
        let mut chunk = vec![rows, page.chunk_width];
        let mut axes = vec!["y".to_owned(), "x".to_owned()];
        if page.samples > 1 {
            shape.push(page.samples);
            chunk.push(page.chunk_samples());
            axes.push("c".to_owned());
        }
        let info = SourceInfo { name: file.name(), shape, dtype: page.dtype, axes: Some(axes), chunk, resident: false };
        Ok(Self {
            info,
            path: path.as_ref().to_owned(),
            number,
            #[cfg(test)]
            decoded: Arc::new(Mutex::new(vec![0; page.chunks.len()])),
            page: Arc::new(page),
        })
    }
}

impl Source for TiffSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let file = DataFile::open(&self.path)?;
        if Page::read(&file, self.number)? != *self.page {
            return Err(file.broken("the file changed: its tags are no longer the ones that it had"));
        }
        Ok(Box::new(TiffReader {
            file,
            page: self.page.clone(),
            pool: pool.clone(),
            decoder: ChunkDecoder::new(),
            scratch: Vec::new(),
            #[cfg(test)]
            decoded: self.decoded.clone(),
        }))
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
    #[cfg(test)]
    decoded: Arc<Mutex<Vec<u32>>>,
}

impl RegionReader for TiffReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let (ys, xs) = (region.0[0].clone(), region.0[1].clone());
        let samples = region.0.get(2).cloned().unwrap_or(0..1);
        // In memory as in the file: plane by plane, or all samples of a pixel side by side.
        let planes = if self.page.planar { samples.clone() } else { 0..1 };
        let (rows, columns) = (ys.end - ys.start, xs.end - xs.start);
        let in_chunk = self.page.chunk_samples();
        let pixel = in_chunk as usize * self.page.dtype.size();
        let plane_bytes = rows as usize * columns as usize * pixel;
        let mut memory = self.pool.take(plane_bytes * (planes.end - planes.start) as usize)?;
        for (plane, out) in planes.clone().zip(memory.chunks_exact_mut(plane_bytes)) {
            self.read_plane(plane, &ys, &xs, pixel, out)?;
        }
        let shape = [planes.end - planes.start, rows, columns, in_chunk].map(|n| n as usize);
        let view = StridedView::from_buffer(memory.freeze(), self.page.dtype, &shape)?;
        if self.page.planar {
            let view = view.transpose(&[1, 2, 0, 3])?;
            return view.restride(view.shape()[..3].to_vec(), view.strides()[..3].to_vec());
        }
        let view = view.slice(3, if in_chunk == 1 { 0..1 } else { samples.start as usize..samples.end as usize }, 1)?;
        let axes = 1..1 + region.0.len();
        view.restride(view.shape()[axes.clone()].to_vec(), view.strides()[axes].to_vec())
    }
}

impl TiffReader {
    /// Fills `out` with a rectangle of one plane, from all chunks that it touches.
    fn read_plane(&mut self, plane: u64, ys: &Range<u64>, xs: &Range<u64>, pixel: usize, out: &mut [u8]) -> Result<()> {
        let (height, width) = (self.page.chunk_height, self.page.chunk_width);
        let (across, down) = (self.page.chunks_across(), self.page.chunks_down());
        let out_row = (xs.end - xs.start) as usize * pixel;
        for cy in ys.start / height..ys.end.div_ceil(height) {
            let top = cy * height;
            // The rows that are wanted, and the rows that have to be decoded for them.
            let wanted = ys.start.max(top) - top..ys.end.min(top + height) - top;
            let free = self.page.rows_are_free();
            let decoded = if free { wanted.clone() } else { 0..self.page.stored_rows(cy) };
            let first = (top + wanted.start - ys.start) as usize;
            let rows = (wanted.end - wanted.start) as usize;
            for cx in xs.start / width..xs.end.div_ceil(width) {
                let left = cx * width;
                let chunk = ((plane * down + cy) * across + cx) as usize;
                #[cfg(test)]
                {
                    self.decoded.lock().unwrap()[chunk] += 1;
                }
                let out = &mut out[first * out_row..(first + rows) * out_row];
                if decoded == wanted && left == xs.start && left + width == xs.end {
                    // The chunk is as wide as the region: it is decoded into place.
                    self.decoder.decode(&self.file, &self.page, chunk, decoded.clone(), out)?;
                    continue;
                }
                let chunk_row = width as usize * pixel;
                resize(&mut self.scratch, (decoded.end - decoded.start) as usize * chunk_row)?;
                self.decoder.decode(&self.file, &self.page, chunk, decoded.clone(), &mut self.scratch)?;
                let columns = xs.start.max(left)..xs.end.min(left + width);
                let from = (columns.start - left) as usize * pixel..(columns.end - left) as usize * pixel;
                let to = (columns.start - xs.start) as usize * pixel..(columns.end - xs.start) as usize * pixel;
                let skip = (wanted.start - decoded.start) as usize;
                let source = self.scratch.chunks_exact(chunk_row).skip(skip);
                for (out, row) in out.chunks_exact_mut(out_row).zip(source) {
                    out[to.clone()].copy_from_slice(&row[from.clone()]);
                }
            }
        }
        Ok(())
    }
}
