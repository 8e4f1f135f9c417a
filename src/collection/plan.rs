//! What the first image says of all: the columns of the table, and what the tables of the others must be like.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::explain::Count;
use super::{CollectionInfo, Make};
use crate::source::without_query;
use crate::window::by;
use crate::{Error, ErrorKind, Layout, PatchScan, Result, ScanBuilder, TableInfo};

/// What all readers share.
pub(super) struct Plan {
    pub(super) paths: Arc<[PathBuf]>,
    pub(super) make: Arc<Make>,
    /// The first image that is none of the bad ones, and its place.
    pub(super) first: PatchScan,
    pub(super) first_good: usize,
    /// The columns that scans make.
    pub(super) inner: Vec<String>,
    /// Where the columns of the table come from.
    pub(super) slots: Vec<Slot>,
    pub(super) schema: SchemaRef,
    pub(super) batch_rows: u64,
    /// All paths, as the dictionary of the column `image`.
    pub(super) names: ArrayRef,
    pub(super) counts: Arc<OnceLock<Vec<Count>>>,
}

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Image,
    Window,
    /// A column of the scan.
    Inner(usize),
}

impl Plan {
    pub(super) fn new(
        paths: Arc<[PathBuf]>,
        make: Arc<Make>,
        (first_good, first): (usize, First),
        names: ArrayRef,
        counts: Arc<OnceLock<Vec<Count>>>,
    ) -> Result<Self> {
        let First { scan, inner, columns, batch_rows } = first;
        let schema = schema(&scan, &columns, paths.len())?;
        let slots = columns.iter().map(|name| slot(name, &inner)).collect();
        Ok(Self { paths, make, first: scan, first_good, inner, slots, schema, batch_rows, names, counts })
    }

    /// The scan of an image, if its table is like that of the first.
    pub(super) fn scan(&self, path: &Path) -> Result<PatchScan> {
        let scan = (self.make)(path).and_then(|builder| builder.only_columns(&self.inner).build());
        let scan = scan.map_err(|error| match error.kind() {
            // What can be had of the first image can't be had of this one.
            ErrorKind::Argument { .. } => Error::unsupported(shown(path), error.to_string()),
            _ => named(path, error),
        })?;
        match self.differs(&scan) {
            None => Ok(scan),
            Some(message) => Err(Error::unsupported(shown(path), message)),
        }
    }

    /// In what the table of an image is another one than that of the first.
    fn differs(&self, scan: &PatchScan) -> Option<String> {
        let first = &self.first;
        let name = &first.source().info().name;
        let types = [scan, first].map(|scan| scan.pixel_type());
        if types[0] != types[1] {
            let [here, there] = types;
            return Some(format!(
                "its pixels are {here}, those of {name} {there}: expected one type in all images, which dtype (--dtype) \
                 makes of them"
            ));
        }
        let shapes = [scan, first].map(|scan| scan.grid().patch_shape());
        if shapes[0] != shapes[1] {
            let [here, there] = shapes.map(|shape| by(&shape));
            return Some(format!(
                "its patches are {here}, those of {name} {there}: expected as many bands in all images"
            ));
        }
        let (here, there) = (scan.schema(), first.schema());
        if here.fields() != there.fields() {
            let names = |schema: &SchemaRef| {
                let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                names.join(", ")
            };
            return Some(format!("its columns are {}, those of {name} {}", names(&here), names(&there)));
        }
        let map = ["easting", "longitude", "northing", "latitude"];
        let systems = [scan, first].map(|scan| scan.source().georeference().and_then(|place| place.epsg));
        if systems[0] != systems[1] && here.fields().iter().any(|field| map.contains(&field.name().as_str())) {
            let [here, there] =
                systems.map(|epsg| epsg.map_or("none that it names".to_owned(), |n| format!("EPSG:{n}")));
            return Some(format!("its coordinates are of {here}, those of {name} of {there}: expected one system"));
        }
        None
    }
}

/// What the first image says of all.
pub(super) struct First {
    scan: PatchScan,
    inner: Vec<String>,
    /// The columns of the table.
    columns: Vec<String>,
    batch_rows: u64,
}

impl First {
    pub(super) fn new(mut builder: ScanBuilder) -> Result<Self> {
        if builder.asked_layout() == Layout::Columns {
            let message = "columns are slices of one image: expected layout tensor, fixed-shape-tensor or binary";
            return Err(Error::argument("layout", message));
        }
        let asked = builder.take_columns();
        let columns = match asked {
            Some(columns) => columns,
            None => {
                let all = builder.clone().build()?;
                let names = all.schema();
                let names = names.fields().iter().map(|field| field.name().clone());
                ["image".to_owned()].into_iter().chain(names).collect()
            }
        };
        let mut inner: Vec<_> = columns.iter().filter(|name| *name != "image" && *name != "window").cloned().collect();
        if columns.iter().filter(|name| *name == "image").count() > 1 {
            let message =
                "\"image\" is asked for twice, or an axis has this name, which is that of the column of paths";
            return Err(Error::argument("columns", message));
        }
        if inner.is_empty() {
            inner.push("window".to_owned());
        }
        let builder = builder.only_columns(&inner);
        let scan = builder.clone().build()?;
        // The key of the image, and the number of the row.
        let batch_rows = builder.rows_of_batches(&scan, 12)?;
        Ok(Self { scan, inner, columns, batch_rows })
    }
}

fn slot(name: &str, inner: &[String]) -> Slot {
    match name {
        "image" => Slot::Image,
        "window" => Slot::Window,
        name => Slot::Inner(inner.iter().position(|inner| inner == name).unwrap_or_default()),
    }
}

/// The schema of the table with these columns.
fn schema(first: &PatchScan, columns: &[String], images: usize) -> Result<SchemaRef> {
    let inner = first.schema();
    let field = |name: &String| match name.as_str() {
        "image" => {
            let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Ok(Arc::new(Field::new("image", names, false)))
        }
        "window" => Ok(Arc::new(Field::new("window", DataType::UInt64, false))),
        name => {
            let found = inner.fields().iter().find(|field| field.name() == name).cloned();
            found.ok_or_else(|| Error::argument("columns", format!("no column {name:?}")))
        }
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    let table = TableInfo::from_schema(&inner)?;
    let table = table.ok_or_else(|| Error::format("schema metadata", "a scan does not say how it was made"))?;
    let info = CollectionInfo {
        version: table.version,
        images: images as u64,
        window: table.window,
        patch_shape: table.patch_shape,
        dtype: table.dtype,
        layout: table.layout,
        scale: table.scale,
        offset: table.offset,
        selection: Vec::new(),
    };
    info.put_into(&Schema::new(fields))
}

/// What an image is called.
pub(super) fn shown(path: &Path) -> String {
    without_query(path).display().to_string()
}

/// An error of an image that says which.
pub(super) fn named(path: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Window { .. } | ErrorKind::View(_) | ErrorKind::TooLarge { .. } | ErrorKind::Memory { .. } => {
            Error::unsupported(shown(path), error.to_string())
        }
        _ => error,
    }
}

/// Whether an error is one of an image, and not of what was asked for, or of the system.
pub(super) fn is_of_image(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io { .. } | ErrorKind::Format { .. } | ErrorKind::Unsupported { .. })
}
