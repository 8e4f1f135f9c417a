//! What an array says of itself: `.zarray` and `.zattrs` of version 2, `zarr.json` of version 3.

use half::f16;
use serde_json::Value;

use super::codec::Packing;
use super::place;
use crate::source::{Georeference, npy_header};
use crate::{DType, Scalar};

/// An array whose cells lie in chunks, each in a file (an object, a member of an archive) of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    pub(super) shape: Vec<u64>,
    /// What is stored together: a chunk, or a shard of several.
    pub(super) stored: Vec<u64>,
    /// The chunks of a shard.
    pub(super) shard: Option<Shard>,
    pub(super) dtype: DType,
    pub(super) chunk: Chunk,
    /// The cell of chunks that were never written, in the byte order of this machine.
    pub(super) fill: Vec<u8>,
    pub(super) names: Names,
    pub(super) axes: Option<Vec<String>>,
    pub(super) nodata: Option<Scalar>,
    pub(super) place: Option<Georeference>,
}

/// How a chunk is packed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) shape: Vec<u64>,
    /// The axes of the array in the order that they have in the chunk.
    pub(super) order: Vec<usize>,
    /// Whether numbers are in the other byte order than this machine's.
    pub(super) swapped: bool,
    pub(super) packings: Vec<Packing>,
}

/// Chunks in a shard, and where its index is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shard {
    pub(super) at_end: bool,
    pub(super) big_endian: bool,
    pub(super) checksum: bool,
}

/// How the files of chunks are called.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names {
    prefix: bool,
    separator: char,
}

impl Names {
    /// The name of a chunk, by its place among them.
    pub(super) fn of(&self, place: &[u64]) -> String {
        let mut name = String::from(if self.prefix { "c" } else { "" });
        for n in place {
            if !name.is_empty() {
                name.push(self.separator);
            }
            name.push_str(&n.to_string());
        }
        name
    }
}

/// What is wrong, in words; or that it is sound, but can't be read here.
#[derive(Debug, PartialEq)]
pub(super) enum Wrong {
    Broken(String),
    Unsupported(String),
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::Broken(message)
    }
}

type Result<T, E = Wrong> = std::result::Result<T, E>;

fn unsupported<T>(message: impl Into<String>) -> Result<T> {
    Err(Wrong::Unsupported(message.into()))
}

/// Version 3: `zarr.json` of an array.
pub(super) fn version_3(doc: &Value) -> Result<Meta> {
    known(doc)?;
    let shape = lengths(doc, "shape")?;
    let dtype = match doc.get("data_type") {
        Some(Value::String(name)) => match DType::ALL.into_iter().find(|dtype| dtype.name() == name) {
            Some(dtype) => dtype,
            None => return unsupported(format!("data_type {name:?}: expected numbers or bool")),
        },
        other => return unsupported(format!("data_type {}: expected numbers or bool", shown(other))),
    };
    let (grid, settings) = named(doc.get("chunk_grid"), "chunk_grid")?;
    if grid != "regular" {
        return unsupported(format!("chunk_grid {grid:?}: expected \"regular\""));
    }
    let stored = chunk_lengths(settings, "chunk_shape", &shape)?;
    let names = match named(doc.get("chunk_key_encoding"), "chunk_key_encoding")? {
        ("default", settings) => Names { prefix: true, separator: separator(settings.get("separator"), '/')? },
        ("v2", settings) => Names { prefix: false, separator: separator(settings.get("separator"), '.')? },
        (other, _) => return unsupported(format!("chunk_key_encoding {other:?}: expected \"default\" or \"v2\"")),
    };
    if doc.get("storage_transformers").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return unsupported("storage_transformers");
    }
    let codecs = list(doc.get("codecs"), "codecs")?;
    let (chunk, shard) = match codecs {
        [only] if named(Some(only), "codec")?.0 == "sharding_indexed" => {
            let (_, settings) = named(Some(only), "codec")?;
            let shape = chunk_lengths(settings, "chunk_shape", &shape)?;
            if shape.iter().zip(&stored).any(|(n, of)| !of.is_multiple_of(*n)) {
                return Err(format!("shards of {stored:?} don't divide into chunks of {shape:?}").into());
            }
            let shard = shard(settings)?;
            (chunk(list(settings.get("codecs"), "codecs")?, shape, dtype)?, Some(shard))
        }
        codecs => (chunk(codecs, stored.clone(), dtype)?, None),
    };
    let fill = fill(doc.get("fill_value").unwrap_or(&Value::Null), dtype)?;
    let attributes = doc.get("attributes").unwrap_or(&Value::Null);
    let axes = axis_names(doc.get("dimension_names"), &shape)
        .or_else(|| axis_names(attributes.get("_ARRAY_DIMENSIONS"), &shape));
    let (nodata, place) = (nodata(attributes), place::georeference(attributes));
    Ok(Meta { shape, stored, shard, dtype, chunk, fill, names, axes, nodata, place })
}

