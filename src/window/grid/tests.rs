use super::*;

fn grid(spec: WindowSpec, shape: &[u64]) -> Grid {
    Grid::new(&spec, shape, None).unwrap()
}

fn starts(spec: WindowSpec, n: u64) -> Vec<i64> {
    let grid = grid(spec, &[n]);
    (0..grid.windows()).map(|row| grid.starts(row)[0]).collect()
}

#[test]
fn edges_of_one_axis() {
    let spec = || WindowSpec::new([3]).step(3).dilation(2); // extent 5
    assert_eq!(starts(spec(), 10), [0, 3]);
    assert_eq!(starts(spec(), 11), [0, 3, 6]);
    assert_eq!(starts(spec().edge(Edge::Shift), 10), [0, 3, 5]);
    assert_eq!(starts(spec().edge(Edge::Shift), 11), [0, 3, 6]);
    assert_eq!(starts(spec().edge(Edge::Shift), 5), [0]);
    // SAME: ceil(10 / 3) = 4 windows; 3·3 + 5 − 10 = 4 pixels of padding, two before.
    assert_eq!(starts(spec().pad_same(PadMode::Edge), 10), [-2, 1, 4, 7]);
    assert_eq!(starts(spec().pad([(1, 2)], PadMode::Wrap), 10), [-1, 2, 5]);
    assert_eq!(starts(WindowSpec::new([2]).pad([(5, 0)], PadMode::Wrap), 1), [-5, -4, -3, -2, -1]);
}

#[test]
fn rows_to_coordinates_and_back() {
    let specs = [
        WindowSpec::new([2, 3]).steps([2, 3]).edge(Edge::Shift),
        WindowSpec::new([2, 3]).dilation(2).steps([2, 1]),
        WindowSpec::new([4, 3]).steps([2, 3]).pad_same(PadMode::Reflect),
        WindowSpec::new([2, 2]).pad([(1, 2), (3, 0)], PadMode::Constant),
    ];
    for spec in specs {
        let grid = grid(spec, &[9, 11, 2]);
        let mut previous = None;
        for row in 0..grid.windows() {
            let starts = grid.starts(row);
            assert_eq!(grid.window_at(&starts), Some(row));
            assert!(previous < Some(starts.clone()), "C order");
            previous = Some(starts);
        }
        assert_eq!(grid.window_at(&[1, 100]), None);
        assert_eq!(grid.window_at(&[-9, 0]), None);
        assert_eq!(grid.window_at(&[0]), None);
    }
}

#[test]
fn the_interior_is_where_no_padding_is() {
    for (n, w, step, before, after) in
        [(10, 3, 1, 2, 2), (10, 3, 4, 2, 5), (2, 5, 1, 3, 3), (5, 5, 2, 4, 4), (1, 1, 1, 0, 9), (7, 3, 9, 20, 20)]
    {
        let grid = grid(WindowSpec::new([w]).step(step).pad([(before, after)], PadMode::Constant), &[n]);
        let axis = &grid.axes()[0];
        for i in 0..axis.count {
            let inside = axis.start(i) >= 0 && axis.start(i) + axis.extent as i64 <= n as i64;
            assert_eq!(axis.interior().contains(&i), inside, "{axis:?} window {i}");
        }
    }
}

#[test]
fn segments_and_regions_cover_their_rows() {
    let grid = grid(WindowSpec::new([2, 2]).steps([2, 1]), &[7, 5, 3]);
    assert_eq!(grid.grid_shape(), [3, 4]);
    let segments: Vec<_> = grid.segments(2..9).collect();
    assert_eq!(
        segments,
        [
            Segment { index: vec![0, 2], len: 2 },
            Segment { index: vec![1, 0], len: 4 },
            Segment { index: vec![2, 0], len: 1 }
        ]
    );
    assert_eq!(grid.region(0..12).0, [0..6, 0..5, 0..3]);
    assert_eq!(grid.region(5..7).0, [2..4, 1..4, 0..3]);
    assert_eq!(grid.region(3..5).0, [0..4, 0..5, 0..3]);
    assert_eq!(grid.region(4..4).pixels(), 0);
}

