//! How well does a classifier of windows do on what it has not seen? Two answers, of which one is wrong.
//!
//! A photograph is cut into parcels, and all of a parcel is of one class, as fields and forests are on a map. The class
//! depends on how bright the parcel is, and by as much on what no pixel shows. Each window is given the class of the
//! most alike that was learned. Windows overlap, so if they are split at random, the pixels of a window that is tested
//! were in others that were learned, and are remembered. Split by blocks, with a guard band as wide as a window, no
//! pixel is shared. The difference of the two accuracies is what was only remembered.
//!
//! `cargo run --example leak_free [picture.png]`: the classes, and what is predicted without a guard band and with it.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt8Type, UInt64Type};
use image::ExtendedColorType::L8;
use rayon::prelude::*;
use windrow::fold::{At, Fold};
use windrow::{AnySource, DType, LabelAt, Layout, PatchScan, Permutation, Split, StridedView, WindowSpec};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

// Pixels on each axis of the photograph, of a parcel, and of a window, which looks at every third.
const SIDE: usize = 512;
const PARCEL: usize = 32;
const WINDOW: usize = 5;
const APART: u64 = 3;
const CLASSES: usize = 4;
const PER_CLASS: u64 = 500;
const TESTED: u64 = 2000;

/// The pixels of a batch.
fn pixels(batch: &RecordBatch) -> &[f32] {
    batch["patch"].as_fixed_size_list().values().as_primitive::<Float32Type>().values()
}

/// The labels of a batch.
fn labels(batch: &RecordBatch) -> &[u8] {
    batch["label"].as_primitive::<UInt8Type>().values()
}

/// The label image: classes of parcels, by their brightness and as much again by chance.
fn classes(photo: &AnySource) -> Result<StridedView> {
    let parcels = WindowSpec::new([PARCEL as u64; 2]).step(PARCEL as u64);
    let parcels =
        PatchScan::builder(photo.clone(), parcels).layout(Layout::FixedShapeTensor).dtype(DType::F32).build()?;
    let chance = Permutation::new(parcels.num_rows(), 0, 0);
    let mut values = Vec::new();
    for batch in parcels.reader()? {
        for parcel in pixels(&batch?).chunks_exact(PARCEL * PARCEL) {
            let brightness = parcel.iter().sum::<f32>() / parcel.len() as f32;
            values.push(brightness + chance.get(values.len() as u64) as f32);
        }
    }
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    let class = |value: f32| (sorted.partition_point(|other| *other < value) * CLASSES / sorted.len()) as u8;
    let pixel = |i: usize| class(values[i / SIDE / PARCEL * (SIDE / PARCEL) + i % SIDE / PARCEL]);
    Ok(StridedView::from_vec((0..SIDE * SIDE).map(pixel).collect(), &[SIDE, SIDE])?)
}

/// All windows that were learned, and their labels.
#[derive(Default)]
struct Learned(Vec<f32>, Vec<u8>);

impl Learned {
    fn from(train: &PatchScan) -> Result<Self> {
        let mut learned = Self::default();
        for batch in train.reader()? {
            let batch = batch?;
            learned.0.extend(pixels(&batch));
            learned.1.extend(labels(&batch));
        }
        Ok(learned)
    }

    /// The labels of the windows of a batch: those of the nearest that were learned.
    fn predict(&self, batch: &RecordBatch) -> Vec<u8> {
        let (known, _) = self.0.as_chunks::<{ WINDOW * WINDOW }>();
        let (windows, _) = pixels(batch).as_chunks::<{ WINDOW * WINDOW }>();
        let distance = |a: &[f32; WINDOW * WINDOW], b: &[f32; WINDOW * WINDOW]| {
            a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        let label = |window: &[f32; WINDOW * WINDOW]| {
            let distances = known.iter().map(|known| distance(known, window)).zip(&self.1);
            distances.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, label)| *label)
        };
        windows.par_iter().map(label).collect()
    }

    fn accuracy(&self, test: &PatchScan) -> Result<f64> {
        let mut right = 0;
        for batch in test.reader()? {
            let batch = batch?;
            right += self.predict(&batch).iter().zip(labels(&batch)).filter(|(a, b)| a == b).count();
        }
        Ok(right as f64 / test.num_rows() as f64)
    }
}

fn main() -> Result<()> {
    let photo = AnySource::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data/camera.png"), None)?;
    let spec = WindowSpec::new([WINDOW as u64; 2]).dilation(APART).step(APART);
    let windows = PatchScan::builder(photo.clone(), spec).labels(classes(&photo)?, LabelAt::Center);
    let windows = windows.layout(Layout::FixedShapeTensor).dtype(DType::F32).build()?;

    // At random: every window is in one of two parts, and shares pixels with those of the other.
    let order = windows.shuffle(1, 0)?;
    let count = order.num_rows() / 5 * 4;
    let mut ids = order.windows(0..count)?;
    ids.sort_unstable();
    let leaky = (windows.with_windows(ids)?, order.skip(count)?);
    // By blocks: what extends over blocks of both parts is dropped.
    let parts = windows.split(&Split::new([("train", 0.8), ("test", 0.2)], [64, 64]).seed(1))?;
    let clean = (parts.part("train")?, parts.part("test")?);
    println!(
        "{} windows; split by blocks {} are dropped, so that no pixel is shared",
        windows.num_rows(),
        parts.dropped()
    );

    // A cell a window: its class, and what was predicted.
    let image = || Fold::new(&windows).at(At::Grid);
    let mut folds = [image(), image(), image()];
    let mut accuracies = Vec::new();
    for (i, (name, (train, test))) in [("without a guard band", leaky), ("with a guard band", clean)].iter().enumerate()
    {
        let learned = Learned::from(&train.per_class(PER_CLASS, 2)?)?;
        accuracies.push(learned.accuracy(&test.sample(TESTED.min(test.num_rows()), 3)?)?);
        println!("{name}: accuracy {:.3}", accuracies[i]);
        // Every window, batch by batch; a second time their classes would add nothing.
        for batch in windows.reader()? {
            let batch = batch?;
            let ids = batch["window"].as_primitive::<UInt64Type>().values();
            folds[1 + i].add(ids, &learned.predict(&batch))?;
            if i == 0 {
                folds[0].add(ids, labels(&batch))?;
            }
        }
    }
    assert!(accuracies[0] > accuracies[1] + 0.1, "what was remembered: {accuracies:?}");

    let images = folds.iter().map(|fold| Ok(fold.image()?.to_vec::<u8>()?)).collect::<Result<Vec<_>>>()?;
    let width = windows.grid().grid_shape()[1] as usize;
    let line = |y: usize| images.iter().flat_map(move |image| &image[y * width..][..width]);
    let shades: Vec<u8> = (0..images[0].len() / width).flat_map(line).map(|class| class * (255 / 3)).collect();
    let picture = std::env::args_os().nth(1).map_or(std::env::temp_dir().join("leak_free.png"), PathBuf::from);
    image::save_buffer(&picture, &shades, 3 * width as u32, (shades.len() / 3 / width) as u32, L8)?;
    println!("{}: the classes, and both predictions", picture.display());
    Ok(())
}
