//! `patch[1][1]`: a pixel of each patch. DataFusion's own way to it makes lists of lists of other sizes, for every line of
//! every patch; where it goes by literals to a pixel, this is what is done instead.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt64Array, new_null_array};
use arrow_schema::DataType;
use arrow_select::take::take;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What `a[i]` is called after it was parsed.
const ELEMENT: &str = "array_element";

/// `patch_pixel(patch, i, j)` is `patch[i][j]`: places are literals, from 1, or from the end if they are negative. Null
/// where there is no such place.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PatchPixel(Signature);

impl PatchPixel {
    pub(super) fn new() -> Self {
        Self(Signature::variadic_any(Volatility::Immutable))
    }
}

/// What lists in lists hold, so deep.
fn within(mut list: &DataType, depth: usize) -> Option<&DataType> {
    for _ in 0..depth {
        let DataType::FixedSizeList(field, _) = list else { return None };
        list = field.data_type();
    }
    Some(list)
}

impl ScalarUDFImpl for PatchPixel {
    fn name(&self) -> &str {
        "patch_pixel"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [list, places @ ..] if !places.is_empty() => match within(list, places.len()) {
                Some(element) => Ok(element.clone()),
                None => plan_err!("{}: {list} has fewer axes than {}", self.name(), places.len()),
            },
            _ => plan_err!("{}: expected a patch, and a place on each of its axes", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let places = args.args[1..].iter().map(|place| match place {
            ColumnarValue::Scalar(place) => match place.cast_to(&DataType::Int64)? {
                ScalarValue::Int64(place) => Ok(place),
                other => exec_err!("{}: {other} is not a place", self.name()),
            },
            ColumnarValue::Array(_) => exec_err!("{}: expected literals for places", self.name()),
        });
        let places = places.collect::<Result<Vec<_>>>()?;
        let patches = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(pixels(patches, &places)?))
    }
}

/// The element of each list that is at this place on each axis.
fn pixels(patches: ArrayRef, places: &[Option<i64>]) -> Result<ArrayRef> {
    let Some(element) = within(patches.data_type(), places.len()).cloned() else {
        return exec_err!("patch_pixel: {} has fewer axes than {}", patches.data_type(), places.len());
    };
    let (rows, mut lists) = (patches.len(), patches);
    // Where the element of the first row is, and from there those of the next rows.
    let (mut first, mut step) = (0, 1);
    let mut nulls = Vec::new();
    for place in places {
        let Some(list) = lists.as_fixed_size_list_opt() else {
            return exec_err!("patch_pixel: expected lists of a fixed size, not {}", lists.data_type());
        };
        nulls.extend(list.nulls().cloned().map(|nulls| (nulls, first, step)));
        let len = i64::from(list.value_length());
        let place = place.map(|place| if place < 0 { place.saturating_add(len) } else { place - 1 });
        let Some(place) = place.filter(|place| (0..len).contains(place)) else {
            return Ok(new_null_array(&element, rows));
        };
        (first, step) = (first * len as usize + place as usize, step * len as usize);
        lists = list.values().clone();
    }
    let at = |row: usize| (first + row * step) as u64;
    let indices: UInt64Array = match nulls.is_empty() {
        true => (0..rows).map(at).collect::<Vec<_>>().into(),
        false => {
            let there = |row: usize| nulls.iter().all(|(nulls, first, step)| nulls.is_valid(first + row * step));
            (0..rows).map(|row| there(row).then(|| at(row))).collect()
        }
    };
    Ok(take(lists.as_ref(), &indices, None)?)
}

/// Makes `patch_pixel` of what goes to a single element of lists of a fixed size.
#[derive(Debug)]
pub(super) struct Straight;

impl FunctionRewrite for Straight {
    fn name(&self) -> &str {
        "patch_pixel"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let (mut places, mut list) = (Vec::new(), &expr);
        while let Expr::ScalarFunction(ScalarFunction { func, args }) = list
            && func.name() == ELEMENT
            && let [inner, place @ Expr::Literal(ScalarValue::Int64(Some(_)), _)] = &args[..]
        {
            places.push(place.clone());
            list = inner;
        }
        if places.is_empty() {
            return Ok(Transformed::no(expr));
        }
        match list.get_type(schema) {
            Ok(of) if within(&of, places.len()).is_some_and(|element| !element.is_nested()) => {}
            _ => return Ok(Transformed::no(expr)),
        }
        let args = std::iter::once(list.clone()).chain(places.into_iter().rev()).collect();
        let udf = Arc::new(ScalarUDF::from(PatchPixel::new()));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(udf, args))))
    }
}
