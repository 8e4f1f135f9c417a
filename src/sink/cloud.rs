//! Objects in a bucket that are being written.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::Target;
use crate::bucket::{Bucket, PART_BYTES, lost, plain, started, wait};
use crate::{Error, Result};

/// An upload may have 10,000 parts: after each of so many they are twice as large.
const PARTS_OF_A_SIZE: usize = 1000;

/// Parts that are on their way while the next one is filled.
const PARTS_AHEAD: usize = 2;

/// A new object; it appears when it is committed. A `new` one is refused if there is one by then.
pub(crate) fn create(bucket: &Bucket, file: &str, new: bool) -> Upload {
    let (store, key, name) = (bucket.store.clone(), bucket.key(file), bucket.name(file));
    Upload { store, key, name, new, part: Vec::new(), parts: 0, bytes: 0, upload: None, sent: VecDeque::new() }
}

/// An object in the making. Dropped before it is committed, it is taken back.
pub(crate) struct Upload {
    store: Arc<dyn ObjectStore>,
    key: Key,
    name: PathBuf,
    new: bool,
    /// What is not sent yet.
    part: Vec<u8>,
    parts: usize,
    bytes: u64,
    /// `None` as long as it may still be sent at once.
    upload: Option<Box<dyn MultipartUpload>>,
    sent: VecDeque<Receiver<object_store::Result<()>>>,
}

impl Upload {
    /// Bytes of the part that is filled.
    fn part_bytes(&self) -> usize {
        PART_BYTES << (self.parts / PARTS_OF_A_SIZE)
    }

    /// Sends the part, and waits until not too many are on their way.
    fn send(&mut self) -> io::Result<()> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let (store, key) = (self.store.clone(), self.key.clone());
                self.upload.insert(wait(async move { store.put_multipart(&key).await })?)
            }
        };
        let part = upload.put_part(PutPayload::from(std::mem::take(&mut self.part)));
        self.sent.push_back(started(part)?);
        self.parts += 1;
        while self.sent.len() > PARTS_AHEAD {
            self.arrived()?;
        }
        Ok(())
    }

    /// Waits for the oldest part.
    fn arrived(&mut self) -> io::Result<()> {
        let Some(sent) = self.sent.pop_front() else { return Ok(()) };
        sent.recv().map_err(|_| lost())?.map_err(plain)
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.upload.is_none() {
            let (store, key, part) = (self.store.clone(), self.key.clone(), std::mem::take(&mut self.part));
            let mode = if self.new { PutMode::Create } else { PutMode::Overwrite };
            let options = PutOptions { mode, ..Default::default() };
            return wait(async move { store.put_opts(&key, PutPayload::from(part), options).await.map(|_| ()) });
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        while !self.sent.is_empty() {
            self.arrived()?;
        }
        let Some(mut upload) = self.upload.take() else { return Err(lost()) };
        // What can't be completed is taken back: its parts would lie there unseen, and be paid for.
        let (done, back) = wait(async move {
            let done = upload.complete().await;
            Ok((done, upload))
        })?;
        done.map(|_| ()).map_err(|error| {
            self.upload = Some(back);
            plain(error)
        })
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.part_bytes() - self.part.len();
        let taken = bytes.len().min(room);
        self.part.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        if self.part.len() == self.part_bytes() {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Upload {
    fn commit(mut self: Box<Self>) -> Result<u64> {
        self.finish().map_err(|error| Error::io(&self.name, "write", error))?;
        Ok(self.bytes)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        while !self.sent.is_empty() {
            // Whether it arrived no longer counts.
            let _ = self.arrived();
        }
        let _ = wait(async move { upload.abort().await });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    fn bucket() -> Bucket {
        Bucket { store: Arc::new(InMemory::new()), root: Key::from("a/b"), name: "s3://bucket/a/b".into() }
    }

    fn content(bucket: &Bucket, file: &str) -> Vec<u8> {
        let mut content = Vec::new();
        bucket.object(file).unwrap().unwrap().from(0).read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn objects_appear_whole_or_not_at_all() {
        let bucket = bucket();
        for bytes in [0, 10, PART_BYTES, 3 * PART_BYTES + 17] {
            let data: Vec<u8> = (0..bytes).map(|i| ((i * 31) >> 5) as u8).collect();
            let mut upload = Box::new(create(&bucket, "part", false));
            upload.write_all(&data).unwrap();
            drop(upload);
            assert!(bucket.object("part").unwrap().is_none() && bucket.list().unwrap().is_empty());
            let mut upload = Box::new(create(&bucket, "part", false));
            upload.write_all(&data).unwrap();
            assert_eq!(upload.commit().unwrap(), bytes as u64);
            assert!(content(&bucket, "part") == data);
            assert_eq!(bucket.list().unwrap(), ["part"]);
            let object = bucket.object("part").unwrap().unwrap();
            assert_eq!(object.len(), bytes as u64);
            if bytes > 3 {
                assert_eq!(object.range(1..3).unwrap()[..], data[1..3]);
            }
            let (store, key) = (bucket.store.clone(), bucket.key("part"));
            wait(async move { store.delete(&key).await }).unwrap();
        }
    }

    #[test]
    fn what_is_to_be_new_replaces_nothing() {
        let bucket = bucket();
        Box::new(create(&bucket, "m", true)).commit().unwrap();
        let error = Box::new(create(&bucket, "m", true)).commit().unwrap_err().to_string();
        assert_eq!(error, "s3://bucket/a/b/m: cannot write: another export has just begun there");
        Box::new(create(&bucket, "m", false)).commit().unwrap();
    }
}
