//! `.npy` files: read by region at positions, or mapped into memory.

use std::path::{Path, PathBuf};

use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::Mmap;

use super::file::{DataFile, Stamp};
use super::memory::ViewReader;
use super::npy_header::NpyHeader;
use super::swap::swap_bytes;
use super::{Identity, Region, RegionReader, Source, SourceInfo};
use crate::{BufferPool, DType, Error, Result, StridedView};

/// An array in a `.npy` file (format versions 1.0 to 3.0, either byte order, C or Fortran order).
///
/// A region is read with as few system calls as its shape allows, and nothing besides it: a range of full rows is one
/// read. An array in Fortran order is read as it lies and comes as a transposed view. A bool is any byte: other bytes
/// than 0 are read as 1.
#[derive(Debug)]
pub struct NpySource {
    info: SourceInfo,
    header: NpyHeader,
    file: PathBuf,
    stamp: Stamp,
    /// The whole array, if it is mapped.
    mapped: Option<StridedView>,
}

impl NpySource {
    /// The array in the file at `path`, to be read by positioned reads. Only the header is read now.
    ///
    /// # Errors
    /// If the file can't be read, is no `.npy` file, holds something else than numbers or bools, has no axes, or is
    /// shorter than its header says. (A longer file is fine, as for numpy.)
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = DataFile::open(path.as_ref())?;
        Self::new(&file)
    }

    /// The array in the file at `path`, mapped into memory: a region is then a slice that the system loads when it is
    /// touched. Bools are used as they lie, so that their bytes should be 0 and 1, as numpy writes them.
    ///
    /// # Safety
    /// Nobody may change the file as long as the source, a reader, or any view or Arrow buffer made from it lives.
    /// Memory that changes under a shared slice is undefined behaviour, and a file that becomes shorter kills the
    /// process with `SIGBUS` when its lost part is touched. Neither can be prevented from here.
    ///
    /// # Errors
    /// As [`open`](Self::open); also if the numbers are not in the byte order of this machine, or not aligned in the
    /// file, since they can't be used as they lie then.
    pub unsafe fn open_mmap(path: impl AsRef<Path>) -> Result<Self> {
        let file = DataFile::open(path.as_ref())?;
        let mut source = Self::new(&file)?;
        let NpyHeader { dtype, swapped, data, .. } = source.header;
        if swapped {
            return Err(file.unsupported("numbers in the other byte order can't be mapped, only read"));
        }
        if !data.is_multiple_of(dtype.size() as u64) {
            let message = format!("data at byte {data} are not aligned for {dtype}: they can't be mapped, only read");
            return Err(file.unsupported(message));
        }
        // SAFETY: the caller promises that the file stays as it is.
        let map = unsafe { Mmap::map(file.file()) }.map_err(|e| Error::io(file.path(), "map", e))?;
        let bytes = source.info.bytes() as usize;
        let buffer = Buffer::from(Bytes::from_owner(map));
        // The file may have become shorter since its length was looked at.
        if buffer.len() < data as usize + bytes {
            return Err(file.broken(format!("the file became shorter: {} bytes are left", buffer.len())));
        }
        let buffer = buffer.slice_with_length(data as usize, bytes);
        source.mapped = Some(source.header.view(buffer, &source.header.stored(&Region::whole(&source.info.shape)))?);
        source.info.resident = true;
        Ok(source)
    }

    fn new(file: &DataFile) -> Result<Self> {
        let header = NpyHeader::read(file)?;
        let info = SourceInfo {
            name: file.name(),
            shape: header.shape.clone(),
            dtype: header.dtype,
            axes: None,
            chunk: vec![1; header.shape.len()],
            resident: false,
            working_bytes: 0,
        };
        Ok(Self { info, header, file: file.path().to_owned(), stamp: file.stamp(), mapped: None })
    }
}

impl Source for NpySource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn identity(&self) -> Result<Identity> {
        DataFile::reopen(&self.file, &self.stamp)?.identity(None)
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        if let Some(view) = &self.mapped {
            return Ok(Box::new(ViewReader(view.clone())));
        }
        let file = DataFile::reopen(&self.file, &self.stamp)?;
        if NpyHeader::read(&file)? != self.header {
            return Err(file.broken("the file changed: its header is no longer the one that it had"));
        }
        Ok(Box::new(NpyReader { file, header: self.header.clone(), pool: pool.clone() }))
    }
}

/// One pass over a file by positioned reads.
struct NpyReader {
    file: DataFile,
    header: NpyHeader,
    pool: BufferPool,
}

impl RegionReader for NpyReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let view = self.read_stored(&self.header.stored(region));
        // That the file changed says more than what was found in it.
        self.file.check_unchanged()?;
        view
    }
}

impl NpyReader {
    fn read_stored(&mut self, stored: &Region) -> Result<StridedView> {
        let shape = self.header.stored(&Region::whole(&self.header.shape));
        let size = self.header.dtype.size();
        let mut memory = self.pool.take(stored.shape().iter().product::<usize>() * size)?;
        let (run, starts) = runs(&shape, stored);
        if run > 0 {
            for (out, start) in memory.chunks_exact_mut(run * size).zip(starts) {
                self.file.read_at(out, self.header.data + start * size as u64)?;
            }
        }
        if self.header.swapped {
            swap_bytes(&mut memory, size);
        }
        if self.header.dtype == DType::Bool && memory.iter().any(|&byte| byte > 1) {
            memory.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        self.header.view(memory.freeze(), stored)
    }
}

impl NpyHeader {
    /// A region in the order of the axes in the file: a file in Fortran order is one in C order of reversed axes.
    fn stored(&self, region: &Region) -> Region {
        let mut region = region.clone();
        if self.fortran {
            region.0.reverse();
        }
        region
    }