/// Version 2: `.zarray`, and `.zattrs` if it is there.
pub(super) fn version_2(doc: &Value, attributes: &Value) -> Result<Meta> {
    if doc.get("zarr_format").and_then(Value::as_u64) != Some(2) {
        return Err(format!("zarr_format {}: expected 2", shown(doc.get("zarr_format"))).into());
    }
    let shape = lengths(doc, "shape")?;
    let stored = chunk_lengths(doc, "chunks", &shape)?;
    let (dtype, swapped) = match doc.get("dtype") {
        Some(Value::String(name)) => match npy_header::dtype(name) {
            Ok(dtype) => dtype,
            Err(what) => return unsupported(format!("dtype {name:?} is {what}: expected numbers or bool")),
        },
        other => return unsupported(format!("dtype {} is structured: expected numbers or bool", shown(other))),
    };
    let mut order: Vec<usize> = (0..shape.len()).collect();
    match doc.get("order").and_then(Value::as_str) {
        Some("C") => {}
        Some("F") => order.reverse(),
        _ => return Err(format!("order {}: expected \"C\" or \"F\"", shown(doc.get("order"))).into()),
    }
    let filters = doc.get("filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let compressor = doc.get("compressor").filter(|compressor| !compressor.is_null());
    let mut packings = Vec::new();
    for codec in filters.iter().chain(compressor) {
        let Some(id) = codec.get("id").and_then(Value::as_str) else {
            return Err(format!("a codec without an id: {}", shown(Some(codec))).into());
        };
        packings.push(Packing::of(id, codec).map_err(Wrong::Unsupported)?);
    }
    few(&packings)?;
    let fill = fill(doc.get("fill_value").unwrap_or(&Value::Null), dtype)?;
    let names = Names { prefix: false, separator: separator(doc.get("dimension_separator"), '.')? };
    let chunk = Chunk { shape: stored.clone(), order, swapped, packings };
    let axes = axis_names(attributes.get("_ARRAY_DIMENSIONS"), &shape);
    let (nodata, place) = (nodata(attributes), place::georeference(attributes));
    Ok(Meta { shape, stored, shard: None, dtype, chunk, fill, names, axes, nodata, place })
}

/// The codecs of a chunk: turns of axes, then bytes, then what packs them.
fn chunk(codecs: &[Value], shape: Vec<u64>, dtype: DType) -> Result<Chunk> {
    let mut order: Vec<usize> = (0..shape.len()).collect();
    let mut codecs = codecs.iter();
    let swapped = loop {
        let Some(codec) = codecs.next() else {
            return Err("codecs: none makes bytes of an array, as \"bytes\" does".to_owned().into());
        };
        match named(Some(codec), "codec")? {
            ("transpose", settings) => {
                let turn = lengths_of(settings.get("order"), "order of a transpose")?;
                let mut seen = vec![false; order.len()];
                for &axis in &turn {
                    match seen.get_mut(axis as usize) {
                        Some(seen) if !*seen => *seen = true,
                        _ => return Err(format!("a transpose of axes {turn:?}").into()),
                    }
                }
                if turn.len() != order.len() {
                    return Err(format!("a transpose of axes {turn:?}, of {}", order.len()).into());
                }
                order = turn.iter().map(|&axis| order[axis as usize]).collect();
            }
            ("bytes", settings) => {
                break big_endian(settings, dtype.size())? != cfg!(target_endian = "big") && dtype.size() > 1;
            }
            ("sharding_indexed", _) => return unsupported("shards among other codecs, or within shards"),
            (other, _) => return unsupported(format!("codec {other:?}: expected \"bytes\" or \"transpose\"")),
        }
    };
    let mut packings = Vec::new();
    for codec in codecs {
        let (name, settings) = named(Some(codec), "codec")?;
        packings.push(Packing::of(name, settings).map_err(Wrong::Unsupported)?);
    }
    few(&packings)?;
    Ok(Chunk { shape, order, swapped, packings })
}

/// Each step takes memory and time for what it makes.
fn few(packings: &[Packing]) -> Result<()> {
    if packings.len() > 8 {
        return unsupported(format!("{} codecs: expected at most 8", packings.len()));
    }
    Ok(())
}

fn shard(settings: &Value) -> Result<Shard> {
    let at_end = match settings.get("index_location").map(Value::as_str) {
        None | Some(Some("end")) => true,
        Some(Some("start")) => false,
        Some(_) => return Err(format!("index_location {}", shown(settings.get("index_location"))).into()),
    };
    let mut shard = Shard { at_end, big_endian: false, checksum: false };
    match list(settings.get("index_codecs"), "index_codecs")? {
        [bytes, rest @ ..] if named(Some(bytes), "codec")?.0 == "bytes" && rest.len() < 2 => {
            shard.big_endian = big_endian(named(Some(bytes), "codec")?.1, 8)?;
            if let Some(checksum) = rest.first() {
                let name = named(Some(checksum), "codec")?.0;
                if name != "crc32c" {
                    return unsupported(format!("index_codecs with {name:?}: expected \"bytes\" and \"crc32c\""));
                }
                shard.checksum = true;
            }
        }
        _ => return unsupported("index_codecs other than \"bytes\" and \"crc32c\""),
    }
    Ok(shard)
}

fn big_endian(settings: &Value, size: usize) -> Result<bool> {
    match settings.get("endian").and_then(Value::as_str) {
        Some("little") => Ok(false),
        Some("big") => Ok(true),
        _ if size == 1 => Ok(false),
        _ => Err(format!("endian {}: expected \"little\" or \"big\"", shown(settings.get("endian"))).into()),
    }
}

/// A member that this reader does not know may change what all others mean, unless it says that it doesn't.
fn known(doc: &Value) -> Result<()> {
    const KNOWN: [&str; 12] = [
        "zarr_format",
        "node_type",
        "shape",
        "data_type",
        "chunk_grid",
        "chunk_key_encoding",
        "fill_value",
        "codecs",
        "attributes",
        "dimension_names",
        "storage_transformers",
        "consolidated_metadata",
    ];
    let Some(members) = doc.as_object() else { return Err("zarr.json is no object".to_owned().into()) };
    if doc.get("zarr_format").and_then(Value::as_u64) != Some(3) {
        return Err(format!("zarr_format {}: expected 3", shown(doc.get("zarr_format"))).into());
    }
    for (name, value) in members {
        if !KNOWN.contains(&name.as_str()) && value.get("must_understand") != Some(&Value::Bool(false)) {
            return unsupported(format!("{name:?} in zarr.json, which must be understood"));
        }
    }
    Ok(())
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "is missing".to_owned(), |value| value.to_string().chars().take(60).collect())
}

