//! The judge of everything: windows by naive loops over a padded copy, and cases for proptest to draw.

#![allow(dead_code)] // Each test binary uses its part.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, UInt64Array};
use proptest::prelude::*;
use windrow::source::{Region, RegionReader, Source, SourceInfo};
use windrow::{AnySource, BufferPool, DType, Edge, PadMode, Pads, PatchScan, Scalar, StridedView, WindowSpec};

/// What one axis of a case looks like.
#[derive(Clone, Debug)]
pub struct Axis {
    pub len: usize,
    pub window: usize,
    pub step: usize,
    pub dilation: usize,
    pub pad: (usize, usize),
    pub sliding: bool,
}

/// A whole case: an array with some layout in memory, and windows over it.
#[derive(Clone, Debug)]
pub struct Case {
    pub view: StridedView,
    pub spec: WindowSpec,
}

/// One expected row: the start on each sliding axis, and the bytes of every pixel.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub starts: Vec<i64>,
    pub pixels: Vec<u8>,
}

/// Where np.pad takes the pixel at `position` from, one step at a time; `None` for the constant.
fn pad(mode: PadMode, mut position: i64, n: i64) -> Option<i64> {
    while position < 0 || position >= n {
        position = match mode {
            PadMode::Constant => return None,
            PadMode::Edge => position.clamp(0, n - 1),
            PadMode::Wrap if position < 0 => position + n,
            PadMode::Wrap => position - n,
            PadMode::Symmetric if position < 0 => -1 - position,
            PadMode::Symmetric => 2 * n - 1 - position,
            PadMode::Reflect if n == 1 => 0,
            PadMode::Reflect if position < 0 => -position,
            PadMode::Reflect => 2 * (n - 1) - position,
        };
    }
    Some(position)
}

/// The starts on one axis, by the words of the documentation.
fn starts(n: i64, w: i64, step: i64, dilation: i64, edge: Edge, pads: Option<(i64, i64)>) -> Vec<i64> {
    let extent = dilation * (w - 1) + 1;
    match (edge, pads) {
        (Edge::Drop, _) => (0..=n - extent).step_by(step as usize).collect(),
        (Edge::Shift, _) => {
            let mut all: Vec<_> = (0..=n - extent).step_by(step as usize).collect();
            if all.last().is_none_or(|&last| last + extent < n) {
                all.push(n - extent);
            }
            all
        }
        (Edge::Pad, Some((before, after))) => (-before..=n + after - extent).step_by(step as usize).collect(),
        (Edge::Pad, None) => {
            let count = (n + step - 1) / step;
            let total = ((count - 1) * step + extent - n).max(0);
            (0..count).map(|i| i * step - total / 2).collect()
        }
    }
}

/// All rows by the naive loop. Cells are compared as bytes, so that NaN equals itself.
pub fn naive(view: &StridedView, spec: &WindowSpec) -> Vec<Row> {
    let shape = view.shape();
    let size = view.dtype().size();
    let cells = bytes_of(view);
    let fill = spec.pad_value.to_cell(view.dtype()).unwrap();
    let w = spec.window_shape.len();
    let of = |values: &[u64], i: usize| *values.get(i).unwrap_or(&values[0]) as i64;
    let mut axes = Vec::new();
    for (axis, &n) in shape.iter().enumerate() {
        axes.push(if axis < w {
            let pads = spec.pad.as_ref().map(|Pads(p)| *p.get(axis).unwrap_or(&p[0]));
            let pads = pads.map(|(a, b)| (a as i64, b as i64));
            let (window, step, dilation) =
                (of(&spec.window_shape, axis), of(&spec.step, axis), of(&spec.dilation, axis));
            (starts(n as i64, window, step, dilation, spec.edge, pads), window, dilation)
        } else {
            (vec![0], n as i64, 1)
        });
    }
    let mut rows = Vec::new();
    for place in product(&axes.iter().map(|axis| axis.0.len()).collect::<Vec<_>>()) {
        let start: Vec<_> = place.iter().zip(&axes).map(|(&i, axis)| axis.0[i]).collect();
        let mut pixels = Vec::new();
        for offset in product(&axes.iter().map(|axis| axis.1 as usize).collect::<Vec<_>>()) {
            let index: Option<Vec<_>> = (0..shape.len())
                .map(|a| pad(spec.pad_mode, start[a] + offset[a] as i64 * axes[a].2, shape[a] as i64))
                .collect();
            match index {
                None => pixels.extend_from_slice(&fill[..size]),
                Some(index) => {
                    let at = index.iter().zip(shape).fold(0, |at, (&i, &n)| at * n + i as usize) * size;
                    pixels.extend_from_slice(&cells[at..at + size]);
                }
            }
        }
        rows.push(Row { starts: start[..w].to_vec(), pixels });
    }
    rows
}

