//! `.npy` files, written here as numpy writes them.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use windrow::source::{AnySource, NpySource, Source};
use windrow::{BufferPool, DType, ErrorKind, StridedView};

use crate::suite::{array, bytes, check};

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Npy {
    pub version: u8,
    pub fortran: bool,
    pub big_endian: bool,
}

impl Npy {
    pub const PLAIN: Npy = Npy { version: 1, fortran: false, big_endian: false };

    pub fn bytes(self, view: &StridedView) -> Vec<u8> {
        let kind = match view.dtype() {
            DType::Bool => "b1",
            DType::U8 => "u1",
            DType::U16 => "u2",
            DType::U32 => "u4",
            DType::U64 => "u8",
            DType::I8 => "i1",
            DType::I16 => "i2",
            DType::I32 => "i4",
            DType::I64 => "i8",
            DType::F16 => "f2",
            DType::F32 => "f4",
            DType::F64 => "f8",
        };
        let order = match (view.dtype().size(), self.big_endian) {
            (1, _) => '|',
            (_, true) => '>',
            (_, false) => '<',
        };
        let shape: String = view.shape().iter().map(|n| format!("{n}, ")).collect();
        let fortran = if self.fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{order}{kind}', 'fortran_order': {fortran}, 'shape': ({shape}), }}");
        let mut file = raw(self.version, &header);
        let reversed: Vec<_> = (0..view.ndim()).rev().collect();
        let stored = if self.fortran { view.transpose(&reversed).unwrap() } else { view.clone() };
        file.extend(bytes(&stored, self.big_endian));
        file
    }
}

/// A file of a header alone.
pub fn raw(version: u8, header: &str) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    let header = format!("{header:<117}\n");
    match version {
        1 => file.extend((header.len() as u16).to_le_bytes()),
        _ => file.extend((header.len() as u32).to_le_bytes()),
    }
    file.extend(header.as_bytes());
    file
}

fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("a.npy");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn all_types_orders_and_versions() {
    let folder = TempDir::new().unwrap();
    for dtype in DType::ALL {
        for (fortran, big_endian) in [(false, false), (true, false), (false, true), (true, true)] {
            for (version, shape) in [(1, &[12, 7][..]), (2, &[5, 4, 3]), (3, &[31]), (1, &[2, 3, 4, 5])] {
                let view = array(dtype, shape);
                let npy = Npy { version, fortran, big_endian };
                let path = write(folder.path(), &npy.bytes(&view));
                check(&AnySource::open(&path, None).unwrap(), &view, None);
                if !big_endian {
                    // SAFETY: the file is written again only when the map is gone.
                    let source = unsafe { NpySource::open_mmap(&path) };
                    // Version 2 leaves the data unaligned here.
                    match source {
                        Ok(source) => check(&AnySource::new(source), &view, None),
                        Err(error) => assert!(error.to_string().contains("not aligned"), "{error}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_longer_file_is_fine_and_an_empty_array_too() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::F32, &[6, 5]);
    let mut bytes = Npy::PLAIN.bytes(&view);
    bytes.extend([1; 99]);
    check(&AnySource::open(write(folder.path(), &bytes), None).unwrap(), &view, None);
    let empty = AnySource::open(write(folder.path(), &Npy::PLAIN.bytes(&array(DType::U8, &[0, 3]))), None).unwrap();
    assert_eq!(empty.info().shape, [0, 3]);
    assert!(empty.open(&BufferPool::new(0)).is_ok());
}

#[test]
fn an_array_in_fortran_order_is_not_copied_about() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::U16, &[6, 5]);
    let path = write(folder.path(), &Npy { fortran: true, ..Npy::PLAIN }.bytes(&view));
    let source = NpySource::open(&path).unwrap();
    let region = windrow::source::Region(vec![1..4, 0..5]);
    let got = Source::open(&source, &BufferPool::new(0)).unwrap().read(&region).unwrap();
    assert_eq!(got.strides(), [1, 3]);
}

#[test]
fn what_can_not_be_read_says_why() {
    let folder = TempDir::new().unwrap();
    let message = |bytes: &[u8]| {
        let error = NpySource::open(write(folder.path(), bytes)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Format { .. } | ErrorKind::Unsupported { .. }), "{error:?}");
        let message = error.to_string();
        assert!(!message.contains('\n') && message.contains("a.npy: "), "{message}");
        message
    };
    let dict = |descr: &str, shape: &str| {
        let mut file = raw(1, &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"));
        file.extend([0; 16]);
        file
    };
    let mut other_version = raw(1, "{}");
    other_version[6] = 4;
    let mut long_header = raw(2, "{}");
    long_header[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut wide_header = raw(2, &" ".repeat(1 << 21));
    wide_header.extend([0; 16]);
    for (bytes, part) in [
        (dict("'<f4'", "()"), "no axes"),
        (dict("'|O'", "(2,)"), "Python objects"),
        (dict("[('a', '<f4')]", "(2,)"), "structured"),
        (dict("'<c8'", "(2,)"), "complex"),
        (dict("'<U3'", "(2,)"), "text"),
        (dict("'<M8[ns]'", "(2,)"), "dates"),
        (dict("'<f4'", "(5,)"), "needs 20 bytes of data, but the file has 16"),
        (dict("'<f4'", "(4611686018427387904, 4611686018427387904)"), "more than"),
        (dict("'<f4'", "(0, 4611686018427387904, 4)"), "more than"),
        (dict("'<f4'", "(9223372036854775807,)"), "more than"),
        (dict("'<f4'", "(2, -1)"), "length of an axis"),
        (other_version, "version 4.0"),
        (long_header, "4294967295 bytes, but the file has"),
        (wide_header, "at most 1048576"),
        (b"\x93NUMPY".to_vec(), "ends within its header"),
        (b"hello".to_vec(), "not a .npy file"),
    ] {
        let message = message(&bytes);
        assert!(message.contains(part), "{message}");
    }
}
