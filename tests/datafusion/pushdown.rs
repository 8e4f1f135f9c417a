//! Only the windows that a query needs are gathered: counted.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use datafusion::prelude::SessionContext;
use windrow::datafusion::PatchTable;
use windrow::{Edge, MaskAt, PatchScan, StridedView, WindowSpec};

use super::{LINE, LINES, ask, error, ids, ints, scan, session};

/// The windows of a grid for which something holds, in their order.
fn naive(scan: &PatchScan, holds: impl Fn(i64, i64, i64) -> bool) -> Vec<u64> {
    let windows = scan.windows(0..scan.num_rows()).unwrap();
    let at = |id: u64| scan.grid().starts(id);
    windows.into_iter().filter(|&id| holds(id as i64, at(id)[0], at(id)[1])).collect()
}

/// Asks for patches, and holds them, and how many were gathered, against those that it should be.
async fn check(scan: &PatchScan, filter: &str, holds: impl Fn(i64, i64, i64) -> bool) {
    for partitions in [1, 3] {
        let (ctx, table) = session(scan, partitions);
        let expected = naive(scan, &holds);
        let got = ask(&ctx, &format!("SELECT \"window\", patch FROM t WHERE {filter} ORDER BY \"window\"")).await;
        let mut sorted = expected.clone();
        sorted.sort_unstable();
        assert_eq!(ids(&got), sorted, "{filter}");
        assert_eq!(table.gathered(), expected.len() as u64, "{filter}: gathered");
        let patches = scan.taker().unwrap().take(&sorted).unwrap()["patch"].to_data();
        assert!(got["patch"].to_data() == patches, "{filter}: pixels");
        // Without its pixels, nothing is.
        let count = ask(&ctx, &format!("SELECT count(*), count(y) FROM t WHERE {filter}")).await;
        assert_eq!((ints(&count, 0), ints(&count, 1)), (vec![expected.len() as i64], vec![expected.len() as i64]));
        assert_eq!(table.gathered(), expected.len() as u64, "{filter}: counted");
    }
}

#[tokio::test]
async fn filters_on_what_is_known() {
    let scan = scan();
    let last = LINES * LINE;
    check(&scan, "y = 40", |_, y, _| y == 40).await;
    check(&scan, "y < 3 AND x >= 50", |_, y, x| y < 3 && x >= 50).await;
    check(&scan, "y BETWEEN 10 AND 12 AND x NOT BETWEEN 1 AND 51", |_, y, x| {
        (10..=12).contains(&y) && !(1..=51).contains(&x)
    })
    .await;
    check(&scan, "\"window\" IN (5, 17, 4000, 99999999)", |w, _, _| [5, 17, 4000].contains(&w)).await;
    check(&scan, "\"window\" > 4900 AND x <> 52 AND 60 <= y", |w, y, x| w > 4900 && x != 52 && y >= 60).await;
    check(&scan, "x IN (1, 2, 3, 5, 8, 13, 21, 34) AND y NOT IN (1, 2, 3, 4, 5, 6) AND y < 9", |_, y, x| {
        [1, 2, 3, 5, 8, 13, 21, 34].contains(&x) && !(1..=6).contains(&y) && y < 9
    })
    .await;
    check(&scan, "(y < 2 OR y > 90) AND NOT (x > 1 AND x < 51)", |_, y, x| {
        !(2..=90).contains(&y) && !(2..=50).contains(&x)
    })
    .await;
    check(&scan, "y > 1000", |_, _, _| false).await;
    check(&scan, "y = 1 AND y = 2", |_, _, _| false).await;
    check(&scan, "y > -5 AND \"window\" >= 0", |_, _, _| true).await;
    check(&scan, &format!("\"window\" >= {}", last - 2), |w, _, _| w >= last - 2).await;
    // More than ranges.
    check(&scan, "(y + x) % 40 = 0", |_, y, x| (y + x) % 40 == 0).await;
    check(&scan, "y = 3 OR x = 7", |_, y, x| y == 3 || x == 7).await;
    check(&scan, "y < 5.5 AND x * 2 = y", |_, y, x| y <= 5 && x * 2 == y).await;
    check(&scan, "y = 3 AND (\"window\" % 2 = 0 OR x < 2)", |w, y, x| y == 3 && (w % 2 == 0 || x < 2)).await;
    check(&scan, "y IS NULL OR NULL", |_, _, _| false).await;
    check(&scan, "y IN (1, NULL)", |_, y, _| y == 1).await;
    check(&scan, "y NOT IN (1, NULL)", |_, _, _| false).await;
}

