//! Reading objects, and ranges of them, within bounds.
//!
//! An object that is longer than its kind allows is not read. Memory is reserved for the requested length, not for the length that a
//! store announces. When there is not enough memory, that is an error.

use std::ops::Range;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::StreamExt;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectStoreExt};

use super::folder::NotAFile;
use super::{ObjectRoot, TRIES};
use crate::format::object_name::ObjectName;
use crate::{Error, Result};

/// Files of a folder are read in one piece up to this length.
const PIECE_BYTES: u64 = 8 << 20;

/// The result of a request to read.
enum Answer {
    /// All requested bytes.
    Body(Bytes),
    /// The size of the object, which does not fit the request. Nothing was read.
    Size(u64),
}

impl ObjectRoot {
    pub(crate) async fn get_async(&self, name: &ObjectName) -> Result<Option<Bytes>> {
        self.retry(|_| async move {
            match self.get_once(name, None).await {
                Ok(Answer::Body(body)) => Ok(Some(body)),
                Ok(Answer::Size(size)) => {
                    let what = format!("it has {size} bytes, more than the {} that it can have", name.max_bytes());
                    Err((Error::corrupt(&self.url, name, what), self.reads()))
                }
                Err(error @ object_store::Error::NotFound { .. }) => {
                    self.no_bucket(&error).map_or(Ok(None), |no_bucket| Err((no_bucket, 1)))
                }
                Err(error) => Err((self.failed(name, "read", &error), self.tries(&error))),
            }
        })
        .await
    }

    /// How often to try after an error of the store.
    fn tries(&self, error: &object_store::Error) -> u32 {
        if NotAFile::of(error).is_some() { 1 } else { TRIES }
    }

    /// How often to try after an impossible answer, such as that an object is missing although it is referred to.
    fn reads(&self) -> u32 {
        if self.is_remote() { 2 } else { 1 }
    }

    /// Reads a range of an object that must exist and reach that far. An answer that was cut short is retried, like any error. An object
    /// that is too short is corrupt.
    pub(super) async fn get_range_async(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        let range = &range;
        self.retry(|attempt| async move {
            match self.get_once(name, Some(range.clone())).await {
                Ok(Answer::Body(body)) => Ok(body),
                Ok(Answer::Size(size)) => Err((self.too_short(name, size, range), self.reads())),
                Err(error @ object_store::Error::NotFound { .. }) => Err(match self.no_bucket(&error) {
                    Some(no_bucket) => (no_bucket, 1),
                    None => {
                        let what = "the object is missing, but other objects refer to it";
                        (Error::corrupt(&self.url, name, what), self.reads())
                    }
                }),
                // Each store has its own error for a range beyond the end, so compare the size.
                Err(error) if attempt + 1 == TRIES => match self.size(name).await {
                    Some(size) if size < range.end => Err((self.too_short(name, size, range), TRIES)),
                    _ => Err((self.failed(name, "read", &error), TRIES)),
                },
                Err(error) => Err((self.failed(name, "read", &error), self.tries(&error))),
            }
        })
        .await
    }

    async fn get_once(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> std::result::Result<Answer, object_store::Error> {
        self.counters.gets.fetch_add(1, Ordering::Relaxed);
        let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
        let path = name.path();
        let request = async {
            let answer = self.store.get_opts(&path, options).await?;
            let size = answer.meta.size;
            let expected = match &range {
                None if size > name.max_bytes() => return Ok(Err(size)),
                None => size,
                Some(range) if range.end > size => return Ok(Err(size)),
                Some(range) => range.end - range.start,
            };
            Ok(Ok((read_body(answer, expected).await?, expected)))
        };
        let (body, expected) = match self.watched(name, "to be read", request).await {
            Ok(Ok(read)) => read,
            Ok(Err(size)) => return Ok(Answer::Size(size)),
            Err(error) => return Err(error),
        };
        self.counters.bytes_read.fetch_add(body.len() as u64, Ordering::Relaxed);
        if body.len() as u64 != expected {
            return Err(cut_short(body.len() as u64, expected));
        }
        Ok(Answer::Body(body))
    }

    /// The length of an object; `None` when there is none.
    pub(crate) fn len(&self, name: &ObjectName) -> Result<Option<u64>> {
        self.drive(self.retry(|_| async move {
            self.counters.gets.fetch_add(1, Ordering::Relaxed);
            let path = name.path();
            match self.watched(name, "to be looked at", self.store.head(&path)).await {
                Ok(meta) => Ok(Some(meta.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err((self.failed(name, "read", &error), TRIES)),
            }
        }))
    }

    async fn size(&self, name: &ObjectName) -> Option<u64> {
        self.counters.gets.fetch_add(1, Ordering::Relaxed);
        let path = name.path();
        let answer = self.watched(name, "to be looked at", self.store.head(&path)).await;
        answer.ok().map(|meta| meta.size)
    }

    fn too_short(&self, name: &ObjectName, size: u64, range: &Range<u64>) -> Error {
        Error::corrupt(
            &self.url,
            name,
            format!("it has {size} bytes, but other objects refer to bytes up to {}", range.end),
        )
    }
}

/// Reads the body of an answer that must have `expected` bytes. Fails when there is no memory for them, or when more bytes come.
async fn read_body(answer: GetResult, expected: u64) -> std::result::Result<Bytes, object_store::Error> {
    let announced = answer.range.end.saturating_sub(answer.range.start);
    if announced > expected {
        return Err(cut_short(announced, expected));
    }
    if matches!(answer.payload, GetResultPayload::File(..)) && expected <= PIECE_BYTES {
        return answer.bytes().await;
    }
    let mut pieces = answer.into_stream();
    let first = pieces.next().await.transpose()?.unwrap_or_default();
    let Some(second) = pieces.next().await.transpose()? else { return Ok(first) };
    let mut body = Vec::new();
    usize::try_from(expected).map_err(|_| ()).and_then(|len| body.try_reserve_exact(len).map_err(|_| ())).map_err(
        |()| object_store::Error::Generic {
            store: "deltic",
            source: format!("there is no memory for {expected} bytes").into(),
        },
    )?;
    let mut piece = Some(second);
    body.extend_from_slice(&first);
    while let Some(bytes) = piece {
        if body.len() as u64 + bytes.len() as u64 > expected {
            return Err(cut_short(body.len() as u64 + bytes.len() as u64, expected));
        }
        body.extend_from_slice(&bytes);
        piece = pieces.next().await.transpose()?;
    }
    Ok(Bytes::from(body))
}

fn cut_short(found: u64, expected: u64) -> object_store::Error {
    let source = format!("the answer has {found} bytes of {expected}").into();
    object_store::Error::Generic { store: "deltic", source }
}
