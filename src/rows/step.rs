//! [`Step`]: what was done to the rows of a table, one thing after the other, as its metadata tells it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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
            Step::Sample { count, seed } => write!(f, "a sample of {count} (seed {seed})"),
            Step::Shuffle { seed, epoch: 0, .. } => write!(f, "shuffled (seed {seed})"),
            Step::Shuffle { seed, epoch, .. } => write!(f, "shuffled (seed {seed}, epoch {epoch})"),
        }
    }
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
