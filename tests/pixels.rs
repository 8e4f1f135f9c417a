//! Rows by what their pixels hold, and what stands beside them: masks, nodata, labels, splits; against naive loops.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt8Type};
use arrow_array::{Array, RecordBatch};
use common::{Case, case, naive, patch_bytes};
use proptest::prelude::*;
use windrow::{
    AnySource, DType, LabelAt, Layout, MaskAt, PadMode, PatchScan, Permutation, Scalar, Split, Step, StridedView,
    TableInfo, WindowSpec,
};

/// Numbers from 0 to 3 that look random, as bytes.
fn few(shape: &[usize], seed: u64) -> StridedView {
    let order = Permutation::new(1 << 20, seed, 0);
    let count = shape.iter().product::<usize>() as u64;
    StridedView::from_vec((0..count).map(|i| (order.get(i) % 4) as u8).collect(), shape).unwrap()
}

/// The lengths of the axes that a case's window slides over.
fn sliding(case: &Case) -> Vec<usize> {
    case.view.shape()[..case.spec.window_shape.len()].to_vec()
}

fn source(view: StridedView, as_file: bool) -> AnySource {
    if as_file { common::file_like(view) } else { view.into() }
}

fn ids(scan: &PatchScan) -> Vec<u64> {
    scan.windows(0..scan.num_rows()).unwrap()
}

