//! The rows of one column: from levels and values to dense values of one shape.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescriptor, Type as TypeOf};

use super::Piece;
use crate::DType;

type Result<T, E = ParquetError> = std::result::Result<T, E>;

/// What a column is of.
#[derive(Clone, Debug)]
pub(super) struct Of {
    /// The type of a number; `None` for bytes.
    dtype: Option<DType>,
    max_def: i16,
    max_rep: i16,
    /// Whether a row may have no value.
    optional: bool,
}

impl Of {
    /// `None` for a column of something else.
    pub(super) fn new(column: &ColumnDescriptor, root: &TypeOf) -> Option<Self> {
        let dtype = match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
            (Type::BOOLEAN, ..) => Some(DType::Bool),
            (Type::FLOAT, ..) => Some(DType::F32),
            (Type::DOUBLE, ..) => Some(DType::F64),
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), _) => Some(DType::F16),
            (Type::FIXED_LEN_BYTE_ARRAY | Type::BYTE_ARRAY, None, ConvertedType::NONE) => None,
            (Type::INT32 | Type::INT64, Some(LogicalType::Integer(of)), _) => {
                Some(integer(of.bit_width, of.is_signed)?)
            }
            (Type::INT32, None, ConvertedType::NONE) => Some(DType::I32),
            (Type::INT64, None, ConvertedType::NONE) => Some(DType::I64),
            (Type::INT32 | Type::INT64, None, converted) => Some(match converted {
                ConvertedType::UINT_8 => DType::U8,
                ConvertedType::UINT_16 => DType::U16,
                ConvertedType::UINT_32 => DType::U32,
                ConvertedType::UINT_64 => DType::U64,
                ConvertedType::INT_8 => DType::I8,
                ConvertedType::INT_16 => DType::I16,
                ConvertedType::INT_32 => DType::I32,
                ConvertedType::INT_64 => DType::I64,
                _ => return None,
            }),
            _ => return None,
        };
        let (max_def, max_rep) = (column.max_def_level(), column.max_rep_level());
        Some(Self { dtype, max_def, max_rep, optional: root.is_optional() })
    }

    pub(super) fn is_integer(&self) -> bool {
        self.dtype.is_some_and(|dtype| !dtype.is_float() && dtype != DType::Bool)
    }

    pub(super) fn is_list(&self) -> bool {
        self.max_rep > 0
    }
}

fn integer(bits: i8, signed: bool) -> Option<DType> {
    Some(match (bits, signed) {
        (8, false) => DType::U8,
        (16, false) => DType::U16,
        (32, false) => DType::U32,
        (64, false) => DType::U64,
        (8, true) => DType::I8,
        (16, true) => DType::I16,
        (32, true) => DType::I32,
        (64, true) => DType::I64,
        _ => return None,
    })
}

/// The rows of a column of one row group.
pub(super) struct Cells {
    reader: ColumnReader,
    of: Of,
    levels: Levels,
    /// What the values before were like.
    form: Option<Form>,
}

#[derive(Default)]
struct Levels {
    def: Vec<i16>,
    rep: Vec<i16>,
}

/// A value of lists: the length of each, and the levels that it has by that.
struct Form {
    shape: Vec<u64>,
    rep: Vec<i16>,
}

impl Form {
    fn new(rep: &[i16], max_rep: i16) -> Result<Self, String> {
        // How many lists of each depth there are gives the length of those around them.
        let counts: Vec<_> = (0..=max_rep).map(|depth| rep.iter().filter(|&&r| r <= depth).count()).collect();
        let shape: Vec<_> = counts.windows(2).map(|pair| (pair[1] / pair[0]) as u64).collect();
        let level = |i: usize| (0..=max_rep).find(|&depth| i.is_multiple_of(rep.len() / counts[depth as usize]));
        let even = counts.windows(2).all(|pair| pair[1].is_multiple_of(pair[0]));
        if !even || (0..rep.len()).any(|i| level(i) != Some(rep[i])) {
            return Err("has a value of lists of different lengths".to_owned());
        }
        Ok(Self { shape, rep: rep.to_vec() })
    }
}

impl Cells {
    pub(super) fn new(reader: ColumnReader, of: Of) -> Self {
        Self { reader, of, levels: Levels::default(), form: None }
    }

