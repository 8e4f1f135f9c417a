//! Windows by what their pixels hold: a region of interest, and how many of them have a value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::PatchScan;
use super::builder::over;
use crate::boxes::{Boxes, Counted};
use crate::rows::Step;
use crate::{AnySource, Error, PadMode, Result};

/// Which windows lie in a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MaskAt {
    /// Those whose middle pixel does: number `window / 2` (rounded down) on each axis.
    #[default]
    Center,
    /// Those with a pixel in it.
    Any,
    /// Those with every pixel in it.
    All,
    /// Those with at least this share of their pixels in it.
    Share(f64),
}

impl fmt::Display for MaskAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaskAt::Center => f.write_str("center"),
            MaskAt::Any => f.write_str("any"),
            MaskAt::All => f.write_str("all"),
            MaskAt::Share(share) => share.fmt(f),
        }
    }
}

impl FromStr for MaskAt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "center" => Ok(MaskAt::Center),
            "any" => Ok(MaskAt::Any),
            "all" => Ok(MaskAt::All),
            _ => text.parse().map(MaskAt::Share).map_err(|_| {
                Error::argument("mask_at", format!("{text:?} is not one of center, any, all, nor a share such as 0.5"))
            }),
        }
    }
}

impl TryFrom<String> for MaskAt {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MaskAt> for String {
    fn from(at: MaskAt) -> Self {
        at.to_string()
    }
}

/// # Windows by what their pixels hold
/// These read a mask or the image once, when they are called, in a time a window that does not grow with the window; on
/// all threads of rayon's pool, unless the scan has a prefetch of 0.
impl PatchScan {
    /// The windows in a region: `mask` has the axes that the window slides over, and pixels that are not 0 are in it.
    /// Constant padding is outside; other padding is where its pixels come from.
    ///
    /// ```
    /// use windrow::{MaskAt, PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0f32; 300], &[10, 10, 3])?;
    /// let disk = StridedView::from_vec((0..100).map(|i| (i / 10i32 - 5).pow(2) + (i % 10 - 5).pow(2) < 9).collect(), &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// assert_eq!(scan.mask(disk.clone(), MaskAt::Center)?.num_rows(), 25);
    /// assert_eq!(scan.mask(disk, MaskAt::All)?.num_rows(), 9);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Memory
    /// While it is called, a band of the mask and a few MiB a thread. The rows then take 16 bytes a run of neighbours, and
    /// never much more than a bit a window.
    ///
    /// # Errors
    /// If the mask has another shape or lies elsewhere than the image, the share is not from 0 to 1, the rows are shuffled
    /// already, the layout is `columns`, or the mask can't be read.
    pub fn mask(&self, mask: impl Into<AnySource>, at: MaskAt) -> Result<Self> {
        let mask = mask.into();
        let grid = over("mask", self.grid(), self.source(), &mask)?;
        let center = at == MaskAt::Center;
        let cells = Boxes::cells(&grid, center);
        let least = match at {
            MaskAt::Center | MaskAt::Any => 1,
            MaskAt::All => cells,
            MaskAt::Share(share) => fewest("mask_at", share, cells)?,
        };
        self.check_choice("mask")?;
        let boxes = Boxes {
            source: &mask,
            grid: &grid,
            counted: Counted::Set,
            center,
            padding: false,
            least,
            parallel: self.0.prefetch > 0,
        };
        let step = Step::Mask { name: mask.info().name.clone(), at };
        self.choose(self.0.selection.retain(self.rows(), boxes.select(self.0.hull())?, "mask", step)?)
    }

    /// The windows of which at least this share of pixels has a value: their `valid` is as much, or more.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec((0..100u8).map(|i| if i < 50 { 0 } else { i }).collect(), &[10, 10])?;
    /// let scan = PatchScan::builder(image, WindowSpec::new([2, 2])).nodata(0).build()?;
    /// assert_eq!(scan.min_valid(0.5)?.num_rows(), 5 * 9);
    /// assert_eq!(scan.min_valid(0.51)?.num_rows(), 4 * 9);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Memory
    /// As [`mask`](Self::mask), with bands of the image.
    ///
    /// # Errors
    /// If the scan has no [`nodata`](crate::ScanBuilder::nodata), the share is not from 0 to 1, the rows are shuffled
    /// already, or the image can't be read.
    pub fn min_valid(&self, share: f64) -> Result<Self> {
        let encoder = &self.0.encoder;
        let Some(marker) = encoder.nodata else {
            return Err(Error::argument("min_valid", "every pixel has a value: expected nodata to say which has none"));
        };
        let grid = self.grid();
        let least = fewest("min_valid", share, Boxes::cells(grid, false))?;
        self.check_choice("min_valid")?;
        let padding = grid.pad_mode() == PadMode::Constant && marker.is_valid(&encoder.fill[..encoder.dtype.size()]);
        let counted = Counted::Valid(marker);
        let parallel = self.0.prefetch > 0;
        let boxes = Boxes { source: self.source(), grid, counted, center: false, padding, least, parallel };
        let step = Step::MinValid { share };
        self.choose(self.0.selection.retain(self.rows(), boxes.select(self.0.hull())?, "min_valid", step)?)
    }

    /// Refuses what [`retain`](crate::rows::Selection::retain) would, before anything is read for it.
    pub(super) fn check_choice(&self, name: &'static str) -> Result<()> {
        self.0.selection.check_unshuffled(name)?;
        super::rows::check_chosen(self.0.encoder.layout)
    }
}

/// The fewest of so many pixels that are at least this share of them.
fn fewest(name: &'static str, share: f64, cells: u64) -> Result<u64> {
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::argument(name, format!("a share of {share}: expected 0 to 1")));
    }
    // By the very division that tells the share of a row.
    let is_share = |count: u64| count as f64 / cells as f64 >= share;
    let near = ((share * cells as f64) as u64).saturating_sub(1);
    Ok((near..=cells).find(|&count| is_share(count)).unwrap_or(cells))
}