/// The label or flag in the middle of a window.
fn middle(case: &Case, scan: &PatchScan, view: &StridedView, id: u64) -> Option<u8> {
    let index: Option<Vec<usize>> = scan
        .grid()
        .starts(id)
        .iter()
        .zip(scan.grid().sliding())
        .map(|(start, axis)| usize::try_from(start + (axis.window / 2 * axis.dilation) as i64).ok())
        .collect();
    assert_eq!(scan.spec(), &case.spec);
    view.get::<u8>(&index?).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn masks_are_what_loops_count(mut case in case(), seed in any::<u64>(), share in 0.0..=1.0f64, as_file in any::<bool>(), (a, b) in (0.0..=1.0f64, 0.0..=1.0f64)) {
        case.spec = case.spec.pad_value(0);
        let mask = few(&sliding(&case), seed);
        let scan = PatchScan::new(case.view.clone(), case.spec.clone()).unwrap();
        let n = scan.num_rows() as f64;
        let scan = scan.with_rows((a.min(b) * n) as u64..(a.max(b) * n) as u64).unwrap();
        let flags = naive(&mask, &case.spec);
        for at in [MaskAt::Any, MaskAt::All, MaskAt::Share(share), MaskAt::Center] {
            let inside = |id: &u64| {
                let pixels = &flags[*id as usize].pixels;
                let count = pixels.iter().filter(|&&flag| flag != 0).count();
                match at {
                    MaskAt::Any => count > 0,
                    MaskAt::All => count == pixels.len(),
                    MaskAt::Share(share) => count as f64 / pixels.len() as f64 >= share,
                    MaskAt::Center => middle(&case, &scan, &mask, *id).is_some_and(|flag| flag != 0),
                }
            };
            let expected: Vec<u64> = scan.rows().filter(inside).collect();
            let masked = scan.mask(source(mask.clone(), as_file), at).unwrap();
            prop_assert_eq!(ids(&masked), expected.clone(), "{}", at);
            let sample = scan.sample(0.5, 1).unwrap();
            let sampled: Vec<u64> = ids(&sample).into_iter().filter(inside).collect();
            prop_assert_eq!(ids(&sample.mask(mask.clone(), at).unwrap()), sampled);
        }
    }

    #[test]
    fn nodata_is_null_and_its_share_is_told(mut case in case(), seed in any::<u64>(), dtype in 0..4usize, share in 0.0..=1.0f64, as_file in any::<bool>(), fixed in any::<bool>(), convert in any::<bool>(), pick in any::<bool>()) {
        let (dtype, bytes) = ([DType::U8, DType::I16, DType::F32, DType::F64][dtype], few(case.view.shape(), seed));
        // 2 is nodata; of floats, NaN is.
        let value = |v: u8| if dtype.is_float() && v == 2 { Scalar::Float(f64::NAN) } else { Scalar::Int(v.into()) };
        let cells: Vec<u8> = bytes.to_vec::<u8>().unwrap().into_iter()
            .flat_map(|v| value(v).to_cell(dtype).unwrap()[..dtype.size()].to_vec()).collect();
        let buffer = arrow_buffer::MutableBuffer::from_iter(cells.iter().copied()).into();
        let view = StridedView::from_buffer(buffer, dtype, case.view.shape()).unwrap();
        case.spec = case.spec.pad_value(if seed % 2 == 0 { value(2) } else { value(1) });
        let plain = naive(&view, &case.spec);
        let layout = if fixed { Layout::FixedShapeTensor } else { Layout::Tensor };
        let mut builder = PatchScan::builder(source(view, as_file), case.spec.clone()).layout(layout).nodata(value(2)).batch_rows(7);
        if convert {
            builder = builder.dtype(DType::F64).scale(2.0);
        }
        let scan = builder.build().unwrap();
        let none = value(2).to_cell(dtype).unwrap();
        let valid: Vec<Vec<bool>> = plain.iter()
            .map(|row| row.pixels.chunks_exact(dtype.size()).map(|cell| *cell != none[..dtype.size()]).collect()).collect();
        let part = |row: &Vec<bool>| row.iter().filter(|&&valid| valid).count() as f64 / row.len() as f64;
        let kept = scan.min_valid(share).unwrap();
        let expected: Vec<u64> = (0..scan.num_rows()).filter(|&id| part(&valid[id as usize]) >= share).collect();
        prop_assert_eq!(ids(&kept), expected);
        let scan = if pick { kept.shuffle(seed, 0).unwrap() } else { scan };
        let all = ids(&scan);
        let mut row = 0;
        for batch in scan.reader().unwrap() {
            let batch = batch.unwrap();
            prop_assert_eq!(batch.schema(), scan.schema());
            let shares = batch["valid"].as_primitive::<Float64Type>().clone();
            let leaf = leaf(&batch["patch"]);
            let cells = leaf.len() / batch.num_rows();
            for i in 0..batch.num_rows() {
                let id = all[row] as usize;
                prop_assert_eq!(shares.value(i), part(&valid[id]));
                let got: Vec<bool> = (0..cells).map(|cell| leaf.is_valid(i * cells + cell)).collect();
                prop_assert_eq!(&got, &valid[id]);
                row += 1;
            }
            if !convert {
                let pixels = patch_bytes(&batch["patch"]);
                let size = pixels.len() / batch.num_rows();
                for (i, pixels) in pixels.chunks_exact(size).enumerate() {
                    prop_assert_eq!(pixels, &plain[all[row - batch.num_rows() + i] as usize].pixels[..]);
                }
            }
        }
        prop_assert_eq!(row, all.len());
    }

    #[test]
    fn labels_are_what_loops_find(mut case in case(), seed in any::<u64>(), as_file in any::<bool>(), nodata in any::<bool>(), pick in any::<bool>()) {
        case.spec = case.spec.pad_value(0);
        let labels = few(&sliding(&case), seed);
        let constant = case.spec.pad_mode == PadMode::Constant;
        // Constant padding has no label.
        let ones = StridedView::from_vec(vec![1u8; 1], &[1]).unwrap().broadcast_to(labels.shape()).unwrap();
        let inside = naive(&ones, &case.spec);
        let plain = naive(&labels, &case.spec);
        for at in LabelAt::ALL {
            let mut builder = PatchScan::builder(case.view.clone(), case.spec.clone())
                .labels(source(labels.clone(), as_file), at).columns(["window", "label"]).batch_rows(9);
            if nodata || at == LabelAt::Patch && constant {
                builder = builder.label_nodata(3);
            }
            let scan = builder.build().unwrap();
            let marked = nodata || at == LabelAt::Patch && constant;
            let scan = if pick { scan.shuffle(seed, 2).unwrap().sample(0.7, 3).unwrap() } else { scan };
            let all = ids(&scan);
            let mut row = 0;
            for batch in scan.reader().unwrap() {
                let batch = batch.unwrap();
                let column = &batch["label"];
                for i in 0..batch.num_rows() {
                    let id = all[row] as usize;
                    row += 1;
                    let seen: Vec<u8> = plain[id].pixels.iter().zip(&inside[id].pixels)
                        .filter(|&(&label, &inside)| inside == 1 && !(marked && label == 3)).map(|(&label, _)| label).collect();
                    let expected = match at {
                        LabelAt::Center => middle(&case, &scan, &labels, id as u64).filter(|&label| !(marked && label == 3)).map(f64::from),
                        LabelAt::Majority => majority(&seen).map(f64::from),
                        LabelAt::Mean if seen.is_empty() => None,
                        LabelAt::Mean => Some(seen.iter().map(|&v| f64::from(v)).sum::<f64>() / seen.len() as f64),
                        LabelAt::Patch => {
                            let leaf = leaf(column);
                            let cells = leaf.len() / batch.num_rows();
                            let values = leaf.as_primitive::<UInt8Type>();
                            for cell in 0..cells {
                                let (label, inside) = (plain[id].pixels[cell], inside[id].pixels[cell] == 1);
                                let expected = (inside && !(marked && label == 3)).then_some(label);
                                let at = i * cells + cell;
                                prop_assert_eq!(values.is_valid(at).then(|| values.value(at)), expected);
                            }
                            continue;
                        }
                    };
                    let got = if column.is_null(i) { None } else { Some(number(column, i)) };
                    prop_assert_eq!(got, expected, "{} of window {}", at, id);
                }
            }
            prop_assert_eq!(row, all.len());
        }
    }

    #[test]
    fn no_pixel_is_shared(case in case(), seed in any::<u64>(), wider in 0..4u64, stratified in any::<bool>()) {
        let scan = PatchScan::builder(case.view.clone(), case.spec.clone()).labels(few(&sliding(&case), seed), LabelAt::Center).build().unwrap();
        let block: Vec<u64> = scan.grid().sliding().map(|axis| axis.extent + wider).collect();
        let split = Split::new([("a", 0.5), ("b", 0.3), ("c", 0.2)], block.clone()).seed(seed).stratified(stratified);
        let parts = match scan.split(&split) {
            Ok(parts) => parts,
            Err(error) => {
                let message = error.to_string();
                prop_assert!(message.contains("gets none of"), "{}", message);
                return Ok(());
            }
        };
        // Every pixel that a window of a part touches is painted with it.
        let shape = sliding(&case);
        let numbers = StridedView::from_vec((0..shape.iter().product::<usize>() as u64).collect(), &shape).unwrap();
        let mut spec = case.spec.clone();
        spec.pad_value = Scalar::Uint(u64::MAX);
        let touched: Vec<BTreeSet<u64>> = naive(&numbers, &spec).iter()
            .map(|row| row.pixels.chunks_exact(8).map(|cell| u64::from_ne_bytes(cell.try_into().unwrap())).filter(|&n| n != u64::MAX).collect())
            .collect();
        let mut paint: BTreeMap<u64, &str> = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for (name, part) in parts.iter() {
            for id in ids(part) {
                prop_assert!(kept.insert(id), "window {} is in two parts", id);
                for &pixel in &touched[id as usize] {
                    let painted = paint.insert(pixel, name);
                    prop_assert!(painted.is_none_or(|other| other == name), "pixel {} is in {:?} and {}", pixel, painted, name);
                }
            }
        }
        prop_assert_eq!(kept.len() as u64 + parts.dropped(), scan.num_rows());
        // A window within one block is never dropped.
        let place = |pixel: u64| -> Vec<u64> {
            let mut rest = pixel;
            let mut index: Vec<u64> = shape.iter().rev().map(|&n| { let i = rest % n as u64; rest /= n as u64; i }).collect();
            index.reverse();
            index.iter().zip(&block).map(|(i, block)| i / block).collect()
        };
        for (id, pixels) in touched.iter().enumerate() {
            let blocks: BTreeSet<_> = pixels.iter().map(|&pixel| place(pixel)).collect();
            // In padding a window extends over pixels between its own, and beyond them.
            let hull_is_one = blocks.len() == 1 && case.spec.edge != windrow::Edge::Pad;
            prop_assert!(!hull_is_one || kept.contains(&(id as u64)), "window {} lies in one block, and is dropped", id);
        }
    }

    #[test]
    fn classes_are_balanced(case in case(), seed in any::<u64>(), count in 1..6u64, shard in 0..2u64) {
        let labels = few(&sliding(&case), seed);
        let scan = PatchScan::builder(case.view.clone(), case.spec.clone()).labels(labels.clone(), LabelAt::Center).label_nodata(3).build().unwrap();
        let scan = scan.shard(shard, 2).unwrap();
        let order = Permutation::new(scan.grid().windows(), seed, 0);
        let mut classes: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
        for id in ids(&scan) {
            if let Some(label) = middle(&case, &scan, &labels, id).filter(|&label| label != 3) {
                classes.entry(label).or_default().push(id);
            }
        }
        let drawn = match scan.per_class(count, seed) {
            Ok(drawn) => drawn,
            Err(error) => {
                prop_assert!(classes.is_empty() && error.to_string().contains("no window has a label"), "{}", error);
                return Ok(());
            }
        };
        let mut expected: Vec<u64> = Vec::new();
        for ids in classes.values_mut() {
            ids.sort_by_key(|&id| order.place(id));
            expected.extend(ids.iter().take(count as usize));
        }
        expected.sort_unstable();
        prop_assert_eq!(ids(&drawn), expected);
        let Some(Step::PerClass { classes: told, .. }) = drawn.steps().last() else { panic!() };
        let told: Vec<_> = told.iter().map(|class| (class.label.to_f64() as u8, class.windows, class.taken)).collect();
        let counted: Vec<_> = classes.iter().map(|(&l, ids)| (l, ids.len() as u64, (ids.len() as u64).min(count))).collect();
        prop_assert_eq!(told, counted);
    }
}

