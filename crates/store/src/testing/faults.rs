//! A store that fails, stalls, or answers wrongly, as a closure decides for each request.
//!
//! What was decided for a request holds for it alone. Listings are decided when they are asked for, deletions one by one when
//! they are made. Parts of multi-part uploads pass: only their beginning is a request.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::{Operation, each_as_get, put_operation};

/// What a [`FaultStore`] does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Lets it pass.
    #[default]
    None,
    /// Fails, and nothing happens.
    Before,
    /// Does what was asked, and fails: the acknowledgement is lost. A listing ends in an error after its first object.
    After,
    /// Does twice what was asked, and gives the second answer: a creation finds that the object is there, a deletion that it is
    /// gone. Reads and listings pass.
    Twice,
    /// Answers a read with half of what was asked for. Other requests pass.
    Short,
    /// Refuses to write: one is not allowed to, and nothing happens. Other requests pass.
    Refused,
    /// Writes although it was asked to create only if absent. Other requests pass.
    IgnoreCondition,
}

impl Fault {
    /// Whether it makes a difference to an operation of this kind.
    pub fn affects(self, operation: Operation) -> bool {
        match self {
            Fault::None => false,
            Fault::Before | Fault::After => true,
            Fault::Twice => matches!(operation, Operation::Put | Operation::Create | Operation::Delete),
            Fault::Short => operation == Operation::Get,
            Fault::Refused => matches!(operation, Operation::Put | Operation::Create),
            Fault::IgnoreCondition => operation == Operation::Create,
        }
    }

    fn is_failure(self) -> bool {
        matches!(self, Fault::Before | Fault::After)
    }

    fn error(self, object: &Path) -> object_store::Error {
        let what = format!("{object}: made to fail ({self:?})");
        object_store::Error::Generic { store: "FaultStore", source: what.into() }
    }
}

/// When a request stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before anything has happened.
    BeforeEffect,
    /// When it has taken effect, and the answer is on its way.
    AfterEffect,
}

/// What a closure decides for a request: a [`Fault`], or this where the request stalls too.
#[derive(Default)]
pub struct Decision {
    /// How it fails.
    pub fault: Fault,
    /// When it stalls, and what it waits for then. Reads and listings stall before their answer alone; beginnings of multi-part
    /// uploads do not stall.
    pub stall: Option<(When, BoxFuture<'static, ()>)>,
}

impl From<Fault> for Decision {
    fn from(fault: Fault) -> Decision {
        Decision { fault, stall: None }
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Decision {
    async fn wait(&mut self, now: When) {
        if let Some((_, released)) = self.stall.take_if(|(when, _)| *when == now) {
            released.await;
        }
    }

    /// Does what changes an object.
    async fn change<T, F>(mut self, object: &Path, change: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.wait(When::BeforeEffect).await;
        match self.fault {
            Fault::Before => return Err(self.fault.error(object)),
            Fault::Twice => drop(change().await?),
            _ => {}
        }
        let answer = change().await;
        self.wait(When::AfterEffect).await;
        if self.fault == Fault::After { Err(self.fault.error(object)) } else { answer }
    }
}

/// A store that fails as a closure decides, and whose answers to reads another one changes.
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    decide: Arc<Decide>,
    change: Arc<Change>,
}

type Decide = dyn Fn(Operation, &str) -> Decision + Send + Sync;
type Change = dyn Fn(&str, GetResult) -> GetResult + Send + Sync;

/// A wrapper whose stores ask `decide` about every request, with the operation and the object, for a [`Fault`] or a [`Decision`].
pub fn faults<D: Into<Decision> + 'static>(
    decide: impl Fn(Operation, &str) -> D + Send + Sync + 'static,
) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync {
    faulty(Arc::new(move |operation, object| decide(operation, object).into()), Arc::new(|_, answer| answer))
}

/// A wrapper whose stores give what `change` makes of each answer to a read, given the object: to garble it, or to lie about
/// lengths.
pub fn answers(
    change: impl Fn(&str, GetResult) -> GetResult + Send + Sync + 'static,
) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync {
    faulty(Arc::new(|_, _| Decision::default()), Arc::new(change))
}

fn faulty(
    decide: Arc<Decide>,
    change: Arc<Change>,
) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync {
    move |inner| Arc::new(FaultStore { inner, decide: Arc::clone(&decide), change: Arc::clone(&change) })
}

impl FaultStore {
    fn decide(&self, operation: Operation, object: &Path) -> Decision {
        (self.decide)(operation, object.as_ref())
    }

    /// A listing, which makes its requests when it is polled.
    fn listed(
        &self,
        prefix: Option<&Path>,
        listing: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let asked = prefix.cloned().unwrap_or_default();
        let mut decision = self.decide(Operation::List, &asked);
        let lost = stream::iter([Err(decision.fault.error(&asked))]);
        let listed = match decision.fault {
            Fault::Before => lost.boxed(),
            Fault::After => listing.take(1).chain(lost).boxed(),
            _ => listing,
        };
        let stalled = stream::once(async move { decision.wait(When::BeforeEffect).await });
        stalled.filter_map(|()| async { None }).chain(listed).boxed()
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let decision = self.decide(put_operation(&options), location);
        match decision.fault {
            Fault::Refused => {
                let source = format!("{location}: one may not write").into();
                return Err(object_store::Error::PermissionDenied { path: location.to_string(), source });
            }
            Fault::IgnoreCondition => options.mode = PutMode::Overwrite,
            _ => {}
        }
        decision.change(location, || self.inner.put_opts(location, payload.clone(), options.clone())).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let Decision { fault, .. } = self.decide(Operation::Other, location);
        if fault.is_failure() {
            return Err(fault.error(location));
        }
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut decision = self.decide(Operation::Get, location);
        decision.wait(When::BeforeEffect).await;
        if decision.fault.is_failure() {
            return Err(decision.fault.error(location));
        }
        let is_head = options.head;
        let mut answer = self.inner.get_opts(location, options).await?;
        if decision.fault == Fault::Short {
            let range = answer.range.start..answer.range.start + (answer.range.end - answer.range.start) / 2;
            let (meta, attributes) = (answer.meta.clone(), answer.attributes.clone());
            let extensions = std::mem::take(&mut answer.extensions);
            let body = answer.bytes().await?;
            let body = body.slice(..body.len().min((range.end - range.start) as usize));
            let payload = GetResultPayload::Stream(stream::iter([Ok(body)]).boxed());
            return Ok(GetResult { payload, meta, range, attributes, extensions });
        }
        Ok(if is_head { answer } else { (self.change)(location.as_ref(), answer) })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        each_as_get(self, location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, decide) = (Arc::clone(&self.inner), Arc::clone(&self.decide));
        let delete = move |location: Path| {
            let (inner, decision) = (Arc::clone(&inner), decide(Operation::Delete, location.as_ref()));
            async move {
                decision.change(&location, || inner.delete(&location)).await?;
                Ok(location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let asked = prefix.cloned().unwrap_or_default();
        let mut decision = self.decide(Operation::List, &asked);
        decision.wait(When::BeforeEffect).await;
        if decision.fault.is_failure() {
            return Err(decision.fault.error(&asked));
        }
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let decision = self.decide(Operation::Other, to);
        decision.change(to, || self.inner.copy_opts(from, to, options.clone())).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let decision = self.decide(Operation::Other, to);
        decision.change(to, || self.inner.rename_opts(from, to, options.clone())).await
    }
}
