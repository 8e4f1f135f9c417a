//! Where on the earth a TIFF file is: the tags of GeoTIFF, and GDAL's for missing pixels.

use std::path::Path;

use super::directory::{Directory, Header, Tag, TagValues};
use crate::Result;
use crate::source::file::DataFile;
use crate::source::{Crs, Georeference, PixelIs};

const PIXEL_SCALE: u16 = 33550;
const TIEPOINT: u16 = 33922;
const TRANSFORMATION: u16 = 34264;
const KEYS: u16 = 34735;
const KEY_DOUBLES: u16 = 34736;
const KEY_TEXTS: u16 = 34737;
const NODATA: u16 = 42113;

const TAGS: [u16; 7] = [PIXEL_SCALE, TIEPOINT, TRANSFORMATION, KEYS, KEY_DOUBLES, KEY_TEXTS, NODATA];

/// The key that says whether coordinates are those of the middle of pixels, and its value for that.
const RASTER_TYPE: u16 = 1025;
const PIXEL_IS_POINT: u16 = 2;

/// The key that says what coordinates are, and its values.
const MODEL_TYPE: u16 = 1024;
const PROJECTED: u16 = 1;
const GEOGRAPHIC: u16 = 2;

/// The keys of the numbers of coordinate reference systems, of which the last one is none: "user-defined".
const GEOGRAPHIC_CRS: u16 = 2048;
const PROJECTED_CRS: u16 = 3072;
const USER_DEFINED: u16 = 32767;

