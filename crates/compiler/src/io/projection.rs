//! Projections: parts of a partition that are read and tracked separately, such as one row of a look-up table.
//!
//! A reader of a row runs again when that row changes, not when another row of the table does. So the driver must be able to find the
//! row itself. A task registers the projection as code, and a read is recorded with the digest of the part that it returned.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use deltic_core::{Digest, Hasher, Meta, Payload, Recent};
use serde::Serialize;

use crate::error::Result;
use crate::io::codec;

type Decoded = Arc<dyn Any + Send + Sync>;
type Decode = dyn Fn(&Payload) -> Result<Decoded> + Send + Sync;
type Part = dyn Fn(&Decoded, &str) -> Result<Option<Vec<u8>>> + Send + Sync;

/// Finds parts of a partition: decodes the payload once, then takes any number of parts.
#[derive(Clone)]
pub struct Projection {
    id: String,
    decode: Arc<Decode>,
    part: Arc<Part>,
}

impl Projection {
    /// A projection under an id, which is unique within the task. Both functions must depend on their arguments alone. Maps in a part
    /// must iterate in a fixed order.
    ///
    /// ```
    /// # use deltic_compiler::prelude::*;
    /// # use std::collections::BTreeMap;
    /// let row = Projection::new(
    ///     "row",
    ///     |payload: &Payload| Ok(payload.json::<BTreeMap<String, u32>>()?),
    ///     |table: &BTreeMap<String, u32>, row: &str| Ok(table.get(row).copied()),
    /// );
    /// ```
    pub fn new<W, T>(
        id: &str,
        decode: impl Fn(&Payload) -> Result<W> + Send + Sync + 'static,
        part: impl Fn(&W, &str) -> Result<Option<T>> + Send + Sync + 'static,
    ) -> Projection
    where
        W: Send + Sync + 'static,
        T: Serialize,
    {
        let part = move |decoded: &Decoded, argument: &str| {
            let Some(found) = part(whole::<W>(decoded)?, argument)? else { return Ok(None) };
            let mut bytes = Vec::new();
            codec::encode(&found, &mut bytes)?;
            Ok(Some(bytes))
        };
        let decode = move |payload: &Payload| Ok(Arc::new(decode(payload)?) as Decoded);
        Projection { id: id.to_owned(), decode: Arc::new(decode), part: Arc::new(part) }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

fn whole<W: 'static>(decoded: &Decoded) -> Result<&W> {
    decoded.downcast_ref().context("the projection decodes to another type than the one asked for")
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Projection({})", self.id)
    }
}

/// The projections of a task, with a cache of decoded partitions that all workers share.
pub struct Projections {
    all: Vec<Projection>,
    /// Decoded partitions, by projection and content.
    decoded: Recent<(String, Digest), Decoded>,
}

/// The digest that a projected read is recorded with: of the part, or of its absence.
pub fn part_digest(part: Option<&[u8]>) -> Digest {
    let mut hasher = Hasher::new("deltic part 1");
    if let Some(part) = part {
        hasher.bytes(part);
    }
    hasher.finish()
}

impl Projections {
    /// The default size of the cache, in bytes of payloads.
    pub const CACHE_BYTES: u64 = 32 << 20;

    /// The projections of a task, with a cache for the decoded form of `cache_bytes` of payloads. Values that were not used again
    /// are dropped first.
    pub fn new(all: Vec<Projection>, cache_bytes: u64) -> Projections {
        Projections { all, decoded: Recent::new(cache_bytes, 1) }
    }

    /// The parts of a partition, if it exists. Decodes it, unless its decoded form is cached; then `read` is not called.
    pub fn parts(
        &self,
        id: &str,
        partition: Option<&Meta>,
        read: impl FnOnce() -> Result<Payload>,
    ) -> Result<Parts<'_>> {
        let projection = self.get(id)?;
        let decoded = partition.map(|meta| self.decode(projection, meta, read)).transpose()?;
        Ok(Parts { projection, decoded })
    }

    /// The decoded form of a partition.
    pub(crate) fn whole<W: Send + Sync + 'static>(
        &self,
        id: &str,
        partition: &Meta,
        read: impl FnOnce() -> Result<Payload>,
    ) -> Result<Arc<W>> {
        let decoded = self.decode(self.get(id)?, partition, read)?;
        decoded
            .downcast()
            .map_err(|_| anyhow::anyhow!("projection `{id}` decodes to another type than the one asked for"))
    }

    fn decode(&self, projection: &Projection, meta: &Meta, read: impl FnOnce() -> Result<Payload>) -> Result<Decoded> {
        let key = (projection.id.clone(), meta.content_digest());
        if let Some(found) = self.decoded.get(&key) {
            return Ok(found);
        }
        // Two workers may decode the same partition, but none waits for another.
        let decoded = (projection.decode)(&read()?)?;
        self.decoded.insert(key, Arc::clone(&decoded), meta.len);
        Ok(decoded)
    }

    fn get(&self, id: &str) -> Result<&Projection> {
        self.all.iter().find(|projection| projection.id == id).with_context(|| {
            let known: Vec<&str> = self.all.iter().map(Projection::id).collect();
            format!("the task has no projection `{id}`: it registers `{}` in `projections`", known.join("`, `"))
        })
    }
}

/// The parts of one partition, as a projection decodes it.
pub struct Parts<'a> {
    projection: &'a Projection,
    decoded: Option<Decoded>,
}

impl Parts<'_> {
    /// A part, encoded: none when the partition or the part does not exist.
    pub fn part(&self, argument: &str) -> Result<Option<Vec<u8>>> {
        self.decoded.as_ref().map_or(Ok(None), |decoded| (self.projection.part)(decoded, argument))
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("projection", &self.projection.id).finish_non_exhaustive()
    }
}

impl Default for Projections {
    fn default() -> Projections {
        Projections::new(Vec::new(), Projections::CACHE_BYTES)
    }
}

impl fmt::Debug for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.all).finish()
    }
}
