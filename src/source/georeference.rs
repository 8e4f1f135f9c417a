//! Where the pixels of an image lie on the map.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the pixels of an image lie on the map: an affine transform, and what its coordinates are.
///
/// ```
/// use windrow::source::{Crs, Georeference, PixelIs};
///
/// let place = Georeference {
///     transform: [10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0],
///     crs: Some(Crs::Projected),
///     epsg: Some(32633),
///     pixel: PixelIs::Area,
/// };
/// // The middle of the first pixel.
/// assert_eq!(place.at(0.5, 0.5), (500_005.0, 4_599_995.0));
/// assert_eq!(place.names(), ["easting", "northing"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Georeference {
    /// `[a, b, c, d, e, f]`, as rasterio has it: the point `(x, y)` of the image, in pixels from the outer corner of its
    /// first pixel, is at `(a·x + b·y + c, d·x + e·y + f)` on the map. All are finite.
    pub transform: [f64; 6],
    /// What the coordinates are, if the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crs: Option<Crs>,
    /// The number of the coordinate reference system in the EPSG registry, if the file says it by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsg: Option<u32>,
    /// What the file's own transform speaks of; [`transform`](Self::transform) speaks of corners either way.
    pub pixel: PixelIs,
}

/// The kind of a coordinate reference system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crs {
    /// A plane: easting and northing, mostly in metres.
    Projected,
    /// The ellipsoid: longitude and latitude, mostly in degrees.
    Geographic,
}

/// What a pixel is to the coordinates of a file (`GTRasterTypeGeoKey`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelIs {
    /// A cell: the coordinates of pixel (0, 0) are those of its outer corner.
    #[default]
    Area,
    /// A point: the coordinates of pixel (0, 0) are those of its middle.
    Point,
}

impl Georeference {
    /// A place from the transform that a file has, which speaks of what a pixel is to it; `None` if not all of its numbers
    /// are finite.
    #[cfg(any(feature = "tiff", feature = "zarr"))]
    pub(super) fn of_file(transform: [f64; 6], pixel: PixelIs, crs: Option<Crs>, epsg: Option<u32>) -> Option<Self> {
        let [a, b, mut c, d, e, mut f] = transform;
        if pixel == PixelIs::Point {
            // It says where the middle of the first pixel is.
            c -= a * 0.5 + b * 0.5;
            f -= d * 0.5 + e * 0.5;
        }
        let transform = [a, b, c, d, e, f];
        transform.iter().all(|n| n.is_finite()).then_some(Self { transform, crs, epsg, pixel })
    }

    /// Where the point `(x, y)` of the image is on the map.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.transform;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// The names of the two coordinates: `longitude` and `latitude` of a geographic system, `easting` and `northing` of
    /// any other, also where the file does not say which it is.
    pub fn names(&self) -> [&'static str; 2] {
        match self.crs {
            Some(Crs::Geographic) => ["longitude", "latitude"],
            _ => ["easting", "northing"],
        }
    }

    /// Whether pixels of both lie at the same place. A system that one of them does not name may be that of the other.
    pub fn same_place(&self, other: &Self) -> bool {
        let same_system = self.epsg.is_none() || other.epsg.is_none() || self.epsg == other.epsg;
        self.transform == other.transform && same_system
    }
}

impl fmt::Display for Georeference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transform {
            [a, 0.0, c, 0.0, e, y] => write!(f, "({c}, {y}) by ({a}, {e})")?,
            all => write!(f, "matrix {all:?}")?,
        }
        if let Some(epsg) = self.epsg { write!(f, " in EPSG:{epsg}") } else { Ok(()) }
    }
}
