//! Reading payloads: one, many in few requests, or piece by piece. Nothing is handed out whole before its digest has
//! been checked.
//!
//! Memory: a payload that is read whole takes the length that its leaf says, and where it is compressed at most 32,768
//! times what is stored, as much as zstd can make of it. One that is read by pieces takes 4 MiB and, where it is
//! compressed, the window of its frame, at most 128 MiB.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use deltic_core::{Digest, Meta, Payload};

use crate::inflate::inflate;
use crate::object::{ObjectName, PackName};
use crate::source::{Blob, Reading, Source};
use crate::tree::{Codec, Entry, Place};
use crate::{Error, Result};

/// Bytes that a streamed payload is read by.
const PIECE_BYTES: u64 = 4 << 20;

/// Reads the payload of an entry.
pub(crate) fn read(source: &Source, entry: &Entry) -> Result<Payload> {
    match &entry.place {
        Place::Inline(bytes) => inline(entry, bytes),
        Place::Pack { pack, offset, stored, codec } => {
            let blob = Blob { pack: *pack, offset: *offset, len: *stored };
            unpack(source, &entry.meta, *pack, *codec, source.blob(blob)?)
        }
    }
}

/// Payloads that are on their way. Dropped before they are there, they are given up.
pub struct Payloads {
    source: Arc<Source>,
    entries: Vec<Entry>,
    reading: Reading,
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payloads({} of {:?})", self.entries.len(), self.source.catalog)
    }
}

impl Payloads {
    pub(crate) fn begin(source: &Arc<Source>, entries: Vec<Entry>) -> Result<Payloads> {
        let reading = source.begin(&blobs(&entries))?;
        Ok(Payloads { source: Arc::clone(source), entries, reading })
    }

    /// Waits for them, and checks each against its digest; in the order of the entries.
    pub fn wait(self) -> Result<Vec<Payload>> {
        let bodies = self.source.finish(self.reading)?;
        unpack_all(&self.source, &self.entries, bodies)
    }
}

/// Reads the payloads of entries, in their order.
pub(crate) fn read_all(source: &Source, entries: &[Entry]) -> Result<Vec<Payload>> {
    unpack_all(source, entries, source.blobs(&blobs(entries))?)
}

/// What has to be read of these entries.
fn blobs(entries: &[Entry]) -> Vec<Blob> {
    let blob = |entry: &Entry| match &entry.place {
        Place::Inline(_) => None,
        Place::Pack { pack, offset, stored, .. } => Some(Blob { pack: *pack, offset: *offset, len: *stored }),
    };
    entries.iter().filter_map(blob).collect()
}

fn unpack_all(source: &Source, entries: &[Entry], bodies: Vec<Bytes>) -> Result<Vec<Payload>> {
    let mut bodies = bodies.into_iter();
    entries
        .iter()
        .map(|entry| match &entry.place {
            Place::Inline(bytes) => inline(entry, bytes),
            Place::Pack { pack, codec, .. } => {
                let body = bodies.next().ok_or_else(|| Error::internal("a request was not answered"))?;
                unpack(source, &entry.meta, *pack, *codec, body)
            }
        })
        .collect()
}

fn inline(entry: &Entry, bytes: &Bytes) -> Result<Payload> {
    if bytes.len() as u64 != entry.meta.len || Digest::of(bytes) != entry.meta.digest {
        return Err(Error::invalid(
            "an entry holds bytes that are not those of its digest; it was put together wrongly",
        ));
    }
    Ok(Payload::new(bytes.clone()).with_fields(entry.meta.fields.clone()))
}

fn unpack(source: &Source, meta: &Meta, pack: PackName, codec: Codec, body: Bytes) -> Result<Payload> {
    let bytes = match codec {
        Codec::Raw => body,
        Codec::Zstd => usize::try_from(meta.len)
            .ok()
            .and_then(|len| inflate(&body, len))
            .ok_or_else(|| mismatch(source, meta, pack, "it can not be decompressed"))?
            .into(),
    };
    if bytes.len() as u64 != meta.len {
        return Err(mismatch(source, meta, pack, "its length is not the one it is referred to with"));
    }
    if Digest::of(&bytes) != meta.digest {
        return Err(mismatch(source, meta, pack, "its bytes do not match its digest"));
    }
    Ok(Payload::new(bytes).with_fields(meta.fields.clone()))
}

