//! Places on the map are expressions, and the same numbers as in batches.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use windrow::source::{Crs, Georeference, PixelIs, RegionReader, Source, SourceInfo};
use windrow::{AnySource, BufferPool, Coords, DType, Edge, PatchScan, WindowSpec};

/// An image that has a place, and no pixels that anybody asks for.
#[derive(Debug)]
struct Placed(SourceInfo);

impl Source for Placed {
    fn info(&self) -> &SourceInfo {
        &self.0
    }

    fn georeference(&self) -> Option<Georeference> {
        let transform = [8.66, 5.0, 399_960.25, 5.0, -8.66, 4_600_020.5];
        Some(Georeference { transform, crs: Some(Crs::Projected), epsg: Some(32633), pixel: PixelIs::Area })
    }

    fn open(&self, _: &BufferPool) -> windrow::Result<Box<dyn RegionReader>> {
        panic!("no pixel is asked for")
    }
}

#[test]
fn places_are_those_of_batches() {
    for (window, step, edge) in
        [(vec![3, 4], vec![2, 3], Edge::Shift), (vec![5, 5], vec![1, 1], Edge::Pad), (vec![7], vec![2], Edge::Drop)]
    {
        let info = SourceInfo {
            name: "placed".to_owned(),
            shape: vec![41, 30],
            dtype: DType::U8,
            axes: Some(vec!["y".to_owned(), "x".to_owned()]),
            chunk: vec![1, 1],
            resident: false,
            working_bytes: 0,
        };
        let spec = WindowSpec { step, edge, ..WindowSpec::new(window) };
        let scan =
            PatchScan::builder(AnySource::new(Placed(info)), spec).columns(["easting", "northing"]).build().unwrap();
        let frame = windrow::polars::scan(&scan).unwrap().collect().unwrap();
        for name in ["easting", "northing"] {
            let batches = scan.reader().unwrap().map(|batch| batch.unwrap());
            let expected: Vec<f64> =
                batches.flat_map(|batch| batch[name].as_primitive::<Float64Type>().values().to_vec()).collect();
            let got: Vec<f64> = frame.column(name).unwrap().f64().unwrap().into_no_null_iter().collect();
            assert!(got == expected && !got.is_empty());
        }
        assert!(scan.explain().columns == ["easting", "northing"] && Coords::default() == Coords::Pixel);
    }
}
