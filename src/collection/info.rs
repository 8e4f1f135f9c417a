//! What a table of many images says of itself, in the metadata of its schema.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::{DType, Error, Layout, Result, Step, WindowSpec};

/// The key of the schema metadata under which [`CollectionInfo`] stands, as JSON.
pub const METADATA_KEY: &str = "windrow.collection";

/// How a table of many images was made; it stands in the schema metadata of every batch and file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionInfo {
    /// The version of windrow that made the table.
    pub version: String,
    /// How many images were listed.
    pub images: u64,
    /// The windows.
    pub window: WindowSpec,
    /// The pixels of a patch on each axis.
    pub patch_shape: Vec<u64>,
    /// The type of the pixels in the table.
    pub dtype: DType,
    /// How the patches are held.
    pub layout: Layout,
    /// What pixels were multiplied with, before `offset` was added.
    pub scale: f64,
    /// What was added to pixels.
    pub offset: f64,
    /// What was done to the rows, by their numbers through all images; empty if it was nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selection: Vec<Step>,
}

impl CollectionInfo {
    /// A schema that says this.
    pub(super) fn put_into(&self, schema: &Schema) -> Result<SchemaRef> {
        let json = serde_json::to_string(self)
            .map_err(|error| Error::format("schema metadata", format!("can't be written: {error}")))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        Ok(Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata)))
    }

    /// Reads how a table was made from its schema; `None` if it is not one of many images.
    ///
    /// # Errors
    /// If the metadata is there, but broken.
    pub fn from_schema(schema: &Schema) -> Result<Option<Self>> {
        let Some(json) = schema.metadata.get(METADATA_KEY) else { return Ok(None) };
        let info = serde_json::from_str(json);
        info.map(Some).map_err(|error| Error::format(format!("schema metadata {METADATA_KEY:?}"), error.to_string()))
    }
}
