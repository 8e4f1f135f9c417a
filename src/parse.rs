//! Texts that users type, at the command line or in SQL, and the hints when they mistype them.

use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use bytesize::ByteSize;

use crate::{Amount, Edge, Error, PadMode, Pads, Result, WindowSpec};

/// What stands between the numbers of axes.
const BY: [char; 2] = ['x', 'X'];

/// The windows as users write them, an argument each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpecText<'a> {
    pub(crate) window: Option<&'a str>,
    pub(crate) step: Option<&'a str>,
    pub(crate) dilation: Option<&'a str>,
    pub(crate) axes: Option<&'a str>,
    pub(crate) edge: Option<&'a str>,
    pub(crate) pad: Option<&'a str>,
    pub(crate) pad_mode: Option<&'a str>,
    pub(crate) pad_value: Option<&'a str>,
}

impl SpecText<'_> {
    /// The windows that were asked for, if there is a shape.
    pub(crate) fn resolve(&self) -> Result<Option<WindowSpec>> {
        let Some(window) = self.window else { return Ok(None) };
        let mut spec = WindowSpec::new(shape("window", window)?);
        if let Some(step) = self.step {
            spec.step = shape("step", step)?;
        }
        if let Some(dilation) = self.dilation {
            spec.dilation = shape("dilation", dilation)?;
        }
        let padding = [("pad", self.pad), ("pad-mode", self.pad_mode), ("pad-value", self.pad_value)];
        let given = padding.iter().find(|(_, value)| value.is_some());
        spec.edge = match (self.edge.map(str::parse).transpose()?, given) {
            (Some(edge), None) | (Some(edge @ Edge::Pad), _) => edge,
            (Some(edge), Some((name, _))) => {
                return Err(Error::argument("edge", format!("--{name} goes with --edge pad, not with {edge}")));
            }
            (None, Some(_)) => Edge::Pad,
            (None, None) => Edge::default(),
        };
        if let Some(pad) = self.pad {
            spec.pad = pads(pad)?;
        }
        if let Some(mode) = self.pad_mode {
            spec.pad_mode = mode.parse()?;
        }
        if let Some(value) = self.pad_value {
            if spec.pad_mode != PadMode::Constant {
                let message = format!("only --pad-mode constant adds a value, not {}", spec.pad_mode);
                return Err(Error::argument("pad_value", message));
            }
            spec.pad_value = value.parse()?;
        }
        if let Some(axes) = self.axes {
            spec = spec.axes(axes.split(',').map(str::trim));
        }
        Ok(Some(spec))
    }
}

/// `8x8`, or `8`.
pub(crate) fn shape(name: &'static str, text: &str) -> Result<Vec<u64>> {
    let numbers: Option<Vec<u64>> = text.split(BY).map(|part| part.parse().ok()).collect();
    numbers.ok_or_else(|| {
        let wanted = match name {
            "window" => "one length per axis, such as 8x8",
            _ => "a whole number from 1, for all axes or each, such as 2 or 2x1",
        };
        // What was probably meant: the same numbers, with the right sign between them.
        let meant: Vec<_> = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
        let separated = text.chars().all(|c| c.is_ascii_digit() || ",;*xX×: ".contains(c));
        let hint =
            if separated && meant.len() > 1 { format!("; did you mean {}?", meant.join("x")) } else { String::new() };
        Error::argument(name, format!("{text:?} is not {wanted}{hint}"))
    })
}

/// `3`, `3x0` or `1,2x0,0`: before and after each axis; `same` is `None`.
pub(crate) fn pads(text: &str) -> Result<Option<Pads>> {
    if text == "same" {
        return Ok(None);
    }
    let width = |part: &str| part.trim().parse().ok();
    let pair = |part: &str| match part.split_once(',') {
        Some((before, after)) => Some((width(before)?, width(after)?)),
        None => width(part).map(|both| (both, both)),
    };
    let pads: Option<Vec<_>> = text.split(BY).map(pair).collect();
    pads.map(|pads| Some(Pads(pads))).ok_or_else(|| {
        let wanted = "'same' nor a width for each axis, such as 3x0, or before,after: 1,2x0,0";
        Error::argument("pad", format!("{text:?} is neither {wanted}"))
    })
}

/// `0..1000`, `5..`, `..10`.
pub(crate) fn rows(text: &str) -> Result<impl RangeBounds<u64> + use<>> {
    bounds(text, "..").ok_or_else(|| {
        // What was probably meant: Python's sign, or another one.
        let other = [":", "-", ","].iter().find(|sign| bounds(text, sign).is_some());
        let hint = other.map_or_else(String::new, |sign| format!("; did you mean {}?", text.replacen(sign, "..", 1)));
        Error::argument("rows", format!("{text:?} is not a range of rows such as 0..1000{hint}"))
    })
}

