//! How archives are compressed, and how they are read.
//!
//! Several compressed streams one after the other are read as one, as `gzip` and `zstd` do. Anything else after the last stream
//! is an error: it may be padding, or the rest of a longer archive.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::form::OtherForm;

type Input = BufReader<File>;

/// The extensions of archives that can be read and written.
pub(crate) const KNOWN: &str = ".tar, .tar.gz, .tgz, .tar.zst, .tzst";

/// The extensions of other archives, and of single files that are compressed.
const UNKNOWN: [&str; 22] = [
    "7z", "br", "bz2", "cpio", "gz", "jar", "lz", "lz4", "lzma", "lzo", "rar", "taz", "tb2", "tbz", "tbz2", "tlz",
    "txz", "xz", "z", "zip", "zst", "zstd",
];

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// The packing of archives with this name; none if it is not the name of an archive.
    pub(crate) fn of(path: &Path) -> Option<Packing> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        match name.as_str() {
            name if name.ends_with(".tar") => Some(Packing::Plain),
            name if name.ends_with(".tar.gz") || name.ends_with(".tgz") => Some(Packing::Gzip),
            name if name.ends_with(".tar.zst") || name.ends_with(".tzst") => Some(Packing::Zstd),
            _ => None,
        }
    }

    /// Whether a name is that of an archive, or of a packed file, in a form that can not be read.
    pub(crate) fn is_unknown(path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let is_packed = |ending: &str| {
            name.strip_suffix(ending).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
        };
        Packing::of(path).is_none() && UNKNOWN.iter().any(|ending| is_packed(ending))
    }

    /// Reads an archive of this packing.
    pub(super) fn unpack(self, file: File) -> io::Result<Box<dyn Read>> {
        let mut file = BufReader::with_capacity(1 << 20, file);
        first(&mut file)?;
        if let Some(other) = OtherForm::find(self, file.buffer()) {
            return Err(other.into());
        }
        Ok(match self {
            Packing::Plain => Box::new(file),
            Packing::Gzip => Box::new(Streams { decoder: Some(Decoder::gzip(file)) }),
            Packing::Zstd => Box::new(Streams { decoder: Some(Decoder::zstd(file)?) }),
        })
    }
}

/// Compressed streams one after the other.
struct Streams {
    /// None once the last has ended.
    decoder: Option<Decoder>,
}

/// Reads one compressed stream, and no byte after it.
enum Decoder {
    Gzip(GzDecoder<Input>),
    Zstd(zstd::Decoder<'static, Input>),
}

impl Decoder {
    fn gzip(file: Input) -> Decoder {
        Decoder::Gzip(GzDecoder::new(file))
    }

    fn zstd(file: Input) -> io::Result<Decoder> {
        Ok(Decoder::Zstd(zstd::Decoder::with_buffer(file)?.single_frame()))
    }

    /// The reader of the next stream, at the end of this one; none at the end of the file.
    fn next(self) -> io::Result<Option<Decoder>> {
        match self {
            Decoder::Gzip(decoder) => {
                let mut file = decoder.into_inner();
                match first(&mut file)? {
                    None => Ok(None),
                    Some(0x1f) => Ok(Some(Decoder::gzip(file))),
                    Some(_) => Err(Trailing::find("gzip", file)?.into()),
                }
            }
            Decoder::Zstd(decoder) => {
                let mut file = decoder.finish();
                match first(&mut file)? {
                    None => Ok(None),
                    // A frame, or one that readers skip.
                    Some(0x28 | 0x50..=0x5f) => Ok(Some(Decoder::zstd(file)?)),
                    Some(_) => Err(Trailing::find("zstd", file)?.into()),
                }
            }
        }
    }
}

impl Read for Streams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = match decoder {
                Decoder::Gzip(decoder) => decoder.read(buffer)?,
                Decoder::Zstd(decoder) => decoder.read(buffer)?,
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.decoder = self.decoder.take().map(Decoder::next).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// The next byte, which is not consumed.
fn first(file: &mut Input) -> io::Result<Option<u8>> {
    loop {
        match file.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            found => return Ok(found?.first().copied()),
        }
    }
}

/// Bytes after the compressed streams of a file.
#[derive(Debug)]
pub(super) struct Trailing {
    program: &'static str,
    bytes: u64,
    is_zeros: bool,
}

impl Trailing {
    fn find(program: &'static str, mut file: Input) -> io::Result<Trailing> {
        let mut trailing = Trailing { program, bytes: 0, is_zeros: true };
        while first(&mut file)?.is_some() {
            let rest = file.buffer();
            trailing.is_zeros &= rest.iter().all(|byte| *byte == 0);
            let read = rest.len();
            trailing.bytes += read as u64;
            file.consume(read);
        }
        Ok(trailing)
    }

    /// Advice for the user.
    pub(super) fn hint(&self) -> String {
        let program = self.program;
        format!(
            "get the archive again; or, if it is complete without these bytes: `{program} -dc OLD | {program} -c > NEW`"
        )
    }
}

impl fmt::Display for Trailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, program) = (self.bytes, self.program);
        let what = if self.is_zeros { "zeros".to_owned() } else { format!("data that is no {program} stream") };
        write!(f, "its {program} stream is followed by {bytes} bytes of {what}")
    }
}

impl std::error::Error for Trailing {}

impl From<Trailing> for io::Error {
    fn from(trailing: Trailing) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, trailing)
    }
}
