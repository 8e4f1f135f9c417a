//! `.npy` files: read by region at positions, or mapped into memory.

use std::path::Path;

use super::dense::DenseFile;
use super::file::DataFile;
use super::{Identity, RegionReader, Source, SourceInfo, npy_header};
use crate::{BufferPool, Result};

/// An array in a `.npy` file (format versions 1.0 to 3.0, either byte order, C or Fortran order).
///
/// A region is read with as few system calls as its shape allows, and nothing besides it: a range of full rows is one
/// read. An array in Fortran order is read as it lies and comes as a transposed view. A bool is any byte: other bytes
/// than 0 are read as 1.
#[derive(Debug)]
pub struct NpySource(DenseFile);

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
        // SAFETY: the caller promises that the file stays as it is.
        Ok(Self(unsafe { Self::new(&file)?.0.map(&file) }?))
    }

    pub(super) fn new(file: &DataFile) -> Result<Self> {
        Ok(Self(DenseFile::new(file, npy_header::read(file)?)))
    }
}

impl Source for NpySource {
    fn info(&self) -> &SourceInfo {
        &self.0.info
    }

    fn identity(&self) -> Result<Identity> {
        self.0.identity()
    }

    fn fills(&self, first: usize) -> bool {
        self.0.array.fills(first)
    }

    fn stamp(&self) -> Option<String> {
        Some(self.0.stamp())
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        self.0.open(pool, |file| match npy_header::read(file)? == self.0.array {
            true => Ok(()),
            false => Err(file.broken("the file changed: its header is no longer the one that it had")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Region;
    use super::*;

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
