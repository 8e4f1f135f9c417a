//! Files are opened by what they are.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use windrow::source::AnySource;
use windrow::{DType, ErrorKind};

use crate::npy::Npy;
use crate::suite::{array, check};

fn message(path: &Path, page: Option<usize>) -> String {
    let message = AnySource::open(path, page).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()) && !message.contains('\n'), "{message}");
    message
}

#[test]
fn the_first_bytes_say_the_format() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let view = array(DType::I32, &[4, 5]);
    fs::write(&path, Npy::PLAIN.bytes(&view)).unwrap();
    check(&AnySource::open(&path, None).unwrap(), &view, None);
    let message = message(&path, Some(0));
    assert!(message.contains("no page 0: npy files have no pages, only TIFF files do"), "{message}");
}

#[test]
fn what_is_no_image_says_so() {
    let folder = TempDir::new().unwrap();
    assert!(message(folder.path(), None).contains("is a directory"));
    let path = folder.path().join("a.npy");
    assert!(matches!(AnySource::open(&path, None).unwrap_err().kind(), ErrorKind::Io { .. }));
    fs::write(&path, "").unwrap();
    assert!(message(&path, None).contains("empty"));
    let path = folder.path().join("a.txt");
    fs::write(&path, "hello").unwrap();
    let text = message(&path, None);
    assert!(text.contains("unknown format") && text.contains("npy"), "{text}");
    assert_eq!(text.contains("TIFF"), cfg!(feature = "tiff"), "{text}");
    assert_eq!(text.contains("PNG"), cfg!(feature = "image"), "{text}");
}
