//! The example that windrow comes from: a 3×3 array and its 2×2 windows.
//!
//! No pair of strides expresses the rows of all windows, since they jump at the end of each image row. Two views come
//! near without a copy: the windows as a 4-D view, and the *rolling* view over the flat array, in which the windows
//! that wrap around have to be masked. The table has exactly the rows, made when they are asked for.

use std::error::Error;

use windrow::{DType, Grid, PatchScan, StridedView, WindowSpec};

fn main() -> Result<(), Box<dyn Error>> {
    let image = ndarray::Array::from_iter(0..9u8).into_shape_with_order((3, 3))?;
    let image = StridedView::from(image);
    let spec = WindowSpec::new([2, 2]);

    // 1. All windows as a view, as numpy's sliding_window_view: 16 numbers, of which none was copied.
    let windows = Grid::new(&spec, &[3, 3], None)?.window_view(&image)?;
    println!("4-D view:\n{:?}\n", windows.as_ndarray::<u8>()?);
    assert!(windows.shares_memory(&image));
    assert_eq!(windows.shape(), [2, 2, 2, 2]);
    assert_eq!(windows.to_vec::<u8>()?, [0, 1, 3, 4, 1, 2, 4, 5, 3, 4, 6, 7, 4, 5, 7, 8]);

    // 2. The rolling view: row r and column r hold window r; the windows that wrap around stand at row 2 and column 2.
    let rolling = StridedView::try_new(image.buffer().clone(), DType::U8, vec![5, 5], vec![1, 1], 0)?;
    println!("rolling view (row 2 and column 2 wrap around):\n{:?}\n", rolling.as_ndarray::<u8>()?);
    assert!(rolling.shares_memory(&image));

    // 3. The rows, from the table.
    let scan = PatchScan::new(image, spec)?;
    let mut rows = Vec::new();
    for batch in scan.reader()? {
        let batch = batch?;
        let patches = arrow_array::cast::as_fixed_size_list_array(&batch["patch"]).clone();
        for i in 0..batch.num_rows() {
            let lines = patches.value(i);
            let lines = arrow_array::cast::as_fixed_size_list_array(&lines).values().clone();
            rows.push(arrow_array::cast::as_primitive_array::<arrow_array::types::UInt8Type>(&lines).values().to_vec());
        }
    }
    println!("rows: {rows:?}");
    assert_eq!(rows, [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]);
    Ok(())
}
