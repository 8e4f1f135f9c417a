//! Where on the earth a TIFF file is: the tags of GeoTIFF, and GDAL's for missing pixels.

use std::path::Path;

use super::directory::{Header, TagValues};
use crate::Result;
use crate::source::file::DataFile;

const PIXEL_SCALE: u16 = 33550;
const TIEPOINT: u16 = 33922;
const TRANSFORMATION: u16 = 34264;
const KEYS: u16 = 34735;
const KEY_DOUBLES: u16 = 34736;
const KEY_TEXTS: u16 = 34737;
const NODATA: u16 = 42113;

/// The key that says whether coordinates are those of the middle of pixels, and its value for that.
const RASTER_TYPE: u16 = 1025;
const PIXEL_IS_POINT: u16 = 2;

/// The georeference of a TIFF file: where its pixels are, in what coordinates, and which value says that there is none.
///
/// ```no_run
/// use windrow::source::GeoTags;
///
/// let geo = GeoTags::read("scene.tif", 0)?.expect("a GeoTIFF");
/// println!("missing pixels are {:?}", geo.nodata());
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GeoTags {
    tags: Vec<(u16, TagValues)>,
}

/// How one axis of a new image lies on that of the old one, both in pixels: `old = scale · new + offset` for the edges
/// of pixels, and with `center` for their middles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AxisMap {
    pub(crate) scale: f64,
    pub(crate) offset: f64,
    pub(crate) center: f64,
}

impl AxisMap {
    /// The axis as it was.
    pub(crate) const SAME: Self = Self { scale: 1.0, offset: 0.0, center: 0.0 };
}

impl GeoTags {
    /// Reads the georeference of page `page` of a TIFF file; `None` if it has none.
    ///
    /// # Errors
    /// If the file can't be read, is no TIFF, or its tags are broken.
    pub fn read(path: impl AsRef<Path>, page: usize) -> Result<Option<Self>> {
        let file = DataFile::open(path.as_ref())?;
        let directory = Header::read(&file)?.directory(&file, page)?;
        let mut tags = Vec::new();
        for tag in [PIXEL_SCALE, TIEPOINT, TRANSFORMATION, KEYS, KEY_DOUBLES, KEY_TEXTS, NODATA] {
            if let Some(values) = directory.words(tag)? {
                tags.push((tag, values));
            }
        }
        Ok(if tags.is_empty() { None } else { Some(Self { tags }) })
    }

    /// No georeference, and this value for pixels that are missing.
    pub(crate) fn of_nodata(value: &str) -> Self {
        Self { tags: vec![(NODATA, TagValues::Text(value.to_owned()))] }
    }

    /// The value of pixels that are missing, as text.
    pub fn nodata(&self) -> Option<&str> {
        self.tags.iter().find_map(|(tag, values)| match values {
            TagValues::Text(text) if *tag == NODATA => Some(text.trim()),
            _ => None,
        })
    }

    /// The same with another value for pixels that are missing.
    pub(crate) fn with_nodata(mut self, value: Option<&str>) -> Self {
        self.tags.retain(|(tag, _)| *tag != NODATA);
        self.tags.extend(value.map(|value| (NODATA, TagValues::Text(value.to_owned()))));
        self
    }

    /// The tags, by number.
    pub(crate) fn tags(&self) -> &[(u16, TagValues)] {
        &self.tags
    }

