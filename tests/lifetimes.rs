//! Batches that outlive what made them: sliced, sent through the C stream interface, released in any order.
//!
//! `tests/sanitize.sh` runs these under AddressSanitizer, which also finds what is never released.

mod common;

use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use proptest::prelude::*;
use windrow::{DType, Layout, PatchScan, WindowSpec};

/// The cells of a slice, as text: every byte is read, and nulls are told apart.
fn text(array: &ArrayRef) -> String {
    format!("{array:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn slices_are_the_same_in_whatever_order_others_are_released(
        layout in 0..Layout::ALL.len(),
        dtype in prop::sample::select(vec![DType::U8, DType::U16, DType::F32, DType::F64]),
        (step, prefetch, batch_rows) in (1..4u64, 0..4usize, 1..60u64),
        (keep_reader, as_file) in any::<(bool, bool)>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        cuts in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 40),
    ) {
        let image = common::array(dtype, &[13, 37], &[0, 1], &[false; 2], &[false; 2]);
        let source = if as_file { common::file_like(image) } else { image.into() };
        let scan = PatchScan::builder(source, WindowSpec::new([3, 5]).step(step))
            .layout(Layout::ALL[layout]).batch_rows(batch_rows).prefetch(prefetch).build().unwrap();
        let reader: Box<dyn RecordBatchReader + Send> = Box::new(scan.reader().unwrap());
        let mut stream = Some(ArrowArrayStreamReader::try_new(FFI_ArrowArrayStream::new(reader)).unwrap());
        drop(scan);
        // Not all batches are asked for, and the stream may end before those that came.
        let batches: Vec<RecordBatch> = stream.as_mut().unwrap().take(8).map(Result::unwrap).collect();
        if !keep_reader {
            stream = None;
        }
        let mut held = Vec::new();
        for batch in &batches {
            for (column, (a, b)) in batch.columns().iter().zip(&cuts) {
                let at = (a * column.len() as f64) as usize;
                let slice = column.slice(at, (b * (column.len() - at) as f64) as usize);
                held.push((text(&slice), slice));
            }
        }
        drop(batches);
        for index in order {
            if held.is_empty() {
                break;
            }
            let (expected, slice) = held.swap_remove(index.index(held.len()));
            prop_assert_eq!(text(&slice), expected);
            drop(slice);
            if let Some(last) = held.last() {
                prop_assert_eq!(&text(&last.1), &last.0);
            }
        }
        drop(stream);
        for (expected, slice) in &held {
            prop_assert_eq!(&text(slice), expected);
        }
    }
}

#[test]
fn a_reader_that_is_dropped_takes_its_jobs_along() {
    for taken in 0..4 {
        let image = common::array(DType::F32, &[200, 300], &[0, 1], &[false; 2], &[false; 2]);
        let scan = PatchScan::builder(image, WindowSpec::new([8, 8])).batch_rows(5_000).prefetch(4).build().unwrap();
        let batches: Vec<_> = scan.reader().unwrap().take(taken).map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5_000 * taken);
    }
}