    /// Reads so many rows, or as many as there are; the inner error says what is wrong with them.
    pub(super) fn read(&mut self, rows: usize) -> Result<Result<Piece, String>> {
        let (levels, of) = (&mut self.levels, &self.of);
        macro_rules! numbers {
            ($reader:expr, $($dtype:ident => $t:ty),*) => {{
                let (rows, values) = pull($reader, rows, levels)?;
                let bytes = match of.dtype {
                    // Narrow integers are stored as wide ones.
                    $(Some(DType::$dtype) => values.iter().flat_map(|&value| (value as $t).to_ne_bytes()).collect(),)*
                    _ => Vec::new(),
                };
                (rows, bytes)
            }};
        }
        let (rows, bytes) = match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => {
                let (rows, values) = pull(reader, rows, levels)?;
                (rows, values.into_iter().map(u8::from).collect())
            }
            ColumnReader::Int32ColumnReader(reader) => {
                numbers!(reader, U8 => u8, U16 => u16, U32 => u32, I8 => i8, I16 => i16, I32 => i32)
            }
            ColumnReader::Int64ColumnReader(reader) => numbers!(reader, U64 => u64, I64 => i64),
            ColumnReader::FloatColumnReader(reader) => numbers!(reader, F32 => f32),
            ColumnReader::DoubleColumnReader(reader) => numbers!(reader, F64 => f64),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                let (rows, values) = pull(reader, rows, levels)?;
                match joined(values.iter().map(|value| value.data())) {
                    Ok(bytes) => (rows, bytes),
                    Err(message) => return Ok(Err(message)),
                }
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                let (rows, values) = pull(reader, rows, levels)?;
                match joined(values.iter().map(|value| value.data())) {
                    Ok(bytes) => (rows, bytes),
                    Err(message) => return Ok(Err(message)),
                }
            }
            ColumnReader::Int96ColumnReader(_) => return Ok(Err("is of timestamps: expected numbers".to_owned())),
        };
        Ok(self.piece(rows, bytes))
    }

    /// Which rows have a value, and that all values are of one shape.
    fn piece(&mut self, rows: usize, bytes: Vec<u8>) -> Result<Piece, String> {
        let Of { dtype, max_def, max_rep, optional } = self.of;
        let Levels { def, rep } = &self.levels;
        if max_rep == 0 {
            let valid = if max_def == 0 { vec![true; rows] } else { def.iter().map(|&def| def == max_def).collect() };
            return Ok(Piece { rows, valid, dtype, shape: Vec::new(), bytes });
        }
        let mut valid = Vec::with_capacity(rows);
        let mut start = 0;
        while start < rep.len() {
            let end = rep[start + 1..].iter().position(|&rep| rep == 0).map_or(rep.len(), |n| start + 1 + n);
            let (row, def) = (&rep[start..end], &def[start..end]);
            start = end;
            if optional && def == [0] {
                valid.push(false);
                continue;
            }
            if def.iter().any(|&def| def != max_def) {
                return Err("has a null or an empty list within a value: expected null or a whole value".to_owned());
            }
            valid.push(true);
            match &self.form {
                None => self.form = Some(Form::new(row, max_rep)?),
                Some(form) if form.rep == row => {}
                Some(form) => {
                    let (first, n) = (form.rep.len(), row.len());
                    return Err(format!("has values of {first} and of {n} items: expected one shape for all windows"));
                }
            }
        }
        let shape = self.form.as_ref().map_or_else(Vec::new, |form| form.shape.clone());
        Ok(Piece { rows, valid, dtype, shape, bytes })
    }
}

/// Reads rows and their levels.
fn pull<T: DataType>(reader: &mut ColumnReaderImpl<T>, rows: usize, levels: &mut Levels) -> Result<(usize, Vec<T::T>)> {
    levels.def.clear();
    levels.rep.clear();
    let (mut values, mut read) = (Vec::new(), 0);
    while read < rows {
        // It stops at the end of a page now and then.
        let some = reader.read_records(rows - read, Some(&mut levels.def), Some(&mut levels.rep), &mut values)?;
        if some.0 == 0 {
            break;
        }
        read += some.0;
    }
    Ok((read, values))
}

/// Values of bytes, one behind the other.
fn joined<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, String> {
    let (mut bytes, mut length) = (Vec::new(), None);
    for value in values {
        let first = *length.get_or_insert(value.len());
        if value.len() != first {
            return Err(format!(
                "has values of {first} and of {} bytes: expected as many for each window",
                value.len()
            ));
        }
        bytes.extend_from_slice(value);
    }
    Ok(bytes)
}