fn majority(labels: &[u8]) -> Option<u8> {
    (0..4).rev().max_by_key(|label| labels.iter().filter(|seen| *seen == label).count()).filter(|_| !labels.is_empty())
}

fn number(column: &dyn Array, row: usize) -> f64 {
    match column.as_primitive_opt::<Float64Type>() {
        Some(column) => column.value(row),
        None => column.as_primitive::<UInt8Type>().value(row).into(),
    }
}

fn leaf(column: &dyn Array) -> arrow_array::ArrayRef {
    match column.as_fixed_size_list_opt() {
        Some(list) => leaf(list.values()),
        None => arrow_array::make_array(column.to_data()),
    }
}

#[test]
fn labels_of_every_type() {
    let image = StridedView::from_vec(vec![0u8; 30], &[5, 6]).unwrap();
    for dtype in DType::ALL {
        let labels = common::array(dtype, &[5, 6], &[1, 0], &[false, true], &[true, false]);
        for at in [LabelAt::Majority, LabelAt::Mean, LabelAt::Center] {
            let scan = PatchScan::builder(image.clone(), WindowSpec::new([1, 1])).labels(labels.clone(), at).build();
            let scan = scan.unwrap();
            let batch: RecordBatch = scan.reader().unwrap().next().unwrap().unwrap();
            let column = &batch["label"];
            let expected = if at == LabelAt::Mean { DType::F64 } else { dtype };
            assert_eq!(column.data_type(), &expected.arrow());
            assert_eq!(column.null_count(), 0);
            if at != LabelAt::Mean {
                assert_eq!(patch_bytes(column), common::bytes_of(&labels), "{dtype} at {at}");
            }
            if dtype == DType::F32 && at == LabelAt::Center {
                assert_eq!(column.as_primitive::<Float32Type>().value(3), labels.get::<f32>(&[0, 3]).unwrap().unwrap());
            }
            let classes = scan.per_class(1, 0);
            assert_eq!(classes.is_ok(), at != LabelAt::Mean);
        }
    }
}

