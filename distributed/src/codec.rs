//! [`PatchCodec`]: leaves of plans as bytes.

use std::sync::Arc;

use datafusion::common::{internal_err, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalExprNode;
use prost::Message;
use windrow::datafusion::PatchExec;

/// Writes down the leaves of plans that gather windows, [`PatchExec`], and makes them again.
#[derive(Debug)]
pub struct PatchCodec;

/// A leaf.
#[derive(Clone, PartialEq, Message)]
struct Leaf {
    /// What is gathered, as JSON.
    #[prost(string, tag = "1")]
    patches: String,
    #[prost(message, optional, tag = "2")]
    predicate: Option<PhysicalExprNode>,
}

impl PhysicalExtensionCodec for PatchCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !inputs.is_empty() {
            return internal_err!("PatchExec has no children: got {}", inputs.len());
        }
        let leaf = Leaf::decode(bytes).map_err(|error| plan_datafusion_err!("a part of a query: {error}"))?;
        let exec = PatchExec::from_json(&leaf.patches)?;
        let context = PhysicalPlanDecodeContext::new(ctx, self);
        let predicate = leaf.predicate.as_ref();
        let predicate = predicate.map(|node| converter.proto_to_physical_expr(node, &exec.known(), &context));
        Ok(Arc::new(exec.with_predicate(predicate.transpose()?)))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(exec) = node.downcast_ref::<PatchExec>() else {
            return internal_err!("{} can't be sent to a worker", node.name());
        };
        let predicate = exec.predicate().map(|predicate| converter.physical_expr_to_proto(predicate, self));
        let leaf = Leaf { patches: exec.to_json()?, predicate: predicate.transpose()? };
        bytes.extend(leaf.encode_to_vec());
        Ok(())
    }
}
