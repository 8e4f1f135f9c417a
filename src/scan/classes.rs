//! So many windows of every class.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, BooleanArray, PrimitiveArray};
use arrow_schema::DataType;

use super::PatchScan;
use crate::encode::{Column, Encoder, LabelAt};
use crate::reader::PatchReader;
use crate::rows::{ClassCount, IdSet, Permutation, Step};
use crate::schema::schema;
use crate::{Error, Result, Scalar, TableInfo};

/// The most classes: more are no classes, but values.
const MOST_CLASSES: usize = 1 << 16;

/// Rows whose labels are read together.
const BATCH_ROWS: u64 = 1 << 16;

/// One class while it is drawn from.
#[derive(Default)]
struct Class {
    windows: u64,
    /// The windows that a shuffle would put first so far: their places in it, the largest on top, and their ids.
    first: BinaryHeap<(u64, u64)>,
}

impl PatchScan {
    /// So many windows of every class that a label names, drawn without replacement, in the order that they have; of a
    /// class with fewer, all of them. Which classes there are, how many windows each has and how many were taken is told
    /// by the last of [`steps`](Self::steps).
    ///
    /// The windows of a class are those that a shuffle of all windows of the grid with this seed would put first. Those
    /// without a label are left out.
    ///
    /// ```
    /// use windrow::{LabelAt, PatchScan, Step, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let classes = StridedView::from_vec((0..100u8).map(|i| u8::from(i > 90)).collect(), &[10, 10])?;
    /// let scan = PatchScan::builder(image, WindowSpec::new([1, 1])).labels(classes, LabelAt::Center).build()?;
    /// let balanced = scan.per_class(10, 42)?;
    /// assert_eq!(balanced.num_rows(), 10 + 9);
    /// let Some(Step::PerClass { classes, .. }) = balanced.steps().last() else { panic!() };
    /// assert_eq!((classes[1].windows, classes[1].taken), (9, 9));
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Memory
    /// The labels are read once, band by band. 16 bytes a window that is drawn; then 8.
    ///
    /// # Errors
    /// If the scan has no labels, or a label is no single value, or no window has one; if there are more than 65,536
    /// classes; if the rows are shuffled already; and if the labels can't be read.
    pub fn per_class(&self, count: u64, seed: u64) -> Result<Self> {
        let refuse = |message: &str| Err(Error::argument("per_class", message));
        match &self.0.encoder.labels {
            None => return refuse("there are no labels: expected labels that say the class of each window"),
            Some(labels) if matches!(labels.at, LabelAt::Patch | LabelAt::Mean) => {
                return refuse("a class is one label a window: expected labels at center or majority");
            }
            Some(_) if count == 0 => return refuse("0 windows of each class: expected at least 1"),
            Some(_) => {}
        }
        self.check_choice("per_class")?;
        let order = Permutation::new(self.grid().windows(), seed, 0);
        let mut classes: BTreeMap<Key, Class> = BTreeMap::new();
        for batch in self.labels_only()? {
            let batch = batch?;
            let ids = batch.column(0).as_primitive::<UInt64Type>().values();
            let keys = Keys::of(batch.column(1).as_ref());
            for (row, &id) in ids.iter().enumerate() {
                let key = keys.get(row);
                if key == Key::None {
                    continue;
                }
                let class = classes.entry(key).or_default();
                class.windows += 1;
                let place = order.place(id);
                if (class.first.len() as u64) < count {
                    class.first.push((place, id));
                } else if class.first.peek().is_some_and(|&(last, _)| place < last) {
                    class.first.pop();
                    class.first.push((place, id));
                }
            }
            if classes.len() > MOST_CLASSES {
                return Err(Error::too_large(
                    "the number of classes",
                    format!("more than {}", classes.len() - 1),
                    MOST_CLASSES,
                ));
            }
        }
        if classes.is_empty() {
            return refuse("no window has a label");
        }
        let said = classes.iter().map(|(key, class)| ClassCount {
            label: key.scalar(),
            windows: class.windows,
            taken: class.first.len() as u64,
        });
        let step = Step::PerClass { count, seed, classes: said.collect() };
        let mut ids: Vec<u64> = classes.into_values().flat_map(|class| class.first).map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        let set = IdSet::from_sorted(&ids, self.grid().windows())?;
        self.choose(self.0.selection.retain(self.rows(), set, "per_class", step)?)
    }

    /// Ids and labels of all rows, and nothing else.
    fn labels_only(&self) -> Result<PatchReader> {
        let columns = vec![Column::Window, Column::Label];
        let encoder = &*self.0.encoder;
        let info = TableInfo::from_schema(&encoder.schema)?
            .ok_or_else(|| Error::format("schema metadata", "a scan without how it was made"))?;
        let schema = schema(&encoder.grid, &columns, &info, encoder.labels.as_deref())?;
        let encoder = Encoder { columns, schema, nodata: None, ..encoder.clone() };
        let plan = self.0.with(self.0.selection.clone(), self.rows(), Arc::new(encoder));
        PatchReader::new(&plan.0, BATCH_ROWS, self.0.prefetch)
    }
}

/// A label, in the order of their values; no label comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Whole(i128),
    /// The bits of a float, so that they are ordered as the floats are.
    Float(i64),
    None,
}

impl Key {
    fn float(value: f64) -> Self {
        // -0 is 0, and every NaN the same.
        let bits = if value.is_nan() { f64::NAN } else { value + 0.0 }.to_bits() as i64;
        Key::Float(bits ^ ((bits >> 63) as u64 >> 1) as i64)
    }

    fn scalar(self) -> Scalar {
        match self {
            Key::Whole(value) => match i64::try_from(value) {
                Ok(value) => Scalar::Int(value),
                Err(_) => Scalar::Uint(value as u64),
            },
            Key::Float(bits) => Scalar::Float(f64::from_bits((bits ^ ((bits >> 63) as u64 >> 1) as i64) as u64)),
            Key::None => Scalar::Float(f64::NAN),
        }
    }
}

/// A column of labels, of whatever type.
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn of(column: &dyn Array) -> Self {
        macro_rules! whole {
            ($t:ty) => {{
                let column: &PrimitiveArray<$t> = column.as_primitive();
                column.iter().map(|value| value.map_or(Key::None, |value| Key::Whole(value.into()))).collect()
            }};
        }
        Self(match column.data_type() {
            DataType::UInt8 => whole!(UInt8Type),
            DataType::UInt16 => whole!(UInt16Type),
            DataType::UInt32 => whole!(UInt32Type),
            DataType::UInt64 => whole!(UInt64Type),
            DataType::Int8 => whole!(Int8Type),
            DataType::Int16 => whole!(Int16Type),
            DataType::Int32 => whole!(Int32Type),
            DataType::Int64 => whole!(Int64Type),
            DataType::Float16 => floats(column.as_primitive::<Float16Type>().iter().map(|v| v.map(|v| v.to_f64()))),
            DataType::Float32 => floats(column.as_primitive::<Float32Type>().iter().map(|v| v.map(f64::from))),
            DataType::Float64 => floats(column.as_primitive::<Float64Type>().iter()),
            _ => {
                let column: &BooleanArray = column.as_boolean();
                column.iter().map(|value| value.map_or(Key::None, |value| Key::Whole(value.into()))).collect()
            }
        })
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, row: usize) -> Key {
        self.0[row]
    }
}

fn floats(values: impl Iterator<Item = Option<f64>>) -> Vec<Key> {
    values.map(|value| value.map_or(Key::None, Key::float)).collect()
}
