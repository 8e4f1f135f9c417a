//! A table by the names and texts of its options, as SQL and the command line give them.

use crate::parse::{self, SpecText};
use crate::source::{OpenOptions, RawSpec};
use crate::{AnySource, Coords, DType, Error, Layout, Nodata, PatchScan, Result};

/// What an option may be called.
const NAMES: [&str; 33] = [
    "window",
    "step",
    "dilation",
    "axes",
    "edge",
    "pad",
    "pad_mode",
    "pad_value",
    "page",
    "overview",
    "stack",
    "raw",
    "member",
    "coords",
    "rows",
    "layout",
    "dtype",
    "scale",
    "offset",
    "lossy",
    "nodata",
    "labels",
    "label_at",
    "label_nodata",
    "mask",
    "mask_at",
    "min_valid",
    "sample",
    "seed",
    "shuffle",
    "epoch",
    "shard",
    "skip",
];

/// The scan of the image at a path, with options by name: those of the command line, `window` at least. Reads no
/// pixel, unless rows are chosen by them: by a mask, or by the share of valid ones.
///
/// ```no_run
/// let scan = windrow::datafusion::scan_of("scene.tif", [("window", "8x8"), ("step", "2"), ("pad_mode", "reflect")])?;
/// # Ok::<(), windrow::Error>(())
/// ```
///
/// # Errors
/// If an option is not known, comes twice, or is none for this image.
pub fn scan_of<'a>(image: &str, options: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<PatchScan> {
    let mut given = [None; NAMES.len()];
    for (name, text) in options {
        let known = name.trim().to_ascii_lowercase().replace('-', "_");
        let Some(place) = NAMES.iter().position(|own| *own == known) else {
            let message = format!("no option {name:?}: there are {}", NAMES.join(", "));
            return Err(Error::argument("table", message));
        };
        if given[place].replace(text.trim()).is_some() {
            return Err(Error::argument("table", format!("{known} is given twice")));
        }
    }
    let [
        window,
        step,
        dilation,
        axes,
        edge,
        pad,
        pad_mode,
        pad_value,
        page,
        overview,
        stack,
        raw,
        member,
        coords,
        rows,
        layout,
        dtype,
        scale,
        offset,
        lossy,
        nodata,
        labels,
        label_at,
        label_nodata,
        mask,
        mask_at,
        min_valid,
        sample,
        seed,
        shuffle,
        epoch,
        shard,
        skip,
    ] = given;
    let spec = SpecText { window, step, dilation, axes, edge, pad, pad_mode, pad_value }.resolve()?;
    let spec = spec.ok_or_else(|| {
        Error::argument("window", "expected pixels of a window on each axis, such as window => '8x8' or window=8x8")
    })?;
    let truth = |name, text: &str| {
        text.to_ascii_lowercase().parse::<bool>().map_err(|_| Error::argument(name, "expected true or false"))
    };
    let opened = OpenOptions {
        page: page.map(|text| parse::number("page", text)).transpose()?,
        overview: overview.map(|text| parse::number("overview", text)).transpose()?,
        stack: stack.map(|text| truth("stack", text)).transpose()?.unwrap_or(false),
        raw: raw.map(str::parse::<RawSpec>).transpose()?,
        member: member.map(str::to_owned),
    };
    let mut builder = PatchScan::builder(AnySource::open_with(image, &opened)?, spec);
    if let Some(coords) = coords {
        builder = builder.coords(coords.parse::<Coords>()?);
    }
    if let Some(rows) = rows {
        builder = builder.rows(parse::rows(rows)?);
    }
    if let Some(layout) = layout {
        builder = builder.layout(layout.parse::<Layout>()?);
    }
    if let Some(dtype) = dtype {
        builder = builder.dtype(dtype.parse::<DType>()?);
    }
    if let Some(scale) = scale {
        builder = builder.scale(parse::factor("scale", scale)?);
    }
    if let Some(offset) = offset {
        builder = builder.offset(parse::number("offset", offset)?);
    }
    if let Some(lossy) = lossy {
        builder = builder.lossy(truth("lossy", lossy)?);
    }
    if let Some(nodata) = nodata {
        builder = builder.nodata(nodata.parse::<Nodata>()?);
    }
    if let Some(labels) = labels {
        builder = builder.labels(AnySource::open(labels, None)?, label_at.unwrap_or("center").parse()?);
    } else if label_at.is_some() {
        return Err(Error::argument("label_at", "goes with labels"));
    }
    if let Some(nodata) = label_nodata {
        builder = builder.label_nodata(nodata.parse::<Nodata>()?);
    }
    let number = |name, text: Option<&str>| text.map(|text| parse::number::<u64>(name, text)).transpose();
    // In the order of the command line.
    let mut scan = builder.build()?;
    for (name, value, with, other) in
        [("mask_at", mask_at, "mask", mask), ("seed", seed, "sample", sample), ("epoch", epoch, "shuffle", shuffle)]
    {
        if value.is_some() && other.is_none() {
            return Err(Error::argument(name, format!("goes with {with}")));
        }
    }
    if let Some(mask) = mask {
        scan = scan.mask(AnySource::open(mask, None)?, mask_at.unwrap_or("center").parse()?)?;
    }
    if let Some(share) = min_valid {
        scan = scan.min_valid(parse::number("min_valid", share)?)?;
    }
    if let Some(sample) = sample {
        scan = scan.sample(parse::amount(sample)?, number("seed", seed)?.unwrap_or(0))?;
    }
    if let Some(seed) = number("shuffle", shuffle)? {
        scan = scan.shuffle(seed, number("epoch", epoch)?.unwrap_or(0))?;
    }
    if let Some(shard) = shard {
        let (index, of) = parse::part_of("shard", shard)?;
        scan = scan.shard(index, of)?;
    }
    if let Some(rows) = number("skip", skip)? {
        scan = scan.skip(rows)?;
    }
    Ok(scan)
}
