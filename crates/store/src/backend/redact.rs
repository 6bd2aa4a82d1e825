//! A store whose errors hold no secrets, and whose panics are errors.
//!
//! The errors of remote stores repeat the request's URL, whose query may hold a signature, and the server's answer, which may repeat
//! the whole request. Here each error passes through [`Secrets::hide`] when it leaves the store, so that no code above can forget
//! that. The kind of an error does not change.
//!
//! The clients panic on some settings and answers that they consider impossible. A request that panics fails like one without an
//! answer.

use std::fmt;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::backend::cause;
use crate::backend::foreign_names::skip_foreign_names;
use crate::backend::secrets::Secrets;

/// A store, and the secrets that its errors must not hold.
#[derive(Debug)]
pub(crate) struct Redacted<S> {
    inner: Arc<S>,
    secrets: Secrets,
    /// The same store, where it can list by prefixes of names.
    pages: Option<Pages>,
}

#[derive(Clone)]
struct Pages(Arc<dyn PaginatedListStore>);

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

impl<S: fmt::Display> fmt::Display for Redacted<S> {
    /// As the store itself, which names its bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secrets.hide(&self.inner.to_string()))
    }
}

impl<S> Redacted<S> {
    pub(crate) fn new(inner: S, secrets: Secrets) -> Redacted<S> {
        Redacted { inner: Arc::new(inner), secrets, pages: None }
    }

    /// The same store, whose listings skip foreign names.
    pub(crate) fn skipping_foreign_names(self) -> Redacted<S>
    where
        S: PaginatedListStore,
    {
        Redacted { pages: Some(Pages(Arc::clone(&self.inner) as _)), ..self }
    }

    fn without_foreign_names(
        &self,
        listing: BoxStream<'static, Result<ObjectMeta>>,
        folder: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match (&self.pages, folder) {
            (Some(Pages(pages)), Some(folder)) => skip_foreign_names(listing, Arc::clone(pages), folder),
            _ => listing,
        }
    }

    /// Awaits a request.
    async fn ask<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = AssertUnwindSafe(request).catch_unwind().await;
        answer.unwrap_or_else(|_| Err(panicked())).map_err(|e| redacted(&self.secrets, e))
    }

    /// Awaits the items of a request, one by one.
    fn each<T: Send + 'static>(&self, items: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let secrets = self.secrets.clone();
        let items = AssertUnwindSafe(items).catch_unwind();
        items.map(move |one| one.unwrap_or_else(|_| Err(panicked())).map_err(|e| redacted(&secrets, e))).boxed()
    }
}

fn panicked() -> Error {
    Error::Generic { store: "store", source: "the client of the store panicked".into() }
}

/// The same error, with a text that holds no secrets as its only cause.
pub(crate) fn redacted(secrets: &Secrets, error: Error) -> Error {
    let source = |error: &dyn std::error::Error| secrets.hide(&cause::in_full(error)).into_owned().into();
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
        // No caller distinguishes these, or kinds that may be added later.
        other => Error::Generic { store: "store", source: source(&other) },
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ObjectStore> ObjectStore for Redacted<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.ask(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // No caller writes in parts. If one ever does, the errors of the upload must be redacted too.
        Err(Error::NotImplemented { operation: "put_multipart".to_owned(), implementer: self.to_string() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.ask(self.inner.get_opts(location, options)).await?;
        found.payload = match found.payload {
            GetResultPayload::Stream(body) => GetResultPayload::Stream(self.each(body)),
            other => other,
        };
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.ask(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.each(self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.each(self.without_foreign_names(self.inner.list(prefix), prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let after = offset.clone();
        let listed = self.without_foreign_names(self.inner.list_with_offset(prefix, offset), prefix);
        // A repeated listing begins with the first object of the folder.
        self.each(listed.try_filter(move |meta| std::future::ready(meta.location > after)).boxed())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.ask(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.ask(self.inner.rename_opts(from, to, options)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn a_client_that_panics_has_failed() {
        let store = Redacted::new(InMemory::new(), Secrets::default());
        let panics = || -> Result<()> { panic!("no such port") };
        let error = block_on(store.ask(async { panics() })).unwrap_err();
        assert!(matches!(error, Error::Generic { .. }) && error.to_string().contains("panicked"), "{error}");
        let items = stream::iter([1, 2, 3]).map(move |item| if item == 2 { panics().map(|()| item) } else { Ok(item) });
        let found: Vec<Result<i32>> = block_on(store.each(items.boxed()).collect());
        assert!(matches!(found[..], [Ok(1), Err(Error::Generic { .. })]), "{found:?}");
    }
}