/// The georeference of a TIFF file: where its pixels are, in what coordinates, and which value says that there is none.
///
/// ```no_run
/// use windrow::source::GeoTags;
///
/// let geo = GeoTags::read("scene.tif", 0)?.expect("a GeoTIFF");
/// println!("missing pixels are {:?}", geo.nodata());
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
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
        Self::read_overview(path, page, None)
    }

    /// Reads the georeference of a reduced copy of page `page`, as [`TiffSource::open_overview`](super::TiffSource::open_overview)
    /// has it; without `overview` that of the page itself.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if there is no such copy.
    pub fn read_overview(path: impl AsRef<Path>, page: usize, overview: Option<usize>) -> Result<Option<Self>> {
        let file = DataFile::open(path.as_ref())?;
        let directory = Header::read(&file)?.directory(&file, page)?;
        for tag in TAGS {
            // Of one that is broken is told here.
            directory.words(tag)?;
        }
        let geo = match overview {
            None => Self::of(&directory),
            Some(overview) => Self::of_overview(&directory, &directory.overview(page, overview)?),
        };
        Ok(if geo.tags.is_empty() { None } else { Some(geo) })
    }

    /// The tags of a page, but for those that are broken, which matters to nobody who only wants pixels.
    pub(super) fn of(directory: &Directory<'_>) -> Self {
        let values = |tag| directory.words(tag).ok().flatten().map(|values| (tag, values));
        Self { tags: TAGS.into_iter().filter_map(values).collect() }
    }

    /// The tags of a reduced copy of a page: those of the page, whose place it takes.
    pub(super) fn of_overview(page: &Directory<'_>, overview: &Directory<'_>) -> Self {
        let map = |length| {
            let scale = page.length(length) / overview.length(length);
            AxisMap { scale, offset: 0.0, center: (scale - 1.0) / 2.0 }
        };
        let geo = Self::of(page).mapped(map(Tag::ImageLength), map(Tag::ImageWidth));
        match Self::of(overview).nodata() {
            Some(nodata) => geo.with_nodata(Some(nodata)),
            None => geo,
        }
    }

    /// No georeference, and this value for pixels that are missing.
    pub(crate) fn of_nodata(value: &str) -> Self {
        Self { tags: vec![(NODATA, TagValues::Text(value.to_owned()))] }
    }

    /// The tags that say this: what is left of a georeference where the file that had it is not at hand.
    pub(crate) fn of_georeference(place: &Georeference) -> Self {
        let [a, b, mut c, d, e, mut f] = place.transform;
        let mut keys = vec![];
        if let Some(crs) = place.crs {
            let (kind, number) =
                if crs == Crs::Projected { (PROJECTED, PROJECTED_CRS) } else { (GEOGRAPHIC, GEOGRAPHIC_CRS) };
            keys.push([MODEL_TYPE, 0, 1, kind]);
            keys.push([RASTER_TYPE, 0, 1, if place.pixel == PixelIs::Point { PIXEL_IS_POINT } else { 1 }]);
            // A number that is too large for a key is left out.
            keys.extend(place.epsg.and_then(|epsg| u16::try_from(epsg).ok()).map(|epsg| [number, 0, 1, epsg]));
            if place.pixel == PixelIs::Point {
                (c, f) = (c + 0.5 * a + 0.5 * b, f + 0.5 * d + 0.5 * e);
            }
        }
        let mut tags = if b == 0.0 && d == 0.0 && e < 0.0 {
            vec![
                (PIXEL_SCALE, TagValues::Doubles(vec![a, -e, 0.0])),
                (TIEPOINT, TagValues::Doubles(vec![0.0, 0.0, 0.0, c, f, 0.0])),
            ]
        } else {
            let matrix = [[a, b, 0.0, c], [d, e, 0.0, f], [0.0; 4], [0.0, 0.0, 0.0, 1.0]];
            vec![(TRANSFORMATION, TagValues::Doubles(matrix.concat()))]
        };
        if !keys.is_empty() {
            let head = [1, 1, 0, keys.len() as u16];
            tags.push((KEYS, TagValues::Shorts([&head[..], &keys.concat()].concat())));
        }
        Self { tags }
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

    fn doubles(&self, of: u16) -> Option<&[f64]> {
        self.tags.iter().find_map(|(tag, values)| match values {
            TagValues::Doubles(values) if *tag == of => Some(&values[..]),
            _ => None,
        })
    }

    /// A value of the directory of keys that stands in the directory itself.
    fn key(&self, of: u16) -> Option<u16> {
        let keys = self.tags.iter().find_map(|(tag, values)| match values {
            TagValues::Shorts(keys) if *tag == KEYS => Some(keys),
            _ => None,
        })?;
        // Number, the tag that has the value (0: none), how many values, the value.
        keys.chunks_exact(4).skip(1).find(|key| key[0] == of && key[1] == 0).map(|key| key[3])
    }

    fn is_point(&self) -> bool {
        self.key(RASTER_TYPE) == Some(PIXEL_IS_POINT)
    }

    /// Where the pixels lie on the map; `None` if there is no transform that says it, but control points at most.
    pub fn georeference(&self) -> Option<Georeference> {
        let number = |key| self.key(key).filter(|&number| number != 0 && number != USER_DEFINED).map(u32::from);
        let (projected, geographic) = (self.key(PROJECTED_CRS).is_some(), self.key(GEOGRAPHIC_CRS).is_some());
        let crs = match self.key(MODEL_TYPE) {
            Some(PROJECTED) => Some(Crs::Projected),
            Some(GEOGRAPHIC) => Some(Crs::Geographic),
            _ if projected => Some(Crs::Projected),
            _ if geographic => Some(Crs::Geographic),
            _ => None,
        };
        let epsg = crs.and_then(|crs| match crs {
            Crs::Projected => number(PROJECTED_CRS),
            Crs::Geographic => number(GEOGRAPHIC_CRS),
        });
        let pixel = if self.is_point() { PixelIs::Point } else { PixelIs::Area };
        Georeference::of_file(self.transform()?, pixel, crs, epsg)
    }

    /// The transform as the file has it. Where it has several GDAL's choice is ours.
    fn transform(&self) -> Option<[f64; 6]> {
        if let (Some([sx, sy, ..]), Some([x, y, _, east, north, ..])) =
            (self.doubles(PIXEL_SCALE), self.doubles(TIEPOINT))
            && *sx != 0.0
            && *sy != 0.0
        {
            // North is up. Some writers say so by a negative scale, and are taken at GDAL's word.
            let sy = -sy.abs();
            return Some([*sx, 0.0, east - x * sx, 0.0, sy, north - y * sy]);
        }
        match self.doubles(TRANSFORMATION)? {
            m if m.len() == 16 => Some([m[0], m[1], m[3], m[4], m[5], m[7]]),
            _ => None,
        }
    }

    /// The georeference of an image whose pixels lie on those of this one.
    pub(crate) fn mapped(&self, y: AxisMap, x: AxisMap) -> Self {
        let is_point = self.is_point();
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
    fn a_place_becomes_tags_that_say_it() {
        for transform in [[10.0, 0.0, 5e5, 0.0, -20.0, 4e6], [8.0, 6.0, 1e3, 6.0, -8.0, 2e3]] {
            for pixel in [PixelIs::Area, PixelIs::Point] {
                for (crs, epsg) in
                    [(Crs::Projected, Some(32633)), (Crs::Geographic, Some(4326)), (Crs::Geographic, None)]
                {
                    let place = Georeference { transform, crs: Some(crs), epsg, pixel };
                    assert_eq!(GeoTags::of_georeference(&place).georeference(), Some(place));
                }
            }
            let bare = Georeference { transform, crs: None, epsg: None, pixel: PixelIs::Area };
            assert_eq!(GeoTags::of_georeference(&bare).georeference(), Some(bare));
        }
    }

    #[test]
    fn missing_pixels_have_a_value() {
        let geo = GeoTags::of_nodata("-9999");
        assert_eq!((geo.nodata(), geo.clone().with_nodata(Some("0")).nodata()), (Some("-9999"), Some("0")));
        assert_eq!(geo.with_nodata(None).nodata(), None);
    }
}
