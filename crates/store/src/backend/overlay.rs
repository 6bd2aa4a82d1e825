//! A store that is only read, under a folder that takes all writes.
//!
//! Written objects are read back from the folder, everything else from the store beneath. The store beneath gets no request that could
//! change it. So trees can be made that share nodes and payloads with a catalog that must not change.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// A store under a folder.
#[derive(Debug)]
pub(crate) struct Overlay {
    beneath: Arc<dyn ObjectStore>,
    folder: Arc<dyn ObjectStore>,
    /// What lies in the folder.
    written: RwLock<HashSet<Path>>,
}

impl Overlay {
    pub(crate) fn new(beneath: Arc<dyn ObjectStore>, folder: Arc<dyn ObjectStore>) -> Overlay {
        Overlay { beneath, folder, written: RwLock::default() }
    }

    /// Where an object lies.
    fn store_of(&self, location: &Path) -> &dyn ObjectStore {
        let written = self.written.read().unwrap_or_else(PoisonError::into_inner);
        if written.contains(location) { self.folder.as_ref() } else { self.beneath.as_ref() }
    }

    fn refused(what: &str) -> object_store::Error {
        let source = format!("a catalog under a folder does not support {what}").into();
        object_store::Error::NotSupported { source }
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlay({})", self.beneath)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Overlay {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.folder.put_opts(location, payload, options).await?;
        self.written.write().unwrap_or_else(PoisonError::into_inner).insert(location.clone());
        Ok(put)
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Overlay::refused("writing in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store_of(location).get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store_of(location).get_ranges(location, ranges).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        Box::pin(stream::iter([Err(Overlay::refused("deleting"))]))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.beneath.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.beneath.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.beneath.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Overlay::refused("copying"))
    }

    async fn rename_opts(&self, _: &Path, _: &Path, _: RenameOptions) -> Result<()> {
        Err(Overlay::refused("renaming"))
    }
}
