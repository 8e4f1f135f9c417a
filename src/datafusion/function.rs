//! `patches('scene.tif', window => '8x8', step => 2)`: a table of any image, in the middle of a query.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::{RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, TableFactor, UnaryOperator, Value,
};

use super::PatchTable;
use super::options::scan_of;

/// The name of the function.
pub(super) const NAME: &str = "patches";

/// The table function: the path of an image, and texts `name=value`; without a name the window, and then the step.
#[derive(Debug)]
pub(super) struct Patches;

impl TableFunctionImpl for Patches {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let texts = args.exprs().iter().map(text).collect::<Result<Vec<_>>>()?;
        let Some((image, options)) = texts.split_first() else {
            return plan_err!("{NAME}: expected an image and its windows: {NAME}('scene.tif', window => '8x8')");
        };
        let mut unnamed = ["window", "step"].into_iter();
        let mut named = Vec::with_capacity(options.len());
        for option in options {
            named.push(match option.split_once('=') {
                Some((name, value)) => (name, value),
                None => match unnamed.next() {
                    Some(name) => (name, option.as_str()),
                    None => return plan_err!("{NAME}: {option:?} has no name: expected name => value"),
                },
            });
        }
        Ok(Arc::new(PatchTable::new(&scan_of(image, named)?)?))
    }
}

/// A literal as a text.
fn text(expr: &Expr) -> Result<String> {
    match expr {
        Expr::Literal(value, _) if !value.is_null() => Ok(match value {
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
                text.clone()
            }
            other => other.to_string(),
        }),
        Expr::Negative(inner) => Ok(format!("-{}", text(inner)?)),
        other => plan_err!("{NAME}: {other} is not a literal"),
    }
}

/// DataFusion's own planner takes no named arguments of tables: they become texts `name=value`.
#[derive(Debug)]
pub(super) struct Named;

impl RelationPlanner for Named {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if let TableFactor::Table { name, args: Some(args), .. } = &mut relation
            && let [part] = &name.0[..]
            && part.as_ident().is_some_and(|ident| context.normalize_ident(ident.clone()) == NAME)
        {
            for arg in &mut args.args {
                if let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } = arg {
                    let text = format!("{}={}", name.value, written(value)?);
                    let value = Value::SingleQuotedString(text).with_empty_span();
                    *arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Value(value)));
                }
            }
        }
        Ok(RelationPlanning::Original(Box::new(relation)))
    }
}

/// A literal of SQL as a text.
fn written(expr: &SqlExpr) -> Result<String> {
    match expr {
        SqlExpr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Ok(text.clone()),
            Value::Number(number, _) => Ok(number.to_string()),
            Value::Boolean(value) => Ok(value.to_string()),
            other => plan_err!("{NAME}: {other} is neither a text nor a number, true or false"),
        },
        SqlExpr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(format!("-{}", written(expr)?)),
        other => plan_err!("{NAME}: {other} is not a literal"),
    }
}
