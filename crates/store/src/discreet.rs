//! A store whose errors hold no secrets.
//!
//! The errors of remote stores repeat the request's URL, whose query may be a signature, and the server's answer, which
//! may repeat all that it was asked. Here each passes [`Secrets::hide`] where it leaves the store, so that no place above
//! can forget to. Which kind of error it is stays as it was.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::secret::Secrets;

/// A store, and what it must not say.
#[derive(Debug)]
pub(crate) struct Discreet<S> {
    inner: S,
    secrets: Secrets,
}

impl<S: fmt::Display> fmt::Display for Discreet<S> {
    /// As the store itself, which names its bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secrets.hide(&self.inner.to_string()))
    }
}

impl<S> Discreet<S> {
    pub(crate) fn new(inner: S, secrets: Secrets) -> Discreet<S> {
        Discreet { inner, secrets }
    }
}

/// The same error, with a text that holds no secrets as its only cause.
pub(crate) fn discreet(secrets: &Secrets, error: Error) -> Error {
    let source = |error: &dyn std::error::Error| secrets.hide(&error.to_string()).into_owned().into();
    let hide = |text: String| secrets.hide(&text).into_owned();
    match error {
        Error::NotFound { path, source: cause } => Error::NotFound { path: hide(path), source: source(&*cause) },
        Error::AlreadyExists { path, source: cause } => {
            Error::AlreadyExists { path: hide(path), source: source(&*cause) }
        }
        Error::Precondition { path, source: cause } => {
            Error::Precondition { path: hide(path), source: source(&*cause) }
        }
        Error::NotModified { path, source: cause } => Error::NotModified { path: hide(path), source: source(&*cause) },
        Error::PermissionDenied { path, source: cause } => {
            Error::PermissionDenied { path: hide(path), source: source(&*cause) }
        }
        Error::Unauthenticated { path, source: cause } => {
            Error::Unauthenticated { path: hide(path), source: source(&*cause) }
        }
        Error::NotSupported { source: cause } => Error::NotSupported { source: source(&*cause) },
        Error::Generic { store, source: cause } => Error::Generic { store, source: source(&*cause) },
        // These, and any that there may be one day, are told apart by nobody here.
        other => Error::Generic { store: "store", source: source(&other) },
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Discreet<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await.map_err(|e| discreet(&self.secrets, e))
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // Nothing is written in parts; whoever begins to must see to what their errors say.
        Err(Error::NotImplemented { operation: "put_multipart".to_owned(), implementer: self.to_string() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.inner.get_opts(location, options).await.map_err(|e| discreet(&self.secrets, e))?;
        found.payload = match found.payload {
            GetResultPayload::Stream(body) => {
                let secrets = self.secrets.clone();
                GetResultPayload::Stream(body.map(move |part| part.map_err(|e| discreet(&secrets, e))).boxed())
            }
            other => other,
        };
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await.map_err(|e| discreet(&self.secrets, e))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let secrets = self.secrets.clone();
        self.inner.delete_stream(locations).map(move |one| one.map_err(|e| discreet(&secrets, e))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let secrets = self.secrets.clone();
        self.inner.list(prefix).map(move |one| one.map_err(|e| discreet(&secrets, e))).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let secrets = self.secrets.clone();
        self.inner.list_with_offset(prefix, offset).map(move |one| one.map_err(|e| discreet(&secrets, e))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await.map_err(|e| discreet(&self.secrets, e))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await.map_err(|e| discreet(&self.secrets, e))
    }
}
