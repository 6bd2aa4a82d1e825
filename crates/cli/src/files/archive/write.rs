//! Writes tar archives. Their pax records keep user fields, and names of any length.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use deltic_core::{Meta, Timestamp};
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::{BLOCK, Packing, looks_like_metadata, padding, pax};

/// The longest name and the largest size that fit into a header itself.
const LONGEST_NAME: usize = 100;
const LARGEST_SIZE: u64 = 0o777_7777_7777;

/// An archive while it is written: for each file a header, then as many bytes as the header states, then the end of the file.
pub(crate) struct Writer {
    to: Stream,
    seconds: u64,
}

enum Stream {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Writer {
    /// Begins an archive. All its members have the same time, so that a version always gives the same archive.
    pub(crate) fn new(file: File, packing: Packing, time: Timestamp) -> io::Result<Writer> {
        let file = BufWriter::with_capacity(1 << 20, file);
        let to = match packing {
            Packing::Plain => Stream::Plain(file),
            Packing::Gzip => Stream::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Packing::Zstd => Stream::Zstd(zstd::Encoder::new(file, 0)?),
        };
        let mut writer = Writer { to, seconds: time.0 / 1000 };
        // An archive without members would look like a file that was never written.
        writer.header("./", EntryType::Directory, 0o755, 0)?;
        Ok(writer)
    }

    /// Begins a file, whose bytes must be written next.
    pub(crate) fn begin(&mut self, path: &str, meta: &Meta) -> io::Result<()> {
        let mut records = Vec::new();
        if path.len() > LONGEST_NAME || !path.is_ascii() {
            pax::write(&mut records, "path", path.as_bytes());
        }
        if meta.len > LARGEST_SIZE {
            pax::write(&mut records, "size", meta.len.to_string().as_bytes());
        }
        if looks_like_metadata(path) {
            pax::write(&mut records, pax::FILE, b"1");
        }
        pax::write_fields(&mut records, &meta.fields);
        if !records.is_empty() {
            self.header("PaxHeaders/next", EntryType::XHeader, 0o644, records.len() as u64)?;
            self.write_all(&records)?;
            self.end(records.len() as u64)?;
        }
        self.header(path, EntryType::Regular, 0o644, meta.len)
    }

    /// Ends a file of `size` bytes.
    pub(crate) fn end(&mut self, size: u64) -> io::Result<()> {
        self.write_all(&[0; BLOCK][..padding(size) as usize])
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.write_all(&[0; 2 * BLOCK])?;
        let file = match self.to {
            Stream::Plain(file) => file,
            Stream::Gzip(encoder) => encoder.finish()?,
            Stream::Zstd(encoder) => encoder.finish()?,
        };
        file.into_inner().map(drop).map_err(io::IntoInnerError::into_error)
    }

    fn header(&mut self, name: &str, kind: EntryType, mode: u32, size: u64) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let end = (0..=LONGEST_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
        header.as_old_mut().name[..end].copy_from_slice(&name.as_bytes()[..end]);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.seconds);
        header.set_size(size);
        header.set_cksum();
        self.write_all(header.as_bytes())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            Stream::Plain(to) => to.write(bytes),
            Stream::Gzip(to) => to.write(bytes),
            Stream::Zstd(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            Stream::Plain(to) => to.flush(),
            Stream::Gzip(to) => to.flush(),
            Stream::Zstd(to) => to.flush(),
        }
    }
}
