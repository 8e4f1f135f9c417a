//! Files without a header.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use windrow::source::{AnySource, OpenOptions, RawSource, RawSpec};
use windrow::{BufferPool, DType, ErrorKind};

use crate::suite::{array, bytes, check};

fn write(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("a.bin");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn all_types_and_orders_from_any_byte_on() {
    let folder = TempDir::new().unwrap();
    for dtype in DType::ALL {
        for (big_endian, offset) in [(false, None), (true, None), (false, Some(0)), (true, Some(13)), (false, Some(64))]
        {
            for shape in [&[12, 7][..], &[5, 4, 3], &[31]] {
                let view = array(dtype, shape);
                let mut file = vec![7; offset.unwrap_or(0) as usize];
                file.extend(bytes(&view, big_endian));
                if offset.is_some() {
                    file.extend([9; 5]);
                }
                let path = write(&folder, &file);
                let shape = shape.iter().map(|&n| n as u64).collect();
                let spec = RawSpec { dtype, big_endian, shape, offset };
                let options = OpenOptions::new().raw(spec.to_string().parse::<RawSpec>().unwrap());
                let source = AnySource::open_with(&path, &options).unwrap();
                check(&source, &view, None);
                assert_eq!(AnySource::open_with(&path, &source.options()).unwrap().info(), source.info());
                // SAFETY: the file is written again only when the map is gone.
                match unsafe { RawSource::open_mmap(&path, &spec) } {
                    Ok(source) => check(&AnySource::new(source), &view, None),
                    Err(error) => {
                        let text = error.to_string();
                        assert!(text.contains("not aligned") || text.contains("other byte order"), "{text}");
                        assert!(big_endian || offset == Some(13), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_file_of_another_length_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, &[0; 100]);
    let message = |spec: &str, options: OpenOptions| {
        let error = AnySource::open_with(&path, &options.raw(spec.parse::<RawSpec>().unwrap())).unwrap_err();
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        assert!(matches!(error.kind(), ErrorKind::Format { .. } | ErrorKind::Argument { .. }), "{error:?}");
        message
    };
    let plain = OpenOptions::new;
    for (spec, part) in [
        ("u8:10x11", "needs 110 bytes of data, but the file has 100"),
        ("u8:9x11", "is 99 bytes, but the file has 100: say where they start, as in uint8:9x11@0"),
        ("u16le:50@1", "needs 100 bytes of data, but the file has 99"),
        ("u8:1@101", "start at byte 101, but the file has 100"),
        ("u8:4000000000x4000000000x0@0", "more than"),
    ] {
        match spec.parse::<RawSpec>() {
            Ok(_) => assert!(message(spec, plain()).contains(part), "{spec}: {}", message(spec, plain())),
            Err(error) => assert!(error.to_string().contains(part), "{spec}: {error}"),
        }
    }
    assert!(message("u8:100", plain().page(0)).contains("has no page"));
    assert!(message("u8:100", plain().stack(true)).contains("has no stack"));
    assert!(message("u8:100", plain().member("a")).contains("has no member"));
}

#[test]
fn a_file_that_changes_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, &[0; 100]);
    let source = RawSource::open(&path, &"u8:10x10".parse().unwrap()).unwrap();
    let source = AnySource::new(source);
    let whole = windrow::source::Region::whole(&[10, 10]);
    let mut reader = source.open(&BufferPool::new(0)).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(50).unwrap();
    assert!(reader.read(&whole).unwrap_err().to_string().contains("changed"));
    assert!(source.open(&BufferPool::new(0)).err().unwrap().to_string().contains("changed"));
    fs::remove_file(&path).unwrap();
    assert!(matches!(source.open(&BufferPool::new(0)).err().unwrap().kind(), ErrorKind::Io { .. }));
}
