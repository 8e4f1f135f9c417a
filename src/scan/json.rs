//! A scan as a value: what another process, or another machine, needs to read the same table.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::PatchScan;
use super::replay::More;
use crate::rows::Step;
use crate::{AnySource, Error, Result, TableInfo};

/// The form of the JSON. Another one is refused.
const FORM: u32 = 1;

/// How an array in memory is called, which has no other name.
const ARRAY: &str = "array";

/// A scan, as it is written down: the same as the metadata of a file says of its table, and what that leaves out.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    form: u32,
    table: TableInfo,
    columns: Vec<String>,
    batch_rows: u64,
    /// The windows that were listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<u64>>,
}

/// # As a value
/// A scan of a file can be written down and made again elsewhere, by [`to_json`](Self::to_json) and
/// [`from_json`](Self::from_json) or by anything of serde: the path, the windows, the conversion and how the rows were
/// chosen, which is done again.
impl PatchScan {
    /// The scan as JSON: what [`TableInfo`] says of its table, the columns, the rows of a batch, and windows that were
    /// listed.
    ///
    /// ```no_run
    /// use windrow::{AnySource, PatchScan, WindowSpec};
    ///
    /// let scan = PatchScan::new(AnySource::open("/data/scene.tif", None)?, WindowSpec::new([8, 8]))?;
    /// let tasks: Vec<String> = scan.splits(16)?.iter().map(PatchScan::to_json).collect::<Result<_, _>>()?;
    /// // Elsewhere:
    /// let split = PatchScan::from_json(&tasks[3])?;
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the image, a mask or labels are an array in memory.
    pub fn to_json(&self) -> Result<String> {
        let written = self.written()?;
        serde_json::to_string(&written).map_err(|error| Error::format("a scan as JSON", error.to_string()))
    }

    /// The scan that [`to_json`](Self::to_json) wrote down. Opens the image where it was, and reads no pixel, unless rows
    /// were chosen by their pixels, by a mask, or by labels.
    ///
    /// # Errors
    /// If the text is no such JSON; if the image, a mask or labels can't be opened, or are not what they were: another
    /// shape, type or names of axes. (Other pixels of the same shape are not noticed.)
    pub fn from_json(json: &str) -> Result<Self> {
        let broken = |error: serde_json::Error| Error::format("a scan as JSON", error.to_string());
        // First of all the form, by which the rest is read.
        #[derive(Deserialize)]
        struct Form {
            form: u32,
        }
        let Form { form } = serde_json::from_str(json).map_err(broken)?;
        check_form(form)?;
        Self::of_written(&serde_json::from_str(json).map_err(broken)?)
    }

    pub(crate) fn written(&self) -> Result<Written> {
        let schema = self.schema();
        Ok(Written {
            form: FORM,
            table: self.told()?,
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            batch_rows: self.0.batch_rows,
            windows: self.0.selection.listed().map(<[u64]>::to_vec),
        })
    }

    /// What the schema tells of the table, unless another process would not find what it was made of.
    pub(crate) fn told(&self) -> Result<TableInfo> {
        let table = TableInfo::from_schema(&self.schema())?;
        let table = table.ok_or_else(|| Error::format("schema metadata", "the scan does not say how it was made"))?;
        let refuse = |name| {
            let message = "it is an array in memory, and can't be written down: expected the path of a file";
            Err(Error::argument(name, message))
        };
        if table.source.name == ARRAY {
            return refuse("source");
        }
        if table.labels.as_ref().is_some_and(|labels| labels.name == ARRAY) {
            return refuse("labels");
        }
        if table.selection.iter().any(|step| matches!(step, Step::Mask { name, .. } if name == ARRAY)) {
            return refuse("mask");
        }
        Ok(table)
    }

    pub(crate) fn of_written(written: &Written) -> Result<Self> {
        check_form(written.form)?;
        let table = &written.table;
        let source = AnySource::open_with(&table.source.name, &table.source.opened)?;
        let (here, there) = ((&source.info().shape, source.info().dtype), (&table.source.shape, table.source.dtype));
        if here != there {
            return Err(changed(&table.source.name, "shape and dtype", &format!("{here:?}"), &format!("{there:?}")));
        }
        let more = More { windows: written.windows.as_deref(), batch_rows: Some(written.batch_rows) };
        let scan = Self::again(source, table, &written.columns, more)?;
        // Its rows are those that were meant only if all that they were chosen by says the same as before.
        let again = scan.written()?;
        let text = |table: &TableInfo| serde_json::to_string(&(&table.source, &table.patch_shape, &table.selection));
        match (text(&again.table), text(table)) {
            (Ok(here), Ok(there)) if here == there => {}
            (here, there) => {
                let text = |json: serde_json::Result<String>| json.unwrap_or_default();
                return Err(changed(&table.source.name, "table", &text(here), &text(there)));
            }
        }
        Ok(scan)
    }
}

fn check_form(form: u32) -> Result<()> {
    if form == FORM {
        return Ok(());
    }
    Err(Error::unsupported("a scan as JSON", format!("form {form}: this version reads form {FORM}")))
}

fn changed(name: &str, what: &str, here: &str, there: &str) -> Error {
    Error::format(name, format!("it has changed since the scan was written down: its {what} was {there}, not {here}"))
}

impl Serialize for PatchScan {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.written().map_err(ser::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for PatchScan {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of_written(&Written::deserialize(from)?).map_err(de::Error::custom)
    }
}
