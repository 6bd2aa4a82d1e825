//! The packed form of a set of partitions: `data.bin` with the payloads and `idx.bin` with an entry for each, by key.
//!
//! An entry has 56 bytes: the key's 12 digits, the payload's length (4 bytes, little-endian), where it begins in
//! `data.bin` (8 bytes), its BLAKE3 (32 bytes). The reference programs read and write it by mapping the files.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use deltic_core::Digest;
use rayon::prelude::*;

use crate::workload::{KEY_DIGITS, Kind, key, payload};

const ENTRY: usize = 56;

/// Partitions that are generated at once: bounds the memory of the generator.
const CHUNK: u64 = 4096;

/// A partition in the packed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedEntry {
    /// Its name; trailing `-` fill names that are shorter than twelve digits.
    pub key: [u8; KEY_DIGITS],
    /// Its length in bytes.
    pub len: u32,
    /// Where it begins in the data file.
    pub offset: u64,
    /// Plain BLAKE3 of its bytes.
    pub digest: Digest,
}

impl PackedEntry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..12].copy_from_slice(&self.key);
        bytes[12..16].copy_from_slice(&self.len.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..].copy_from_slice(self.digest.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY]) -> PackedEntry {
        let field = |from: usize| bytes[from..].first_chunk::<8>().map_or(0, |field| u64::from_le_bytes(*field));
        let mut digest = [0; Digest::LEN];
        digest.copy_from_slice(&bytes[24..]);
        PackedEntry {
            key: std::array::from_fn(|index| bytes[index]),
            len: (field(12) & u64::from(u32::MAX)) as u32,
            offset: field(16),
            digest: Digest::from_bytes(digest),
        }
    }

    /// The name without its padding.
    pub fn digits(&self) -> &[u8] {
        let len = self.key.iter().position(|byte| *byte == b'-').unwrap_or(KEY_DIGITS);
        &self.key[..len]
    }
}

/// An open folder in packed form: the index in memory, the data in its file.
#[derive(Debug)]
pub struct Packed {
    folder: PathBuf,
    entries: Vec<PackedEntry>,
    data: File,
}

impl Packed {
    /// Opens a folder. Cost: reads the index, 56 bytes a partition.
    pub fn open(folder: &Path) -> Result<Packed> {
        let index = folder.join("idx.bin");
        let bytes = std::fs::read(&index).with_context(|| format!("reading {}", index.display()))?;
        let (chunks, rest) = bytes.as_chunks::<ENTRY>();
        ensure!(rest.is_empty(), "{}: {} bytes are no whole number of entries", index.display(), bytes.len());
        let entries: Vec<PackedEntry> = chunks.iter().map(PackedEntry::from_bytes).collect();
        ensure!(
            entries.is_sorted_by(|a, b| a.key < b.key),
            "{}: its keys are not sorted and unique; make it again",
            index.display()
        );
        let data = folder.join("data.bin");
        let data = File::open(&data).with_context(|| format!("opening {}", data.display()))?;
        Ok(Packed { folder: folder.to_owned(), entries, data })
    }

    /// The partitions, sorted by name.
    pub fn entries(&self) -> &[PackedEntry] {
        &self.entries
    }

    /// Reads a payload and checks it against its digest.
    pub fn read(&self, entry: &PackedEntry) -> Result<Vec<u8>> {
        let mut bytes = vec![0; entry.len as usize];
        let what = || format!("{}: payload of {}", self.folder.display(), String::from_utf8_lossy(entry.digits()));
        self.data.read_exact_at(&mut bytes, entry.offset).with_context(what)?;
        ensure!(Digest::of(&bytes) == entry.digest, "{} does not match its digest; make it again", what());
        Ok(bytes)
    }
}

/// Writes a folder in packed form.
#[derive(Debug)]
pub struct PackedWriter {
    folder: PathBuf,
    data: BufWriter<File>,
    offset: u64,
    index: Vec<u8>,
}

impl PackedWriter {
    /// Begins a folder, which is made.
    pub fn create(folder: &Path) -> Result<PackedWriter> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join("data.bin");
        let data = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(PackedWriter::over(folder, data, 0))
    }

    fn over(folder: &Path, data: File, offset: u64) -> PackedWriter {
        PackedWriter {
            folder: folder.to_owned(),
            data: BufWriter::with_capacity(1 << 20, data),
            offset,
            index: Vec::new(),
        }
    }

    /// Adds a partition. Names must ascend.
    pub fn add(&mut self, key: [u8; KEY_DIGITS], digest: Digest, bytes: &[u8]) -> Result<()> {
        let len = u32::try_from(bytes.len()).context("a payload has more than 4 GiB")?;
        self.data.write_all(bytes).with_context(|| format!("writing into {}", self.folder.display()))?;
        self.keep(&PackedEntry { key, len, offset: self.offset, digest });
        self.offset += u64::from(len);
        Ok(())
    }

    /// Adds an entry whose payload the data file holds already.
    fn keep(&mut self, entry: &PackedEntry) {
        self.index.extend_from_slice(&entry.to_bytes());
    }

    /// Writes the index.
    pub fn finish(mut self) -> Result<()> {
        self.data.flush().with_context(|| format!("writing into {}", self.folder.display()))?;
        let path = self.folder.join("idx.bin");
        std::fs::write(&path, &self.index).with_context(|| format!("writing {}", path.display()))
    }
}

/// Generates `count` partitions into a folder. `kind` selects those with content `version`; the others have content 0.
pub fn generate(folder: &Path, count: u64, kind: Kind, version: u64) -> Result<()> {
    let mut writer = PackedWriter::create(folder)?;
    for first in (0..count).step_by(CHUNK as usize) {
        let numbers = first..(first + CHUNK).min(count);
        let made: Vec<(Digest, String)> = numbers
            .clone()
            .into_par_iter()
            .map(|number| {
                let mut text = String::new();
                payload(number, kind.version_of(number, count, version), &mut text);
                (Digest::of(text.as_bytes()), text)
            })
            .collect();
        for (number, (digest, text)) in numbers.zip(made) {
            writer.add(key(number), digest, text.as_bytes())?;
        }
    }
    writer.finish()
}

/// Like [`generate`], beside a folder of kind [`Kind::Base`]: it shares the data file of that folder (a hard link), and appends
/// the changed payloads. Cost: the index and the changes, in time and space.
pub fn generate_on(base: &Path, folder: &Path, kind: Kind, version: u64) -> Result<()> {
    let packed = Packed::open(base)?;
    let count = packed.entries().len() as u64;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join("data.bin");
    std::fs::hard_link(base.join("data.bin"), &path).with_context(|| format!("linking {}", path.display()))?;
    let data = OpenOptions::new().append(true).open(&path).with_context(|| format!("opening {}", path.display()))?;
    let offset = data.metadata().with_context(|| format!("opening {}", path.display()))?.len();
    let mut writer = PackedWriter::over(folder, data, offset);
    let mut text = String::new();
    for (number, entry) in (0..count).zip(packed.entries()) {
        match kind.version_of(number, count, version) {
            0 => writer.keep(entry),
            version => {
                payload(number, version, &mut text);
                writer.add(key(number), Digest::of(text.as_bytes()), text.as_bytes())?;
            }
        }
    }
    writer.finish()
}
