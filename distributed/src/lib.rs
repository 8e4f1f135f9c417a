//! SQL over patches on several processes or machines: what `windrow sql` and [`windrow::datafusion`] do, with the work
//! dealt to workers by [`datafusion-distributed`](datafusion_distributed).
//!
//! A worker is the program `windrow-worker --listen 127.0.0.1:9431` ([`Worker`]); whoever asks has a [`session`] with
//! their addresses, or the program `windrow-distributed sql`.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let workers = windrow_distributed::workers("http://10.0.0.1:9431,http://10.0.0.2:9431")?;
//! let ctx = windrow_distributed::session(workers)?;
//! let sql = "SELECT avg(patch_std(patch)) FROM patches('/data/scene.tif', window => '8x8')";
//! ctx.sql(sql).await?.show().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is sent
//! A part of a query goes to a worker as a plan. What gathers windows in it is a value: the path of the image, the windows,
//! the filters, and the rows that this worker alone gathers. It opens the file itself, so each file must lie at the same
//! path on every worker. A file of another length or another time of its last write is an error; of a Zarr array only
//! the metadata are compared. No pixel is sent but in the answers of a part: aggregates are computed where the windows
//! are gathered.
//!
//! Parts are made of neighbouring rows, as [splits](windrow::PatchScan::splits) are. Tables of few rows (under 8 MiB of
//! dense patches, or 262,144 rows without pixels), and queries with an array in memory, stay in the process that asks.
//!
//! Rows that were chosen by pixels, as by a mask, are chosen anew by each worker, which has ten seconds to make its plan.
//!
//! # What goes wrong
//! A worker that can't be reached, ends or is silent for a minute makes the query fail; nothing is asked again. Workers
//! and whoever asks are of one version. They trust each other and everybody who reaches their port: a worker reads any
//! file that it is asked for, though it writes none, and nothing on the way is encrypted.

mod channel;
mod codec;
mod leaf;
mod planner;
mod scalar;
mod session;
mod worker;

pub use codec::PatchCodec;
pub use session::{session, session_with, workers};
pub use worker::Worker;
