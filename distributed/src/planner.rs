//! What is planned for workers, and what for this process alone.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use windrow::datafusion::PatchExec;

/// Plans for workers, unless the query has what can't be sent to them: then it stays here.
#[derive(Debug)]
pub(crate) struct Planner(pub(crate) Arc<dyn QueryPlanner + Send + Sync>);

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, query: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.0.create_physical_plan(query, session).await?;
        let stays =
            |node: &Arc<dyn ExecutionPlan>| Ok(node.downcast_ref::<PatchExec>().is_some_and(|exec| !exec.travels()));
        match plan.exists(stays)? {
            true => DefaultPhysicalPlanner::default().create_physical_plan(query, session).await,
            false => Ok(plan),
        }
    }
}
