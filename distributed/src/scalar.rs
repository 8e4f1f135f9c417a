//! Subqueries that stand for one value. Planned for workers they are joins, in which several rows would be several answers
//! and no error; here they are the error that they are in one process.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Subquery, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;

/// Makes of `(SELECT a FROM t)` the value of its only row: `(SELECT one_row(count(*), first_value(a)) FROM t)`.
#[derive(Debug)]
pub(crate) struct OneRow;

impl AnalyzerRule for OneRow {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| plan.map_expressions(|expr| expr.transform_up(one)))
            .map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        NAME
    }
}

fn one(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
    let plan = &subquery.subquery;
    // Of those that ask for columns around them DataFusion takes aggregates alone.
    let is_one = !subquery.outer_ref_columns.is_empty() || plan.max_rows().is_some_and(|rows| rows < 2);
    if is_one || plan.schema().fields().len() != 1 {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let column = Column::from(plan.schema().qualified_field(0));
    let name = column.name.clone();
    let both = [count(lit(1)), first_value(Expr::Column(column), Vec::new())];
    let made = LogicalPlanBuilder::from(plan.as_ref().clone()).aggregate(Vec::<Expr>::new(), both)?;
    let columns = made.schema().columns().into_iter().map(Expr::Column).collect();
    let made = made.project([function().call(columns).alias(name)])?.build()?;
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: made.into(), ..subquery })))
}

const NAME: &str = "one_row";

/// `one_row(count, value)`: the value, unless it is one of several.
pub(crate) fn function() -> ScalarUDF {
    ScalarUDF::from(Only(Signature::any(2, Volatility::Immutable)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Only(Signature);

impl ScalarUDFImpl for Only {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Int64, value] => Ok(value.clone()),
            _ => plan_err!("{NAME}: expected a count and a value"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let counts = args.args[0].to_array(args.number_rows)?;
        if counts.as_primitive::<Int64Type>().iter().flatten().any(|count| count > 1) {
            return exec_err!("Scalar subquery returned more than one row");
        }
        Ok(args.args.remove(1))
    }
}
