//! Object stores: a bucket of S3, or of anything that speaks its language; and what servers of HTTP give, to be read.
//! Sources read from them, and sinks write to them.
//!
//! Credentials come from the environment's usual places alone (`AWS_ACCESS_KEY_ID`, a web identity, the machine's own
//! role), or are the query of an address that somebody has signed, and stand in no error.

use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use crate::source::without_query;
use crate::{Error, Result};

/// What an address in a bucket begins with.
const SCHEME: &str = "s3://";

/// Bytes of a read.
pub(crate) const PART_BYTES: usize = 8 << 20;

/// A place in a bucket: an object, or what the names of objects begin with.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) root: Key,
    /// As the user named it, for messages.
    pub(crate) name: PathBuf,
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
        let bad = |message: &str| Error::format(without_query(path).display().to_string(), message);
        let address = path.to_str().unwrap_or_default();
        let Some((scheme, rest)) = HTTP.iter().find_map(|scheme| Some((scheme, address.strip_prefix(scheme)?))) else {
            return match is_address(path) {
                true => Self::s3(path, &bad),
                false => Err(bad("expected s3://bucket/name, https://host/name or http://host/name")),
            };
        };
        // A query goes with every request, as it stands.
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, name) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || rest.contains('#') || query.contains('#') {
            return Err(bad("expected https://host/name"));
        }
        let root = Key::from_url_path(name.trim_end_matches('/'))
            .map_err(|_| bad("its name has a part that no object may have"))?;
        let store = object_store::http::HttpBuilder::new()
            .with_url(if query.is_empty() { format!("{scheme}{host}") } else { format!("{scheme}{host}/?{query}") })
            .with_client_options(object_store::ClientOptions::new().with_allow_http(*scheme == "http://"))
            .with_retry(Self::retry())
            .build()
            .map_err(|error| Error::io(&without_query(path), "open", plain(error)))?;
        Ok(Self { store: Arc::new(store), root, name: without_query(path) })
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
    pub(crate) fn key(&self, file: &str) -> Key {
        file.split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), |key, part| key.join(part))
    }

    pub(crate) fn name(&self, file: &str) -> PathBuf {
        if file.is_empty() { self.name.clone() } else { self.name.join(file) }
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

/// Where requests are made: threads of their own, so that nobody who waits keeps them from going on.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let start = || Builder::new_multi_thread().worker_threads(2).thread_name("object store").enable_all().build();
    RUNTIME.get_or_init(start).as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

/// Starts a request.
pub(crate) fn started<T: Send + 'static>(
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
pub(crate) fn wait<T: Send + 'static>(
    request: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<T> {
    started(request)?.recv().map_err(|_| lost())?.map_err(plain)
}

pub(crate) fn lost() -> io::Error {
    io::Error::other("a request ended without an answer")
}

/// An error of the store in one line, and without what must not be seen.
pub(crate) fn plain(error: object_store::Error) -> io::Error {
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
            let text = other.to_string();
            // The query of an address may be a signature.
            let word = |word: &'_ str| match word.split_once('?') {
                Some((address, _)) if address.contains("://") => format!("{address}?…"),
                _ => word.to_owned(),
            };
            let mut text = text.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
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
    use super::*;

    #[test]
    fn addresses() {
        assert!(is_address(Path::new("s3://b/c")) && !is_address(Path::new("b/s3://c")));
        for bad in ["s3://", "s3:///a", "s3://b", "s3://b/", "s3://b/a//c"] {
            assert!(Bucket::open(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(Bucket::open(Path::new("s3://b/c/d/")).unwrap().key("e").to_string(), "c/d/e");
    }

    #[test]
    fn a_signature_is_sent_and_not_shown() {
        let address = Path::new("https://host/a/b.tif?X-Amz-Signature=s%2Fcret&b");
        let bucket = Bucket::to_read(address).unwrap();
        assert_eq!((bucket.name("").to_str(), bucket.key("").as_ref()), (Some("https://host/a/b.tif"), "a/b.tif"));
        assert_eq!(without_query(Path::new("what?.tif")), Path::new("what?.tif"));
        for bad in ["https://?s", "https://host/a?s#f", "https://host/a//b?s"] {
            let message = Bucket::to_read(Path::new(bad)).unwrap_err().to_string();
            assert!(!message.contains("?s") && message.contains("https://"), "{message}");
        }
        let source = "GET https://host/a?X-Amz-Signature=secret failed".into();
        let text = plain(object_store::Error::Generic { store: "HTTP", source }).to_string();
        assert!(text.contains("https://host/a?… failed") && !text.contains("secret"), "{text}");
    }
}
