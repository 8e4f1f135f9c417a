//! The window ids as a lazy frame.

use std::ops::Range;

use polars::prelude::{
    AllowedOptimizations, DataFrame, DataType, IntoLazy, LazyFrame, PolarsResult, UnionArgs, col, concat, lit,
};

use super::morsel;

/// Polars counts the rows of a frame in 32 bits, and keeps the last number for itself.
pub(super) const FRAME_ROWS: u64 = u32::MAX as u64 - 1;

/// The column `window` of these ids: the row index of a frame without columns, which takes no memory until it is asked
/// for. `morsel` is the number of rows that the streaming engine shall handle at a time, if its own is too large.
pub(super) fn windows(ids: Range<u64>, morsel: Option<usize>) -> PolarsResult<LazyFrame> {
    frames(ids, morsel, FRAME_ROWS)
}

/// The same in frames of at most `most` rows.
fn frames(ids: Range<u64>, morsel: Option<usize>, most: u64) -> PolarsResult<LazyFrame> {
    let mut frames = Vec::new();
    let mut start = ids.start;
    loop {
        let height = (ids.end - start).min(most);
        let frame = match morsel {
            Some(rows) if height > rows as u64 => morsel::frame(height, rows)?,
            _ => DataFrame::empty_with_height(height as usize).lazy().with_row_index("window", None),
        };
        let index = col("window").cast(DataType::UInt64);
        frames.push(frame.select([if start == 0 { index } else { index + lit(start) }]));
        start += height;
        if start == ids.end {
            break;
        }
    }
    match frames.pop() {
        Some(only) if frames.is_empty() => Ok(only),
        last => {
            let union = concat(frames.into_iter().chain(last).collect::<Vec<_>>(), UnionArgs::default())?;
            // Polars 0.55 panics where it moves a slice that starts beyond 32 bits into a union. Slices stop above this
            // function, which does nothing, and so do filters, whose way it would be.
            let passed = AllowedOptimizations::PROJECTION_PUSHDOWN | AllowedOptimizations::STREAMING;
            Ok(union.map(Ok, passed, None, Some("frames of 32 bits")))
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::Engine;

    use super::*;

    #[test]
    fn several_frames_are_one_row_of_ids() {
        for ids in [0..100, 7..107, 13..14, 5..5, 0..30, (1 << 40)..(1 << 40) + 95] {
            for morsel in [None, Some(1), Some(4), Some(30), Some(1000)] {
                let frame = frames(ids.clone(), morsel, 30).unwrap();
                for engine in [Engine::InMemory, Engine::Streaming] {
                    let collect = |frame: LazyFrame| frame.collect_with_engine(engine).unwrap().unwrap_single();
                    let got = collect(frame.clone());
                    let got: Vec<_> = got.column("window").unwrap().u64().unwrap().iter().flatten().collect();
                    assert_eq!(got, ids.clone().collect::<Vec<_>>());
                    let got = collect(frame.clone().slice(28, 5));
                    let got: Vec<_> = got.column("window").unwrap().u64().unwrap().iter().flatten().collect();
                    assert_eq!(got, ids.clone().skip(28).take(5).collect::<Vec<_>>());
                }
            }
        }
    }
}
