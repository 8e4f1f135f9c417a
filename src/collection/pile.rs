//! [`Pile`]: rows of several images on their way into one batch.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use super::plan::{Plan, Slot};
use crate::Result;

/// Rows of several images.
#[derive(Default)]
pub(super) struct Pile {
    /// How many rows, of which images.
    pub(super) images: Vec<(i32, usize)>,
    pub(super) rows: usize,
    /// The columns of a piece, which a scan made, and of many pieces together: a piece alone takes more than its rows.
    pieces: Vec<Vec<ArrayRef>>,
    blocks: Vec<Vec<ArrayRef>>,
}

/// Pieces that make a block.
const MOST_PIECES: usize = 64;

impl Pile {
    /// Puts rows of an image behind those that are there. `columns` are those that its scan made.
    pub(super) fn push(&mut self, image: usize, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        match self.images.last_mut() {
            Some((last, so_far)) if *last == image as i32 => *so_far += rows,
            _ => self.images.push((image as i32, rows)),
        }
        self.rows += rows;
        self.pieces.push(columns);
        if self.pieces.len() == MOST_PIECES {
            let pieces = std::mem::take(&mut self.pieces);
            self.blocks.push((0..pieces[0].len()).map(|column| joined(&pieces, column)).collect::<Result<_>>()?);
        }
        Ok(())
    }

    /// The table of the rows that are there, whose numbers are `windows`.
    pub(super) fn batch(self, plan: &Plan, schema: &SchemaRef, windows: UInt64Array) -> Result<RecordBatch> {
        let Self { images, rows, pieces, mut blocks } = self;
        blocks.extend(pieces);
        let column = |slot: &Slot| match slot {
            Slot::Image => {
                let mut keys = Vec::with_capacity(rows);
                images.iter().for_each(|&(image, rows)| keys.resize(keys.len() + rows, image));
                Ok(Arc::new(DictionaryArray::try_new(Int32Array::from(keys), plan.names.clone())?) as ArrayRef)
            }
            Slot::Window => Ok(Arc::new(windows.clone()) as ArrayRef),
            Slot::Inner(column) => joined(&blocks, *column),
        };
        let columns = plan.slots.iter().map(column).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// A column of pieces, one behind the other.
fn joined(pieces: &[Vec<ArrayRef>], column: usize) -> Result<ArrayRef> {
    match pieces {
        [only] => Ok(only[column].clone()),
        pieces => Ok(concat(&pieces.iter().map(|piece| &*piece[column] as &dyn Array).collect::<Vec<_>>())?),
    }
}
