//! Object stores: a bucket of S3, or of anything that speaks its language; and what servers of HTTP give, to be read.
//!
//! Credentials come from the environment's usual places alone (`AWS_ACCESS_KEY_ID`, a web identity, the machine's own
//! role), and stand in no error.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};

use super::Target;
use crate::{Error, Result};

/// What an address in a bucket begins with.
const SCHEME: &str = "s3://";

/// Bytes of a part of an upload, and of a read.
const PART_BYTES: usize = 8 << 20;

/// An upload may have 10,000 parts: after each of so many they are twice as large.
const PARTS_OF_A_SIZE: usize = 1000;

/// Parts that are on their way while the next one is filled.
const PARTS_AHEAD: usize = 2;

/// A place in a bucket: an object, or what the names of objects begin with.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    root: Key,
    /// As the user named it, for messages.
    name: PathBuf,
}

/// What an address of a server begins with.
const HTTP: [&str; 2] = ["https://", "http://"];

/// Whether a target is the address of an object, rather than a file.
pub(crate) fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(SCHEME))
}

impl Bucket {
    /// What an address stands for. Nothing is asked of the store yet.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::s3(path, &|message| Error::argument("output", format!("{}: {message}", path.display())))
    }

    /// What an address stands for that is only read from: a bucket, or a server of HTTP.
    pub(crate) fn to_read(path: &Path) -> Result<Self> {
        let bad = |message: &str| Error::format(path.display().to_string(), message);
        let address = path.to_str().unwrap_or_default();
        let Some((scheme, rest)) = HTTP.iter().find_map(|scheme| Some((scheme, address.strip_prefix(scheme)?))) else {
            return match is_address(path) {
                true => Self::s3(path, &bad),
                false => Err(bad("expected s3://bucket/name, https://host/name or http://host/name")),
            };
        };
        let (host, name) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || name.contains(['?', '#']) {
            return Err(bad("expected https://host/name, without a query"));
        }
        let root = Key::from_url_path(name.trim_end_matches('/'))
            .map_err(|_| bad("its name has a part that no object may have"))?;
        let store = object_store::http::HttpBuilder::new()
            .with_url(format!("{scheme}{host}"))
            .with_client_options(object_store::ClientOptions::new().with_allow_http(*scheme == "http://"))
            .with_retry(Self::retry())
            .build()
            .map_err(|error| Error::io(path, "open", plain(error)))?;
        Ok(Self { store: Arc::new(store), root, name: path.to_owned() })
    }

    fn retry() -> RetryConfig {
        RetryConfig { max_retries: 6, retry_timeout: Duration::from_secs(60), ..Default::default() }
    }

    fn s3(path: &Path, bad: &dyn Fn(&str) -> Error) -> Result<Self> {
        let address = path.to_str().and_then(|path| path.strip_prefix(SCHEME)).unwrap_or_default();
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        if bucket.is_empty() || key.trim_matches('/').is_empty() {
            return Err(bad("expected s3://bucket/name"));
        }
        let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(Self::retry());
        let root =
            Key::parse(key.trim_end_matches('/')).map_err(|_| bad("its name has a part that no object may have"))?;
        let store = builder.build().map_err(|error| Error::io(path, "open", plain(error)))?;
        Ok(Self { store: Arc::new(store), root, name: path.to_owned() })
    }

    /// The key of an object in here; the place itself is the object if `file` is empty.
    fn key(&self, file: &str) -> Key {
        file.split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), |key, part| key.join(part))
    }

    pub(crate) fn name(&self, file: &str) -> PathBuf {
        if file.is_empty() { self.name.clone() } else { self.name.join(file) }
    }

    /// A new object; it appears when it is committed. A `new` one is refused if there is one by then.
    pub(crate) fn create(&self, file: &str, new: bool) -> Upload {
        let (store, key, name) = (self.store.clone(), self.key(file), self.name(file));
        Upload { store, key, name, new, part: Vec::new(), parts: 0, bytes: 0, upload: None, sent: VecDeque::new() }
    }

    /// An object to be read; `None` if it is not there.
    pub(crate) fn object(&self, file: &str) -> Result<Option<Object>> {
        let (store, key) = (self.store.clone(), self.key(file));
        let wanted = key.clone();
        match wait(async move { store.head(&wanted).await }) {
            Ok(head) => Ok(Some(Object { store: self.store.clone(), key, bytes: head.size })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&self.name(file), "read", error)),
        }
    }

    /// Asks for some bytes of an object, or for as many of them as there are.
    pub(crate) fn part(&self, file: &str, range: Range<u64>) -> io::Result<Requested> {
        let (store, key) = (self.store.clone(), self.key(file));
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..Default::default() };
        let request = async move {
            let got = store.get_opts(&key, options).await?;
            let version = Version::of(&got.meta);
            got.bytes().await.map(|bytes| Part { version, bytes })
        };
        started(request).map(Requested)
    }

    /// Which version of an object is there now.
    pub(crate) fn version(&self, file: &str) -> io::Result<Version> {
        let (store, key) = (self.store.clone(), self.key(file));
        wait(async move { store.head(&key).await }).map(|meta| Version::of(&meta))
    }

    /// An object as a whole, if it is there; `most` is asked before memory is taken.
    #[cfg(feature = "zarr")]
    pub(crate) fn content(&self, file: &str, most: u64) -> Result<Option<Bytes>> {
        let (store, key) = (self.store.clone(), self.key(file));
        let request = async move {
            let got = store.get(&key).await?;
            let bytes = got.meta.size;
            if bytes > most { Ok(Err(bytes)) } else { got.bytes().await.map(Ok) }
        };
        match wait(request) {
            Ok(Ok(content)) => Ok(Some(content)),
            Ok(Err(bytes)) => {
                let message = format!("it has {bytes} bytes: expected at most {most}");
                Err(Error::format(self.name(file).display().to_string(), message))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&self.name(file), "read", error)),
        }
    }

    /// The names of what looks like folders in a folder in here. A server of HTTP may have no list.
    #[cfg(feature = "zarr")]
    pub(crate) fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let (store, root) = (self.store.clone(), self.key(folder));
        let found = wait(async move { store.list_with_delimiter(Some(&root)).await });
        let found = found.map_err(|error| Error::io(&self.name, "list", error))?;
        Ok(found.common_prefixes.iter().filter_map(|prefix| prefix.filename().map(str::to_owned)).collect())
    }

    /// Removes an object, if it is there.
    pub(crate) fn remove(&self, file: &str) -> Result<()> {
        let (store, key) = (self.store.clone(), self.key(file));
        match wait(async move { store.delete(&key).await }) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&self.name(file), "remove", error)),
            _ => Ok(()),
        }
    }

    /// The names of the objects directly in here.
    pub(crate) fn list(&self) -> Result<Vec<String>> {
        let (store, root) = (self.store.clone(), self.root.clone());
        let found = wait(async move { store.list_with_delimiter(Some(&root)).await });
        let found = found.map_err(|error| Error::io(&self.name, "list", error))?;
        Ok(found.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }
}