/// An extension: a name alone, or a name with its configuration.
fn named<'a>(value: Option<&'a Value>, what: &str) -> Result<(&'a str, &'a Value)> {
    let found = match value {
        Some(Value::String(name)) => Some((name.as_str(), &Value::Null)),
        Some(value) => {
            let name = value.get("name").and_then(Value::as_str);
            name.map(|name| (name, value.get("configuration").unwrap_or(&Value::Null)))
        }
        None => None,
    };
    found.ok_or_else(|| format!("{what} {}: expected a name", shown(value)).into())
}

fn list<'a>(value: Option<&'a Value>, what: &str) -> Result<&'a [Value]> {
    let list = value.and_then(Value::as_array);
    Ok(list.ok_or_else(|| format!("{what} {}: expected a list", shown(value)))?)
}

fn lengths(doc: &Value, name: &str) -> Result<Vec<u64>> {
    let lengths = lengths_of(doc.get(name), name)?;
    if lengths.is_empty() {
        return unsupported("the array has no axes (shape []): expected at least one");
    }
    Ok(lengths)
}

fn lengths_of(value: Option<&Value>, name: &str) -> Result<Vec<u64>> {
    let lengths: Option<Vec<_>> = list(value, name)?.iter().map(Value::as_u64).collect();
    match lengths {
        Some(lengths) if lengths.len() <= 64 => Ok(lengths),
        _ => Err(format!("{name} {}: expected at most 64 lengths", shown(value)).into()),
    }
}

