//! The Parquet type of each Arrow type that a patch table has.

use std::sync::Arc;

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use super::texts::is_texts;
use crate::Error;

/// The Parquet schema; lists have the names that Arrow's own writers give them.
pub(super) fn schema(schema: &Schema) -> crate::Result<SchemaDescriptor> {
    for field in schema.fields().iter().filter(|field| !is_texts(field)) {
        refuse_unknown(field, field.data_type())?;
    }
    let build = || {
        let fields = schema.fields().iter().map(|field| of(field)).collect::<Result<Vec<_>>>()?;
        Type::group_type_builder("arrow_schema").with_fields(fields).build()
    };
    let root = build().map_err(|error| Error::argument("schema", error.to_string()))?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn refuse_unknown(field: &Field, of: &DataType) -> crate::Result<()> {
    match of {
        DataType::FixedSizeList(item, n) if *n > 0 => refuse_unknown(field, item.data_type()),
        DataType::Boolean | DataType::FixedSizeBinary(_) => Ok(()),
        of if of.is_integer() || of.is_floating() => Ok(()),
        of => {
            let message = format!("column {:?} is of type {of}, which no patch table has", field.name());
            Err(Error::argument("schema", message))
        }
    }
}

fn of(field: &Field) -> Result<TypePtr> {
    let repetition = if field.is_nullable() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    if let DataType::FixedSizeList(item, _) = field.data_type() {
        let list = Type::group_type_builder("list").with_fields(vec![of(item)?]).with_repetition(Repetition::REPEATED);
        let group = Type::group_type_builder(field.name()).with_fields(vec![Arc::new(list.build()?)]);
        let group = group.with_logical_type(Some(LogicalType::List)).with_repetition(repetition);
        return Ok(Arc::new(group.build()?));
    }
    let physical = match field.data_type() {
        DataType::Boolean => Physical::BOOLEAN,
        DataType::Float32 => Physical::FLOAT,
        DataType::Float64 => Physical::DOUBLE,
        DataType::Int64 | DataType::UInt64 => Physical::INT64,
        DataType::Dictionary(..) => Physical::BYTE_ARRAY,
        DataType::Float16 | DataType::FixedSizeBinary(_) => Physical::FIXED_LEN_BYTE_ARRAY,
        _ => Physical::INT32,
    };
    let logical = match field.data_type() {
        DataType::Dictionary(..) => Some(LogicalType::String),
        DataType::Float16 => Some(LogicalType::Float16),
        DataType::UInt8 => Some(LogicalType::integer(8, false)),
        DataType::UInt16 => Some(LogicalType::integer(16, false)),
        DataType::UInt32 => Some(LogicalType::integer(32, false)),
        DataType::UInt64 => Some(LogicalType::integer(64, false)),
        DataType::Int8 => Some(LogicalType::integer(8, true)),
        DataType::Int16 => Some(LogicalType::integer(16, true)),
        _ => None,
    };
    let length = match field.data_type() {
        DataType::Float16 => 2,
        DataType::FixedSizeBinary(n) => *n,
        _ => -1,
    };
    let leaf = Type::primitive_type_builder(field.name(), physical).with_logical_type(logical);
    Ok(Arc::new(leaf.with_length(length).with_repetition(repetition).build()?))
}

/// The metadata of the schema, and under `ARROW:schema` the schema itself, by which Arrow's readers give back the very
/// types: fixed-size lists, unsigned integers, the tensor's extension.
pub(super) fn metadata(schema: &Schema) -> Vec<KeyValue> {
    let mut tracker = DictionaryTracker::new(true);
    let options = IpcWriteOptions::default();
    let message = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let message = message.ipc_message;
    let bytes = [&[0xff; 4], &(message.len() as u32).to_le_bytes()[..], &message].concat();
    let arrow = KeyValue::new("ARROW:schema".to_owned(), BASE64_STANDARD.encode(bytes));
    let mut pairs: Vec<_> = schema.metadata.iter().collect();
    // A map has no order of its own, and the same table should give the same file.
    pairs.sort();
    let pairs = pairs.into_iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    pairs.chain([arrow]).collect()
}
