//! Tracked reads: how a compiler reads partitions other than its input.
//!
//! Each read is recorded by what it asks for, not by what it finds. So an absent partition that appears later makes its readers run
//! again, just as a changed one does. A reference needs no declaration, so nobody can forget one.
//!
//! A compiler may ignore an error, or catch a panic. So each read is recorded before it can fail because of stored data. Only failures
//! that no partition can change have no record: a layer that the task does not have, or a name or argument that is not legal. Layers,
//! their settings and code are part of the fingerprint.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use deltic_core::{Digest, IntoName, Key, Layer, LayerRef, Meta, Name, NameBytes, Payload, Tile};
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::io::codec;
use crate::io::partition::Partition;
use crate::io::projection::{Projections, part_digest};

/// The most bytes of a projection's id and an argument together. Reads are keys of trees, which have a limit, and so has the name
/// that is read and that of the reader beside it.
const MAX_ARGUMENT_BYTES: usize = 8 << 10;

/// The most bytes of a name: four for each character.
const MAX_NAME_BYTES: usize = 4 * Name::MAX_CHARS;

/// Lets a front- or back-end read partitions, and records its reads.
pub struct Context<'a> {
    lookup: &'a dyn Lookup,
    seen: RefCell<Vec<Seen>>,
}

/// Where a context finds partitions: the driver's view of a run, or a [`Fixture`](crate::Fixture).
///
/// Layers are numbered as [`Lookup::layers`] lists them.
pub trait Lookup: Sync {
    /// The readable layers and their settings, sorted.
    fn layers(&self) -> &[(LayerRef, Layer)];
    /// Reads a partition.
    fn read(&self, layer: u16, name: &[u8]) -> Result<Option<(Meta, Payload)>>;
    /// Looks a partition up without reading it.
    fn meta(&self, layer: u16, name: &[u8]) -> Result<Option<Meta>>;
    /// Lists the partitions whose name bytes start with `prefix`, in order.
    fn list(&self, layer: u16, prefix: &[u8]) -> Result<Vec<(NameBytes, Meta)>>;
    /// All partitions of a layer in order, as a stream.
    fn scan(&self, layer: u16) -> Box<dyn Iterator<Item = Result<(NameBytes, Meta)>> + '_>;
    /// The same with their payloads, which are read a batch ahead.
    fn scan_payloads(&self, layer: u16) -> Box<dyn Iterator<Item = Result<(NameBytes, Meta, Payload)>> + '_>;
    /// The projections of the task.
    fn projections(&self) -> &Projections;
    /// Reads partitions ahead, where each single read would take a round trip over a network: few requests for all, as many partitions as
    /// fit into a cache. Returns those that exist and fit. Returns none where reads are local, or where this is not implemented.
    fn read_ahead(&self, _layer: u16, _names: &[NameBytes]) -> Result<Vec<(NameBytes, Meta, Payload)>> {
        Ok(Vec::new())
    }
}

/// A tracked read: what it asked for. Layers are numbered as in [`Lookup::layers`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seen {
    /// The content of one partition, present or absent.
    Partition(u16, NameBytes),
    /// Whether one partition exists.
    Presence(u16, NameBytes),
    /// All partitions whose name bytes start with a prefix: which exist, and their content.
    Within(u16, NameBytes),
    /// A part of one partition, and the digest of the part that was found.
    Part(u16, NameBytes, Projected, Digest),
}

/// The part of a partition that a read asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Projected {
    /// The id of the projection.
    pub projection: String,
    /// Its argument.
    pub argument: String,
}

/// Which partitions of a layer to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within<'a> {
    /// All of them.
    All,
    /// Those whose name starts with a text.
    Prefix(&'a str),
    /// A tile and everything below it.
    Subtree(Tile),
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The partition's name.
    pub name: Name,
    /// Its digest, length and user fields.
    pub meta: Meta,
}

