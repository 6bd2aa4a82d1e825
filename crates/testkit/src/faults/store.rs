//! The store that has mishaps.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use deltic_store::testing::each_as_get;

use super::{Faults, Mishap, Operation, When};

/// The store itself.
#[derive(Debug)]
pub(super) struct UnreliableStore {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) faults: Faults,
}

impl fmt::Display for UnreliableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnreliableStore({})", self.inner)
    }
}

impl UnreliableStore {
    /// A listing, which makes its requests when it is polled.
    fn listed(
        &self,
        prefix: Option<&Path>,
        listing: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let asked = prefix.cloned().unwrap_or_default();
        let lost = |mishap| stream::iter([Err(failure(&asked, mishap))]);
        let (number, mishap) = self.faults.next(Operation::List, &asked);
        let listed = match mishap {
            Some(Mishap::Refused) => lost(Mishap::Refused).boxed(),
            Some(Mishap::AnswerLost) => listing.take(1).chain(lost(Mishap::AnswerLost)).boxed(),
            _ => listing,
        };
        let faults = self.faults.clone();
        let stalled = stream::once(async move { faults.wait(number, When::BeforeEffect).await });
        stalled.filter_map(|()| async { None }).chain(listed).boxed()
    }
}

fn failure(object: &Path, mishap: Mishap) -> object_store::Error {
    object_store::Error::Generic { store: "UnreliableStore", source: format!("{object}: {mishap:?}").into() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for UnreliableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let operation = if options.mode == PutMode::Create { Operation::Create } else { Operation::Put };
        let (number, mishap) = self.faults.next(operation, location);
        self.faults.wait(number, When::BeforeEffect).await;
        match mishap {
            Some(Mishap::Refused) => return Err(failure(location, Mishap::Refused)),
            Some(Mishap::Twice) => drop(self.inner.put_opts(location, payload.clone(), options.clone()).await?),
            _ => {}
        }
        let answer = self.inner.put_opts(location, payload, options).await;
        self.faults.wait(number, When::AfterEffect).await;
        if mishap == Some(Mishap::AnswerLost) { Err(failure(location, Mishap::AnswerLost)) } else { answer }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if let (_, Some(mishap)) = self.faults.next(Operation::Other, location) {
            return Err(failure(location, mishap));
        }
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (number, mishap) = self.faults.next(Operation::Get, location);
        self.faults.wait(number, When::BeforeEffect).await;
        match mishap {
            Some(mishap @ (Mishap::Refused | Mishap::AnswerLost)) => Err(failure(location, mishap)),
            Some(Mishap::Short) => {
                let mut answer = self.inner.get_opts(location, options).await?;
                let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
                let extensions = std::mem::take(&mut answer.extensions);
                let body = answer.bytes().await?;
                let body = body.slice(..body.len() / 2);
                let payload = GetResultPayload::Stream(Box::pin(stream::iter([Ok(body)])));
                Ok(GetResult { payload, meta, range, attributes, extensions })
            }
            _ => self.inner.get_opts(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        each_as_get(self, location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, faults) = (Arc::clone(&self.inner), self.faults.clone());
        Box::pin(locations.and_then(move |location| {
            let (inner, (number, mishap)) = (Arc::clone(&inner), faults.next(Operation::Delete, &location));
            let faults = faults.clone();
            async move {
                faults.wait(number, When::BeforeEffect).await;
                match mishap {
                    Some(Mishap::Refused) => return Err(failure(&location, Mishap::Refused)),
                    Some(Mishap::Twice) => inner.delete(&location).await?,
                    _ => {}
                }
                let answer = inner.delete(&location).await;
                faults.wait(number, When::AfterEffect).await;
                match mishap {
                    Some(Mishap::AnswerLost) => Err(failure(&location, Mishap::AnswerLost)),
                    _ => answer.map(|()| location),
                }
            }
        }))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let asked = prefix.cloned().unwrap_or_default();
        match self.faults.next(Operation::List, &asked).1 {
            Some(mishap) => Err(failure(&asked, mishap)),
            None => self.inner.list_with_delimiter(prefix).await,
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (_, mishap) = self.faults.next(Operation::Other, to);
        if mishap == Some(Mishap::Refused) {
            return Err(failure(to, Mishap::Refused));
        }
        let answer = self.inner.copy_opts(from, to, options).await;
        if mishap == Some(Mishap::AnswerLost) { Err(failure(to, Mishap::AnswerLost)) } else { answer }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (_, mishap) = self.faults.next(Operation::Other, to);
        if mishap == Some(Mishap::Refused) {
            return Err(failure(to, Mishap::Refused));
        }
        let answer = self.inner.rename_opts(from, to, options).await;
        if mishap == Some(Mishap::AnswerLost) { Err(failure(to, Mishap::AnswerLost)) } else { answer }
    }
}
