//! Where an array of Zarr is on the earth: its attributes by the conventions "spatial" and "proj"
//! (<https://github.com/zarr-conventions>).

use serde_json::Value;

use crate::source::{Crs, Georeference, PixelIs};

/// Numbers of systems of longitudes and latitudes that many arrays name by number alone: WGS 84, ETRS89 and NAD83.
const GEOGRAPHIC: [u32; 3] = [4326, 4258, 4269];

/// Where the pixels are; `None` if the attributes don't say it, or in a way that is not known here. The axes are to be
/// called y and x, as those of all images on the earth.
pub(super) fn georeference(attributes: &Value) -> Option<Georeference> {
    let of = |name: &str| attributes.get(name);
    if of("spatial:dimensions")? != &Value::from(vec!["y", "x"])
        || of("spatial:transform_type").is_some_and(|t| t != "affine")
    {
        return None;
    }
    let numbers: Option<Vec<f64>> = of("spatial:transform")?.as_array()?.iter().map(Value::as_f64).collect();
    let transform: [f64; 6] = numbers?.try_into().ok()?;
    let pixel = match of("spatial:registration").and_then(Value::as_str) {
        Some("node") => PixelIs::Point,
        _ => PixelIs::Area,
    };
    let epsg = of("proj:code").and_then(Value::as_str).and_then(|code| code.strip_prefix("EPSG:")?.parse().ok());
    Georeference::of_file(transform, pixel, kind(attributes, epsg), epsg)
}

/// What the coordinates are.
fn kind(attributes: &Value, epsg: Option<u32>) -> Option<Crs> {
    let wkt = attributes.get("proj:wkt2").and_then(Value::as_str).unwrap_or_default();
    let json = attributes.get("proj:projjson").and_then(|system| system.get("type")?.as_str()).unwrap_or_default();
    if wkt.starts_with("PROJCRS") || json == "ProjectedCRS" {
        Some(Crs::Projected)
    } else if wkt.starts_with("GEOGCRS")
        || json == "GeographicCRS"
        || epsg.is_some_and(|epsg| GEOGRAPHIC.contains(&epsg))
    {
        Some(Crs::Geographic)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_array_says_is_where_it_is() {
        let north_up = json!({"spatial:dimensions": ["y", "x"], "spatial:transform": [10.0, 0.0, 5e5, 0, -20, 4e6]});
        let with = |more: Value| {
            let mut all = north_up.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            georeference(&all)
        };
        let transform = [10.0, 0.0, 5e5, 0.0, -20.0, 4e6];
        let bare = Georeference { transform, crs: None, epsg: None, pixel: PixelIs::Area };
        assert_eq!(with(json!({})), Some(bare));
        let utm = Georeference { epsg: Some(32633), ..bare };
        assert_eq!(with(json!({"proj:code": "EPSG:32633"})), Some(utm));
        let known = json!({"proj:code": "EPSG:32633", "proj:projjson": {"type": "ProjectedCRS"}});
        assert_eq!(with(known), Some(Georeference { crs: Some(Crs::Projected), ..utm }));
        let degrees = Georeference { crs: Some(Crs::Geographic), epsg: Some(4326), ..bare };
        assert_eq!(with(json!({"proj:code": "EPSG:4326"})), Some(degrees));
        assert_eq!(with(json!({"proj:wkt2": "GEOGCRS[...]"})), Some(Georeference { epsg: None, ..degrees }));
        let point = with(json!({"spatial:registration": "node"})).unwrap();
        assert_eq!((point.at(0.5, 0.5), point.pixel), ((5e5, 4e6), PixelIs::Point));
        for broken in [
            json!({"spatial:transform": [1, 0, 0, 0, 1]}),
            json!({"spatial:transform": [1, 0, 0, 0, 1, "0"]}),
            json!({"spatial:transform": 3}),
            json!({"spatial:transform_type": "rpc"}),
            json!({"spatial:dimensions": ["lat", "lon"]}),
            json!({"spatial:dimensions": 7}),
        ] {
            assert_eq!(with(broken), None);
        }
        assert_eq!(with(json!({"proj:code": "EPSG:x", "proj:projjson": 3, "proj:wkt2": []})), Some(bare));
    }
}