impl<'a> Context<'a> {
    /// A context without any reads yet.
    pub fn new(lookup: &'a dyn Lookup) -> Context<'a> {
        Context { lookup, seen: RefCell::new(Vec::new()) }
    }

    /// Reads a partition; `None` when it does not exist. The caller runs again when the partition changes, appears or
    /// goes.
    ///
    /// Cost: a request where partitions lie on a remote store, unless the task has read the same lately: workers share a cache of 32 MiB
    /// of payloads. [`Context::read_ahead`] reads many together.
    ///
    /// Errors: the layer is not among the task's layers, the name is not legal in it, or the store failed.
    pub fn read(&self, layer: &str, name: impl IntoName) -> Result<Option<Partition>> {
        let (index, layer, settings) = self.layer(layer)?;
        let (name, bytes) = checked(settings, name)?;
        self.seen.borrow_mut().push(Seen::Partition(index, bytes.clone()));
        let key = Key { layer: layer.clone(), name };
        let found = self.lookup.read(index, &bytes).with_context(|| format!("reading {key}"))?;
        Ok(found.map(|(meta, payload)| Partition { key, meta, payload }))
    }

    /// Reads partitions ahead that will be read one by one: few requests instead of one for each. Use it where a front- or back-end reads
    /// many. It records nothing and influences only time. Where reads are local it does nothing. Partitions beyond a quarter of the
    /// cache (see [`Context::read`]) are not read ahead.
    ///
    /// Errors: as for [`Context::read`].
    pub fn read_ahead(&self, layer: &str, names: impl IntoIterator<Item = impl IntoName>) -> Result<()> {
        self.read_ahead_partitions(layer, names).map(drop)
    }

    /// The same; returns the partitions that were read, which are none where reads are local.
    pub(crate) fn read_ahead_partitions(
        &self,
        layer: &str,
        names: impl IntoIterator<Item = impl IntoName>,
    ) -> Result<Vec<Partition>> {
        let (index, layer, settings) = self.layer(layer)?;
        let names = names.into_iter().map(|name| checked(settings, name).map(|(_, bytes)| bytes));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        names.dedup();
        let found = self.lookup.read_ahead(index, &names).with_context(|| format!("reading ahead in {layer}"))?;
        let partition = |(name, meta, payload): (NameBytes, Meta, Payload)| {
            let key = Key { layer: layer.clone(), name: settings.name_from_bytes(&name)? };
            Ok(Partition { key, meta, payload })
        };
        found.into_iter().map(partition).collect()
    }

    /// Whether a partition exists. The caller runs again when it appears or goes, not when it changes.
    pub fn exists(&self, layer: &str, name: impl IntoName) -> Result<bool> {
        let (index, layer, settings) = self.layer(layer)?;
        let (name, bytes) = checked(settings, name)?;
        self.seen.borrow_mut().push(Seen::Presence(index, bytes.clone()));
        let found = self.lookup.meta(index, &bytes).with_context(|| format!("looking for {layer}/{name}"))?;
        Ok(found.is_some())
    }

    /// Reads a part of a partition, such as a row of a table: the result of a registered [`Projection`](crate::Projection) for an
    /// argument. The caller runs again only when that part changes, appears or goes. Where the projection failed there is no part: then
    /// the caller runs again when anything in the partition changes.
    ///
    /// Errors: as for [`Context::read`]; the task registers no such projection, it failed, it does not yield a `T`, or the
    /// argument has a zero byte in it, or takes more than 8 KiB with the projection's id.
    pub fn project<T: DeserializeOwned>(
        &self,
        layer: &str,
        name: impl IntoName,
        projection: &str,
        argument: &str,
    ) -> Result<Option<T>> {
        let (index, layer, settings) = self.layer(layer)?;
        let (name, bytes) = checked(settings, name)?;
        let place = || format!("projection `{projection}` of {layer}/{name} for `{argument}`");
        anyhow::ensure!(!argument.contains('\0'), "{}: the argument has a zero byte in it", place());
        let len = projection.len() + argument.len();
        anyhow::ensure!(
            len <= MAX_ARGUMENT_BYTES,
            "projection of {layer}/{name}: its id and the argument take {len} bytes, more than {MAX_ARGUMENT_BYTES}: use a shorter argument"
        );
        // A failure or a panic of the projection depends on the whole partition. So record that first, and replace it by the part.
        self.seen.borrow_mut().push(Seen::Partition(index, bytes.clone()));
        let meta = self.lookup.meta(index, &bytes).with_context(place)?;
        let parts = self.lookup.projections().parts(projection, meta.as_ref(), || self.payload(index, &bytes));
        let part = parts.and_then(|parts| parts.part(argument)).with_context(place)?;
        let seen = Projected { projection: projection.to_owned(), argument: argument.to_owned() };
        let seen = Seen::Part(index, bytes, seen, part_digest(part.as_deref()));
        // A projection can not read anything, so the last record is still that of this read.
        if let Some(last) = self.seen.borrow_mut().last_mut() {
            *last = seen;
        }
        part.map(|part| codec::decode(&part).with_context(place)).transpose()
    }

    /// Reads a partition in the form that a registered [`Projection`](crate::Projection) decodes it to, through a cache that all workers
    /// share. The caller runs again when anything in the partition changes, as with [`Context::read`].
    pub fn decoded<W: Send + Sync + 'static>(
        &self,
        layer: &str,
        name: impl IntoName,
        projection: &str,
    ) -> Result<Option<Arc<W>>> {
        let (index, layer, settings) = self.layer(layer)?;
        let (name, bytes) = checked(settings, name)?;
        self.seen.borrow_mut().push(Seen::Partition(index, bytes.clone()));
        let place = || format!("reading {layer}/{name}");
        let Some(meta) = self.lookup.meta(index, &bytes).with_context(place)? else { return Ok(None) };
        let whole = self.lookup.projections().whole(projection, &meta, || self.payload(index, &bytes));
        whole.with_context(place).map(Some)
    }

