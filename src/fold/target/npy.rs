//! `.npy`: a header, and the cells in C order.

use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Picture, Target};
use crate::sink::atomic::AtomicFile;
use crate::{DType, Error, Result};

pub(super) struct NpyTarget {
    file: AtomicFile,
    path: PathBuf,
    picture: Picture,
    /// Where the cells start.
    data: u64,
}

impl NpyTarget {
    pub(super) fn create(path: &Path, picture: Picture) -> Result<Self> {
        let header = header(picture.dtype, &picture.shape);
        let mut file = AtomicFile::create(path)?;
        file.write_all(&header).map_err(|error| Error::io(path, "write", error))?;
        Ok(Self { file, path: path.to_owned(), picture, data: header.len() as u64 })
    }
}

impl Target for NpyTarget {
    fn step(&self) -> u64 {
        1
    }

    fn write(&mut self, lines: Range<u64>, bytes: &[u8]) -> Result<()> {
        let Picture { dtype, shape, lead, .. } = &self.picture;
        let fail = |error| Error::io(&self.path, "write", error);
        if *lead == 0 {
            return self.file.write_all(bytes).map_err(fail);
        }
        // A stretch for each place on the axes before.
        let line = shape[lead + 1..].iter().product::<u64>() * dtype.size() as u64;
        let stretch = (lines.end - lines.start) * line;
        for (i, stretch) in bytes.chunks_exact(stretch as usize).enumerate() {
            let at = (i as u64 * shape[*lead] + lines.start) * line;
            self.file.seek(SeekFrom::Start(self.data + at)).map_err(fail)?;
            self.file.write_all(stretch).map_err(fail)?;
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        self.file.commit()
    }
}

/// The magic, the version, and a Python dict, padded so that cells are aligned.
fn header(dtype: DType, shape: &[u64]) -> Vec<u8> {
    let order = match dtype.size() {
        1 => '|',
        _ if cfg!(target_endian = "little") => '<',
        _ => '>',
    };
    let kind = match dtype {
        DType::Bool => 'b',
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => 'u',
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => 'i',
        DType::F16 | DType::F32 | DType::F64 => 'f',
    };
    let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    // Python's tuple of one needs its comma, one of more may have it.
    let lengths = lengths.trim_end();
    let size = dtype.size();
    let dict = format!("{{'descr': '{order}{kind}{size}', 'fortran_order': False, 'shape': ({lengths}), }}");
    let length = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(dict.bytes());
    header.resize(10 + length - 1, b' ');
    header.push(b'\n');
    header
}