/// What tells that an object is another one than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) bytes: u64,
    tag: Option<String>,
    /// In milliseconds; what a store does not say is 0.
    modified: i64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {:?} of {} ms", self.tag.as_deref().unwrap_or_default(), self.modified)
    }
}

impl Version {
    fn of(meta: &object_store::ObjectMeta) -> Self {
        Self { bytes: meta.size, tag: meta.e_tag.clone(), modified: meta.last_modified.timestamp_millis() }
    }
}

/// Some bytes of an object, and of which version of it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) version: Version,
    pub(crate) bytes: Bytes,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Requested(Receiver<object_store::Result<Part>>);

impl Requested {
    pub(crate) fn wait(self) -> io::Result<Part> {
        self.0.recv().map_err(|_| lost())?.map_err(plain)
    }
}

/// An object that is there.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    store: Arc<dyn ObjectStore>,
    key: Key,
    bytes: u64,
}

impl Object {
    pub(crate) fn len(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move { store.get_range(&key, range).await })
    }

    /// All of it from some place on.
    pub(crate) fn from(&self, at: u64) -> impl Read + Send + use<> {
        Reading { object: self.clone(), at, have: Bytes::new() }
    }
}

/// Reads an object piece by piece.
struct Reading {
    object: Object,
    at: u64,
    have: Bytes,
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.have.is_empty() {
            let end = self.object.bytes.min(self.at.saturating_add(PART_BYTES as u64));
            if self.at >= end {
                return Ok(0);
            }
            self.have = self.object.range(self.at..end)?;
            self.at += self.have.len() as u64;
        }
        let bytes = out.len().min(self.have.len());
        out[..bytes].copy_from_slice(&self.have.split_to(bytes));
        Ok(bytes)
    }
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

