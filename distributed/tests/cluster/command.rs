//! The two programs, as they are typed.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::{Cluster, WINDOWS, WorkerProcess};

fn ask(cluster: &Cluster, args: &[&str]) -> Output {
    let urls = cluster.workers.iter().map(|worker| worker.url.as_str()).collect::<Vec<_>>().join(",");
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrow-distributed"));
    command.current_dir(cluster.folder.path()).arg("sql").args(args).args(["--workers", &urls]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn prints_and_writes_answers() {
    let cluster = Cluster::start();
    let table = format!("t={},window=16x16", cluster.image.display());
    let sql = "SELECT count(*) AS n, sum(patch_sum(patch)) > 0 AS some FROM t";
    let output = ask(&cluster, &[sql, "--table", &table]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("{:>6}  some\n{WINDOWS}  true\n", "n"));
    let sql = "SELECT y, x, patch_mean(patch) AS mean FROM t WHERE y % 2 = 0";
    let output = ask(&cluster, &[sql, "--table", &table, "-o", "even.parquet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with(&format!("even.parquet: {} rows", 193 * 485)), "{}", text(&output.stderr));
    let output = ask(&cluster, &["SELECT count(*) AS n, sum(y) AS y FROM e", "--table", "e=even.parquet"]);
    assert_eq!(text(&output.stdout).split_whitespace().collect::<Vec<_>>(), ["n", "y", "93605", "17972160"]);
    let copy = "COPY (SELECT y, patch_sum(patch) AS s FROM t) TO 'copied.parquet'";
    let output = ask(&cluster, &[copy, "--table", &table]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&WINDOWS.to_string()), "{}", text(&output.stdout));
}

#[test]
fn says_what_is_wrong() {
    let cluster = Cluster::start();
    let output = ask(&cluster, &["SELECT 1 FROM t", "--table", "t=none.npy,window=8x8"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).starts_with("windrow-distributed: none.npy: cannot open: "),
        "{}",
        text(&output.stderr)
    );
    let output = ask(&cluster, &["SELECT nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nonsense"), "{}", text(&output.stderr));
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrow-distributed"));
    let output = command.args(["sql", "SELECT 1", "--workers", "somewhere"]).output().unwrap();
    let expected = "windrow-distributed: --workers: \"somewhere\": expected addresses such as http://127.0.0.1:9431\n";
    assert_eq!(text(&output.stderr), expected);
}

#[test]
fn help_has_examples() {
    for program in [env!("CARGO_BIN_EXE_windrow-distributed"), env!("CARGO_BIN_EXE_windrow-worker")] {
        let output = Command::new(program).arg("--help").output().unwrap();
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Examples:\n  windrow-"), "{}", text(&output.stdout));
    }
}

#[test]
fn a_taken_port_is_an_error() {
    let worker = WorkerProcess::start();
    let address = worker.url.trim_start_matches("http://");
    let output = Command::new(env!("CARGO_BIN_EXE_windrow-worker")).args(["--listen", address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.starts_with(&format!("windrow-worker: {address}: cannot listen on: Address already in use")),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn ends_when_it_is_asked_to() {
    for signal in ["TERM", "INT"] {
        let mut worker = WorkerProcess::start();
        let start = Instant::now();
        let sent = Command::new("kill").args(["-s", signal, &worker.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(worker.child.wait().unwrap().code(), Some(0), "SIG{signal}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
