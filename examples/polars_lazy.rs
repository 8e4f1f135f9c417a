//! Where in a photograph is most to see? Its windows by texture, in bounded memory.

use polars::prelude::*;
use windrow::{AnySource, Layout, PatchScan, WindowSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let photo = AnySource::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data/camera.png"), None)?;
    // A flat list of 256 pixels a window, so that Polars' `arr` functions see every pixel.
    let scan = PatchScan::builder(photo, WindowSpec::new([16, 16]).step(4)).layout(Layout::FixedShapeTensor).build()?;
    // The texture of a window is how much its pixels differ; no patch is made before the query runs.
    let texture = col("patch").arr().std(1).alias("texture");
    let block = [(col("y") / lit(64)).alias("block_y"), (col("x") / lit(64)).alias("block_x")];
    let best_first = SortMultipleOptions::new().with_order_descending(true);
    let top = windrow::polars::scan(&scan)?
        .select([col("window"), col("y"), col("x"), texture])
        // The best window of every 64×64 block of the photograph, and of those the five best.
        .sort(["texture"], best_first.clone())
        .group_by(block)
        .agg([col("*").first()])
        .sort(["texture"], best_first)
        .limit(5)
        // Their pixels, which nobody kept: five patches are made anew.
        .with_columns([windrow::polars::patch(&scan)])
        .collect_with_engine(Engine::Streaming)?
        .unwrap_single();
    for row in 0..top.height() {
        let cell = |name| top.column(name).and_then(|column| column.get(row));
        println!("texture {} at y {}, x {}", cell("texture")?, cell("y")?, cell("x")?);
    }
    assert_eq!(windrow::polars::gathered(&scan), scan.num_rows() + 5);
    Ok(())
}
