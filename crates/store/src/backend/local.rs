//! The store in a folder: `object_store`'s local store, but it keeps packs open, and ignores files that are not objects.
//!
//! Only files are read. A pipe, or anything else that is not a file, is an error that names what it is. A listing skips names that
//! no object has before it looks at the files.
//!
//! A leaf is a range of a pack. For each range `object_store` opens the file, asks for its size, seeks, reads and closes. A pack never
//! changes after it is written, so any thread can read an open file at any place: one system call a range. Everything else goes to
//! the store beneath; on systems other than Unix, everything does.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::backend::client::folder::{NotAFile, kind, not_a_file};
use crate::format::object_name::ObjectName;

/// The most files that are kept open. Beyond that all are closed, and those in use are opened again.
const OPEN_FILES: usize = 64;

/// Allocations up to this length are made without a check. Longer ones are first tried: a failed allocation ends the process.
const MEMORY_AT_ONCE: usize = 64 << 20;

/// Opens a pipe without waiting for a writer at its other end; has no effect on files.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_WAIT: i32 = 0o4000;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_WAIT: i32 = 0x4;

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

    /// Opens an object's file. A folder counts as a missing object, as in the store beneath.
    fn open_file(&self, location: &Path) -> Result<(File, ObjectMeta)> {
        let path = self.folder.join(location.as_ref());
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Error::NotFound { path: path.display().to_string(), source: error.into() },
            _ => match not_a_file(&path) {
                Some(what) => NotAFile::error(what),
                None => Error::Generic { store: "LocalFileSystem", source: error.into() },
            },
        };
        let file = File::options().read(true).custom_flags(NO_WAIT).open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.is_dir() {
            return Err(failed(std::io::Error::new(ErrorKind::NotFound, "it is a folder")));
        }
        if !found.is_file() {
            return Err(NotAFile::error(kind(found.file_type())));
        }
        let last_modified = found.modified().map_err(failed)?.into();
        let location = location.clone();
        Ok((file, ObjectMeta { location, last_modified, size: found.len(), e_tag: None, version: None }))
    }

    /// Reads anything but a range of a pack that is kept open.
    fn get(&self, location: &Path, options: &GetOptions) -> Result<GetResult> {
        let (file, meta) = self.open_file(location)?;
        options.check_preconditions(&meta)?;
        let out_of_bounds = |error| Error::Generic { store: "LocalFileSystem", source: Box::new(error) };
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(out_of_bounds)?,
            None => 0..meta.size,
        };
        let payload = GetResultPayload::File(file, self.folder.join(location.as_ref()));
        let (attributes, extensions) = Default::default();
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    /// The objects in a folder, one by one as they are found; those after a name, if one is given.
    fn objects(&self, part: &Path, after: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let failed = |error: std::io::Error| Error::Generic { store: "LocalFileSystem", source: error.into() };
        let files = match std::fs::read_dir(self.folder.join(part.as_ref())) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return stream::empty().boxed(),
            Err(error) => return stream::iter([Err(failed(error))]).boxed(),
        };
        let (part, after) = (part.clone(), after.cloned());
        let objects = files.filter_map(move |file| {
            let file = match file {
                Ok(file) => file,
                Err(error) => return Some(Err(failed(error))),
            };
            let location = ObjectName::parse(&format!("{part}/{}", file.file_name().to_str()?))?.path();
            if after.as_ref().is_some_and(|after| location <= *after) {
                return None;
            }
            // Follows links. Skips files that are gone by now, and links that lead nowhere.
            let found = match std::fs::metadata(file.path()) {
                Ok(found) if found.is_file() => found,
                Ok(_) => return None,
                Err(error) if error.kind() == ErrorKind::NotFound || not_a_file(&file.path()).is_some() => return None,
                Err(error) => return Some(Err(failed(error))),
            };
            let last_modified = match found.modified() {
                Ok(modified) => modified.into(),
                Err(error) => return Some(Err(failed(error))),
            };
            Some(Ok(ObjectMeta { location, last_modified, size: found.len(), e_tag: None, version: None }))
        });
        stream::iter(objects).boxed()
    }

    /// A pack's file, opened if it is not.
    fn pack(&self, location: &Path) -> Option<Arc<Pack>> {
        if !location.as_ref().starts_with("packs/") {
            return None;
        }
        if let Some(pack) = self.open().get(location) {
            return Some(Arc::clone(pack));
        }
        let (file, meta) = self.open_file(location).ok()?;
        let pack = Arc::new(Pack { file, meta });
        let mut open = self.open();
        if open.len() >= OPEN_FILES {
            open.clear();
        }
        open.insert(location.clone(), Arc::clone(&pack));
        Some(pack)
    }
}

/// The range of a request that has no other options.
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
#[deny(clippy::missing_trait_methods)]
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
            None => self.get(location, &options),
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
        match prefix {
            Some(part) => self.objects(part, None),
            None => self.inner.list(prefix),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match prefix {
            Some(part) => self.objects(part, Some(offset)),
            None => self.inner.list_with_offset(prefix, offset),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        // An open file would go on being read under the old name.
        self.open().clear();
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    /// The answer to every request is that of the store beneath.
    #[test]
    fn it_answers_as_the_store_beneath() {
        let folder = tempfile::tempdir().unwrap();
        let beneath = || LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let store = LocalStore::new(beneath(), folder.path().to_owned());
        let body = Bytes::from((0..100u8).collect::<Vec<_>>());
        let answer = |store: &dyn ObjectStore, name: &str, range: Range<u64>| {
            futures::executor::block_on(async {
                let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
                // The texts of errors differ.
                let failed = |error| if matches!(error, Error::NotFound { .. }) { "not there" } else { "failed" };
                let found = store.get_opts(&Path::from(name), options).await.map_err(failed)?;
                let (size, range) = (found.meta.size, found.range.clone());
                Ok::<_, &str>((size, range, found.bytes().await.map_err(failed)?))
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