    /// Lists partitions in name order. The caller runs again when one of them changes, appears or goes, so it may depend on their content
    /// too.
    pub fn list(&self, layer: &str, within: Within<'_>) -> Result<Vec<Listed>> {
        let (index, layer, settings) = self.layer(layer)?;
        let mut prefix = Vec::new();
        match within {
            Within::All => {}
            Within::Prefix(text) => prefix.extend_from_slice(text.as_bytes()),
            Within::Subtree(tile) => tile.write_quadkey(&mut prefix),
        }
        // A longer prefix matches no name either, and the read is recorded under it.
        prefix.truncate(MAX_NAME_BYTES + 1);
        self.seen.borrow_mut().push(Seen::Within(index, prefix.clone().into_boxed_slice()));
        let listed = self.lookup.list(index, &prefix).with_context(|| format!("listing {layer}"))?;
        listed.into_iter().map(|(name, meta)| Ok(Listed { name: settings.name_from_bytes(&name)?, meta })).collect()
    }

    /// The recorded reads: sorted, each once.
    pub fn into_seen(self) -> Vec<Seen> {
        let mut seen = self.seen.into_inner();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    /// The payload of a partition that exists.
    fn payload(&self, layer: u16, name: &[u8]) -> Result<Payload> {
        let found = self.lookup.read(layer, name)?;
        found.map(|(_, payload)| payload).context("the partition is listed but can not be read")
    }

    fn layer(&self, text: &str) -> Result<(u16, &'a LayerRef, &'a Layer)> {
        let wanted = LayerRef::parse(text)?;
        let layers = self.lookup.layers();
        let Ok(index) = layers.binary_search_by(|(layer, _)| layer.cmp(&wanted)) else {
            let known: Vec<String> = layers.iter().map(|(layer, _)| format!("`{layer}`")).collect();
            anyhow::bail!(
                "layer `{wanted}` can not be read: it is not among this task's layers ({}); add it to `reference_layers`",
                known.join(", ")
            );
        };
        let (layer, settings) = &layers[index];
        Ok((index as u16, layer, settings))
    }
}

pub(crate) fn checked(settings: &Layer, name: impl IntoName) -> Result<(Name, NameBytes)> {
    let name = name.into_name()?;
    settings.check(&name)?;
    let bytes = name.to_bytes();
    Ok((name, bytes))
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("seen", &self.seen.borrow()).finish_non_exhaustive()
    }
}