/// Every index of a shape, in C order.
pub fn product(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &n| {
        all.iter().flat_map(|head| (0..n).map(move |i| [head.as_slice(), &[i]].concat())).collect()
    })
}

/// The cells of a view in C order, one by one.
pub fn bytes_of(view: &StridedView) -> Vec<u8> {
    let size = view.dtype().size();
    let bytes = view.buffer().as_slice();
    let mut cells = Vec::with_capacity(view.len() * size);
    let mut index = vec![0; view.ndim()];
    for _ in 0..view.len() {
        let at = index.iter().zip(view.strides()).fold(view.offset() as isize, |at, (&i, &s)| at + i as isize * s);
        cells.extend_from_slice(&bytes[at as usize * size..][..size]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < view.shape()[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    cells
}

/// The rows of a scan that has the columns `window`, the starts and `patch`, by way of its reader.
pub fn rows_of(scan: &PatchScan) -> Vec<Row> {
    let mut rows = Vec::new();
    let schema = scan.schema();
    let mut next = scan.rows().start;
    for batch in scan.reader().unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.schema(), schema);
        let ids: &UInt64Array = batch["window"].as_primitive();
        for &id in ids.values() {
            assert_eq!(id, next, "window ids are the C order of the grid");
            next += 1;
        }
        rows.extend(rows_of_batch(&batch));
    }
    assert_eq!(next, scan.rows().end);
    rows
}

/// The rows of one batch.
pub fn rows_of_batch(batch: &RecordBatch) -> Vec<Row> {
    let pixels = patch_bytes(batch.column_by_name("patch").unwrap());
    let size = pixels.len() / batch.num_rows().max(1);
    let starts: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .filter(|field| !["window", "patch"].contains(&field.name().as_str()))
        .map(|field| batch[field.name().as_str()].as_primitive::<arrow_array::types::Int64Type>().values().clone())
        .collect();
    (0..batch.num_rows())
        .map(|row| Row {
            starts: starts.iter().map(|column| column[row]).collect(),
            pixels: pixels[row * size..(row + 1) * size].to_vec(),
        })
        .collect()
}

/// The bytes of all pixels of a patch column of any layout.
pub fn patch_bytes(array: &dyn Array) -> Vec<u8> {
    if let Some(list) = array.as_fixed_size_list_opt() {
        return patch_bytes(list.values());
    }
    if let Some(bits) = array.as_boolean_opt() {
        return bits.values().iter().map(u8::from).collect();
    }
    let data = array.to_data();
    let width = match array.data_type() {
        arrow_schema::DataType::FixedSizeBinary(n) => *n as usize,
        other => other.primitive_width().unwrap(),
    };
    data.buffers()[0].as_slice()[data.offset() * width..(data.offset() + data.len()) * width].to_vec()
}

/// An array of this shape whose cells are all different (as far as the type allows), under some strides.
pub fn array(dtype: DType, shape: &[usize], order: &[usize], reversed: &[bool], stepped: &[bool]) -> StridedView {
    let ndim = shape.len();
    // The array lies in memory with its axes in another order, and twice as long where it is stepped over.
    let memory: Vec<_> = order.iter().map(|&a| if stepped[a] { shape[a] * 2 } else { shape[a] }).collect();
    let count: usize = memory.iter().product();
    let mut bytes = Vec::with_capacity(count * dtype.size());
    for i in 0..count {
        let value = if dtype == DType::Bool { (i * 7 / 3) % 2 } else { (i * 37 + 11) % 251 };
        let cell = Scalar::Int(if dtype == DType::I8 { value as i64 % 127 } else { value as i64 });
        bytes.extend_from_slice(&cell.to_cell(dtype).unwrap()[..dtype.size()]);
    }
    let buffer = arrow_buffer::MutableBuffer::from_iter(bytes.iter().copied()).into();
    let view = StridedView::from_buffer(buffer, dtype, &memory).unwrap();
    let back: Vec<_> = (0..ndim).map(|a| order.iter().position(|&o| o == a).unwrap()).collect();
    let mut view = view.transpose(&back).unwrap();
    for axis in 0..ndim {
        if stepped[axis] {
            view = view.slice(axis, 0..shape[axis] * 2, 2).unwrap();
        }
        if reversed[axis] {
            view = view.reverse(axis).unwrap();
        }
    }
    assert_eq!(view.shape(), shape);
    view
}

fn axis(sliding: bool, edge: Edge) -> impl Strategy<Value = Axis> {
    (1..5usize, 1..4usize, 1..3usize, 0..9usize, (0..8usize, 0..8usize)).prop_map(
        move |(window, step, dilation, rest, pad)| {
            let extent = dilation * (window - 1) + 1;
            // Under padding the array may be shorter than the window.
            let len = match edge {
                Edge::Pad if rest > 0 => rest,
                _ => extent + rest,
            };
            let missing = extent.saturating_sub(len + pad.0 + pad.1);
            Axis { len, window, step, dilation, pad: (pad.0 + missing, pad.1), sliding }
        },
    )
}

/// Arrays of one to four axes in any layout, and windows of any kind over the leading ones.
pub fn case() -> impl Strategy<Value = Case> {
    let edge = prop_oneof![Just(Edge::Drop), Just(Edge::Shift), Just(Edge::Pad)];
    let head = (edge, 1..4usize, 0..2usize, 0..DType::ALL.len(), 0..PadMode::ALL.len(), any::<bool>());
    head.prop_flat_map(|(edge, sliding, whole, dtype, mode, same)| {
        let axes: Vec<_> = (0..sliding + whole).map(|i| axis(i < sliding, edge)).collect();
        let ndim = sliding + whole;
        let order = Just((0..ndim).collect::<Vec<_>>()).prop_shuffle();
        let flags = || proptest::collection::vec(any::<bool>(), ndim);
        (axes, order, flags(), flags()).prop_map(move |(axes, order, reversed, stepped)| {
            let shape: Vec<_> = axes.iter().map(|axis| axis.len).collect();
            let view = array(DType::ALL[dtype], &shape, &order, &reversed, &stepped);
            let slide: Vec<_> = axes.iter().filter(|axis| axis.sliding).collect();
            let each = |f: &dyn Fn(&Axis) -> usize| slide.iter().map(|axis| f(axis) as u64).collect::<Vec<_>>();
            let mut spec = WindowSpec::new(each(&|a| a.window))
                .steps(each(&|a| a.step))
                .dilations(each(&|a| a.dilation))
                .edge(edge)
                .pad_value(1);
            spec.pad_mode = PadMode::ALL[mode];
            if edge == Edge::Pad && !same {
                spec.pad = Some(Pads(slide.iter().map(|a| (a.pad.0 as u64, a.pad.1 as u64)).collect()));
            }
            Case { view, spec }
        })
    })
}

/// An array that behaves like a file: read band by band, each as an array of its own, two lines a chunk.
#[derive(Debug)]
struct FileLike(StridedView, SourceInfo);

impl Source for FileLike {
    fn info(&self) -> &SourceInfo {
        &self.1
    }

    fn open(&self, _: &BufferPool) -> windrow::Result<Box<dyn RegionReader>> {
        Ok(Box::new(FileReader(self.0.clone())))
    }
}

struct FileReader(StridedView);

impl RegionReader for FileReader {
    fn read(&mut self, region: &Region) -> windrow::Result<StridedView> {
        assert!(region.pixels() > 0, "no empty region is asked for: {region:?}");
        let mut view = self.0.clone();
        for (axis, range) in region.0.iter().enumerate() {
            view = view.slice(axis, range.start as usize..range.end as usize, 1)?;
        }
        let buffer = arrow_buffer::MutableBuffer::from_iter(bytes_of(&view)).into();
        StridedView::from_buffer(buffer, view.dtype(), view.shape())
    }
}

/// A view as a source that is read band by band.
pub fn file_like(view: StridedView) -> AnySource {
    let shape: Vec<_> = view.shape().iter().map(|&n| n as u64).collect();
    let chunk = shape.iter().map(|&n| n.min(2)).collect();
    let name = "file".to_owned();
    let dtype = view.dtype();
    let info = SourceInfo { name, shape, dtype, axes: None, chunk, resident: false, working_bytes: 0 };
    AnySource::new(FileLike(view, info))
}

/// The window ids of a batch.
pub fn ids_of(batch: &RecordBatch) -> &[u64] {
    batch["window"].as_primitive::<arrow_array::types::UInt64Type>().values()
}