    /// The georeference of an image whose pixels lie on those of this one.
    pub(crate) fn mapped(&self, y: AxisMap, x: AxisMap) -> Self {
        let is_point = self.tags.iter().any(|(tag, values)| match values {
            TagValues::Shorts(keys) if *tag == KEYS => {
                keys.chunks_exact(4).skip(1).any(|key| key[0] == RASTER_TYPE && key[3] == PIXEL_IS_POINT)
            }
            _ => false,
        });
        let offset = |axis: AxisMap| if is_point { axis.center } else { axis.offset };
        let mut mapped = self.clone();
        for (tag, values) in &mut mapped.tags {
            let TagValues::Doubles(values) = values else { continue };
            match *tag {
                PIXEL_SCALE => {
                    for (value, scale) in values.iter_mut().zip([x.scale, y.scale]) {
                        *value *= scale;
                    }
                }
                // Six numbers each: x, y and z in the image, and on the earth.
                TIEPOINT => {
                    for point in values.chunks_exact_mut(6) {
                        point[0] = (point[0] - offset(x)) / x.scale;
                        point[1] = (point[1] - offset(y)) / y.scale;
                    }
                }
                // Four rows of four: new pixels to old ones first, and then these to the earth.
                TRANSFORMATION => {
                    for row in values.chunks_exact_mut(4).take(3) {
                        row[3] += row[0] * offset(x) + row[1] * offset(y);
                        row[0] *= x.scale;
                        row[1] *= y.scale;
                    }
                }
                _ => {}
            }
        }
        mapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubles(tag: u16, values: &[f64]) -> (u16, TagValues) {
        (tag, TagValues::Doubles(values.to_vec()))
    }

    /// Where on the earth the edge of a pixel is.
    fn place(geo: &GeoTags, x: f64, y: f64) -> (f64, f64) {
        let of = |tag: u16| geo.tags.iter().find(|(t, _)| *t == tag).map(|(_, values)| values.clone());
        if let Some(TagValues::Doubles(m)) = of(TRANSFORMATION) {
            return (m[0] * x + m[1] * y + m[3], m[4] * x + m[5] * y + m[7]);
        }
        let (Some(TagValues::Doubles(scale)), Some(TagValues::Doubles(tie))) = (of(PIXEL_SCALE), of(TIEPOINT)) else {
            panic!("no place in {geo:?}")
        };
        (tie[3] + (x - tie[0]) * scale[0], tie[4] - (y - tie[1]) * scale[1])
    }

    #[test]
    fn a_new_pixel_is_where_its_old_ones_are() {
        let scaled = vec![
            doubles(PIXEL_SCALE, &[10.0, 20.0, 0.0]),
            doubles(TIEPOINT, &[3.0, 4.0, 0.0, 500_000.0, 4_000_000.0, 0.0]),
        ];
        let turned = vec![doubles(
            TRANSFORMATION,
            &[8.0, 6.0, 0.0, 1000.0, 6.0, -8.0, 0.0, 2000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        )];
        for tags in [scaled, turned] {
            let geo = GeoTags { tags };
            let y = AxisMap { scale: 4.0, offset: 2.5, center: 4.0 };
            let x = AxisMap { scale: 3.0, offset: -1.5, center: -0.5 };
            let mapped = geo.mapped(y, x);
            for (px, py) in [(0.0, 0.0), (7.0, 3.0), (-2.0, 11.5)] {
                let (a, b) = (place(&mapped, px, py), place(&geo, 3.0 * px - 1.5, 4.0 * py + 2.5));
                assert!((a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6, "{a:?} {b:?}");
            }
            let mut point = geo.clone();
            point.tags.push((KEYS, TagValues::Shorts(vec![1, 1, 0, 1, RASTER_TYPE, 0, 1, PIXEL_IS_POINT])));
            let (a, b) = (place(&point.mapped(y, x), 2.0, 5.0), place(&geo, 5.5, 24.0));
            assert!((a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6, "{a:?} {b:?}");
            assert_eq!(geo.mapped(AxisMap::SAME, AxisMap::SAME), geo);
        }
    }

    #[test]
    fn missing_pixels_have_a_value() {
        let geo = GeoTags::of_nodata("-9999");
        assert_eq!((geo.nodata(), geo.clone().with_nodata(Some("0")).nodata()), (Some("-9999"), Some("0")));
        assert_eq!(geo.with_nodata(None).nodata(), None);
    }
}
