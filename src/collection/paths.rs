//! Which files are meant: by name, by folder, by pattern.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::is_image_name;
use crate::{Error, Result};

/// What tells a folder that is one array, and not a folder of images.
const ARRAYS: [&str; 4] = ["zarr.json", ".zarray", ".zgroup", ".zattrs"];

/// The files that are meant by these paths, one after the other: a file by itself; a folder by the images in it (files
/// that are called as one), but not those in folders below; and a pattern (`tiles/*.png`, `**/*.tif`) by what matches.
/// Those of a folder or pattern are in the order of the bytes of their names.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # for name in ["b.png", "a.png", "notes.txt"] { std::fs::write(folder.path().join(name), "")?; }
/// let found = windrow::collection::paths([folder.path()])?;
/// assert_eq!(found, [folder.path().join("a.png"), folder.path().join("b.png")]);
/// assert_eq!(windrow::collection::paths([folder.path().join("*.png")])?, found);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no such folder, or no image in it; if a pattern is none, or nothing matches.
pub fn paths<P: AsRef<Path>>(given: impl IntoIterator<Item = P>) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in given {
        let path = path.as_ref();
        let before = found.len();
        if is_folder(path) {
            in_folder(path, &mut found)?;
            if found.len() == before {
                return Err(Error::argument("image", format!("no image in the folder {}", path.display())));
            }
        } else if is_pattern(path) {
            matching(path, &mut found)?;
            if found.len() == before {
                return Err(Error::argument("image", format!("no file matches {}", path.display())));
            }
        } else {
            found.push(path.to_owned());
            continue;
        }
        found[before..].sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    }
    Ok(found)
}

/// Whether a path may stand for several images: it is a folder of them, or a pattern.
pub fn is_several(path: impl AsRef<Path>) -> bool {
    is_folder(path.as_ref()) || is_pattern(path.as_ref())
}

/// A folder that is not an array itself.
fn is_folder(path: &Path) -> bool {
    path.is_dir() && !ARRAYS.iter().any(|name| path.join(name).exists())
}

/// A name with a wildcard, unless a file is called so, or it is an address (`https://…?…`).
fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']) && !text.contains("://")) && !path.exists()
}

fn in_folder(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, "read", error))? {
        let entry = entry.map_err(|error| Error::io(folder, "read", error))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        // What the system knows of its kind without asking the file itself; a link is asked.
        let kind = entry.file_type().map_err(|error| Error::io(&path, "read", error))?;
        let is_file = kind.is_file() || (kind.is_symlink() && path.is_file());
        if !hidden && if is_file { is_image_name(&path) } else { is_array(&path) } {
            found.push(path);
        }
    }
    Ok(())
}

fn is_array(path: &Path) -> bool {
    path.is_dir() && !is_folder(path)
}

fn matching(pattern: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let refuse = |message: String| Error::argument("image", format!("{}: {message}", pattern.display()));
    let text = pattern.to_str().ok_or_else(|| refuse("a pattern is UTF-8".to_owned()))?;
    // As a shell has it: a leading dot is hidden, and * stops at a separator.
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    for path in glob::glob_with(text, options).map_err(|error| refuse(error.to_string()))? {
        let path = path.map_err(|error| Error::io(error.path(), "read", error.error().kind().into()))?;
        if path.is_file() || is_array(&path) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(all(test, feature = "image", feature = "tiff", feature = "zarr"))]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_mean() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("below")).unwrap();
        fs::create_dir(at("z.zarr")).unwrap();
        for name in
            ["b.png", "a10.tif", "a9.tif", ".hidden.png", "notes.txt", "below/c.png", "[x].png", "z.zarr/.zarray"]
        {
            fs::write(at(name), "").unwrap();
        }
        let names = |given: &[&str]| -> Vec<String> {
            let found = paths(given.iter().map(|name| at(name))).unwrap();
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(names(&[""]), ["[x].png", "a10.tif", "a9.tif", "b.png", "z.zarr"]);
        assert_eq!(names(&["*.png"]), ["[x].png", "b.png"]);
        assert_eq!(names(&["**/*.png"]), ["[x].png", "b.png", "below/c.png"]);
        assert_eq!(
            names(&["b.png", "missing.png", "a*.tif", "[x].png"]),
            ["b.png", "missing.png", "a10.tif", "a9.tif", "[x].png"]
        );
        assert!(
            is_several(at("*.png")) && is_several(at("")) && !is_several(at("[x].png")) && !is_several(at("z.zarr"))
        );
        let message = |name: &str| paths([at(name)]).unwrap_err().to_string();
        assert!(message("*.bmp").contains("no file matches"), "{}", message("*.bmp"));
        assert!(message("[").contains("[: "), "{}", message("["));
        fs::create_dir(at("none")).unwrap();
        assert!(message("none").contains("no image in the folder"));
    }
}