#[test]
fn axes_by_name_and_number() {
    let named = |axes: &[&str]| WindowSpec::new([8, 4]).axes(axes.iter().copied());
    let by_number = grid(named(&["1", "2"]), &[3, 20, 30]);
    assert_eq!(by_number.patch_shape(), [3, 8, 4]);
    let names: Vec<_> = by_number.axes().iter().map(|axis| axis.name.as_str()).collect();
    assert_eq!(names, ["c", "y", "x"]);
    assert_eq!(grid(named(&["-1", "-2"]), &[3, 20, 30]).patch_shape(), [3, 4, 8]);
    // Named in another order, the array's order stays.
    let swapped = grid(named(&["x", "y"]), &[20, 30]);
    assert_eq!((swapped.patch_shape(), swapped.grid_shape()), (vec![4, 8], vec![17, 23]));
    let volume = grid(WindowSpec::new([2, 2, 2]), &[4, 4, 4, 2, 2]);
    let names: Vec<_> = volume.axes().iter().map(|axis| axis.name.as_str()).collect();
    assert_eq!(names, ["z", "y", "x", "c0", "c1"]);
    assert_eq!(grid(WindowSpec::new([1; 6]), &[2; 6]).axes()[0].name, "axis_0");
}

#[test]
fn bad_specs_name_the_axis_and_both_numbers() {
    let max = u64::MAX;
    for (spec, shape, parts) in [
        (WindowSpec::new([8, 0]), &[9, 9][..], &["axis x", "window 0"][..]),
        (WindowSpec::new([8, 8]).step(0), &[9, 9], &["axis y", "step 0"]),
        (WindowSpec::new([8, 8]).dilations([1, 0]), &[9, 9], &["axis x", "dilation 0"]),
        (WindowSpec::new([8, 10]), &[9, 9], &["axis x", "window 10", "9"]),
        (WindowSpec::new([3]).dilation(5), &[9], &["window 3", "extent 11", "dilation 5", "9"]),
        (WindowSpec::new([8, 8]).pad([(0, 0)], PadMode::Edge), &[7, 9], &["axis y", "window 8", "7"]),
        (WindowSpec::new([8, 8, 8]), &[9, 9], &["8x8x8", "3 axes", "9x9"]),
        (WindowSpec::new([1]), &[1; 65], &["axes", "65", "64"]),
        (WindowSpec::new([]), &[9, 9], &["window_shape", "no axis"]),
        (WindowSpec::new([2, 2]).steps([1, 1, 1]), &[9, 9], &["step", "3 entries", "2 window axes"]),
        (WindowSpec::new([max]).dilation(max), &[9], &["overflows"]),
        (WindowSpec::new([2]).pad([(max, max)], PadMode::Edge), &[9], &["padding overflows"]),
        (WindowSpec::new([1, 1, 1]), &[1 << 40, 1 << 40, 1 << 40], &["number of windows", "2^62"]),
        (WindowSpec::new([2]).axes(["q"]), &[9, 9], &["\"q\"", "c"]),
        (WindowSpec::new([2]).axes([2]), &[9, 9], &["no axis 2"]),
        (WindowSpec::new([2]).axes([-3]), &[9, 9], &["no axis -3"]),
        (WindowSpec::new([2, 2]).axes(["y", "0"]), &[9, 9], &["named twice"]),
        (WindowSpec::new([2, 2]).axes(["y"]), &[9, 9], &["1 axes", "2x2"]),
        (WindowSpec::new([2]).pad([(2, 2)], PadMode::Reflect), &[0], &["no pixel", "reflect"]),
        (WindowSpec { pad: Some(Pads(vec![(1, 1)])), ..WindowSpec::new([2]) }, &[4], &["pad", "drop"]),
    ] {
        let message = Grid::new(&spec, shape, None).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}: expected {parts:?}");
    }
}

#[test]
fn legal_empty_grids() {
    assert_eq!(grid(WindowSpec::new([3]).pad_same(PadMode::Edge), &[0]).windows(), 0);
    assert_eq!(grid(WindowSpec::new([3]), &[5, 0]).patch_shape(), [3, 0]);
    assert_eq!(grid(WindowSpec::new([2]).pad([(2, 2)], PadMode::Constant), &[0]).windows(), 3);
}

#[test]
fn the_view_of_all_windows_is_refused_where_no_strides_express_it() {
    let array = StridedView::from_vec((0..9u8).collect(), &[3, 3]).unwrap();
    for spec in [WindowSpec::new([2, 2]).pad_same(PadMode::Edge), WindowSpec::new([2, 2]).step(2).edge(Edge::Shift)] {
        assert!(grid(spec, &[3, 3]).window_view(&array).is_err());
    }
    assert!(grid(WindowSpec::new([2, 2]), &[3, 4]).window_view(&array).is_err());
    let spread = grid(WindowSpec::new([2, 2]).dilation(2), &[3, 3]).window_view(&array.reverse(0).unwrap()).unwrap();
    assert_eq!(spread.to_vec::<u8>().unwrap(), [6, 8, 0, 2]);
}
