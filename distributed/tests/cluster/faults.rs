//! What goes wrong is an error, never a wrong answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::arrow::compute::concat_batches;
use datafusion::physical_plan::collect;
use windrow::datafusion::PatchTable;
use windrow::{PatchScan, StridedView, WindowSpec};

use super::{Cluster, table, write_npy};

/// Much to compute.
const LONG: &str = "SELECT y / 50 AS block, count(*), max(patch_quantile(patch, 0.5)), min(patch_quantile(patch, 0.9)) \
                    FROM t GROUP BY block ORDER BY block";

/// What a query says that was planned before something happened.
async fn fail(cluster: &Cluster, sql: &str, happens: impl FnOnce()) -> String {
    let plan = cluster.ctx.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    happens();
    collect(plan, cluster.ctx.task_ctx()).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_an_error() {
    for wait in [0, 100, 600, 2000] {
        let mut cluster = Cluster::start();
        let expected = cluster.ask_alone(LONG).await;
        let plan = cluster.ctx.sql(LONG).await.unwrap().create_physical_plan().await.unwrap();
        let asked = tokio::spawn(collect(plan.clone(), cluster.ctx.task_ctx()));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        cluster.workers[1].child.kill().unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it hangs").unwrap();
        match answer {
            Ok(batches) => assert_eq!(concat_batches(&plan.schema(), &batches).unwrap(), expected, "{wait} ms"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        // Whoever is left can't answer alone for a worker that was named.
        let error = cluster.ask(LONG).await.map(|(answer, _)| answer).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1") || error.contains("transport"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_an_error() {
    let cluster = Cluster::start();
    let error = fail(&cluster, "SELECT sum(patch_sum(patch)) FROM t", || std::fs::remove_file(&cluster.image).unwrap());
    let error = error.await;
    assert!(error.contains("scene.npy: cannot open"), "{error}");
    let image = cluster.folder.path().join("none.npy");
    let sql = format!("SELECT count(*) FROM patches('{}', window => '8x8')", image.display());
    let error = cluster.ctx.sql(&sql).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("none.npy: cannot open"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_is_an_error() {
    let cluster = Cluster::start();
    let sql = "SELECT sum(patch_sum(patch)) FROM t";
    // Of the same length and shape: only its time tells.
    let error = fail(&cluster, sql, || write_npy(&cluster.image, 7)).await;
    assert!(error.contains("scene.npy") && error.contains("not the file that the query was planned with"), "{error}");
    // A table that is made now is of the file as it is.
    cluster.ctx.register_table("now", Arc::new(table(&cluster.image, "16x16"))).unwrap();
    let (answer, _) = cluster.ask("SELECT sum(patch_sum(patch)) FROM now").await.unwrap();
    cluster.alone.register_table("now", Arc::new(table(&cluster.image, "16x16"))).unwrap();
    assert_eq!(answer, cluster.ask_alone("SELECT sum(patch_sum(patch)) FROM now").await);
    let error = fail(&cluster, "SELECT sum(patch_sum(patch)) FROM now", || {
        let file = std::fs::File::options().append(true).open(&cluster.image).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    });
    assert!(error.await.contains("not the file that the query was planned with"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_in_memory_stays_here() {
    let cluster = Cluster::start();
    let image = StridedView::from_vec(super::pixels(0), &[super::HEIGHT, super::WIDTH]).unwrap();
    let scan = PatchScan::new(image, WindowSpec::new([16, 16])).unwrap();
    for ctx in [&cluster.ctx, &cluster.alone] {
        ctx.register_table("memory", Arc::new(PatchTable::new(&scan).unwrap())).unwrap();
    }
    for sql in [
        "SELECT count(*), sum(patch_sum(patch)) FROM memory",
        "SELECT y / 50 AS block, sum(patch_sum(patch)) FROM memory GROUP BY block ORDER BY block",
    ] {
        let (answer, gathered) = cluster.ask(sql).await.unwrap();
        assert_eq!(gathered, None, "{sql}");
        assert_eq!(answer, cluster.ask_alone(sql).await, "{sql}");
    }
    let both =
        "SELECT count(*), sum(patch_sum(a.patch) - patch_sum(b.patch)) FROM t a JOIN memory b USING (\"window\")";
    let (answer, gathered) = cluster.ask(both).await.unwrap();
    assert_eq!((answer, gathered), (cluster.ask_alone(both).await, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_an_error() {
    let cluster = Cluster::of(1);
    let nobody = windrow_distributed::workers("http://127.0.0.1:1,http://127.0.0.1:2").unwrap();
    let ctx = windrow_distributed::session(nobody).unwrap();
    ctx.register_table("t", Arc::new(table(&cluster.image, "16x16"))).unwrap();
    let error = ctx.sql("SELECT sum(patch_sum(patch)) FROM t").await.unwrap().collect().await.unwrap_err();
    assert!(error.to_string().contains("can't connect: Connection refused"), "{error}");
}

/// For workers it is planned as a join, in which two rows would be two answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_several_rows_is_an_error() {
    let cluster = Cluster::start();
    for sql in [
        "SELECT count(*), sum(patch_sum(patch)) FROM t WHERE y > (SELECT y FROM u WHERE x = 3 AND y < 2)",
        "SELECT y, (SELECT x FROM u WHERE y < 1) AS first, sum(patch_sum(patch)) FROM t GROUP BY y",
        "SELECT sum(patch_sum(patch)) FROM t WHERE x = (SELECT x FROM (VALUES (1), (2)) v(x))",
    ] {
        let alone = cluster.alone.sql(sql).await.unwrap().collect().await.unwrap_err().to_string();
        assert!(alone.contains("more than one row"), "{sql}: {alone}");
        let error = cluster.ask(sql).await.map(|(answer, _)| answer).unwrap_err().to_string();
        assert!(error.contains("more than one row"), "{sql}: {error}");
    }
    for sql in [
        "SELECT count(*), sum(patch_sum(patch)) FROM t WHERE y > (SELECT y FROM u WHERE x = 3 AND y = 20)",
        "SELECT count(*), sum(patch_sum(patch)) FROM t WHERE y > (SELECT y FROM u WHERE y < 0)",
        "SELECT count(*), sum(patch_sum(patch)) FROM t WHERE y > (SELECT y FROM u ORDER BY y DESC LIMIT 1) - 100",
        "SELECT y, (SELECT max(x) FROM u WHERE u.y = t.y) AS most, count(patch) FROM t GROUP BY y ORDER BY y",
    ] {
        assert_eq!(cluster.ask(sql).await.unwrap().0, cluster.ask_alone(sql).await, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_that_changed_is_an_error() {
    let cluster = Cluster::start();
    let mask = cluster.folder.path().join("mask.npy");
    let write = |salt| super::write_npy(&mask, salt);
    write(1);
    let options = [("window", "16x16"), ("mask", mask.to_str().unwrap())];
    let scan = windrow::datafusion::scan_of(cluster.image.to_str().unwrap(), options).unwrap();
    for ctx in [&cluster.ctx, &cluster.alone] {
        ctx.register_table("masked", Arc::new(PatchTable::new(&scan).unwrap())).unwrap();
    }
    let sql = "SELECT count(*), sum(patch_sum(patch)) FROM masked WHERE patch[1][1] >= 0";
    let (answer, gathered) = cluster.ask(sql).await.unwrap();
    assert_eq!((answer, gathered), (cluster.ask_alone(sql).await, Some(scan.num_rows() as usize)));
    fail(&cluster, sql, || write(2)).await;
    let error = cluster.ask(sql).await.map(|(answer, _)| answer).unwrap_err().to_string();
    assert!(error.contains("chosen by what has changed") || error.contains("rows"), "{error}");
}

/// Nobody waits for an answer: the workers are there for the next who asks.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_may_be_killed() {
    let cluster = Cluster::start();
    let urls = cluster.workers.iter().map(|worker| worker.url.as_str()).collect::<Vec<_>>().join(",");
    let table = format!("t={},window=16x16", cluster.image.display());
    for wait in [50, 200, 500] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_windrow-distributed"));
        let mut asks = command.args(["sql", LONG, "--table", &table, "--workers", &urls]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        asks.kill().unwrap();
        asks.wait().unwrap();
        let sql = "SELECT count(*), sum(patch_sum(patch)) FROM t";
        assert_eq!(cluster.ask(sql).await.unwrap().0, cluster.ask_alone(sql).await);
    }
}
