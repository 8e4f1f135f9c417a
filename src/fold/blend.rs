//! What becomes of a cell that several windows cover, and where a value lies in the image.

use crate::named::named;

/// What a cell becomes that several windows cover.
///
/// None of them depends on the order in which windows come, but for the rounding of floats; a window that comes twice
/// counts twice.
///
/// ```
/// use windrow::fold::{Blend, Fold};
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let scan = PatchScan::new(StridedView::from_vec(vec![0u8; 3], &[3])?, WindowSpec::new([2]))?;
/// let image = |blend| {
///     let mut fold = Fold::new(&scan).blend(blend);
///     fold.add(&[0, 1], &[1u8, 2, 5, 6])?;
///     fold.image()
/// };
/// assert_eq!(image(Blend::Mean)?.to_vec::<u8>()?, [1, 4, 6]); // 3.5 is rounded to the even
/// assert_eq!(image(Blend::Sum)?.to_vec::<u64>()?, [1, 7, 6]);
/// assert_eq!(image(Blend::Last)?.to_vec::<u8>()?, [1, 5, 6]);
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Blend {
    /// The mean. Of integers it is exact, and rounded to the nearest (ties to even) where the image is of integers.
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// The largest; NaN if there is one.
    Max,
    /// The smallest; NaN if there is one.
    Min,
    /// That of the window with the highest id; of the same window twice, the one that came last.
    Last,
    /// That of the window whose centre is the nearest; of equally near ones, that with the highest id.
    CenterCrop,
    /// The mean weighted by a Gaussian around the centre of the window: on each axis `exp(−½·((k − c) / σ)²)` for pixel
    /// `k`, with `c = (w − 1) / 2` and `σ = w / 8`.
    Gaussian,
    /// The mean weighted by a Hann window, `sin²(π·(k + ½) / w)` on each axis for pixel `k`: nowhere 0, and even where
    /// windows are half their width apart.
    Hann,
}

named! {
    Blend, "blend":
    Mean = "mean",
    Sum = "sum",
    Max = "max",
    Min = "min",
    Last = "last",
    CenterCrop = "center-crop",
    Gaussian = "gaussian",
    Hann = "hann",
}

impl Blend {
    /// Whether the cells of a window count by their place in it.
    pub(super) fn is_weighted(self) -> bool {
        matches!(self, Blend::Gaussian | Blend::Hann)
    }

    /// The weights of the cells of a window on one axis.
    pub(super) fn weights(self, window: u64) -> Vec<f64> {
        let w = window as f64;
        let weight = |k: u64| match self {
            Blend::Gaussian => {
                let distance = (k as f64 - (w - 1.0) / 2.0) / (w / 8.0);
                (-0.5 * distance * distance).exp()
            }
            Blend::Hann => (std::f64::consts::PI * (k as f64 + 0.5) / w).sin().powi(2),
            _ => 1.0,
        };
        (0..window).map(weight).collect()
    }
}

/// Where the value of a window lies in the image that is made.
///
/// ```
/// use windrow::fold::{At, Fold};
/// use windrow::{PadMode, PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec(vec![0u8; 12], &[3, 4])?;
/// let scan = PatchScan::new(image, WindowSpec::new([3, 3]).pad_same(PadMode::Edge))?;
/// let mut fold = Fold::new(&scan).at(At::Center);
/// fold.add(&[0, 5, 11], &[0.5, 0.25, 1.0])?; // of the windows around these pixels
/// let image = fold.image()?;
/// assert_eq!(image.shape(), [3, 4]);
/// assert_eq!(image.get::<f64>(&[1, 1])?, Some(0.25));
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// At the pixels of the window: the value is a patch, and the image is as large as the one that was scanned.
    Patch,
    /// At the window's place in the grid: the image has a cell a window.
    Grid,
    /// At the pixel in the middle of the window, `(extent − 1) / 2` pixels from its start, rounded down; the image is as
    /// large as the one that was scanned. With padding `same` and step 1 that is a value a pixel.
    Center,
}

named! { At, "at": Patch = "patch", Grid = "grid", Center = "center" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for blend in Blend::ALL {
            assert_eq!(blend.name().parse::<Blend>().unwrap(), blend);
        }
        for at in At::ALL {
            assert_eq!(at.name().parse::<At>().unwrap(), at);
        }
        let message = "median".parse::<Blend>().unwrap_err().to_string();
        assert!(message.contains("\"median\"") && message.contains("center-crop"), "{message}");
    }

    #[test]
    fn weights_are_positive_symmetric_and_hann_is_even() {
        for blend in [Blend::Gaussian, Blend::Hann] {
            for window in 1..40 {
                let weights = blend.weights(window);
                assert!(weights.iter().all(|&w| w > 0.0 && w <= 1.0), "{blend} {window}: {weights:?}");
                for (a, b) in weights.iter().zip(weights.iter().rev()) {
                    assert!((a - b).abs() < 1e-12, "{blend} {window}: {weights:?}");
                }
            }
        }
        let hann = Blend::Hann.weights(8);
        assert!((0..4).all(|k| (hann[k] + hann[k + 4] - 1.0).abs() < 1e-12), "{hann:?}");
    }
}
