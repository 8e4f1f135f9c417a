//! How a table is dealt to workers.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedLeafExec, ScaleUpLeafNodeEvent,
    ScaleUpLeafNodeEventResponse,
};
use windrow::datafusion::PatchExec;

/// So many batches are worth a worker: each is 2 MiB of patches, or 65,536 rows without.
const WORTH: u64 = 4;

/// How many workers a table is worth.
pub(crate) fn wanted(event: DesiredTaskCountEvent) -> Option<Result<DesiredTaskCountEventResponse>> {
    let exec = event.plan.downcast_ref::<PatchExec>()?;
    Some(Ok(match exec.travels() {
        true => {
            DesiredTaskCountEventResponse::desired(usize::try_from(exec.work() / WORTH).unwrap_or(usize::MAX).max(1))
        }
        false => DesiredTaskCountEventResponse::maximum(1),
    }))
}

/// The part of each task. Without it, each would gather all rows.
pub(crate) fn deal(event: ScaleUpLeafNodeEvent) -> Option<Result<ScaleUpLeafNodeEventResponse>> {
    let exec = event.plan.downcast_ref::<PatchExec>()?;
    if event.task_count == 1 {
        return None;
    }
    let parts = || -> Result<_> {
        let parts = exec.parts(event.task_count, event.session_config.target_partitions())?;
        let parts = parts.into_iter().map(|part| Arc::new(part) as Arc<dyn ExecutionPlan>);
        let leaf = DistributedLeafExec::try_new(event.plan.clone(), parts)?;
        Ok(ScaleUpLeafNodeEventResponse::new(Arc::new(leaf)))
    };
    Some(parts())
}
