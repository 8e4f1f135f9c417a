//! A record batch as a message: what the library's own writer makes, with buffers that are compressed by our codecs.

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_ipc::writer::EncodedData;
use arrow_ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, Buffer as Place, CompressionType, FieldNode, MessageBuilder,
    MessageHeader, MetadataVersion, RecordBatchBuilder,
};
use arrow_schema::{DataType, Schema};
use flatbuffers::FlatBufferBuilder;

use crate::sink::codec::{self, Compressors, Holds};
use crate::{Error, Result};

/// What the bytes of buffers are aligned to, as the library does it.
pub(super) const ALIGNMENT: usize = 64;

/// Says of a buffer that it is not compressed.
const RAW: i64 = -1;

/// Makes messages.
pub(super) struct Encoder {
    pub(super) compressors: Compressors,
    pub(super) codec: CompressionType,
}

/// A buffer, and what it holds.
type Part = (Buffer, Holds);

/// Whether all columns are of types that are encoded here: those of patch tables.
pub(super) fn is_known(schema: &Schema) -> bool {
    fn known(of: &DataType) -> bool {
        match of {
            DataType::FixedSizeList(item, _) => known(item.data_type()),
            DataType::Boolean | DataType::FixedSizeBinary(_) => true,
            of => of.is_integer() || of.is_floating(),
        }
    }
    schema.fields().iter().all(|field| known(field.data_type()))
}

impl Encoder {
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<EncodedData> {
        let (mut nodes, mut parts) = (Vec::new(), Vec::new());
        for column in batch.columns() {
            let holds = match column.data_type() {
                DataType::FixedSizeList(..) | DataType::FixedSizeBinary(_) => Holds::Patches(codec::Place::default()),
                DataType::Int64 | DataType::UInt64 => Holds::Numbers,
                _ => Holds::Other,
            };
            collect(&column.to_data(), holds, &mut nodes, &mut parts);
        }
        let (mut body, mut places) = (Vec::new(), Vec::with_capacity(parts.len()));
        for part in &parts {
            let start = body.len();
            self.append(part, &mut body)?;
            places.push(Place::new(start as i64, (body.len() - start) as i64));
            body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
        }
        let ipc_message = self.message(batch.num_rows(), &nodes, &places, body.len());
        Ok(EncodedData { ipc_message, arrow_data: body })
    }

    /// Appends a buffer: the length that it has, and what the codec made of it.
    fn append(&self, (buffer, holds): &Part, body: &mut Vec<u8>) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let fail = |error| Error::io(std::path::Path::new("a buffer"), "compress", error);
        match self.compressors.compress(buffer, *holds).map_err(fail)? {
            Some(compressed) if compressed.len() < buffer.len() => {
                body.extend_from_slice(&(buffer.len() as i64).to_le_bytes());
                body.extend_from_slice(&compressed);
            }
            _ => {
                body.extend_from_slice(&RAW.to_le_bytes());
                body.extend_from_slice(buffer);
            }
        }
        Ok(())
    }

    fn message(&self, rows: usize, nodes: &[FieldNode], places: &[Place], body: usize) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let nodes = builder.create_vector(nodes);
        let buffers = builder.create_vector(places);
        let mut compression = BodyCompressionBuilder::new(&mut builder);
        compression.add_method(BodyCompressionMethod::BUFFER);
        compression.add_codec(self.codec);
        let compression = compression.finish();
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        batch.add_compression(compression);
        let batch = batch.finish().as_union_value();
        let mut message = MessageBuilder::new(&mut builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::RecordBatch);
        message.add_bodyLength(body as i64);
        message.add_header(batch);
        let root = message.finish();
        builder.finish(root, None);
        builder.finished_data().to_vec()
    }
}

/// The nodes and buffers of a column, parents first.
fn collect(data: &ArrayData, holds: Holds, nodes: &mut Vec<FieldNode>, parts: &mut Vec<Part>) {
    nodes.push(FieldNode::new(data.len() as i64, data.null_count() as i64));
    let nulls = data.nulls().filter(|nulls| nulls.null_count() > 0);
    parts.push((nulls.map_or_else(|| Buffer::from([]), |nulls| nulls.inner().sliced()), Holds::Other));
    let bytes = |width: usize| data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width);
    match data.data_type() {
        DataType::FixedSizeList(_, n) => {
            let n = *n as usize;
            collect(&data.child_data()[0].slice(data.offset() * n, data.len() * n), holds, nodes, parts);
        }
        DataType::Boolean => parts.push((data.buffers()[0].bit_slice(data.offset(), data.len()), Holds::Other)),
        DataType::FixedSizeBinary(n) => parts.push((bytes(*n as usize), holds)),
        other => parts.push((bytes(other.primitive_width().unwrap_or(1)), holds)),
    }
}
