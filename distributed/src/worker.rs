//! Whoever gathers.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::common::plan_err;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion_distributed::{
    DistributedExt, WorkerPlanRewriteEvent, WorkerPlanRewriteEventResponse, WorkerQueryContext,
};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use windrow::{Error, ErrorKind, Result};

use crate::channel::{ASK, Channels, SILENT};
use crate::codec::PatchCodec;
use crate::scalar;

/// The most bytes of a plan: what comes is held in memory before anybody looks at it.
const MOST_BYTES: usize = 64 << 20;

/// A worker that has its port, and serves nobody yet.
///
/// ```no_run
/// # async fn run() -> windrow::Result<()> {
/// let worker = windrow_distributed::Worker::bind("127.0.0.1:0".parse().unwrap(), Default::default()).await?;
/// println!("{}", worker.url());
/// worker.serve(std::future::pending()).await
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    listener: TcpListener,
    address: SocketAddr,
    runtime: Arc<RuntimeEnv>,
}

impl Worker {
    /// Takes a port, or with port 0 a free one. Queries take their memory from `runtime`.
    ///
    /// # Errors
    /// If the port is taken or not allowed.
    pub async fn bind(address: SocketAddr, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        let fail = |error| Error::from(ErrorKind::Io { name: address.to_string(), action: "listen on", error });
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { listener, address, runtime })
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `stop` is done, and what has begun by then to its end.
    ///
    /// # Errors
    /// If the port is lost.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let channels = Channels::default();
        let build = move |context: WorkerQueryContext| {
            let channels = channels.clone();
            async move {
                let builder = context.builder.with_distributed_user_codec(PatchCodec);
                let builder = builder.with_distributed_worker_plan_rewrite_handler(reads_only);
                let mut state: SessionState = builder.with_distributed_channel_resolver(channels).build();
                for function in windrow::datafusion::functions().chain([scalar::function()]) {
                    state.register_udf(Arc::new(function))?;
                }
                Ok::<_, DataFusionError>(state)
            }
        };
        let worker = datafusion_distributed::Worker::from_session_builder(build)
            .with_runtime_env(self.runtime)
            .with_version(env!("CARGO_PKG_VERSION"));
        let name = self.address.to_string();
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let service = worker.into_worker_server().max_decoding_message_size(MOST_BYTES);
        // Whoever asked may be gone without a word.
        let mut server = Server::builder().http2_keepalive_interval(Some(ASK)).http2_keepalive_timeout(Some(SILENT));
        let served = server.add_service(service);
        served.serve_with_incoming_shutdown(incoming, stop).await.map_err(|error| {
            let error = std::io::Error::other(error);
            Error::from(ErrorKind::Io { name, action: "serve", error })
        })
    }
}

/// Refuses plans that write files: whoever asks writes.
fn reads_only(event: WorkerPlanRewriteEvent<'_>) -> datafusion::error::Result<WorkerPlanRewriteEventResponse> {
    if event.plan.exists(|node| Ok(node.is::<DataSinkExec>()))? {
        return plan_err!("a worker writes no files");
    }
    Ok(WorkerPlanRewriteEventResponse::new(event.plan))
}
