//! Messages one behind the other, as a stream or a file: batches are compressed on rayon's pool and written in order.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow_ipc::{Block, CompressionType, FooterBuilder, MetadataVersion};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use flatbuffers::FlatBufferBuilder;

use super::encode::{ALIGNMENT, Encoder};
use crate::jobs::Job;
use crate::sink::Compression;
use crate::sink::codec::{Compressors, Lz4};

/// What a file begins and ends with.
const MAGIC: &[u8; 6] = b"ARROW1";

/// What a stream of messages ends with.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// More batches ahead take memory and bring nothing.
const MOST_AHEAD: usize = 16;

/// Batches that are compressed while the next one is made.
pub(super) fn batches_ahead() -> usize {
    rayon::current_num_threads().min(MOST_AHEAD)
}

/// A stream or file in the making.
pub(super) struct Writer<W> {
    out: W,
    schema: SchemaRef,
    options: IpcWriteOptions,
    encoder: Arc<Encoder>,
    /// Batches in the making, the oldest first.
    jobs: VecDeque<Job<EncodedData>>,
    /// Where the batches of a file are; `None` for a stream.
    blocks: Option<Vec<Block>>,
    /// Bytes written.
    at: usize,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(
        mut out: W,
        schema: &SchemaRef,
        compression: Compression,
        codec: CompressionType,
        file: bool,
    ) -> Result<Self, ArrowError> {
        let mut at = 0;
        if file {
            let mut magic = [0; ALIGNMENT];
            magic[..MAGIC.len()].copy_from_slice(MAGIC);
            out.write_all(&magic)?;
            at = magic.len();
        }
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
        let (head, _) = write_message(&mut out, message(schema, &options), &options)?;
        let compressors = Compressors::new(compression, Lz4::Frame, schema);
        let encoder = Arc::new(Encoder { compressors, codec });
        let blocks = file.then(Vec::new);
        Ok(Self { out, schema: schema.clone(), options, encoder, jobs: VecDeque::new(), blocks, at: at + head })
    }

    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<(), ArrowError> {
        let encoder = self.encoder.clone();
        self.jobs.push_back(Job::spawn(move || encoder.encode(&batch)));
        while self.jobs.len() > batches_ahead() {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Writes the oldest batch.
    fn write_batch(&mut self) -> Result<(), ArrowError> {
        let Some(job) = self.jobs.pop_front() else { return Ok(()) };
        let (head, body) = write_message(&mut self.out, job.wait()?, &self.options)?;
        if let Some(blocks) = &mut self.blocks {
            blocks.push(Block::new(self.at as i64, head as i32, body as i64));
        }
        self.at += head + body;
        Ok(())
    }

    /// Writes all that is left, and gives back what it was written to.
    pub(super) fn finish(mut self) -> Result<W, ArrowError> {
        while !self.jobs.is_empty() {
            self.write_batch()?;
        }
        self.out.write_all(&END)?;
        if let Some(blocks) = &self.blocks {
            let footer = footer(&self.schema, blocks);
            self.out.write_all(&footer)?;
            self.out.write_all(&(footer.len() as i32).to_le_bytes())?;
            self.out.write_all(MAGIC)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The message that says the schema.
fn message(schema: &Schema, options: &IpcWriteOptions) -> EncodedData {
    let mut tracker = DictionaryTracker::new(true);
    IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, options)
}

/// What stands at the end of a file: the schema, and where the batches are.
fn footer(schema: &Schema, blocks: &[Block]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let dictionaries = builder.create_vector::<Block>(&[]);
    let blocks = builder.create_vector(blocks);
    let mut tracker = DictionaryTracker::new(true);
    let schema =
        IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb_offset(&mut builder, schema);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(blocks);
    let root = footer.finish();
    builder.finish(root, None);
    builder.finished_data().to_vec()
}
