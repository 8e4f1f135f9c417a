//! Answers of two workers are those of one process.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};

use datafusion_distributed::display_plan_ascii;

use super::{Cluster, WINDOWS, pixels};

/// Queries in a certain order of rows, how many rows they answer, and how many windows they gather at most.
const QUERIES: &[(&str, usize, usize)] = &[
    (
        "SELECT count(*), count(patch), sum(patch_sum(patch)), avg(patch_mean(patch)), min(patch[1][1]) FROM t",
        1,
        WINDOWS,
    ),
    (
        "SELECT y / 50 AS block, count(*), sum(patch_sum(patch)), avg(patch_mean(patch)), max(patch_std(patch)) \
         FROM t GROUP BY block ORDER BY block",
        8,
        WINDOWS,
    ),
    (
        "SELECT patch[1][1] AS first, count(*), min(y), max(x), avg(patch_mean(patch)) FROM t GROUP BY first \
         ORDER BY first",
        256,
        WINDOWS,
    ),
    ("SELECT y, x, patch_std(patch) AS s FROM t ORDER BY s DESC, y, x LIMIT 20", 20, WINDOWS),
    ("SELECT y, x, patch FROM t WHERE patch_mean(patch) > 140 ORDER BY y, x", usize::MAX, WINDOWS),
    (
        "SELECT \"window\", patch_sum(patch) FROM t WHERE y BETWEEN 10 AND 300 AND x % 7 = 3 ORDER BY \"window\"",
        291 * 69,
        291 * 69,
    ),
    ("SELECT count(*), sum(patch_sum(patch)) FROM t WHERE y IN (3, 7, 90, 200, 201, 350) OR y > 370", 1, 20 * 485),
    (
        "SELECT a.y / 100 AS block, count(*), sum(patch_sum(a.patch) - patch_sum(b.patch)) FROM t a JOIN u b \
         ON a.y = b.y AND a.x = b.x WHERE b.x % 2 = 0 GROUP BY block ORDER BY block",
        4,
        2 * 393 * 493,
    ),
    (
        "SELECT count(*), sum(patch_sum(a.patch)) FROM t a LEFT JOIN (SELECT y, x FROM u WHERE patch[1][1] < 8) b \
         ON a.y = b.y AND a.x = b.x WHERE b.y IS NULL",
        1,
        WINDOWS + 393 * 493,
    ),
    (
        "SELECT count(*), sum(patch_sum(patch)) FROM t WHERE y IN (SELECT y FROM u WHERE patch_mean(patch) > 170)",
        1,
        WINDOWS + 393 * 493,
    ),
    (
        "SELECT k, count(*), sum(s) FROM (SELECT 't' AS k, patch_sum(patch) AS s FROM t UNION ALL \
      SELECT 'u', patch_sum(patch) FROM u) GROUP BY k ORDER BY k",
        2,
        WINDOWS + 393 * 493,
    ),
    ("SELECT count(DISTINCT patch_sum(patch)), approx_distinct(y) FROM t", 1, WINDOWS),
    (
        "SELECT y, x, rank() OVER (PARTITION BY y ORDER BY patch_sum(patch), x) AS r FROM t WHERE y < 200 \
         ORDER BY y, x LIMIT 1000",
        1000,
        WINDOWS,
    ),
    ("SELECT count(*) FROM (SELECT patch FROM t LIMIT 50000)", 1, WINDOWS),
    // What is least so far is a filter of the leaves, and goes with them.
    ("SELECT x, y, patch_sum(patch) FROM t ORDER BY x DESC, y LIMIT 30", 30, WINDOWS),
    ("SELECT y, count(*), sum(patch_sum(patch)) FROM t GROUP BY y HAVING count(*) > 1 ORDER BY y LIMIT 7", 7, WINDOWS),
    (
        "SELECT count(*), count(a.y), count(b.y), sum(patch_sum(a.patch)) FROM t a FULL JOIN \
         (SELECT * FROM u WHERE y > 100) b ON a.y = b.x AND a.x = b.y",
        1,
        WINDOWS + 393 * 493,
    ),
    ("SELECT patch_sum(patch) FROM t WHERE y > 1000", 0, 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_answer_as_one_process() {
    let cluster = Cluster::start();
    for &(sql, rows, most) in QUERIES {
        let (answer, gathered) = cluster.ask(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(answer, cluster.ask_alone(sql).await, "{sql}");
        if rows < usize::MAX {
            assert_eq!(answer.num_rows(), rows, "{sql}");
        }
        assert!(gathered.unwrap_or(0) <= most, "{sql}: {gathered:?} windows of {most}");
    }
}

/// With leaves that every task runs as a whole, all of these would be twice as much.
#[tokio::test(flavor = "multi_thread")]
async fn each_window_is_gathered_once() {
    let cluster = Cluster::start();
    let pixels = pixels(0);
    let mut sum = 0u64;
    for y in 0..super::HEIGHT {
        for x in 0..super::WIDTH {
            let covers = |at: usize, len: usize| at.min(len - 16) - at.saturating_sub(15) + 1;
            let windows = covers(y, super::HEIGHT) * covers(x, super::WIDTH);
            sum += u64::from(pixels[y * super::WIDTH + x]) * windows as u64;
        }
    }
    for partitions in [2, 3, 8] {
        let sql = format!("SET datafusion.execution.target_partitions = {partitions}");
        cluster.ctx.sql(&sql).await.unwrap().collect().await.unwrap();
        let sql = "SELECT count(*), sum(patch_sum(patch)) FROM t WHERE patch[1][1] >= 0";
        let (answer, gathered) = cluster.ask(sql).await.unwrap();
        assert_eq!(answer.column(0).as_primitive::<Int64Type>().value(0), WINDOWS as i64);
        assert_eq!(answer.column(1).as_primitive::<Float64Type>().value(0), sum as f64);
        assert_eq!(gathered, Some(WINDOWS), "{partitions} partitions");
    }
}

/// The work is dealt: both workers have a part of it.
#[tokio::test(flavor = "multi_thread")]
async fn both_workers_work() {
    let cluster = Cluster::start();
    let plan = async |sql: &str| {
        let plan = cluster.ctx.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        display_plan_ascii(plan.as_ref(), false)
    };
    let text = plan("SELECT sum(patch_sum(patch)) FROM t").await;
    assert!(text.contains("input_tasks=2"), "{text}");
    // Each has about half of the rows.
    assert!(text.contains("t0: PatchExec") && text.contains("t1: PatchExec"), "{text}");
    // Without work there is nothing to deal.
    let text = plan("SELECT sum(patch_sum(patch)) FROM t WHERE y < 5").await;
    assert!(!text.contains("DistributedExec"), "{text}");
    let (text, _) = cluster.ask("EXPLAIN ANALYZE SELECT sum(patch_sum(patch)) FROM t").await.unwrap();
    let text = format!("{text:?}");
    // Of both together, in thousands.
    assert!(text.contains(&format!("patches_gathered={}.", WINDOWS / 1000)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_is_enough() {
    let cluster = Cluster::of(1);
    let sql = QUERIES[1].0;
    assert_eq!(cluster.ask(sql).await.unwrap().0, cluster.ask_alone(sql).await);
}

/// What rows are left.
const FILTERS: &[&str] = &[
    "true",
    "y < 200",
    "x % 5 = 2",
    "patch[1][1] > 100",
    "y BETWEEN 50 AND 250 AND patch_mean(patch) > 127",
    "\"window\" IN (3, 700, 90000, 186000) OR y = 7 OR x = 9",
    "y > 380 AND x > 480",
    "y < 0",
    "x NOT IN (1, 2, 3) AND (y + x) % 3 = 0",
    "\"window\" > 100000 AND patch[16][16] % 2 = 0",
];

/// What is asked of the rows that `{}` leaves, in a certain order.
const SHAPES: &[&str] = &[
    "SELECT count(*), sum(patch_sum(patch)), min(y), max(x), count(DISTINCT y) FROM t WHERE {}",
    "SELECT y % 7 AS k, count(*), sum(patch_sum(patch)) FROM t WHERE {} GROUP BY k HAVING count(*) > 3 ORDER BY k",
    "SELECT \"window\", patch[3][3] AS p FROM t WHERE {} ORDER BY p DESC, \"window\" LIMIT 13 OFFSET 5",
    "SELECT count(*), sum(s) FROM (SELECT patch_sum(patch) AS s FROM t WHERE {} LIMIT 100000000)",
    "SELECT count(*) FROM (SELECT patch FROM t WHERE {} LIMIT 1000 OFFSET 77)",
    "SELECT count(*), sum(patch_sum(a.patch)), min(b.patch[1][1]) FROM (SELECT * FROM t WHERE {}) a JOIN u b ON a.y = b.x \
     AND a.x = b.y",
    "SELECT count(*), count(b.y), sum(a.\"window\") FROM (SELECT * FROM t WHERE {}) a LEFT JOIN (SELECT y, x FROM u WHERE \
     patch[2][2] < 90) b ON a.y = b.x AND a.x = b.y",
    "SELECT count(*), sum(\"window\") FROM t WHERE ({}) AND NOT EXISTS (SELECT 1 FROM u WHERE u.y = t.x AND u.x = t.y AND \
     u.patch[1][1] < 50)",
    "SELECT count(*), sum(\"window\") FROM t WHERE ({}) AND y NOT IN (SELECT y FROM u WHERE patch[1][1] = 3 AND x < 20)",
    "SELECT count(*), sum(y) FROM (SELECT y FROM t WHERE {} EXCEPT SELECT x + 40 FROM u)",
    "SELECT \"window\", sum(patch_sum(patch)) OVER (PARTITION BY y ORDER BY x ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS \
     s FROM t WHERE {} ORDER BY \"window\" LIMIT 500",
    "SELECT first_value(patch[1][1] ORDER BY x, y), last_value(\"window\" ORDER BY y DESC, x), array_agg(DISTINCT y % 5 \
     ORDER BY y % 5) FROM t WHERE {}",
    "SELECT y % 3 AS a, x % 2 AS b, count(*), sum(patch_sum(patch)) FROM t WHERE {} GROUP BY ROLLUP(y % 3, x % 2) ORDER BY \
     a, b",
    "SELECT count(*) FROM t WHERE ({}) AND patch_sum(patch) > (SELECT avg(patch_sum(patch)) FROM t)",
    "SELECT count(*), sum(a.y) FROM (SELECT y FROM t WHERE ({}) AND x = 3) a JOIN (SELECT y FROM u WHERE x = 4) b ON a.y < \
     b.y",
    "SELECT k, count(*) FROM (SELECT y AS k FROM t WHERE {} UNION ALL SELECT x FROM u) GROUP BY k ORDER BY k",
    "WITH f AS (SELECT y, x, patch_sum(patch) AS s FROM t WHERE {}) SELECT count(*), sum(a.s - b.s) FROM f a JOIN f b ON \
     a.y = b.y AND a.x = b.x + 1",
    "SELECT count(*), sum(g.n), sum(patch[1][1]) FROM t JOIN (VALUES (1), (2), (400)) g(n) ON t.y = g.n WHERE {}",
    "SELECT count(*), sum(p) FROM (SELECT unnest(patch[1]) AS p FROM t WHERE {})",
];

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_are_answered_as_one_process_does() {
    let cluster = Cluster::start();
    for (i, shape) in SHAPES.iter().enumerate() {
        for filter in FILTERS.iter().skip(i % EACH).step_by(EACH) {
            let sql = shape.replace("{}", filter);
            let (answer, _) = cluster.ask(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(answer, cluster.ask_alone(&sql).await, "{sql}");
        }
    }
}

/// Every so many of the filters, beginning with another one each time.
const EACH: usize = 4;