#[tokio::test]
async fn of_chosen_windows() {
    let all = scan();
    let mask = StridedView::from_vec((0..6000).map(|i| i % 7 == 0).collect::<Vec<bool>>(), &[100, 60]).unwrap();
    for scan in [
        all.with_rows(100..3000).unwrap(),
        all.sample(500, 1).unwrap(),
        all.shuffle(2, 0).unwrap().skip(1000).unwrap(),
        all.with_windows((0..4929).rev().step_by(3).collect::<Vec<_>>()).unwrap(),
        all.mask(mask, MaskAt::Center).unwrap(),
        all.with_rows(7..7).unwrap(),
    ] {
        check(&scan, "y < 30 AND x IN (1, 5, 6, 7)", |_, y, x| y < 30 && [1, 5, 6, 7].contains(&x)).await;
        check(&scan, "\"window\" BETWEEN 150 AND 400", |w, _, _| (150..=400).contains(&w)).await;
        check(&scan, "(x + y) % 5 = 1", |_, y, x| (x + y) % 5 == 1).await;
        check(&scan, "true", |_, _, _| true).await;
    }
}

#[tokio::test]
async fn of_other_grids() {
    let image = || StridedView::from_vec((0..40 * 31u32).map(|i| i as u16).collect(), &[40, 31]).unwrap();
    let padded = WindowSpec { edge: Edge::Pad, ..WindowSpec::new([5, 4]).step(3) };
    let shifted = WindowSpec { edge: Edge::Shift, ..WindowSpec::new([7, 8]).step(5).dilation(2) };
    for spec in [padded, shifted] {
        let scan = PatchScan::new(image(), spec).unwrap();
        check(&scan, "y < 0", |_, y, _| y < 0).await;
        check(&scan, "y >= 10 AND x BETWEEN 2 AND 11", |_, y, x| y >= 10 && (2..=11).contains(&x)).await;
        check(&scan, "x = 15 OR x = 9", |_, _, x| x == 15 || x == 9).await;
    }
}

async fn gathered(ctx: &SessionContext, table: &PatchTable, sql: &str) -> (usize, u64) {
    let before = table.gathered();
    let rows = ask(ctx, sql).await.num_rows();
    (rows, table.gathered() - before)
}

#[tokio::test]
async fn limits_and_orders() {
    let (ctx, table) = session(&scan(), 3);
    assert_eq!(gathered(&ctx, &table, "SELECT patch FROM t LIMIT 5").await, (5, 5));
    assert_eq!(gathered(&ctx, &table, "SELECT patch FROM t WHERE y = 9 LIMIT 5 OFFSET 2").await, (5, 7));
    assert_eq!(gathered(&ctx, &table, "SELECT patch FROM t WHERE (x + y) % 9 = 3 LIMIT 5").await.0, 5);
    // Each of three partitions gives its first rows at most.
    let (rows, count) = gathered(&ctx, &table, "SELECT patch FROM t ORDER BY \"window\" LIMIT 5").await;
    assert!(rows == 5 && count <= 15, "{count} gathered");
    let (rows, count) = gathered(&ctx, &table, "SELECT patch, y, x FROM t ORDER BY y, x LIMIT 5").await;
    assert!(rows == 5 && count <= 15, "{count} gathered");
    for sql in [
        "SELECT count(*) FROM t",
        "SELECT min(y), max(y), min(x), max(x), min(\"window\"), max(\"window\") FROM t",
        "SELECT y, count(*), max(x) FROM t GROUP BY y",
        "SELECT y, x FROM t ORDER BY x DESC LIMIT 10",
    ] {
        assert_eq!(gathered(&ctx, &table, sql).await.1, 0, "{sql}");
    }
    let most = ask(&ctx, "SELECT max(y), min(x), max(x) FROM t").await;
    assert_eq!((ints(&most, 0), ints(&most, 1), ints(&most, 2)), (vec![LINES - 1], vec![0], vec![LINE - 1]));
}

/// What one side of a join knows is a filter on the other.
#[tokio::test]
async fn joins_gather_what_they_match() {
    let (ctx, table) = session(&scan(), 3);
    ctx.sql(
        "CREATE TABLE labels (y BIGINT, x BIGINT, label TEXT) AS VALUES (7, 7, 'cat'), (9, 12, 'dog'), (99, 0, 'far')",
    )
    .await
    .unwrap();
    let sql = "SELECT label, \"window\", patch FROM t JOIN labels USING (y, x) ORDER BY label";
    let batch = ask(&ctx, sql).await;
    assert_eq!(ids(&batch), [7 * 53 + 7, 9 * 53 + 12]);
    assert_eq!(table.gathered(), 2);
}

async fn plan(ctx: &SessionContext, sql: &str) -> String {
    let batch = ask(ctx, &format!("EXPLAIN FORMAT INDENT {sql}")).await;
    let plans = batch.column(1).as_string::<i32>();
    plans.iter().flatten().last().unwrap().to_owned()
}

