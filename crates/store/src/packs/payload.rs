//! Reading payloads: one, many in few requests, or piece by piece. Nothing is handed out whole before its digest has been checked.
//! Where a remote store gives wrong bytes, the payload is read a second time before it counts as damaged.
//!
//! Memory: a payload that is read whole takes the length in its leaf, and where it is compressed at most 32,768 times what is stored,
//! which is the most that zstd can grow. One that is read by pieces takes 4 MiB, and where it is compressed the window of its frame,
//! at most 128 MiB.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use deltic_core::{Digest, Meta, Payload};

use crate::format::entry::Blob;
use crate::format::entry::{Codec, Entry, Place};
use crate::format::inflate::inflate;
use crate::format::object_name::{ObjectName, PackName};
use crate::packs::source::{Reading, Source};
use crate::{Error, Result};

/// The length of the pieces that a streamed payload is read by.
const PIECE_BYTES: u64 = 4 << 20;

/// Reads the payload of an entry.
pub(crate) fn read(source: &Source, entry: &Entry) -> Result<Payload> {
    match (&entry.place, blob(source, entry)?) {
        (Place::Inline(bytes), _) => inline(entry, bytes),
        (Place::Pack { codec, .. }, Some(blob)) => unpack(source, &entry.meta, blob, *codec, source.blob(blob)?),
        (Place::Pack { .. }, None) => Err(Error::internal("a payload in a pack has no place")),
    }
}

/// Payloads that are being read. Dropping this ends the reads.
pub struct Payloads {
    source: Arc<Source>,
    entries: Vec<Entry>,
    reading: Reading,
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payloads({} of {})", self.entries.len(), self.source.client().url())
    }
}

impl Payloads {
    pub(crate) fn begin(source: &Arc<Source>, entries: Vec<Entry>) -> Result<Payloads> {
        let reading = source.begin(&blobs(source, &entries)?)?;
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
    unpack_all(source, entries, source.blobs(&blobs(source, entries)?)?)
}

/// The blobs to read for these entries.
fn blobs(source: &Source, entries: &[Entry]) -> Result<Vec<Blob>> {
    entries.iter().filter_map(|entry| blob(source, entry).transpose()).collect()
}

/// The blob to read for an entry; none for an inline one. Checks that it is hardly longer than the payload: so a caller that has
/// memory for the payload has memory for the blob.
fn blob(source: &Source, entry: &Entry) -> Result<Option<Blob>> {
    let Place::Pack { pack, offset, stored, codec } = entry.place else { return Ok(None) };
    let len = entry.meta.len;
    let most = match codec {
        Codec::Raw => len,
        Codec::Zstd => len.saturating_add(len / 128).saturating_add(1024),
    };
    if stored > most {
        return Err(mismatch(source, &entry.meta, pack, "its length differs from the one in the tree"));
    }
    Ok(Some(Blob { pack, offset, len: stored }))
}

fn unpack_all(source: &Source, entries: &[Entry], bodies: Vec<Bytes>) -> Result<Vec<Payload>> {
    let mut bodies = bodies.into_iter();
    entries
        .iter()
        .map(|entry| match &entry.place {
            Place::Inline(bytes) => inline(entry, bytes),
            Place::Pack { pack, offset, stored, codec } => {
                let body = bodies.next().ok_or_else(|| Error::internal("a request was not answered"))?;
                let blob = Blob { pack: *pack, offset: *offset, len: *stored };
                unpack(source, &entry.meta, blob, *codec, body)
            }
        })
        .collect()
}

fn inline(entry: &Entry, bytes: &Bytes) -> Result<Payload> {
    if bytes.len() as u64 != entry.meta.len || Digest::of(bytes) != entry.meta.digest {
        return Err(Error::invalid(
            "an entry holds inline bytes that do not match its digest; the entry was built wrongly",
        ));
    }
    Ok(Payload::new(bytes.clone()).with_fields(entry.meta.fields.clone()))
}

fn unpack(source: &Source, meta: &Meta, blob: Blob, codec: Codec, body: Bytes) -> Result<Payload> {
    match unpack_once(source, meta, blob.pack, codec, body) {
        Err(error) => {
            let body = source.client().drive(source.reread(blob, error))?;
            unpack_once(source, meta, blob.pack, codec, body)
        }
        read => read,
    }
}

fn unpack_once(source: &Source, meta: &Meta, pack: PackName, codec: Codec, body: Bytes) -> Result<Payload> {
    let bytes = match codec {
        Codec::Raw => body,
        Codec::Zstd => usize::try_from(meta.len)
            .ok()
            .and_then(|len| inflate(&body, len))
            .ok_or_else(|| mismatch(source, meta, pack, "it can not be decompressed"))?
            .into(),
    };
    if bytes.len() as u64 != meta.len {
        return Err(mismatch(source, meta, pack, "its length differs from the one in the tree"));
    }
    if Digest::of(&bytes) != meta.digest {
        return Err(mismatch(source, meta, pack, "its bytes do not match its digest"));
    }
    Ok(Payload::new(bytes).with_fields(meta.fields.clone()))
}

fn mismatch(source: &Source, meta: &Meta, pack: PackName, what: &str) -> Error {
    let what = format!("payload {}: {what}", meta.digest.short());
    Error::corrupt(source.client().url(), ObjectName::Pack(pack), what)
}

/// A payload that is read piece by piece, so that it need not fit into memory.
///
/// The last piece is handed out only after the digest of all pieces was checked; otherwise reading fails with
/// [`io::ErrorKind::InvalidData`] and a [`crate::Error`] inside. Use nothing of it before the end.
///
/// A payload of one piece is checked before any of it is handed out. A longer one from a remote store that turns out wrong is read a
/// second time. When that succeeds, the error states that the payload was damaged in transit ([`crate::ErrorKind::Unavailable`]):
/// trying again helps.
pub struct PayloadReader {
    source: Arc<Source>,
    entry: Entry,
    input: Input,
    hasher: blake3::Hasher,
    left: u64,
    /// Whether it is the second time.
    is_second: bool,
}

enum Input {
    /// Short, and not read yet.
    Unread,
    /// Read and checked.
    Whole(Bytes),
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
        let meta = &self.entry.meta;
        write!(f, "PayloadReader({}, {} of {} bytes left)", meta.digest.short(), self.left, meta.len)
    }
}