/// The lengths of a chunk, one for each axis. That of an axis without cells says nothing.
fn chunk_lengths(doc: &Value, name: &str, shape: &[u64]) -> Result<Vec<u64>> {
    let mut lengths = lengths(doc, name)?;
    if lengths.len() != shape.len() {
        return Err(format!("{name} {lengths:?} of an array of shape {shape:?}").into());
    }
    for (length, &of) in lengths.iter_mut().zip(shape) {
        match (*length, of) {
            (0, 0) => *length = 1,
            (0, _) => return Err(format!("{name} {}: expected at least 1", shown(doc.get(name))).into()),
            _ => {}
        }
    }
    Ok(lengths)
}

fn separator(value: Option<&Value>, default: char) -> Result<char> {
    match value.map(Value::as_str) {
        None => Ok(default),
        Some(Some("/")) => Ok('/'),
        Some(Some(".")) => Ok('.'),
        _ => Err(format!("separator {}: expected \"/\" or \".\"", shown(value)).into()),
    }
}

/// Names of axes, if there is a different one for each.
fn axis_names(value: Option<&Value>, shape: &[u64]) -> Option<Vec<String>> {
    let names = value?.as_array()?.iter().map(|name| Some(name.as_str()?.to_owned())).collect::<Option<Vec<_>>>()?;
    let differ = names.iter().enumerate().all(|(i, name)| !name.is_empty() && !names[..i].contains(name));
    (names.len() == shape.len() && differ).then_some(names)
}

/// The value for missing cells, as the conventions of climate and forecast files have it.
fn nodata(attributes: &Value) -> Option<Scalar> {
    let value = attributes.get("_FillValue").or_else(|| attributes.get("missing_value"))?;
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(name) if name == "NaN" => "nan".parse().ok(),
        _ => None,
    }
}

