//! `.npz` archives, written here as numpy writes them.

use std::fs;
use std::path::PathBuf;

use flate2::write::DeflateEncoder;
use std::io::Write;
use tempfile::TempDir;
use windrow::source::{AnySource, OpenOptions, Region};
use windrow::{BufferPool, DType};

use crate::npy::Npy;
use crate::suite::{array, check};

/// A zip archive of these files.
pub fn zip(members: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let packed = match deflated {
            false => data.clone(),
            true => {
                let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
        };
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let mut common = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0x21, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend((packed.len() as u32).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        let start = file.len() as u32;
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        // numpy pads so that numbers are aligned; directory and header may differ in that.
        file.extend(4u16.to_le_bytes());
        file.extend(name.as_bytes());
        file.extend([0xff, 0xff, 0, 0]);
        file.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 12]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (file.len() as u32, members.len() as u16);
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    [count, count].into_iter().for_each(|n| file.extend(n.to_le_bytes()));
    [directory.len() as u32, start].into_iter().for_each(|n| file.extend(n.to_le_bytes()));
    file.extend([0, 0]);
    file
}

fn write(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("a.npz");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn all_types_stored_and_deflated() {
    let folder = TempDir::new().unwrap();
    for dtype in DType::ALL {
        for (fortran, big_endian, deflated) in
            [(false, false, false), (true, true, false), (false, true, true), (true, false, true)]
        {
            let view = array(dtype, &[12, 7, 3]);
            let npy = Npy { version: 1, fortran, big_endian }.bytes(&view);
            let other = Npy::PLAIN.bytes(&array(DType::U8, &[5]));
            let path = write(&folder, &zip(&[("b.npy", other), ("deep/a.npy", npy)], deflated));
            let source = AnySource::open(path.join("deep/a"), None).unwrap();
            check(&source, &view, None);
            assert_eq!(
                (source.info().resident, source.info().chunk.as_slice()),
                (deflated, &(if deflated { [12, 7, 3] } else { [1; 3] })[..])
            );
            let named = AnySource::open_with(&path, &OpenOptions::new().member("deep/a.npy")).unwrap();
            assert_eq!(named.info(), source.info());
            let again = AnySource::open(&source.info().name, None).unwrap();
            assert_eq!(again.info(), source.info());
        }
    }
}

#[test]
fn names() {
    let folder = TempDir::new().unwrap();
    let npy = |n: usize| Npy::PLAIN.bytes(&array(DType::U8, &[n]));
    let path = write(&folder, &zip(&[("x.npy", npy(5)), ("y.npy", npy(6)), ("notes.txt", vec![1])], false));
    let message = |options: &OpenOptions| AnySource::open_with(&path, options).unwrap_err().to_string();
    let none = OpenOptions::new();
    assert!(
        message(&none).ends_with("it has 2 arrays: name one, as in ".to_owned().as_str())
            || message(&none).ends_with("a.npz/NAME: x, y")
    );
    assert!(message(&none.clone().member("z")).ends_with("no array \"z\": it has x, y"));
    assert!(message(&none.clone().page(1)).contains("no page 1"));
    assert!(message(&none.clone().stack(true)).contains("no stack"));
    let error = AnySource::open_with(path.join("x"), &none.member("y")).unwrap_err().to_string();
    assert!(error.contains("expected one of the two"), "{error}");
    assert_eq!(AnySource::open(path.join("y"), None).unwrap().info().shape, [6]);
    let path = write(&folder, &zip(&[("only.npy", npy(7))], true));
    assert_eq!(AnySource::open(&path, None).unwrap().info().shape, [7]);
    let path = write(&folder, &zip(&[("notes.txt", vec![1])], false));
    assert!(AnySource::open(&path, None).unwrap_err().to_string().contains("without any .npy"));
}

#[test]
fn what_lies_is_an_error() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::U8, &[40, 50]);
    let npy = Npy::PLAIN.bytes(&view);
    let read = |bytes: &[u8]| {
        let source = AnySource::open(write(&folder, bytes), None)?;
        source.open(&BufferPool::new(0)).map(|_| ())
    };
    for deflated in [false, true] {
        let good = zip(&[("a.npy", npy.clone())], deflated);
        assert!(read(&good).is_ok());
        let directory = good.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        // Sizes in the directory, packed and unpacked, larger and smaller.
        for (at, value) in [(20, 3_000_000u32), (24, 3_000_000_000), (24, 20), (20, 20), (42, 7), (42, u32::MAX - 1)] {
            let mut bad = good.clone();
            bad[directory + at..directory + at + 4].copy_from_slice(&value.to_le_bytes());
            let message = read(&bad).unwrap_err().to_string();
            assert!(message.contains("a.npz") && !message.contains('\n'), "{message}");
        }
    }
    // Not one bit of what is deflated may change unseen.
    let good = zip(&[("a.npy", npy)], true);
    for at in (60..good.len() - 80).step_by(37) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        assert!(read(&bad).is_err(), "{at}");
    }
}

#[test]
fn the_checksum_of_what_is_stored_counts_once_all_of_it_is_read() {
    let folder = TempDir::new().unwrap();
    let npy = Npy { version: 1, fortran: false, big_endian: true }.bytes(&array(DType::U16, &[400, 50]));
    let mut bytes = zip(&[("a.npy", npy), ("b.npy", Npy::PLAIN.bytes(&array(DType::U8, &[3])))], false);
    let read = |bytes: &[u8], rows: u64| {
        let source = AnySource::open(write(&folder, bytes).join("a"), None).unwrap();
        let mut reader = source.open(&BufferPool::new(0)).unwrap();
        (0..rows).step_by(100).try_for_each(|start| reader.read(&Region(vec![start..start + 100, 0..50])).map(|_| ()))
    };
    assert!(read(&bytes, 400).is_ok());
    // In the last hundred lines.
    bytes[35_000] ^= 4;
    assert!(read(&bytes, 300).is_ok(), "what is not read is not judged");
    let message = read(&bytes, 400).unwrap_err().to_string();
    assert!(message.contains("a.npz/a: its checksum is"), "{message}");
}
