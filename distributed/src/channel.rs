//! Connections to workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{ChannelResolver, WorkerChannel};
use tonic::transport::Endpoint;
use url::Url;

const CONNECT: Duration = Duration::from_secs(10);

/// How often whoever is silent on the other end is asked whether it is there, and how long it may take to say so: a large
/// image may be decoded meanwhile.
pub(crate) const ASK: Duration = Duration::from_secs(20);
pub(crate) const SILENT: Duration = Duration::from_secs(60);

/// One connection a worker. It is made anew if it breaks, but what was on its way fails.
#[derive(Clone, Default)]
pub(crate) struct Channels(Arc<Mutex<HashMap<Url, BoxCloneSyncChannel>>>);

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        if let Some(channel) = held {
            return Ok(create_worker_client(channel));
        }
        let fail = |error: tonic::transport::Error| {
            let mut root: &dyn std::error::Error = &error;
            while let Some(source) = root.source() {
                root = source;
            }
            exec_datafusion_err!("worker {url}: can't connect: {root}")
        };
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(fail)?;
        let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
        let endpoint = endpoint.http2_keep_alive_interval(ASK).keep_alive_timeout(SILENT).keep_alive_while_idle(true);
        let channel = BoxCloneSyncChannel::new(endpoint.connect().await.map_err(fail)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone(), channel.clone());
        Ok(create_worker_client(channel))
    }
}
