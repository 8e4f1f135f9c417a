//! `windrow fold`: from a file of values to a file of an image.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use bytesize::ByteSize;

use super::args::FoldArgs;
use super::commands::refuse_itself;
use super::stop::Stop;
use super::text;
use crate::fold::Fold;
use crate::fold::input::Input;
use crate::fold::target::Kind;
use crate::parse;
#[cfg(feature = "tiff")]
use crate::source::{GeoTags, Source, TiffSource};
use crate::source::{Georeference, OpenOptions};
use crate::{AnySource, DType, Error, PatchScan, Result, Scalar};

pub(super) fn run(args: &FoldArgs, interrupted: &'static str) -> Result<()> {
    let start = Instant::now();
    refuse_itself("the file of values", &args.values, &args.output)?;
    Kind::of(&args.output)?;
    let memory = parse::bytes("memory", &args.memory)?;
    let input = Input::open(&args.values)?;
    let stop = Stop::listen(interrupted)?;
    let fold = options(geometry(args, &input)?, args)?;
    let done = fold.convert(&input, &args.output, memory, &|| stop.check())?;
    if !args.quiet {
        let name = text::printable(&args.output.display().to_string());
        let passes = if done.passes == 1 { String::new() } else { format!(", in {} passes", done.passes) };
        let (dtype, bytes, time) = (done.dtype, ByteSize(done.bytes), text::duration(start.elapsed()));
        // Standard error may be closed; the file is written all the same.
        let _ = writeln!(io::stderr(), "{name}: {dtype} {:?}, {bytes}{passes}, in {time}", done.shape);
    }
    Ok(())
}

/// The windows that values are of, and where their image is on the earth.
fn geometry(args: &FoldArgs, input: &Input) -> Result<Fold> {
    let page = args.page.as_deref().map(|text| parse::number("page", text)).transpose()?;
    let overview = args.overview.as_deref().map(|text| parse::number("overview", text)).transpose()?;
    if let Some(spec) = args.spec.resolve()? {
        let Some(image) = &args.like else {
            return Err(Error::argument("window", "goes with --like IMAGE: windows of which image?"));
        };
        let source = AnySource::open_with(image, &OpenOptions::new().page(page).overview(overview))?;
        let scan = PatchScan::new(source, spec)?;
        let shape = &scan.source().info().shape;
        let scanned = Scanned { image, page, overview, shape, place: scan.source().georeference() };
        return placed(Fold::new(&scan), args, scanned);
    }
    let table = match &args.like {
        None => input.table()?,
        Some(like) => Input::open(like)?.table()?,
    };
    let table = table.ok_or_else(|| {
        let name = args.like.as_ref().unwrap_or(&args.values).display();
        let message = format!(
            "{name} does not say of which windows its rows are: name a file that does (--like FILE), or the image and its \
             windows (--like IMAGE --window 8x8)"
        );
        Error::argument("like", message)
    })?;
    let source = &table.source;
    let (image, opened) = (Path::new(&source.name), &source.opened);
    let (page, overview) = (page.or(opened.page), overview.or(opened.overview));
    let scanned = Scanned { image, page, overview, shape: &source.shape, place: source.georeference };
    placed(Fold::from_table(&table)?, args, scanned)
}

/// The image that was scanned.
#[cfg_attr(not(feature = "tiff"), expect(dead_code, reason = "only TIFF files have a place on the earth"))]
struct Scanned<'a> {
    /// Where it was.
    image: &'a Path,
    page: Option<usize>,
    overview: Option<usize>,
    shape: &'a [u64],
    /// Where on the earth it was.
    place: Option<Georeference>,
}

/// The same with all that the TIFF file says of its place on the earth that was scanned, if it is there.
#[cfg(feature = "tiff")]
fn placed(fold: Fold, args: &FoldArgs, scanned: Scanned<'_>) -> Result<Fold> {
    let image = args.image.as_deref().unwrap_or(scanned.image);
    refuse_itself("the image that was scanned", image, &args.output)?;
    if !Kind::of(&args.output)?.has_place() {
        return Ok(fold);
    }
    if args.image.is_none() && Kind::of(image).map_or(true, |kind| kind != Kind::Tiff) {
        return Ok(fold);
    }
    let page = scanned.page.unwrap_or(0);
    let found = TiffSource::open_overview(image, page, scanned.overview).and_then(|source| {
        let now = &source.info().shape;
        if now != scanned.shape {
            return Err(Error::format(
                image.display().to_string(),
                format!("is of shape {now:?}, but the windows are of {:?}", scanned.shape),
            ));
        }
        GeoTags::read_overview(image, page, scanned.overview)
    });
    match found {
        Ok(geo) => Ok(geo.into_iter().fold(fold, Fold::georeference)),
        // Whoever named it wants it.
        Err(error) if args.image.is_some() => Err(error),
        Err(error) => {
            if !args.quiet {
                let what = if scanned.place.is_some() {
                    "only the georeference that the table has"
                } else {
                    "no georeference"
                };
                let note = format!("note: {what}, since {error}; --image says where the image is");
                let _ = writeln!(io::stderr(), "{}", text::printable(&note));
            }
            Ok(fold)
        }
    }
}

#[cfg(not(feature = "tiff"))]
fn placed(fold: Fold, args: &FoldArgs, scanned: Scanned<'_>) -> Result<Fold> {
    refuse_itself("the image that was scanned", args.image.as_deref().unwrap_or(scanned.image), &args.output)?;
    Ok(fold)
}

/// What was asked for.
fn options(fold: Fold, args: &FoldArgs) -> Result<Fold> {
    let mut fold = fold.blend(args.blend.parse()?);
    if let Some(at) = &args.at {
        fold = fold.at(at.parse()?);
    }
    if let Some(column) = &args.column {
        fold = fold.column(column);
    }
    if let Some(shape) = &args.value_shape {
        fold = fold.value_shape(parse::shape("value_shape", shape)?);
    }
    if let Some(fill) = &args.fill {
        let number = fill.parse::<Scalar>();
        fold = fold.fill(number.map_err(|_| Error::argument("fill", format!("{fill:?} is not a number")))?);
    }
    if let Some(dtype) = &args.dtype {
        fold = fold.dtype(dtype.parse::<DType>()?);
    }
    Ok(fold)
}
