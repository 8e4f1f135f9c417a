//! Where in a photograph is most to see? Its windows by texture, in bounded memory, and the pixels of the best ones only.

use polars::prelude::*;
use windrow::{AnySource, Layout, PatchScan, WindowSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let photo = AnySource::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data/camera.png"), None)?;
    // A flat list of 256 pixels a window, so that Polars' `arr` functions see every pixel.
    let scan = PatchScan::builder(photo, WindowSpec::new([16, 16]).step(4)).layout(Layout::FixedShapeTensor).build()?;

    // The texture of a window is how much its pixels differ. This makes no patch yet.
    let texture = col("patch").arr().std(1).alias("texture");
    let windows = windrow::polars::scan(&scan)?.select([col("window"), col("y"), col("x"), texture]);

    // The best window of every 64×64 block of the photograph, then the five best of those, then their pixels.
    let block = [(col("y") / lit(64)).alias("block_y"), (col("x") / lit(64)).alias("block_x")];
    let best = SortMultipleOptions::new().with_order_descending(true);
    let top = windows
        .sort(["texture"], best.clone())
        .group_by(block)
        .agg([col("window").first(), col("y").first(), col("x").first(), col("texture").first()])
        .sort(["texture"], best)
        .limit(5)
        .with_columns([windrow::polars::patch(&scan)])
        .select([
            col("y"),
            col("x"),
            col("texture"),
            col("patch").arr().min().alias("min"),
            col("patch").arr().max().alias("max"),
        ])
        .collect_with_engine(Engine::Streaming)?
        .unwrap_single();
    println!("of {} windows:\n{top}", scan.num_rows());
    assert_eq!(top.height(), 5);
    Ok(())
}