/// Where requests are made: threads of their own, so that nobody who waits keeps them from going on.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let start = || Builder::new_multi_thread().worker_threads(2).thread_name("object store").enable_all().build();
    RUNTIME.get_or_init(start).as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

/// Starts a request.
fn started<T: Send + 'static>(
    request: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<Receiver<object_store::Result<T>>> {
    let (sender, receiver) = sync_channel(1);
    runtime()?.spawn(async move {
        // Whoever gave up no longer listens.
        let _ = sender.send(request.await);
    });
    Ok(receiver)
}

/// Makes a request and waits for its answer.
fn wait<T: Send + 'static>(request: impl Future<Output = object_store::Result<T>> + Send + 'static) -> io::Result<T> {
    started(request)?.recv().map_err(|_| lost())?.map_err(plain)
}

fn lost() -> io::Error {
    io::Error::other("a request ended without an answer")
}

/// An error of the store in one line, and without what must not be seen.
fn plain(error: object_store::Error) -> io::Error {
    use object_store::Error as Store;
    match error {
        Store::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, "no such bucket or object"),
        // What the store says then may name the key.
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            let message = "the store refuses these credentials (AWS_ACCESS_KEY_ID, … of the environment)";
            io::Error::new(io::ErrorKind::PermissionDenied, message)
        }
        Store::AlreadyExists { .. } | Store::Precondition { .. } => {
            io::Error::new(io::ErrorKind::AlreadyExists, "another export has just begun there")
        }
        other => {
            let mut text = other.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            // What a server answers that only knows whole files.
            if ["non-partial response", "Range request not supported"].iter().any(|says| text.contains(says)) {
                text = "the server gives files as a whole, and no parts of them: download the file first".to_owned();
            }
            for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
                if let Some(secret) = std::env::var(name).ok().filter(|secret| !secret.is_empty()) {
                    text = text.replace(&secret, "…");
                }
            }
            io::Error::other(text)
        }
    }
}

#[cfg(test)]
mod tests {
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
            let mut upload = Box::new(bucket.create("part", false));
            upload.write_all(&data).unwrap();
            drop(upload);
            assert!(bucket.object("part").unwrap().is_none() && bucket.list().unwrap().is_empty());
            let mut upload = Box::new(bucket.create("part", false));
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
        Box::new(bucket.create("m", true)).commit().unwrap();
        let error = Box::new(bucket.create("m", true)).commit().unwrap_err().to_string();
        assert_eq!(error, "s3://bucket/a/b/m: cannot write: another export has just begun there");
        Box::new(bucket.create("m", false)).commit().unwrap();
    }

    #[test]
    fn addresses() {
        assert!(is_address(Path::new("s3://b/c")) && !is_address(Path::new("b/s3://c")));
        for bad in ["s3://", "s3:///a", "s3://b", "s3://b/", "s3://b/a//c"] {
            assert!(Bucket::open(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(Bucket::open(Path::new("s3://b/c/d/")).unwrap().key("e").to_string(), "c/d/e");
    }
}
