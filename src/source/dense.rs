//! A dense array somewhere in a file: what `.npy` files, members of `.npz` archives and raw files have in common.

use std::path::PathBuf;

use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::Mmap;

use super::file::{DataFile, Stamp};
use super::memory::ViewReader;
use super::swap::swap_bytes;
use super::{Identity, Region, RegionReader, SourceInfo};
use crate::{BufferPool, DType, Error, Result, StridedView};

/// Where the numbers of an array are, and how they lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dense {
    pub(crate) dtype: DType,
    /// Whether the bytes of a number are in the other order than this machine's.
    pub(crate) swapped: bool,
    /// Whether the first axis varies fastest.
    pub(crate) fortran: bool,
    pub(crate) shape: Vec<u64>,
    /// Where in the file the data start.
    pub(crate) data: u64,
}

impl Dense {
    /// The bytes of the array; an error in words if no machine holds as many, or it has no axis or too many.
    pub(crate) fn bytes(&self) -> Result<u64, String> {
        let Self { shape, dtype, .. } = self;
        if shape.is_empty() {
            return Err("the array has no axes (shape ()): expected at least one".to_owned());
        }
        if shape.len() > 64 {
            // numpy's own limit; a longer shape is not worth a line of text either.
            return Err(format!("the array has {} axes: expected at most 64", shape.len()));
        }
        // Axes of length 0 don't hide an overflow of the others: strides are computed from them.
        let dense = shape.iter().try_fold(dtype.size() as u64, |bytes, &n| bytes.checked_mul(n.max(1)));
        if dense.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return Err(format!("shape {shape:?} of {dtype} is more than {} bytes", isize::MAX));
        }
        Ok(shape.iter().product::<u64>() * dtype.size() as u64)
    }

    /// The bytes of the array, which must be among those from the data on to `end`.
    pub(crate) fn bytes_within(&self, end: u64) -> Result<u64, String> {
        let (needs, has) = (self.bytes()?, end.saturating_sub(self.data));
        if needs > has {
            let Self { shape, dtype, .. } = self;
            return Err(format!("shape {shape:?} of {dtype} needs {needs} bytes of data, but the file has {has}"));
        }
        Ok(needs)
    }

    /// The whole array as memory that the system fills from the file when it is touched.
    ///
    /// # Safety
    /// Nobody may change the file as long as the view or anything made from it lives.
    pub(crate) unsafe fn map(&self, file: &DataFile) -> Result<StridedView> {
        let Self { dtype, swapped, data, .. } = *self;
        if swapped {
            return Err(file.unsupported("numbers in the other byte order can't be mapped, only read"));
        }
        if !data.is_multiple_of(dtype.size() as u64) {
            let message = format!("data at byte {data} are not aligned for {dtype}: they can't be mapped, only read");
            return Err(file.unsupported(message));
        }
        // SAFETY: the caller promises that the file stays as it is.
        let map = unsafe { Mmap::map(file.file()?) }.map_err(|e| Error::io(file.path(), "map", e))?;
        let buffer = Buffer::from(Bytes::from_owner(map));
        // The file may have become shorter since its length was looked at.
        let bytes = self
            .bytes_within(buffer.len() as u64)
            .map_err(|_| file.broken(format!("the file became shorter: {} bytes are left", buffer.len())))?;
        let buffer = buffer.slice_with_length(data as usize, bytes as usize);
        self.view(buffer, &self.stored(&Region::whole(&self.shape)))
    }

    /// The array in memory that was filled from the file, in the byte order of this machine.
    #[cfg(feature = "npz")]
    pub(crate) fn of_memory(&self, mut memory: crate::PoolBuf) -> Result<StridedView> {
        self.to_native(&mut memory);
        self.view(memory.freeze(), &self.stored(&Region::whole(&self.shape)))
    }

    fn to_native(&self, memory: &mut [u8]) {
        if self.swapped {
            swap_bytes(memory, self.dtype.size());
        }
        if self.dtype == DType::Bool && memory.iter().any(|&byte| byte > 1) {
            memory.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
    }

    /// Whether a region is read as it lies, if this axis is to be the first.
    pub(crate) fn fills(&self, first: usize) -> bool {
        first == 0 && !self.fortran
    }

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

/// A file that is one array: what `.npy` and raw files have in common.
#[derive(Debug)]
pub(crate) struct DenseFile {
    pub(crate) info: SourceInfo,
    pub(crate) array: Dense,
    path: PathBuf,
    stamp: Stamp,
    /// The whole array, if it is mapped.
    mapped: Option<StridedView>,
}

impl DenseFile {
    pub(crate) fn new(file: &DataFile, array: Dense) -> Self {
        let info = SourceInfo {
            name: file.name(),
            shape: array.shape.clone(),
            dtype: array.dtype,
            axes: None,
            chunk: vec![1; array.shape.len()],
            resident: false,
            working_bytes: 0,
        };
        Self { info, array, path: file.path().to_owned(), stamp: file.stamp(), mapped: None }
    }

    /// The same, mapped into memory.
    ///
    /// # Safety
    /// As for [`Dense::map`].
    pub(crate) unsafe fn map(mut self, file: &DataFile) -> Result<Self> {
        // SAFETY: the caller promises that the file stays as it is.
        self.mapped = Some(unsafe { self.array.map(file) }?);
        self.info.resident = true;
        Ok(self)
    }

    /// Starts a pass over the array, which `check` may find to be another one than it was.
    pub(crate) fn open(
        &self,
        pool: &BufferPool,
        check: impl FnOnce(&DataFile) -> Result<()>,
    ) -> Result<Box<dyn RegionReader>> {
        if let Some(view) = &self.mapped {
            return Ok(Box::new(ViewReader(view.clone())));
        }
        let file = DataFile::reopen(&self.path, &self.stamp)?;
        check(&file)?;
        let (array, pool) = (self.array.clone(), pool.clone());
        Ok(Box::new(DenseReader {
            file,
            array,
            pool,
            #[cfg(feature = "npz")]
            sum: None,
        }))
    }

    pub(crate) fn identity(&self) -> Result<Identity> {
        DataFile::reopen(&self.path, &self.stamp)?.identity(None)
    }

    pub(crate) fn stamp(&self) -> String {
        self.stamp.to_string()
    }
}

/// One pass over a file by positioned reads.
pub(crate) struct DenseReader {
    pub(crate) file: DataFile,
    pub(crate) array: Dense,
    pub(crate) pool: BufferPool,
    /// The checksum of the bytes, where the file has one.
    #[cfg(feature = "npz")]
    pub(crate) sum: Option<Sum>,
}

/// The checksum of bytes that are read one after the other. It says nothing of bytes of which some are left out.
#[cfg(feature = "npz")]
pub(crate) struct Sum {
    name: String,
    expected: u32,
    hasher: crc32fast::Hasher,
    /// Where the next byte is that counts, and where the last one ends.
    at: u64,
    end: u64,
}

#[cfg(feature = "npz")]
impl Sum {
    /// That of the bytes at `place` of a file, the first of which are read here.
    pub(crate) fn new(
        file: &DataFile,
        name: String,
        expected: u32,
        place: std::ops::Range<u64>,
        first: u64,
    ) -> Result<Self> {
        let mut sum = Self { name, expected, hasher: crc32fast::Hasher::new(), at: place.start, end: place.end };
        sum.read(file, first)?;
        Ok(sum)
    }

    /// Adds what is in the file up to some place.
    fn read(&mut self, file: &DataFile, to: u64) -> Result<()> {
        let mut piece = vec![0; 64 << 10];
        while self.at < to {
            let bytes = piece.len().min((to - self.at) as usize);
            file.read_at(&mut piece[..bytes], self.at)?;
            self.hasher.update(&piece[..bytes]);
            self.at += bytes as u64;
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8], at: u64) {
        if at == self.at {
            self.hasher.update(bytes);
            self.at += bytes.len() as u64;
        }
    }

    /// Fails if all that counts was read, and is not what it was.
    fn check(&mut self, file: &DataFile, last: u64) -> Result<()> {
        if self.at != last {
            return Ok(());
        }
        self.read(file, self.end)?;
        let crc = self.hasher.clone().finalize();
        if crc == self.expected {
            return Ok(());
        }
        let message = format!("its checksum is {crc:08x}: expected {:08x}", self.expected);
        Err(Error::format(&self.name, message))
    }
}

impl RegionReader for DenseReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let stored = self.array.stored(region);
        let mut memory = self.pool.take(stored.shape().iter().product::<usize>() * self.array.dtype.size())?;
        self.fill(&stored, &mut memory)?;
        self.array.view(memory.freeze(), &stored)
    }

    fn read_into(&mut self, region: &Region, first: usize, out: &mut [u8]) -> Result<()> {
        if self.array.fills(first) {
            return self.fill(region, out);
        }
        super::read_and_copy(self, region, first, out)
    }
}

impl DenseReader {
    fn fill(&mut self, stored: &Region, memory: &mut [u8]) -> Result<()> {
        let filled = self.fill_stored(stored, memory);
        // That the file changed says more than what was found in it.
        self.file.check_unchanged()?;
        filled
    }

    fn fill_stored(&mut self, stored: &Region, memory: &mut [u8]) -> Result<()> {
        let shape = self.array.stored(&Region::whole(&self.array.shape));
        let size = self.array.dtype.size();
        let (run, starts) = runs(&shape, stored);
        if run > 0 {
            for (out, start) in memory.chunks_exact_mut(run * size).zip(starts) {
                let at = self.array.data + start * size as u64;
                self.file.read_at(out, at)?;
                #[cfg(feature = "npz")]
                if let Some(sum) = &mut self.sum {
                    sum.add(out, at);
                }
            }
        }
        #[cfg(feature = "npz")]
        if let Some(sum) = &mut self.sum {
            // How long the array is was checked before.
            sum.check(&self.file, self.array.data + self.array.bytes().unwrap_or(0))?;
        }
        self.array.to_native(memory);
        Ok(())
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
}
