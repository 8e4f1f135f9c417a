//! What a folder holds, as its manifest says it.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::place::{self, Create, Place};
use super::{Cut, FolderOptions, split};
use crate::sink::Written;
use crate::sink::parquet::ParquetOptions;
use crate::source::{Identity, OpenOptions};
use crate::{Digest, Error, PatchScan, Result, TableInfo};

/// The manifest's name: readers of a folder of Parquet files skip names that begin with an underscore.
pub const MANIFEST: &str = "_metadata.json";

/// What a folder holds: the content of `_metadata.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// How the table was made, and its rows.
    pub table: TableInfo,
    /// The image that it was made from; not of a folder that splits have filled, until it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Identity>,
    /// The columns, in order.
    pub columns: Vec<String>,
    /// The codec of every page.
    pub compression: String,
    /// Bytes of a page and of a row group, before compression.
    pub page_bytes: usize,
    /// Bytes of a row group, before compression.
    pub row_group_bytes: usize,
    /// The files, in the order of their rows.
    pub files: Vec<ManifestFile>,
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name.
    pub name: String,
    /// Its windows, by id: first, and one past the last.
    pub rows: (u64, u64),
    /// Its size and checksum, if it is known to be written.
    pub written: Option<Digest>,
}

impl Manifest {
    /// Reads the manifest of a folder, or puts it together from what splits say that filled it.
    ///
    /// # Errors
    /// If there is none, or it is broken; if a split is missing.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let place = place::of(folder.as_ref())?;
        match Self::find(&*place)? {
            Some(manifest) => Ok(manifest),
            None => split::joined(&*place)?
                .ok_or_else(|| Error::io(&place.name(MANIFEST), "read", std::io::ErrorKind::NotFound.into())),
        }
    }

    /// What opens the image, besides its name.
    pub fn opened(&self) -> OpenOptions {
        let opened = self.table.source.opened.clone();
        // A stack has no page, and was not opened by one.
        OpenOptions { page: self.image.map_or(opened.page, |image| image.page), ..opened }
    }

    /// The manifest of a place, if there is one.
    pub(super) fn find(place: &dyn Place) -> Result<Option<Self>> {
        read_json(place, MANIFEST)
    }

    /// What is to be written: no file is yet.
    pub(super) fn plan(scan: &PatchScan, image: Option<Identity>, options: &FolderOptions) -> Result<Self> {
        Self::plan_of(scan, image, &options.parquet, cut(scan, options.cut)?)
    }

    /// The same in files of these rows.
    pub(super) fn plan_of(
        scan: &PatchScan,
        image: Option<Identity>,
        options: &ParquetOptions,
        ranges: Vec<Range<u64>>,
    ) -> Result<Self> {
        let schema = scan.schema();
        let table = TableInfo::from_schema(&schema)?;
        let table = table.ok_or_else(|| Error::format("schema metadata", "the scan does not say how it was made"))?;
        let digits = (ranges.len() - 1).to_string().len().max(5);
        let file = |(i, rows): (usize, Range<u64>)| ManifestFile {
            name: format!("part-{i:0digits$}.parquet"),
            rows: (rows.start, rows.end),
            written: None,
        };
        Ok(Self {
            table,
            image,
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            compression: options.compression.by_level().to_string(),
            page_bytes: options.page_bytes(&schema),
            row_group_bytes: options.row_group_bytes,
            files: ranges.into_iter().enumerate().map(file).collect(),
        })
    }

    /// What of another manifest is not as in this one: its name, what it is here and there. Neither the image nor its
    /// name is looked at.
    pub(super) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let (a, b) = (&self.table, &other.table);
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        // The page is part of what the image is known by.
        let opened = |table: &TableInfo| table.source.opened.clone().page(None);
        let all = [
            ("way to open the image", text(&opened(a)), text(&opened(b))),
            ("shape", text(&a.source.shape), text(&b.source.shape)),
            ("image's dtype", a.source.dtype.to_string(), b.source.dtype.to_string()),
            ("windows", text(&a.window), text(&b.window)),
            ("dtype", a.dtype.to_string(), b.dtype.to_string()),
            ("layout", a.layout.to_string(), b.layout.to_string()),
            ("scale and offset", text(&(a.scale, a.offset)), text(&(b.scale, b.offset))),
            ("rows", text(&a.rows), text(&b.rows)),
            ("choice of rows", text(&a.selection), text(&b.selection)),
            ("nodata", text(&a.nodata.map(|v| v.to_string())), text(&b.nodata.map(|v| v.to_string()))),
            ("labels", text(&a.labels), text(&b.labels)),
            ("columns", self.columns.join(","), other.columns.join(",")),
            ("compression", self.compression.clone(), other.compression.clone()),
            ("page bytes", self.page_bytes.to_string(), other.page_bytes.to_string()),
            ("row group bytes", self.row_group_bytes.to_string(), other.row_group_bytes.to_string()),
            ("number of files", self.files.len().to_string(), other.files.len().to_string()),
            ("way to tell what is no window", text(&a.wrap), text(&b.wrap)),
        ];
        // A manifest may have been written by anyone: its names and rows count for nothing unless they are those that
        // follow from the table.
        let place = |file: &ManifestFile| (file.name.clone(), file.rows);
        let odd = self.files.iter().zip(&other.files).map(|(a, b)| (place(a), place(b))).find(|(a, b)| a != b);
        let odd = odd.map(|(a, b)| ("file", text(&a), text(&b)));
        all.into_iter().chain(odd).find(|(_, a, b)| a != b)
    }

    /// Writes it; a `new` one into a place that has none.
    pub(super) fn write(&self, place: &dyn Place, new: bool) -> Result<()> {
        write_json(self, place, MANIFEST, if new { Create::New } else { Create::Alone })
    }

    pub(super) fn written(&self) -> Written {
        let rows = self.files.iter().map(|file| file.rows.1 - file.rows.0).sum();
        let bytes = self.files.iter().filter_map(|file| file.written).map(|digest| digest.bytes).sum();
        Written { rows, bytes }
    }
}

/// The largest manifest that is read: twice as much as the most files take.
const MOST_MANIFEST_BYTES: u64 = 64 << 20;

/// The rows of each file: the splits of the scan.
pub(super) fn cut(scan: &PatchScan, cut: Cut) -> Result<Vec<Range<u64>>> {
    let files = match cut {
        Cut::Files(files) => files,
        Cut::Bytes(bytes) => scan.count_of_bytes(bytes, "file_bytes")?,
    };
    scan.cuts(files, "files")
}

/// What a small file of a place says, if it is there.
pub(super) fn read_json<T: DeserializeOwned>(place: &dyn Place, name: &str) -> Result<Option<T>> {
    let Some(file) = place.read(name)? else { return Ok(None) };
    let path = place.name(name);
    let mut text = String::new();
    file.take(MOST_MANIFEST_BYTES).read_to_string(&mut text).map_err(|error| Error::io(&path, "read", error))?;
    serde_json::from_str(&text).map(Some).map_err(|error| Error::format(path.display().to_string(), error.to_string()))
}

/// Writes a small file.
pub(super) fn write_json(value: &impl Serialize, place: &dyn Place, name: &str, how: Create) -> Result<()> {
    let path = place.name(name);
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::format(path.display().to_string(), format!("can't be written: {error}")))?;
    let mut file = place.create(name, how)?;
    file.write_all(text.as_bytes()).map_err(|error| Error::io(&path, "write", error))?;
    file.commit().map(|_| ())
}