fn bounds(text: &str, sign: &str) -> Option<(Bound<u64>, Bound<u64>)> {
    let (start, end) = text.split_once(sign)?;
    let start = if start.is_empty() { 0 } else { start.parse().ok()? };
    let end = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end.parse().ok()?) };
    Some((Bound::Included(start), end))
}

/// A number, or a fraction: `1/255`.
pub(crate) fn factor(name: &'static str, text: &str) -> Result<f64> {
    let Some((above, below)) = text.split_once('/') else { return number(name, text) };
    match (above.trim().parse::<f64>(), below.trim().parse::<f64>()) {
        (Ok(above), Ok(below)) if below != 0.0 => Ok(above / below),
        _ => Err(Error::argument(name, format!("{text:?} is not a number, nor a fraction such as 1/255"))),
    }
}

/// `4MiB`, `64k`, `1000000`.
pub(crate) fn bytes(name: &'static str, text: &str) -> Result<u64> {
    let size = text.parse::<ByteSize>();
    size.map(|size| size.0).map_err(|_| Error::argument(name, format!("{text:?} is not a size such as 4MiB")))
}

/// Any number.
pub(crate) fn number<T: FromStr>(name: &'static str, text: &str) -> Result<T> {
    let kind = if std::any::type_name::<T>() == "f64" { "a number" } else { "a whole number from 0" };
    text.parse().map_err(|_| Error::argument(name, format!("{text:?} is not {kind}")))
}

/// `1000`, or `0.1`.
pub(crate) fn amount(text: &str) -> Result<Amount> {
    if let Ok(rows) = text.parse() {
        return Ok(Amount::Rows(rows));
    }
    text.parse().map(Amount::Share).map_err(|_| {
        Error::argument("sample", format!("{text:?} is neither a number of rows, nor a share of them such as 0.1"))
    })
}

/// `3/16`.
pub(crate) fn part_of(name: &'static str, text: &str) -> Result<(u64, u64)> {
    let parts =
        text.split_once('/').and_then(|(index, of)| Some((index.trim().parse().ok()?, of.trim().parse().ok()?)));
    parts.ok_or_else(|| Error::argument(name, format!("{text:?} is not a part of so many, such as 3/16")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_the_hints_for_them() {
        assert_eq!(shape("window", "8x4").unwrap(), [8, 4]);
        assert_eq!(shape("window", "8X4").unwrap(), [8, 4]);
        assert_eq!(shape("step", "2").unwrap(), [2]);
        for (text, hint) in [("8,8", "did you mean 8x8?"), ("8 8", "8x8?"), ("8*8*3", "8x8x3?"), ("8x8x", "such as")] {
            let message = shape("window", text).unwrap_err().to_string();
            assert!(message.contains(hint) && message.contains(text), "{message}");
        }
        for text in ["", "x", "-1", "8x-8", "1.5", "99999999999999999999", "0x"] {
            assert!(!shape("step", text).unwrap_err().to_string().contains("did you mean"), "{text}");
        }
    }

    #[test]
    fn pads_rows_and_sizes() {
        assert_eq!(pads("1,2x0,0").unwrap(), Some(Pads(vec![(1, 2), (0, 0)])));
        assert_eq!(pads("same").unwrap(), None);
        assert_eq!(pads("3").unwrap(), Some(Pads(vec![(3, 3)])));
        assert_eq!(pads("3x1,2").unwrap(), Some(Pads(vec![(3, 3), (1, 2)])));
        assert!(pads("1x").is_err() && pads("1,-2").is_err() && pads("-1").is_err());
        let bounds = rows("5..").unwrap();
        assert_eq!((bounds.start_bound(), bounds.end_bound()), (Bound::Included(&5), Bound::Unbounded));
        assert!(rows("5").is_err() && rows("-1..3").is_err() && rows("a..b").is_err());
        for text in ["0:1000", "0-1000", "0,1000"] {
            assert!(rows(text).err().unwrap().to_string().ends_with("did you mean 0..1000?"), "{text}");
        }
        assert_eq!(bytes("batch-bytes", "4MiB").unwrap(), 4 << 20);
        assert!(bytes("batch-bytes", "-4").is_err() && bytes("batch-bytes", "many").is_err());
        assert!(number::<f64>("scale", "1e-3").is_ok() && number::<usize>("page", "-1").is_err());
        assert_eq!(factor("scale", "1/255").unwrap(), 1.0 / 255.0);
        assert_eq!(factor("scale", "-0.5").unwrap(), -0.5);
        assert!(factor("scale", "1/0").is_err() && factor("scale", "1/").is_err() && factor("scale", "half").is_err());
    }
}
