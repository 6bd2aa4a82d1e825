//! Folders: `object_store`'s local store, with the packs that were read kept open.
//!
//! A leaf is a range of a pack, and for each `object_store` opens the file, asks for its size, seeks, reads and closes.
//! A pack never changes once it is written, so a file that is open can be read at any place, by any thread, for as long
//! as it stays open: one system call a range. Everything else goes to the store beneath, and on other systems than Unix all of it does.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Files kept open at most; beyond that all are closed and those in use are opened again.
const OPEN_FILES: usize = 64;

/// Memory that is taken without asking whether it is there: without it the process ends.
const MEMORY_AT_ONCE: usize = 64 << 20;

/// A folder whose packs are read without being opened each time.
#[derive(Debug)]
pub(crate) struct LocalStore {
    inner: LocalFileSystem,
    folder: PathBuf,
    open: Mutex<HashMap<Path, Arc<Pack>>>,
}

#[derive(Debug)]
struct Pack {
    file: File,
    meta: ObjectMeta,
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl LocalStore {
    pub(crate) fn new(inner: LocalFileSystem, folder: PathBuf) -> LocalStore {
        LocalStore { inner, folder, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Path, Arc<Pack>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a range of a pack; `None` where the store beneath has to answer, errors included.
    fn read(&self, location: &Path, options: &GetOptions) -> Option<GetResult> {
        let range = plain_range(options).filter(|range| range.start < range.end)?;
        let pack = self.pack(location)?;
        if range.end > pack.meta.size {
            return None;
        }
        let len = usize::try_from(range.end - range.start).ok()?;
        if len > MEMORY_AT_ONCE && Vec::<u8>::new().try_reserve_exact(len).is_err() {
            return None;
        }
        let mut body = vec![0; len];
        pack.file.read_exact_at(&mut body, range.start).ok()?;
        let payload = GetResultPayload::Stream(Box::pin(stream::iter([Ok(Bytes::from(body))])));
        let (attributes, extensions) = Default::default();
        Some(GetResult { payload, meta: pack.meta.clone(), range, attributes, extensions })
    }

    /// A pack's file, opened if it is not.
    fn pack(&self, location: &Path) -> Option<Arc<Pack>> {
        if !location.as_ref().starts_with("packs/") {
            return None;
        }
        if let Some(pack) = self.open().get(location) {
            return Some(Arc::clone(pack));
        }
        let file = File::open(self.folder.join(location.as_ref())).ok()?;
        let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let last_modified = found.modified().ok()?.into();
        let meta =
            ObjectMeta { location: location.clone(), last_modified, size: found.len(), e_tag: None, version: None };
        let pack = Arc::new(Pack { file, meta });
        let mut open = self.open();
        if open.len() >= OPEN_FILES {
            open.clear();
        }
        open.insert(location.clone(), Arc::clone(&pack));
        Some(pack)
    }
}

/// The range that is asked for, where nothing else is.
fn plain_range(options: &GetOptions) -> Option<Range<u64>> {
    let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, range, version, head, .. } =
        options;
    let conditions = if_match.is_some() || if_none_match.is_some() || version.is_some() || *head;
    match range {
        Some(GetRange::Bounded(range))
            if !conditions && if_modified_since.is_none() && if_unmodified_since.is_none() =>
        {
            Some(range.clone())
        }
        _ => None,
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.read(location, &options) {
            Some(found) => Ok(found),
            None => self.inner.get_opts(location, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // An open file would keep what is deleted on the disk.
        self.open().clear();
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;

    /// Whatever is asked for, the answer is that of the store beneath.
    #[test]
    fn it_answers_as_the_store_beneath() {
        let folder = tempfile::tempdir().unwrap();
        let beneath = || LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let store = LocalStore::new(beneath(), folder.path().to_owned());
        let body = Bytes::from((0..100u8).collect::<Vec<_>>());
        let answer = |store: &dyn ObjectStore, name: &str, range: Range<u64>| {
            futures::executor::block_on(async {
                let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
                let found = store.get_opts(&Path::from(name), options).await.map_err(|e| e.to_string())?;
                let (size, range) = (found.meta.size, found.range.clone());
                Ok::<_, String>((size, range, found.bytes().await.map_err(|e| e.to_string())?))
            })
        };
        for name in ["packs/one", "versions/one"] {
            futures::executor::block_on(store.put(&Path::from(name), body.clone().into())).unwrap();
        }
        for name in ["packs/one", "packs/absent", "packs", "versions/one"] {
            for range in [0..1, 0..100, 40..60, 99..100, 90..110, 100..101, 200..300, 5..5] {
                let expected = answer(&beneath(), name, range.clone());
                for _ in 0..2 {
                    assert_eq!(answer(&store, name, range.clone()), expected, "{name} {range:?}");
                }
            }
        }
        futures::executor::block_on(store.delete(&Path::from("packs/one"))).unwrap();
        assert!(answer(&store, "packs/one", 0..1).is_err());
        for number in 0..=OPEN_FILES {
            let name = format!("packs/{number}");
            futures::executor::block_on(store.put(&Path::from(name.as_str()), body.clone().into())).unwrap();
            assert!(answer(&store, &name, 0..1).is_ok());
        }
        assert!(store.open().len() <= OPEN_FILES);
    }
}
