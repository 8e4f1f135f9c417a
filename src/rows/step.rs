//! [`Step`]: what was done to the rows of a table, one thing after the other, as its metadata tells it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::window::by;
use crate::{Error, MaskAt, Result, Scalar};

/// One thing that was done to the rows of a table. All steps in their order, from all windows of the grid, are the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// Rows from `start` to `end`.
    Rows {
        /// The first.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// Windows that were listed, by id.
    Windows {
        /// How many.
        count: u64,
    },
    /// Windows that start in a box of coordinates: on each axis from `start` to before `end`.
    Within {
        /// Name, start and end.
        axes: Vec<(String, i64, i64)>,
    },
    /// Windows in a region that a mask shows.
    Mask {
        /// The path of the mask, or `array`.
        name: String,
        /// What of a window lies in it.
        at: MaskAt,
    },
    /// Windows of which this share of pixels has a value, or more.
    MinValid {
        /// The share.
        share: f64,
    },
    /// One part of an image that was split by blocks, without the windows that extend over blocks of several.
    Split {
        /// The part.
        part: String,
        /// All parts, and the share of blocks that each got.
        parts: Vec<(String, f64)>,
        /// Pixels of a block on each axis that the window slides over.
        block: Vec<u64>,
        /// By which blocks were dealt.
        seed: u64,
        /// Whether blocks of each class were dealt by themselves.
        stratified: bool,
    },
    /// So many windows of each class, drawn without replacement.
    PerClass {
        /// How many were asked for.
        count: u64,
        /// By which they were drawn.
        seed: u64,
        /// The classes, in the order of their labels.
        classes: Vec<ClassCount>,
    },
    /// Some rows, drawn without replacement; in the order that they had.
    Sample {
        /// How many.
        count: u64,
        /// By which they were drawn: they are the first of that order.
        seed: u64,
    },
    /// All rows in the order of [`Permutation`](crate::Permutation).
    Shuffle {
        /// Its seed.
        seed: u64,
        /// Its epoch.
        epoch: u64,
        /// How many rows there were.
        rows: u64,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Rows { start, end } => write!(f, "rows {start}..{end}"),
            Step::Windows { count } => write!(f, "{count} listed windows"),
            Step::Within { axes } => {
                let axes: Vec<_> = axes.iter().map(|(name, start, end)| format!("{name} {start}..{end}")).collect();
                write!(f, "within {}", axes.join(", "))
            }
            Step::Mask { name, at } => write!(f, "mask {name} ({at})"),
            Step::MinValid { share } => write!(f, "valid at least {share}"),
            Step::Split { part, parts, block, seed, stratified } => {
                let parts: Vec<_> = parts.iter().map(|(name, share)| format!("{name} {share}")).collect();
                let stratified = if *stratified { "stratified, " } else { "" };
                write!(f, "part {part} of {} ({stratified}blocks {}, seed {seed})", parts.join(", "), by(block))
            }
            Step::PerClass { count, seed, classes } => {
                write!(f, "{count} of each of {} classes (seed {seed})", classes.len())?;
                let short = classes.iter().filter(|class| class.taken < *count);
                short
                    .map(|class| format!("class {} has {}", class.label, class.windows))
                    .try_for_each(|text| write!(f, ", {text}"))
            }
            Step::Sample { count, seed } => write!(f, "a sample of {count} (seed {seed})"),
            Step::Shuffle { seed, epoch: 0, .. } => write!(f, "shuffled (seed {seed})"),
            Step::Shuffle { seed, epoch, .. } => write!(f, "shuffled (seed {seed}, epoch {epoch})"),
        }
    }
}

/// A class that windows were drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The label.
    pub label: Scalar,
    /// How many windows have it.
    pub windows: u64,
    /// How many of them were taken.
    pub taken: u64,
}

/// How many rows: a number of them, or a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many.
    Rows(u64),
    /// This share of them, from 0 to 1, rounded to the nearest whole number.
    Share(f64),
}

impl Amount {
    /// The number, of so many rows.
    pub(crate) fn of(self, rows: u64) -> Result<u64> {
        match self {
            Amount::Rows(count) if count <= rows => Ok(count),
            Amount::Rows(count) => {
                Err(Error::argument("sample", format!("{count} rows, without replacement, of {rows}: expected fewer")))
            }
            Amount::Share(share) if (0.0..=1.0).contains(&share) => {
                // Beyond 2^53 rows a float has no place for the last digits.
                Ok(((share * rows as f64).round() as u64).min(rows))
            }
            Amount::Share(share) => Err(Error::argument("sample", format!("a share of {share}: expected 0 to 1"))),
        }
    }
}

impl From<u64> for Amount {
    fn from(rows: u64) -> Self {
        Amount::Rows(rows)
    }
}

impl From<f64> for Amount {
    fn from(share: f64) -> Self {
        Amount::Share(share)
    }
}
