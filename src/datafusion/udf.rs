//! What a patch needs and SQL has not: its mean, spread and extremes, without unnesting it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, PrimitiveArray, UInt8Array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

/// Every function.
pub(super) fn all() -> impl Iterator<Item = ScalarUDF> {
    [What::Mean, What::Std, What::Sum, What::Min, What::Max, What::Quantile]
        .into_iter()
        .map(PatchFunction::new)
        .map(Into::into)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Mean,
    Std,
    Sum,
    Min,
    Max,
    Quantile,
}

/// A function of the pixels of a patch that are not null; null if all are. NaN where a pixel is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PatchFunction {
    what: What,
    signature: Signature,
}

impl PatchFunction {
    fn new(what: What) -> Self {
        let arguments = if what == What::Quantile { 2 } else { 1 };
        Self { what, signature: Signature::any(arguments, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PatchFunction {
    fn name(&self) -> &str {
        match self.what {
            What::Mean => "patch_mean",
            What::Std => "patch_std",
            What::Sum => "patch_sum",
            What::Min => "patch_min",
            What::Max => "patch_max",
            What::Quantile => "patch_quantile",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some(pixel) = pixel(&types[0]) else {
            return plan_err!(
                "{}: expected patches, nested lists of a fixed size with numbers in them, not {} (layout binary does not \
                 say what its bytes are)",
                self.name(),
                types[0]
            );
        };
        Ok(match (self.what, pixel) {
            // A bit is a number here.
            (What::Min | What::Max, DataType::Boolean) => DataType::UInt8,
            (What::Min | What::Max, pixel) => pixel.clone(),
            _ => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let patches = args.args[0].to_array(args.number_rows)?;
        let share = match args.args.get(1) {
            None => 0.0,
            Some(ColumnarValue::Scalar(value)) => match value.cast_to(&DataType::Float64)? {
                ScalarValue::Float64(Some(share)) if (0.0..=1.0).contains(&share) => share,
                _ => return exec_err!("{}: {value} is not a share from 0 to 1", self.name()),
            },
            Some(ColumnarValue::Array(_)) => {
                return exec_err!("{}: expected one share for all patches, a literal from 0 to 1", self.name());
            }
        };
        let Some(leaf) = Pixels::of(patches.as_ref()) else {
            return exec_err!("{}: expected patches, not {}", self.name(), patches.data_type());
        };
        let made: ArrayRef = match leaf.values.data_type() {
            DataType::Boolean => {
                let bits: &BooleanArray = leaf.values.as_boolean();
                let bytes = UInt8Array::new(bits.values().iter().map(u8::from).collect(), bits.nulls().cloned());
                leaf.apply::<UInt8Type>(&bytes, self.what, share, f64::from)
            }
            DataType::UInt8 => leaf.primitive::<UInt8Type>(self.what, share, f64::from),
            DataType::UInt16 => leaf.primitive::<UInt16Type>(self.what, share, f64::from),
            DataType::UInt32 => leaf.primitive::<UInt32Type>(self.what, share, f64::from),
            DataType::UInt64 => leaf.primitive::<UInt64Type>(self.what, share, |n| n as f64),
            DataType::Int8 => leaf.primitive::<Int8Type>(self.what, share, f64::from),
            DataType::Int16 => leaf.primitive::<Int16Type>(self.what, share, f64::from),
            DataType::Int32 => leaf.primitive::<Int32Type>(self.what, share, f64::from),
            DataType::Int64 => leaf.primitive::<Int64Type>(self.what, share, |n| n as f64),
            DataType::Float16 => leaf.primitive::<Float16Type>(self.what, share, |n| n.to_f64()),
            DataType::Float32 => leaf.primitive::<Float32Type>(self.what, share, f64::from),
            DataType::Float64 => leaf.primitive::<Float64Type>(self.what, share, |n| n),
            other => return exec_err!("{}: expected numbers in the patches, not {other}", self.name()),
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// The type of the pixels in nested lists of a fixed size.
fn pixel(patch: &DataType) -> Option<&DataType> {
    match patch {
        DataType::FixedSizeList(field, _) => match field.data_type() {
            inner @ DataType::FixedSizeList(..) => pixel(inner),
            DataType::Boolean => Some(field.data_type()),
            number if number.is_numeric() && !matches!(number, DataType::Decimal128(..) | DataType::Decimal256(..)) => {
                Some(number)
            }
            _ => None,
        },
        _ => None,
    }
}

/// All pixels of some patches, one patch after the other.
struct Pixels {
    values: ArrayRef,
    /// Pixels of a patch.
    cells: usize,
    rows: usize,
    /// Which patches are there.
    there: Option<NullBuffer>,
}

impl Pixels {
    fn of(patches: &dyn Array) -> Option<Self> {
        let mut list = patches.as_fixed_size_list_opt()?;
        let (rows, there) = (list.len(), list.nulls().cloned());
        let mut cells = list.value_length() as usize;
        while let Some(inner) = list.values().as_fixed_size_list_opt() {
            list = inner;
            cells *= list.value_length() as usize;
        }
        Some(Self { values: list.values().clone(), cells, rows, there })
    }

    fn primitive<P: ArrowPrimitiveType>(&self, what: What, share: f64, number: impl Fn(P::Native) -> f64) -> ArrayRef
    where
        P::Native: PartialOrd,
    {
        self.apply::<P>(self.values.as_primitive::<P>(), what, share, number)
    }

    fn apply<P: ArrowPrimitiveType>(
        &self,
        values: &PrimitiveArray<P>,
        what: What,
        share: f64,
        number: impl Fn(P::Native) -> f64,
    ) -> ArrayRef
    where
        P::Native: PartialOrd,
    {
        let mut some = Vec::with_capacity(self.cells);
        let mut numbers = |row: usize, f: &mut dyn FnMut(&[P::Native])| -> bool {
            if self.there.as_ref().is_some_and(|there| there.is_null(row)) {
                return false;
            }
            let pixels = row * self.cells..(row + 1) * self.cells;
            match values.nulls() {
                None => f(&values.values()[pixels]),
                Some(nulls) => {
                    some.clear();
                    some.extend(pixels.filter(|&i| nulls.is_valid(i)).map(|i| values.values()[i]));
                    f(&some);
                }
            }
            true
        };
        if matches!(what, What::Min | What::Max) {
            let extreme = |row: usize| {
                let mut found = None;
                numbers(row, &mut |pixels| found = extreme(pixels, what == What::Max));
                found
            };
            return Arc::new((0..self.rows).map(extreme).collect::<PrimitiveArray<P>>());
        }
        let mut sorted = Vec::new();
        let of_row = |row: usize| {
            let mut made = None;
            numbers(row, &mut |pixels| {
                let count = pixels.len() as f64;
                if pixels.is_empty() {
                    return;
                }
                let sum = || sum_of(pixels, &number);
                made = Some(match what {
                    What::Sum => sum(),
                    What::Mean => sum() / count,
                    What::Std => {
                        let mean = sum() / count;
                        let square = |n| (number(n) - mean) * (number(n) - mean);
                        (sum_of(pixels, square) / count).sqrt()
                    }
                    _ => {
                        sorted.clear();
                        sorted.extend(pixels.iter().map(|&n| number(n)));
                        quantile(&mut sorted, share)
                    }
                });
            });
            made
        };
        Arc::new((0..self.rows).map(of_row).collect::<Float64Array>())
    }
}

/// The sum of a number of each, by several at a time: additions one after the other would wait for each other.
fn sum_of<T: Copy>(pixels: &[T], number: impl Fn(T) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let eights = pixels.chunks_exact(sums.len());
    let rest: f64 = eights.remainder().iter().map(|&n| number(n)).sum();
    for eight in eights {
        for (sum, &n) in sums.iter_mut().zip(eight) {
            *sum += number(n);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The least or the greatest, or what is not equal to itself; nothing of nothing.
#[expect(clippy::eq_op, reason = "NaN is told by it, and integers have none")]
fn extreme<T: PartialOrd + Copy>(pixels: &[T], greatest: bool) -> Option<T> {
    let first = *pixels.first()?;
    Some(pixels.iter().fold(first, |best, &pixel| {
        let better = if greatest { pixel > best } else { pixel < best };
        if best == best && (better || pixel != pixel) { pixel } else { best }
    }))
}

/// The number below which this share of them lies, between two of them as numpy's `linear` has it.
fn quantile(numbers: &mut [f64], share: f64) -> f64 {
    if numbers.iter().any(|n| n.is_nan()) {
        return f64::NAN;
    }
    let place = share * (numbers.len() - 1) as f64;
    let (_, &mut low, above) = numbers.select_nth_unstable_by(place as usize, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * place.fract()
}
