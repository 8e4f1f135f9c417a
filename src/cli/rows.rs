//! The arguments that say which windows become rows, in what order.

use std::ops::Range;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::collection::PatchCollection;
use crate::parse;
use crate::parse::{amount, part_of};
use crate::{AnySource, Error, PatchScan, Result, Split, Step};

/// Which rows, in what order: each argument chooses from what those before it left.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Rows, chosen in this order")]
pub(super) struct RowArgs {
    /// The windows with these ids, in this order: 5,900,77; or of a file, one a line: @ids.txt
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    ids: Option<String>,
    /// Windows that start in a box: y=0..100,x=50..
    #[arg(long, value_name = "BOX", allow_hyphen_values = true)]
    within: Option<String>,
    /// Windows in a region: an image with the axes of the window, whose pixels are not 0 there
    #[arg(long, value_name = "IMAGE")]
    mask: Option<PathBuf>,
    /// What of a window is in it: center, any, all, or a share of its pixels such as 0.5 [default: center]
    #[arg(long, value_name = "WHAT", allow_hyphen_values = true, requires = "mask")]
    mask_at: Option<String>,
    /// Windows of which this share of pixels has a value, or more: 0.9. Goes with --nodata
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    min_valid: Option<String>,
    /// Parts of the image that share no pixel, by name and share: train=0.8,test=0.2. Windows between two are dropped.
    /// Or, after all other choices, one of so many splits that are made by themselves: 3/16, from 0
    #[arg(long, value_name = "PARTS|I/OF")]
    split: Vec<String>,
    /// The part that is written: train
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// Pixels of the blocks that are dealt to the parts: 256x256
    #[arg(long, value_name = "SHAPE", allow_hyphen_values = true)]
    block: Option<String>,
    /// Deal blocks of each class by themselves. Goes with --labels
    #[arg(long)]
    stratified: bool,
    /// So many windows of every class; of a class with fewer, all. Goes with --labels
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    per_class: Option<String>,
    /// So many rows, or a share of them such as 0.1, drawn without replacement
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    sample: Option<String>,
    /// By which --split, --per-class and --sample draw [default: 0]
    #[arg(long, value_name = "SEED", allow_hyphen_values = true)]
    seed: Option<String>,
    /// In an order that looks random, and is the same for the same seed
    #[arg(long, value_name = "SEED", allow_hyphen_values = true)]
    shuffle: Option<String>,
    /// Another order for every epoch [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true, requires = "shuffle")]
    epoch: Option<String>,
    /// One part of all rows, counted from 0: 3/16
    #[arg(long, value_name = "I/OF", allow_hyphen_values = true)]
    shard: Option<String>,
    /// All but the first rows: to go on in the middle
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    skip: Option<String>,
}

impl RowArgs {
    /// Whether so many rows were asked for.
    #[cfg(feature = "image")]
    pub(super) fn draws_few(&self) -> bool {
        self.ids.is_some() || self.sample.is_some() || self.per_class.is_some()
    }