fn mismatch(source: &Source, meta: &Meta, pack: PackName, what: &str) -> Error {
    let what = format!("payload {}: {what}", meta.digest.short());
    Error::corrupt(source.catalog.url(), ObjectName::Pack(pack), what)
}

/// A payload that is read piece by piece, so that it need not fit into memory.
///
/// The last piece is handed out only when the digest of all of them has turned out right; otherwise reading fails
/// with [`io::ErrorKind::InvalidData`] and a [`crate::Error`] inside. Use nothing of it before the end.
pub struct PayloadReader {
    source: Arc<Source>,
    meta: Meta,
    pack: Option<PackName>,
    input: Input,
    hasher: blake3::Hasher,
    left: u64,
}

enum Input {
    Inline(Bytes),
    Raw(Pieces),
    Zstd(Box<zstd::stream::read::Decoder<'static, io::BufReader<Pieces>>>),
}

/// The stored bytes, one request a piece.
struct Pieces {
    source: Arc<Source>,
    rest: Blob,
    piece: Bytes,
}

impl fmt::Debug for PayloadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadReader({}, {} of {} bytes left)", self.meta.digest.short(), self.left, self.meta.len)
    }
}

impl PayloadReader {
    pub(crate) fn new(source: &Arc<Source>, entry: &Entry) -> Result<PayloadReader> {
        let (input, pack) = match &entry.place {
            Place::Inline(bytes) => (Input::Inline(inline(entry, bytes)?.bytes().clone()), None),
            Place::Pack { pack, stored, codec: Codec::Raw, .. } if *stored != entry.meta.len => {
                let what = "its length is not the one it is referred to with";
                return Err(mismatch(source, &entry.meta, *pack, what));
            }
            Place::Pack { pack, offset, stored, codec } => {
                let rest = Blob { pack: *pack, offset: *offset, len: *stored };
                let pieces = Pieces { source: Arc::clone(source), rest, piece: Bytes::new() };
                let input = match codec {
                    Codec::Raw => Input::Raw(pieces),
                    Codec::Zstd => Input::Zstd(Box::new(
                        zstd::stream::read::Decoder::new(pieces)
                            .map_err(|e| Error::internal("zstd could not be set up").because(&e))?,
                    )),
                };
                (input, Some(*pack))
            }
        };
        let (meta, hasher) = (entry.meta.clone(), blake3::Hasher::new());
        Ok(PayloadReader { source: Arc::clone(source), left: meta.len, meta, pack, input, hasher })
    }

    /// What the payload is.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    fn wrong(&self, what: &str) -> io::Error {
        match self.pack {
            Some(pack) => mismatch(&self.source, &self.meta, pack, what).into(),
            None => io::Error::new(io::ErrorKind::InvalidData, what.to_owned()),
        }
    }
}

impl Read for PayloadReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..most];
        let taken = match &mut self.input {
            Input::Inline(bytes) => bytes.reader().read(buffer)?,
            Input::Raw(pieces) => pieces.read(buffer)?,
            Input::Zstd(decoder) => match decoder.read(buffer) {
                Ok(taken) => taken,
                // What the store says goes through; what zstd says is about the payload.
                Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => return Err(error),
                Err(_) => return Err(self.wrong("it can not be decompressed")),
            },
        };
        if taken == 0 {
            return Err(self.wrong("it ends too early"));
        }
        self.hasher.update(&buffer[..taken]);
        let left = self.left - taken as u64;
        if left == 0 && self.hasher.finalize().as_bytes() != self.meta.digest.as_bytes() {
            return Err(self.wrong("its bytes do not match its digest"));
        }
        self.left = left;
        Ok(taken)
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.rest.len > 0 {
            let len = self.rest.len.min(PIECE_BYTES);
            self.piece = self.source.blob(Blob { len, ..self.rest })?;
            self.rest.offset += len;
            self.rest.len -= len;
        }
        let taken = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}