/// The bytes of the cell that a fill value stands for.
fn fill(value: &Value, dtype: DType) -> Result<Vec<u8>> {
    let wrong = || Wrong::Broken(format!("fill_value {}: expected one of {dtype}", shown(Some(value))));
    if value.is_null() {
        return Ok(vec![0; dtype.size()]);
    }
    if dtype == DType::Bool {
        let truth = value.as_bool().or_else(|| value.as_u64().filter(|&n| n < 2).map(|n| n == 1));
        return Ok(vec![u8::from(truth.ok_or_else(wrong)?)]);
    }
    if dtype.is_float() {
        if let Some(bits) = value.as_str().and_then(|text| text.strip_prefix("0x")) {
            let bits = u64::from_str_radix(bits, 16).map_err(|_| wrong())?;
            if dtype.size() < 8 && bits >> (8 * dtype.size()) != 0 {
                return Err(wrong());
            }
            let bytes = bits.to_ne_bytes();
            return Ok(
                if cfg!(target_endian = "big") { &bytes[8 - dtype.size()..] } else { &bytes[..dtype.size()] }.to_vec()
            );
        }
        let number = match value.as_str() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => value.as_f64().ok_or_else(wrong)?,
        };
        return Ok(match dtype {
            DType::F16 => f16::from_f64(number).to_ne_bytes().to_vec(),
            DType::F32 => (number as f32).to_ne_bytes().to_vec(),
            _ => number.to_ne_bytes().to_vec(),
        });
    }
    // Some writers say 0.0 for integers.
    let whole = |n: &f64| n.fract() == 0.0 && n.abs() < 9e15;
    let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    let number = number.or_else(|| value.as_f64().filter(whole).map(|n| n as i128)).ok_or_else(wrong)?;
    macro_rules! bytes {
        ($type:ty) => {
            <$type>::try_from(number).map_err(|_| wrong())?.to_ne_bytes().to_vec()
        };
    }
    Ok(match dtype {
        DType::U8 => bytes!(u8),
        DType::U16 => bytes!(u16),
        DType::U32 => bytes!(u32),
        DType::U64 => bytes!(u64),
        DType::I8 => bytes!(i8),
        DType::I16 => bytes!(i16),
        DType::I32 => bytes!(i32),
        _ => bytes!(i64),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fill_values() {
        let bytes = |value, dtype| fill(&value, dtype);
        assert_eq!(bytes(json!(null), DType::F64).unwrap(), [0; 8]);
        assert_eq!(bytes(json!(-3), DType::I16).unwrap(), (-3i16).to_ne_bytes());
        assert_eq!(bytes(json!(u64::MAX), DType::U64).unwrap(), [255; 8]);
        assert_eq!(bytes(json!(7.0), DType::U8).unwrap(), [7]);
        assert_eq!(bytes(json!(true), DType::Bool).unwrap(), [1]);
        assert_eq!(bytes(json!("-Infinity"), DType::F32).unwrap(), f32::NEG_INFINITY.to_ne_bytes());
        assert_eq!(bytes(json!("0x7fc00001"), DType::F32).unwrap(), 0x7fc0_0001u32.to_ne_bytes());
        assert_eq!(bytes(json!(0.5), DType::F16).unwrap(), f16::from_f64(0.5).to_ne_bytes());
        for (value, dtype) in [
            (json!(256), DType::U8),
            (json!(-1), DType::U64),
            (json!(0.5), DType::I8),
            (json!("0x7fc000001"), DType::F32),
            (json!("none"), DType::F64),
            (json!(2), DType::Bool),
            (json!([0]), DType::U8),
        ] {
            assert!(matches!(bytes(value, dtype), Err(Wrong::Broken(text)) if text.starts_with("fill_value ")));
        }
    }

    #[test]
    fn names_of_chunks() {
        assert_eq!(Names { prefix: true, separator: '/' }.of(&[1, 20]), "c/1/20");
        assert_eq!(Names { prefix: false, separator: '.' }.of(&[1, 20]), "1.20");
        assert_eq!(Names { prefix: false, separator: '/' }.of(&[3]), "3");
    }

    #[test]
    fn turns_are_done_one_after_the_other() {
        let codec = |order| json!({"name": "transpose", "configuration": {"order": order}});
        let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
        let order = |codecs: &[Value]| chunk(codecs, vec![2, 3, 4], DType::U16).map(|chunk| chunk.order);
        assert_eq!(order(&[codec([1, 2, 0]), bytes.clone()]).unwrap(), [1, 2, 0]);
        assert_eq!(order(&[codec([1, 2, 0]), codec([1, 2, 0]), bytes.clone()]).unwrap(), [2, 0, 1]);
        assert!(order(&[codec([1, 1, 0]), bytes.clone()]).is_err());
        assert!(order(&[codec([1, 2, 3]), bytes]).is_err());
        assert!(order(&[]).is_err());
    }
}