#[tokio::test]
async fn plans_say_what_they_gather() {
    let (ctx, _) = session(&scan(), 3);
    let text = plan(&ctx, "SELECT patch FROM t WHERE y BETWEEN 10 AND 19 AND x < 4").await;
    let wanted = "PatchExec: array, windows=8x8, columns=[patch], rows=40 of 4929, bytes=5.0 KiB";
    assert!(text.contains(wanted) && !text.contains("FilterExec"), "{text}");
    let text = plan(&ctx, "SELECT patch FROM t WHERE (x + y) % 2 = 0 AND y < 1").await;
    assert!(
        text.contains("rows=at most 53 of 4929") && text.contains("filter=") && !text.contains("FilterExec"),
        "{text}"
    );
    let text = plan(&ctx, "SELECT y FROM t WHERE y < 4 AND patch_mean(patch) > 3").await;
    assert!(text.contains("rows=212 of 4929") && text.contains("FilterExec: patch_mean"), "{text}");
    for sql in
        ["SELECT * FROM t ORDER BY \"window\"", "SELECT patch FROM t ORDER BY y, x", "SELECT y FROM t ORDER BY y"]
    {
        let text = plan(&ctx, sql).await;
        assert!(!text.contains("SortExec"), "{sql}: {text}");
    }
    for sql in ["SELECT * FROM t ORDER BY x", "SELECT * FROM t ORDER BY x, y"] {
        let text = plan(&ctx, sql).await;
        assert!(text.contains("SortExec"), "{sql}: {text}");
    }
    let text = plan(&ctx, "SELECT count(*) FROM t WHERE y < 10").await;
    assert!(text.contains("PlaceholderRowExec") && !text.contains("PatchExec"), "{text}");
    let (ctx, _) = session(&scan().shuffle(1, 0).unwrap(), 1);
    let text = plan(&ctx, "SELECT * FROM t ORDER BY \"window\"").await;
    assert!(text.contains("SortExec"), "{text}");
}

#[tokio::test]
async fn what_is_no_table_is_told() {
    let (ctx, _) = session(&scan(), 1);
    assert!(error(&ctx, "SELECT nothing FROM t").await.contains("No field named nothing"));
    assert!(error(&ctx, "SELECT * FROM patches('no.tif', window => '8x8')").await.contains("no.tif: cannot open"));
    assert!(error(&ctx, "SELECT * FROM patches('data/chelsea.png')").await.contains("window: expected pixels"));
    let sql = "SELECT * FROM patches('data/chelsea.png', window => '8x8', stride => 2)";
    assert!(error(&ctx, sql).await.contains("no option \"stride\": there are window, step"));
    let sql = "SELECT * FROM patches('data/chelsea.png', window => '8x8', step => 1 + 1)";
    assert!(error(&ctx, sql).await.contains("1 + 1 is not a literal"));
    assert!(error(&ctx, "SELECT * FROM patches()").await.contains("expected an image"));
    let columns =
        PatchScan::builder(StridedView::from_vec(vec![0u8; 100], &[10, 10]).unwrap(), WindowSpec::new([3, 3]));
    let columns = columns.layout(windrow::Layout::Columns).build().unwrap();
    assert!(PatchTable::new(&columns).unwrap_err().to_string().contains("expected layout tensor or binary"));
}

#[tokio::test]
async fn rows_are_chosen_by_options() {
    let (ctx, _) = session(&scan(), 2);
    let image = || windrow::AnySource::open("data/chelsea.png", None).unwrap();
    let all = PatchScan::new(image(), WindowSpec::new([8, 8])).unwrap();
    let masked = all.mask(image(), "all".parse().unwrap());
    for (options, chosen) in [
        ("sample => 0.01, seed => 3", all.sample(windrow::Amount::Share(0.01), 3).unwrap()),
        ("sample => 500, shuffle => 7, epoch => 2", all.sample(500, 0).unwrap().shuffle(7, 2).unwrap()),
        ("shard => '2/7', skip => 100", all.shard(2, 7).unwrap().skip(100).unwrap()),
    ] {
        let sql = format!("SELECT \"window\" FROM patches('data/chelsea.png', window => '8x8', {options})");
        let mut expected = chosen.windows(0..chosen.num_rows()).unwrap();
        let mut got = ids(&ask(&ctx, &sql).await);
        // Partitions come as they are ready.
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected, "{sql}");
    }
    let sql = "SELECT \"window\" FROM patches('data/chelsea.png', window => '8x8', mask => 'data/chelsea.png', \
               mask_at => 'all')";
    match masked {
        Ok(masked) => assert_eq!(ids(&ask(&ctx, sql).await).len() as u64, masked.num_rows()),
        Err(expected) => assert!(error(&ctx, sql).await.contains(&expected.to_string())),
    }
    let sql = "SELECT * FROM patches('data/chelsea.png', window => '8x8', seed => 4)";
    assert!(error(&ctx, sql).await.contains("seed: goes with sample"));
}

#[tokio::test]
async fn images_are_tables_by_their_path() {
    let (ctx, _) = session(&scan(), 2);
    for call in [
        "patches('data/chelsea.png', window => '8x8', step => 4, dtype => 'float32')",
        "patches('data/chelsea.png', '8x8', 4, 'dtype=float32')",
        "patches('data/chelsea.png', \"window\" => '8x8', step => '4x4', dtype => 'float32', lossy => false)",
    ] {
        let sql = format!("SELECT count(*) FROM {call} AS a JOIN {call} AS b USING (\"window\") WHERE a.y < 100");
        assert_eq!(ints(&ask(&ctx, &sql).await, 0), [25 * 111], "{sql}");
    }
}