    /// The dense bytes of a stored region as an array with the axes in the order that they have for the user.
    fn view(&self, buffer: Buffer, stored: &Region) -> Result<StridedView> {
        let view = StridedView::from_buffer(buffer, self.dtype, &stored.shape())?;
        if !self.fortran {
            return Ok(view);
        }
        let reversed: Vec<_> = (0..view.ndim()).rev().collect();
        view.transpose(&reversed)
    }
}

/// How a region lies in a dense array: the number of elements that lie together, and where each such run starts, in
/// order.
fn runs(array: &Region, region: &Region) -> (usize, impl Iterator<Item = u64> + use<>) {
    // Trailing axes that are taken in full continue each other; the last axis that is not ends a run.
    let mut outer = region.0.len();
    let mut run = 1;
    while outer > 0 {
        outer -= 1;
        run *= region.shape()[outer];
        if region.0[outer] != array.0[outer] {
            break;
        }
    }
    let strides: Vec<u64> =
        (0..array.0.len()).map(|axis| array.0[axis + 1..].iter().map(|r| r.end).product()).collect();
    let first: u64 = region.0.iter().zip(&strides).map(|(range, stride)| range.start * stride).sum();
    let axes: Vec<(u64, u64)> = (0..outer).map(|axis| (region.shape()[axis] as u64, strides[axis])).collect();
    let count: u64 = axes.iter().map(|&(n, _)| n).product();
    let starts = (0..count).map(move |i| {
        let (_, at) = axes.iter().rev().fold((i, first), |(i, at), &(n, stride)| (i / n, at + i % n * stride));
        at
    });
    (run, starts)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn full_trailing_axes_are_one_run() {
        let array = Region::whole(&[4, 5, 6]);
        let starts = |ranges: [std::ops::Range<u64>; 3]| {
            let (run, starts) = runs(&array, &Region(ranges.to_vec()));
            (run, starts.collect::<Vec<_>>())
        };
        assert_eq!(starts([0..4, 0..5, 0..6]), (120, vec![0]));
        assert_eq!(starts([1..3, 0..5, 0..6]), (60, vec![30]));
        assert_eq!(starts([1..3, 2..4, 0..6]), (12, vec![42, 72]));
        assert_eq!(starts([1..2, 2..4, 3..5]), (2, vec![45, 51]));
        assert_eq!(starts([3..4, 4..5, 5..6]), (1, vec![119]));
    }

    /// A file with a header as numpy writes it.
    fn write(path: &Path, descr: &str, shape: &str, data: &[u8]) {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let text = format!("{text:<117}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_file_that_shrinks_or_changes_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, "<u2", "(4, 5)", &[1; 40]);
        let source = NpySource::open(&path).unwrap();
        let pool = BufferPool::new(1);
        let mut reader = Source::open(&source, &pool).unwrap();
        assert!(reader.read(&Region(vec![0..1, 0..5])).is_ok());
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(140).unwrap();
        for row in [0, 3] {
            let message = reader.read(&Region(vec![row..row + 1, 0..5])).unwrap_err().to_string();
            assert!(message.contains("changed while it was read"), "{message}");
        }
        assert!(Source::open(&source, &pool).err().unwrap().to_string().contains("changed"));
        write(&path, "<i2", "(4, 5)", &[1; 40]);
        assert!(Source::open(&source, &pool).err().unwrap().to_string().contains("changed"));
    }

    #[test]
    fn a_bool_is_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, "|b1", "(2, 3)", &[0, 1, 2, 128, 255, 0]);
        let mut reader = Source::open(&NpySource::open(&path).unwrap(), &BufferPool::new(1)).unwrap();
        let view = reader.read(&Region::whole(&[2, 3])).unwrap();
        assert_eq!(view.to_vec::<bool>().unwrap(), [false, true, true, true, true, false]);
        assert_eq!(view.buffer()[view.offset()..][..6], [0, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_map_is_the_same_array_and_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let data: Vec<u8> = (0..40).collect();
        write(&path, "<u2", "(4, 5)", &data);
        let pool = BufferPool::new(1);
        let region = Region(vec![1..3, 2..5]);
        let read = Source::open(&NpySource::open(&path).unwrap(), &pool).unwrap().read(&region).unwrap();
        // SAFETY: nobody else knows the file.
        let mapped = unsafe { NpySource::open_mmap(&path) }.unwrap();
        assert!(mapped.info().resident);
        let view = Source::open(&mapped, &pool).unwrap().read(&region).unwrap();
        assert_eq!(view.to_vec::<u16>().unwrap(), read.to_vec::<u16>().unwrap());
        assert!(view.shares_memory(&Source::open(&mapped, &pool).unwrap().read(&region).unwrap()));
        drop((view, mapped));
        write(&path, ">u2", "(4, 5)", &data);
        // SAFETY: as above, and the old map is gone.
        let message = unsafe { NpySource::open_mmap(&path) }.unwrap_err().to_string();
        assert!(message.contains("byte order"), "{message}");
    }
}