    /// An argument that was given and is for one image, by name.
    pub(super) fn of_one_image(&self) -> Option<&'static str> {
        let given = [
            ("ids", self.ids.is_some()),
            ("mask", self.mask.is_some()),
            ("min_valid", self.min_valid.is_some()),
            ("split", !self.split.is_empty()),
            ("per_class", self.per_class.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// The rows of several images that were asked for.
    pub(super) fn choose_of_all(&self, mut all: PatchCollection) -> Result<PatchCollection> {
        if let Some(within) = &self.within {
            all = all.within(boxes(within)?)?;
        }
        if let Some(sample) = &self.sample {
            all = all.sample(amount(sample)?, number("seed", &self.seed)?.unwrap_or(0))?;
        }
        if let Some(seed) = number("shuffle", &self.shuffle)? {
            all = all.shuffle(seed, number("epoch", &self.epoch)?.unwrap_or(0))?;
        }
        if let Some(shard) = &self.shard {
            let (index, of) = part_of("shard", shard)?;
            all = all.shard(index, of)?;
        }
        if let Some(rows) = number("skip", &self.skip)? {
            all = all.skip(rows)?;
        }
        Ok(all)
    }

    /// What is wrong with these arguments together.
    pub(super) fn misused(&self) -> Option<String> {
        let parts = self.parts().count();
        if parts > 1 || self.split.len() - parts > 1 {
            return Some("--split can be given twice only as parts of the image and as I/OF".to_owned());
        }
        let lacking = [("--part", self.part.is_some()), ("--block", self.block.is_some())];
        let with: Vec<_> = lacking.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match (parts, &with[..]) {
            (0, []) if !self.stratified => None,
            (0, []) => Some("--stratified goes with --split PARTS".to_owned()),
            (0, [name, ..]) => Some(format!("{name} goes with --split PARTS")),
            (_, with) if with.len() == lacking.len() => None,
            _ => Some("--split PARTS goes with --block and --part".to_owned()),
        }
    }

    /// The parts of the image.
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.split.iter().map(String::as_str).filter(|split| !split.contains('/'))
    }

    /// The split of the rows that is meant, and of how many.
    pub(super) fn one_of(&self) -> Result<Option<(u64, u64)>> {
        self.split.iter().find(|split| split.contains('/')).map(|split| part_of("split", split)).transpose()
    }

    /// The rows of a scan that were asked for, and what is to be said about them.
    pub(super) fn choose(&self, scan: PatchScan) -> Result<(PatchScan, Vec<String>)> {
        let (scan, notes) = self.choose_all(scan)?;
        let Some((index, of)) = self.one_of()? else { return Ok((scan, notes)) };
        let split =
            usize::try_from(index).ok().and_then(|index| scan.splits(of).map(|s| s.get(index).cloned()).transpose());
        let split = split.unwrap_or_else(|| {
            let message = format!("{index}/{of}: expected a number from 0, less than that of the splits");
            Err(Error::argument("split", message))
        })?;
        Ok((split, notes))
    }

    /// The same of all splits together.
    pub(super) fn choose_all(&self, scan: PatchScan) -> Result<(PatchScan, Vec<String>)> {
        let mut notes = Vec::new();
        let mut scan = scan;
        let seed = number("seed", &self.seed)?.unwrap_or(0);
        if let Some(ids) = &self.ids {
            scan = scan.with_windows(parse_ids(ids)?)?;
        }
        if let Some(within) = &self.within {
            scan = scan.within(boxes(within)?)?;
        }
        if let Some(mask) = &self.mask {
            let at = self.mask_at.as_deref().unwrap_or("center").parse()?;
            scan = scan.mask(AnySource::open(mask, None)?, at)?;
        }
        if let Some(share) = &self.min_valid {
            scan = scan.min_valid(parse::number("min-valid", share)?)?;
        }
        if let (Some(split), Some(block), Some(part)) = (self.parts().next(), &self.block, &self.part) {
            let split = Split::new(shares(split)?, parse::shape("block", block)?);
            let parts = scan.split(&split.seed(seed).stratified(self.stratified))?;
            notes.push(format!(
                "{} of {} windows extend over blocks of several parts, and are in none",
                parts.dropped(),
                scan.num_rows()
            ));
            scan = parts.part(part)?;
        }
        if let Some(count) = number("per-class", &self.per_class)? {
            scan = scan.per_class(count, seed)?;
            if let Some(Step::PerClass { classes, .. }) = scan.steps().last() {
                for class in classes.iter().filter(|class| class.taken < count) {
                    notes.push(format!("class {} has {} windows, not {count}", class.label, class.windows));
                }
            }
        }
        if let Some(sample) = &self.sample {
            scan = scan.sample(amount(sample)?, seed)?;
        }
        if let Some(seed) = number("shuffle", &self.shuffle)? {
            scan = scan.shuffle(seed, number("epoch", &self.epoch)?.unwrap_or(0))?;
        }
        if let Some(shard) = &self.shard {
            let (index, of) = part_of("shard", shard)?;
            scan = scan.shard(index, of)?;
        }
        if let Some(rows) = number("skip", &self.skip)? {
            scan = scan.skip(rows)?;
        }
        Ok((scan, notes))
    }
}

fn number(name: &'static str, text: &Option<String>) -> Result<Option<u64>> {
    text.as_deref().map(|text| parse::number(name, text)).transpose()
}

/// `5,900,77`, or `@FILE`.
fn parse_ids(text: &str) -> Result<Vec<u64>> {
    let content;
    let list = match text.strip_prefix('@') {
        Some(path) => {
            content = std::fs::read_to_string(path).map_err(|error| Error::io(path.as_ref(), "read", error))?;
            content.split_whitespace().collect::<Vec<_>>()
        }
        None => text.split(',').map(str::trim).collect(),
    };
    list.into_iter().map(|id| parse::number("ids", id)).collect()
}

/// `y=0..100,x=50..`.
fn boxes(text: &str) -> Result<Vec<(&str, Range<i64>)>> {
    let range = |part: &str| -> Option<Range<i64>> {
        let (start, end) = part.split_once("..")?;
        let bound = |text: &str, open: i64| if text.is_empty() { Some(open) } else { text.parse().ok() };
        Some(bound(start.trim(), i64::MIN)?..bound(end.trim(), i64::MAX)?)
    };
    let axis = |part| str::split_once(part, '=').and_then(|(name, text)| Some((name.trim(), range(text)?)));
    let axes: Option<Vec<_>> = text.split(',').map(axis).collect();
    axes.ok_or_else(|| {
        Error::argument(
            "within",
            format!("{text:?} is not a range of coordinates for each axis, such as y=0..100,x=50.."),
        )
    })
}

/// `train=0.8,test=0.2`.
fn shares(text: &str) -> Result<Vec<(&str, f64)>> {
    let part =
        |part| str::split_once(part, '=').and_then(|(name, share)| Some((name.trim(), share.trim().parse().ok()?)));
    let parts: Option<Vec<_>> = text.split(',').map(part).collect();
    parts.ok_or_else(|| {
        Error::argument("split", format!("{text:?} does not name parts and their shares, such as train=0.8,test=0.2"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Amount;

    #[test]
    fn texts_are_what_they_say() {
        assert_eq!(parse_ids("5, 900,77").unwrap(), [5, 900, 77]);
        assert_eq!(boxes("y=-3..100, x=5..").unwrap(), [("y", -3..100), ("x", 5..i64::MAX)]);
        assert_eq!(shares("train=0.8, test=0.2").unwrap(), [("train", 0.8), ("test", 0.2)]);
        assert_eq!((amount("10").unwrap(), amount("1.0").unwrap()), (Amount::Rows(10), Amount::Share(1.0)));
        assert_eq!(part_of("shard", "3/16").unwrap(), (3, 16));
        for message in [
            parse_ids("5,x").err(),
            boxes("y=5").err(),
            boxes("0..5").err(),
            shares("train,test").err(),
            amount("half").err(),
            part_of("split", "3").err(),
        ] {
            let message = message.unwrap().to_string();
            assert!(message.contains("such as") || message.contains("a whole number from 0"), "{message}");
        }
    }
}
