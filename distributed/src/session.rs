//! Whoever asks.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_distributed::{DistributedExt, SessionStateBuilderExt, WorkerResolver};
use url::Url;
use windrow::ErrorKind;
use windrow::datafusion::Unordered;

use crate::channel::Channels;
use crate::codec::PatchCodec;
use crate::leaf;
use crate::planner::Planner;
use crate::scalar;

/// A session whose queries are dealt to the workers at these addresses, with the table function `patches` and the
/// functions of patches. Nobody is asked yet whether they are there.
///
/// ```
/// let ctx = windrow_distributed::session(windrow_distributed::workers("http://127.0.0.1:9431")?)?;
/// # let _ = ctx;
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
///
/// # Errors
/// If the session's state can't be made.
pub fn session(workers: impl IntoIterator<Item = Url>) -> Result<SessionContext> {
    let ctx = session_with(windrow::datafusion::config(), Arc::default(), workers);
    windrow::datafusion::register(&ctx)?;
    Ok(ctx)
}

/// A session of this configuration, and with this memory in this process. It has none of the functions of patches yet:
/// [`register`](windrow::datafusion::register) brings them.
///
/// Every worker reads a table in as many partitions as the configuration has; there are two at least, since a query of
/// one partition is not dealt to anybody.
pub fn session_with(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    workers: impl IntoIterator<Item = Url>,
) -> SessionContext {
    let partitions = config.target_partitions().max(2);
    let mut workers: Vec<_> = workers.into_iter().collect();
    // What one task can do is not sent to anybody, and so a worker alone gets two.
    if let [only] = &workers[..] {
        workers.push(only.clone());
    }
    let state = SessionStateBuilder::new()
        .with_config(config.with_target_partitions(partitions).with_extension(Arc::new(Unordered)))
        .with_runtime_env(runtime)
        .with_default_features()
        .with_distributed_worker_resolver(Workers(workers))
        .with_distributed_channel_resolver(Channels::default())
        .with_distributed_user_codec(PatchCodec)
        .with_distributed_desired_task_count_handler(leaf::wanted)
        .with_distributed_scale_up_leaf_node_handler(leaf::deal)
        .with_distributed_planner()
        .with_analyzer_rule(Arc::new(scalar::OneRow))
        .build();
    let planner = Arc::new(Planner(state.query_planner().clone()));
    SessionContext::new_with_state(SessionStateBuilder::new_from_existing(state).with_query_planner(planner).build())
}

/// Addresses of workers as a text: `http://127.0.0.1:9431,http://127.0.0.1:9432`.
///
/// ```
/// assert_eq!(windrow_distributed::workers("http://a:1, http://b:2")?.len(), 2);
/// assert!(windrow_distributed::workers("a:1").is_err());
/// # Ok::<(), windrow::Error>(())
/// ```
///
/// # Errors
/// If there is none, one is no address of HTTP, or one comes twice.
pub fn workers(text: &str) -> windrow::Result<Vec<Url>> {
    let mut urls = Vec::new();
    for part in text.split(',').map(str::trim) {
        let refuse = |message: &str| -> windrow::Result<_> {
            Err(ErrorKind::Argument { name: "workers", message: format!("{part:?}: {message}") }.into())
        };
        let url = match Url::parse(part) {
            Ok(url) if url.scheme() == "http" && url.has_host() => url,
            Ok(_) | Err(_) => return refuse("expected addresses such as http://127.0.0.1:9431"),
        };
        if url.port().is_none() {
            return refuse("no port: expected addresses such as http://127.0.0.1:9431");
        }
        if urls.contains(&url) {
            return refuse("given twice");
        }
        urls.push(url);
    }
    Ok(urls)
}

struct Workers(Vec<Url>);

impl WorkerResolver for Workers {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.0.clone())
    }
}
