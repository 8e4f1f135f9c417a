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
    let gathered = format!("patches_gathered={:.2} K", WINDOWS as f64 / 1e3);
    let text = format!("{text:?}");
    assert!(text.contains("patches_gathered="), "{gathered} in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_is_enough() {
    let cluster = Cluster::of(1);
    let sql = QUERIES[1].0;
    assert_eq!(cluster.ask(sql).await.unwrap().0, cluster.ask_alone(sql).await);
}
