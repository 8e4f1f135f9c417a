//! Whatever comes to the port of a worker, it is there for the next who asks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{
    ExecuteTaskRequest, MaybeEncoded, ProducerHead, SetPlanRequest, TaskKey, get_distributed_channel_resolver,
};
use futures::StreamExt;
use url::Url;

use super::Cluster;

type Plan = MaybeEncoded<Arc<dyn ExecutionPlan>>;

/// Gives a worker a plan, as whoever asks does, and reads what its first partition has.
async fn run(cluster: &Cluster, number: usize, plan: Plan) -> Result<usize> {
    let task = cluster.ctx.task_ctx();
    let url = Url::parse(&cluster.workers[0].url).unwrap();
    let mut client = get_distributed_channel_resolver(task.as_ref()).get_worker_client_for_url(&url).await?;
    let task_key = TaskKey { query_id: Default::default(), stage_id: number, task_number: 0 };
    let request = SetPlanRequest {
        task_key,
        task_count: 1,
        plan,
        work_unit_feed_declarations: Vec::new(),
        target_worker_url: url,
        query_start_time_ns: 0,
    };
    let open = futures::stream::pending().boxed();
    let held = client.coordinator_channel(Default::default(), request, open, Default::default(), &task).await?;
    let request = ExecuteTaskRequest {
        task_key,
        target_partition_start: 0,
        target_partition_end: 1,
        producer_head: ProducerHead::None,
    };
    let mut rows = 0;
    for mut stream in client.execute_task(Default::default(), request, Default::default(), &task).await? {
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows();
        }
    }
    drop(held);
    Ok(rows)
}

/// The plan of this process alone.
async fn plan(cluster: &Cluster, sql: &str) -> Arc<dyn ExecutionPlan> {
    cluster.alone.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

async fn still_answers(cluster: &Cluster) {
    let sql = "SELECT count(*), sum(patch_sum(patch)) FROM t";
    assert_eq!(cluster.ask(sql).await.unwrap().0, cluster.ask_alone(sql).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_writes_no_files() {
    let cluster = Cluster::start();
    let path = cluster.folder.path().join("written.parquet");
    for (number, ending) in ["parquet", "csv", "json"].into_iter().enumerate() {
        let path = path.with_extension(ending);
        let plan = plan(&cluster, &format!("COPY (SELECT 1 AS one) TO '{}'", path.display())).await;
        let error = run(&cluster, number, MaybeEncoded::Decoded(plan)).await.unwrap_err().to_string();
        assert!(error.contains("a worker writes no files"), "{error}");
        assert!(!path.exists());
    }
    still_answers(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_left() {
    let cluster = Cluster::start();
    let address = cluster.workers[0].url.trim_start_matches("http://");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // A request whose one message says that it has 4 GiB, and frames that are none.
    let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        noise.clone(),
        preface.to_vec(),
        [&preface[..], &noise].concat(),
        [&preface[..], b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat(),
        [&preface[..], b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x04\0\0\0\x01\x83\x86\x84\x41\x8a"].concat(),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // It may hang up before it has read all of it.
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0; 1000]);
    }
    // Many who say nothing.
    let _silent: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    still_answers(&cluster).await;
}