#[test]
fn the_metadata_says_all_of_it() {
    let image = StridedView::from_vec(vec![0f32; 400], &[20, 20]).unwrap();
    let labels = few(&[20, 20], 3);
    let scan = PatchScan::builder(image, WindowSpec::new([3, 3]))
        .nodata(f64::NAN)
        .labels(labels.clone(), LabelAt::Majority)
        .label_nodata(0)
        .build()
        .unwrap();
    let scan = scan.mask(labels, MaskAt::Share(0.5)).unwrap().min_valid(0.25).unwrap();
    let parts = scan.split(&Split::new([("train", 0.75), ("test", 0.25)], [5]).seed(4).stratified(true)).unwrap();
    let scan = parts.part("train").unwrap().per_class(3, 9).unwrap().shuffle(1, 0).unwrap();
    let said: Vec<_> = scan.steps().iter().map(ToString::to_string).collect();
    assert_eq!(said[..2], ["mask array (0.5)", "valid at least 0.25"]);
    assert_eq!(said[2], "part train of train 0.75, test 0.25 (stratified, blocks 5x5, seed 4)");
    assert_eq!(said[3], "3 of each of 3 classes (seed 9)");
    let table = TableInfo::from_schema(&scan.schema()).unwrap().unwrap();
    assert_eq!(table.selection, scan.steps());
    let labels = table.labels.unwrap();
    assert_eq!((labels.at, labels.nodata), (LabelAt::Majority, Some(Scalar::Int(0))));
    assert!(table.nodata.is_some_and(|value| value.to_f64().is_nan()));
    assert_eq!(scan.explain().columns, ["window", "y", "x", "label", "valid", "patch"]);
}

