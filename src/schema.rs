//! The Arrow schema of a scan, and the metadata by which a file says how it was made.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::encode::{Column, LabelAt, Labels, Layout, Wrap, columns, flat_type, nested_type};
use crate::rows::Step;
use crate::source::{Georeference, OpenOptions};
use crate::{DType, Error, Grid, Result, Scalar, WindowSpec};

/// The key of the schema metadata under which [`TableInfo`] stands, as JSON.
pub const METADATA_KEY: &str = "windrow";

/// How a table was made; it stands in the schema metadata of every batch and file.
///
/// ```
/// use windrow::{PatchScan, StridedView, TableInfo, WindowSpec};
///
/// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
/// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
/// let info = TableInfo::from_schema(&scan.schema())?.expect("made by windrow");
/// assert_eq!(info.source.shape, [10, 10]);
/// assert_eq!(info.window.window_shape, [3, 3]);
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableInfo {
    /// The version of windrow that made the table.
    pub version: String,
    /// The array that the windows slide over.
    pub source: TableSource,
    /// The windows.
    pub window: WindowSpec,
    /// The pixels of a patch on each axis of the array.
    pub patch_shape: Vec<u64>,
    /// The type of the pixels in the table.
    pub dtype: DType,
    /// How the patches are held.
    pub layout: Layout,
    /// What tells rows that are no windows, in [`Layout::Columns`].
    #[serde(default)]
    pub wrap: Wrap,
    /// The rows of the table, first and one past the last: of all windows by id, or of those of the last step.
    pub rows: (u64, u64),
    /// What was done to the rows before, if they are not all windows in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selection: Vec<Step>,
    /// What pixels were multiplied with, before `offset` was added.
    pub scale: f64,
    /// What was added to pixels.
    pub offset: f64,
    /// The value of the source's pixels that are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<Scalar>,
    /// Where the column `label` comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<TableLabels>,
}

/// The labels of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableLabels {
    /// The path of the file, or `array`.
    pub name: String,
    /// What of the labels in a window is its label.
    pub at: LabelAt,
    /// The label that is null.
    pub nodata: Option<Scalar>,
}

/// The array that a table was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableSource {
    /// The path of the file, or `array`.
    pub name: String,
    /// The length of each axis.
    pub shape: Vec<u64>,
    /// The type of the pixels.
    pub dtype: DType,
    /// The name of each axis.
    pub axes: Vec<String>,
    /// What opens the file, besides its name.
    #[serde(default, skip_serializing_if = "OpenOptions::is_default")]
    pub opened: OpenOptions,
    /// Where the pixels lie on the map, if the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub georeference: Option<Georeference>,
}

impl TableInfo {
    /// Reads how a table was made from its schema; `None` if windrow did not make it.
    ///
    /// # Errors
    /// If the metadata is there, but broken.
    pub fn from_schema(schema: &Schema) -> Result<Option<Self>> {
        let Some(json) = schema.metadata.get(METADATA_KEY) else { return Ok(None) };
        let info = serde_json::from_str(json);
        info.map(Some).map_err(|error| Error::format(format!("schema metadata {METADATA_KEY:?}"), error.to_string()))
    }
}

impl TableInfo {
    /// The metadata of a schema that says this.
    pub(crate) fn metadata(&self) -> Result<HashMap<String, String>> {
        let json = serde_json::to_string(self)
            .map_err(|error| Error::format("schema metadata", format!("can't be written: {error}")))?;
        Ok(HashMap::from([(METADATA_KEY.to_owned(), json)]))
    }
}

/// The schema of a table with these columns.
pub(crate) fn schema(grid: &Grid, columns: &[Column], info: &TableInfo, labels: Option<&Labels>) -> Result<SchemaRef> {
    let field = |&column: &Column| match labels {
        Some(labels) if column == Column::Label => labels.field(),
        _ => field(grid, column, info),
    };
    let fields: Vec<_> = columns.iter().map(field).collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, info.metadata()?)))
}

fn field(grid: &Grid, column: Column, info: &TableInfo) -> Field {
    let cells = info.patch_shape.iter().product::<u64>();
    let nullable = info.layout == Layout::Columns && info.wrap == Wrap::Null;
    match column {
        Column::Window => Field::new("window", DataType::UInt64, nullable),
        Column::Start(sliding) => {
            Field::new(&grid.axes()[grid.sliding_axes()[sliding]].name, DataType::Int64, nullable)
        }
        Column::Map(coordinate) => {
            let names = info.source.georeference.map_or(["easting", "northing"], |place| place.names());
            Field::new(names[coordinate], DataType::Float64, nullable)
        }
        Column::Pixel(pixel) => Field::new(columns::name(&info.patch_shape, pixel), info.dtype.arrow(), nullable),
        Column::Valid => Field::new("valid", DataType::Boolean, false),
        Column::Share => Field::new("valid", DataType::Float64, false),
        Column::Label => unreachable!("labels say their own field"),
        Column::Patch => match info.layout {
            Layout::Tensor => {
                Field::new("patch", nested_type(info.dtype, &info.patch_shape, info.nodata.is_some()), false)
            }
            Layout::FixedShapeTensor => {
                let names: Vec<_> = grid.axes().iter().map(|axis| axis.name.as_str()).collect();
                let shape = serde_json::json!({ "shape": info.patch_shape, "dim_names": names });
                Field::new("patch", flat_type(info.dtype, cells), false).with_metadata(HashMap::from([
                    (EXTENSION_TYPE_NAME_KEY.to_owned(), "arrow.fixed_shape_tensor".to_owned()),
                    (EXTENSION_TYPE_METADATA_KEY.to_owned(), shape.to_string()),
                ]))
            }
            Layout::Binary => {
                let bytes = (cells * info.dtype.size() as u64) as i32;
                Field::new("patch", DataType::FixedSizeBinary(bytes), false)
            }
            Layout::Columns => unreachable!("the builder gives pixels for patch"),
        },
    }
}