impl PayloadReader {
    pub(crate) fn new(source: &Arc<Source>, entry: &Entry) -> Result<PayloadReader> {
        let input = match (&entry.place, blob(source, entry)?) {
            (Place::Pack { pack, stored, codec: Codec::Raw, .. }, _) if *stored != entry.meta.len => {
                let what = "its length differs from the one in the tree";
                return Err(mismatch(source, &entry.meta, *pack, what));
            }
            (Place::Pack { codec, .. }, Some(rest)) if entry.meta.len > PIECE_BYTES => {
                let pieces = Pieces { source: Arc::clone(source), rest, piece: Bytes::new() };
                match codec {
                    Codec::Raw => Input::Raw(pieces),
                    Codec::Zstd => Input::Zstd(Box::new(
                        zstd::stream::read::Decoder::new(pieces)
                            .map_err(|e| Error::internal("zstd could not be set up").because(&e))?,
                    )),
                }
            }
            _ => Input::Unread,
        };
        let (source, entry, hasher) = (Arc::clone(source), entry.clone(), blake3::Hasher::new());
        Ok(PayloadReader { source, left: entry.meta.len, entry, input, hasher, is_second: false })
    }

    /// The payload's digest, length and fields.
    pub fn meta(&self) -> &Meta {
        &self.entry.meta
    }

    /// The error for wrong bytes, of which some are handed out already.
    fn wrong(&self, what: &str) -> io::Error {
        let Place::Pack { pack, .. } = self.entry.place else {
            return io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        };
        let error = mismatch(&self.source, &self.entry.meta, pack, what);
        if self.is_second || !self.source.client().should_reread(&error) {
            return error.into();
        }
        let second =
            PayloadReader::new(&self.source, &self.entry).map(|reader| PayloadReader { is_second: true, ..reader });
        match second.map_err(io::Error::from).and_then(|mut reader| io::copy(&mut reader, &mut io::sink())) {
            Err(error) => error,
            Ok(_) => {
                let (url, digest) = (self.source.client().url(), self.entry.meta.digest.short());
                let message =
                    format!("{url}: payload {digest} was damaged in transit, and is intact in the store; try again");
                Error::unavailable(message).into()
            }
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
        if matches!(self.input, Input::Unread) {
            self.input = Input::Whole(read(&self.source, &self.entry)?.bytes().clone());
        }
        let taken = match &mut self.input {
            Input::Unread => 0,
            Input::Whole(bytes) => {
                let taken = bytes.reader().read(buffer)?;
                self.left -= taken as u64;
                return Ok(taken);
            }
            Input::Raw(pieces) => pieces.read(buffer)?,
            Input::Zstd(decoder) => match decoder.read(buffer) {
                Ok(taken) => taken,
                // An error of the store passes unchanged; an error of zstd is about the payload.
                Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => return Err(error),
                Err(_) => return Err(self.wrong("it can not be decompressed")),
            },
        };
        if taken == 0 {
            return Err(self.wrong("it ends too early"));
        }
        self.hasher.update(&buffer[..taken]);
        let left = self.left - taken as u64;
        if left == 0 && self.hasher.finalize().as_bytes() != self.entry.meta.digest.as_bytes() {
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