#[test]
fn what_is_asked_for_wrongly_is_said() {
    let image = StridedView::from_vec(vec![0u8; 200], &[10, 10, 2]).unwrap();
    let (good, bad) = (few(&[10, 10], 0), few(&[10, 9], 0));
    let build = || PatchScan::builder(image.clone(), WindowSpec::new([3, 3]));
    let scan = build().labels(good.clone(), LabelAt::Center).build().unwrap();
    let split = |parts: &[(&str, f64)], block: &[u64]| scan.split(&Split::new(parts.to_vec(), block)).map(|_| ());
    let two = [("train", 0.5), ("test", 0.5)];
    for (result, words) in [
        (scan.mask(bad.clone(), MaskAt::Any).map(|_| ()), "mask: array is of shape 10x9: expected 10x10 (y, x)"),
        (scan.mask(good.clone(), MaskAt::Share(1.5)).map(|_| ()), "mask_at: a share of 1.5: expected 0 to 1"),
        (scan.min_valid(0.5).map(|_| ()), "min_valid: every pixel has a value"),
        (build().labels(bad, LabelAt::Center).build().map(|_| ()), "labels: array is of shape 10x9"),
        (build().label_nodata(3).build().map(|_| ()), "label_nodata: there are no labels"),
        (build().nodata(300).build().map(|_| ()), "nodata: 300 is not a uint8"),
        (build().nodata(windrow::Nodata::OfFile).build().map(|_| ()), "nodata: array does not say"),
        (build().nodata(3).layout(Layout::Binary).build().map(|_| ()), "layout: nodata makes single pixels null"),
        (build().nodata(3).layout(Layout::Columns).build().map(|_| ()), "layout: columns has no pixels that are null"),
        (build().labels(good.clone(), LabelAt::Patch).layout(Layout::Columns).build().map(|_| ()), "has no labels"),
        (split(&two, &[2, 3]), "block: 2 on axis y: a window extends over 3"),
        (split(&two, &[5, 5, 5]), "block: 5x5x5 has 3 axes: the window slides over 2"),
        (split(&[("train", 0.5), ("test", 0.6)], &[5]), "split: the shares are 1.1 together"),
        (split(&[("train", 1.5), ("test", -0.5)], &[5]), "split: a share of 1.5 for part \"train\""),
        (split(&[("a", 0.5), ("a", 0.5)], &[5]), "split: two parts are named \"a\""),
        (split(&[("a", 1.0)], &[5]), "split: 1 parts: expected 2"),
        (split(&[("a", 0.9), ("b", 0.1)], &[10]), "part \"b\", a share of 0.1, gets none of 1 blocks"),
        (scan.per_class(0, 0).map(|_| ()), "per_class: 0 windows of each class"),
        (build().build().unwrap().per_class(1, 0).map(|_| ()), "per_class: there are no labels"),
        (scan.shuffle(0, 0).unwrap().per_class(1, 0).map(|_| ()), "per_class: the rows are shuffled already"),
        (
            scan.shuffle(0, 0).unwrap().mask(good.clone(), MaskAt::Any).map(|_| ()),
            "mask: the rows are shuffled already",
        ),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let padded = WindowSpec::new([3, 3]).pad_same(PadMode::Constant);
    let patches = PatchScan::builder(image.clone(), padded).labels(good, LabelAt::Patch).build();
    assert!(patches.unwrap_err().to_string().contains("expected a label_nodata"));
    let unstratified = build().build().unwrap().split(&Split::new(two, [5]).stratified(true));
    assert!(unstratified.unwrap_err().to_string().contains("stratified: there are no labels"));
}
