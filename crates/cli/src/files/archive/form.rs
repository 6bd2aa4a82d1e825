//! The form of a file by its first bytes, where it is another one than its name states.
//!
//! Only a form that is certain counts. Any other file is read as its name states, and reading it shows what is wrong.

use std::fmt;
use std::io::{self, ErrorKind};

use super::Packing;

/// Where a tar archive has its magic number: in the header of its first member. Forms of before 1988 have none.
const USTAR: (usize, &[u8]) = (257, b"ustar");

/// What the files of other programs begin with.
const OTHERS: [(&str, &[u8]); 4] =
    [("xz", b"\xfd7zXZ\0"), ("zip", b"PK\x03\x04"), ("zip", b"PK\x05\x06"), ("7z", b"7z\xbc\xaf\x27\x1c")];

/// The magic numbers of a block of bzip2 and of its end, after four bytes that names may well begin with.
const BZIP2: [&[u8]; 2] = [b"1AY&SY", b"\x17rE8P\x90"];

/// A file that is of another form than its name says.
#[derive(Debug)]
pub(super) struct OtherForm {
    what: &'static str,
    hint: &'static str,
}

impl OtherForm {
    /// The form that a file is surely of by its first bytes, if that is not the one that its name says.
    pub(super) fn find(named: Packing, first: &[u8]) -> Option<OtherForm> {
        let (packing, what, hint) = if has_at(first, USTAR.0, USTAR.1) {
            (Some(Packing::Plain), "tar", "name it .tar")
        } else if first.starts_with(b"\x1f\x8b\x08") {
            (Some(Packing::Gzip), "gzip", "name it .tar.gz")
        } else if is_zstd(first) {
            (Some(Packing::Zstd), "zstd", "name it .tar.zst")
        } else {
            let is_bzip2 = first.starts_with(b"BZh") && BZIP2.iter().any(|magic| has_at(first, 4, magic));
            let other = OTHERS.iter().find(|(_, begin)| first.starts_with(begin)).map(|(what, _)| *what);
            (None, other.or(is_bzip2.then_some("bzip2"))?, "unpack it, or pack it anew as .tar, .tar.gz or .tar.zst")
        };
        (packing != Some(named)).then_some(OtherForm { what, hint })
    }
}

/// A frame, or one that is to be passed over.
fn is_zstd(first: &[u8]) -> bool {
    first.starts_with(b"\x28\xb5\x2f\xfd") || matches!(first, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn has_at(bytes: &[u8], at: usize, what: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(what))
}

impl fmt::Display for OtherForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is {}: {}", self.what, self.hint)
    }
}

impl std::error::Error for OtherForm {}

impl From<OtherForm> for io::Error {
    fn from(other: OtherForm) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_another_form_is_called_so() {
        let mut tar = [0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        // A first member whose name is how a packed file begins.
        tar[..10].copy_from_slice(b"BZh91AY&SY");
        let said = |named, first: &[u8]| OtherForm::find(named, first).map(|other| other.to_string());
        assert_eq!(said(Packing::Plain, &tar), None);
        assert_eq!(said(Packing::Gzip, &tar).unwrap(), "this is tar: name it .tar");
        assert_eq!(said(Packing::Zstd, b"\x1f\x8b\x08\0").unwrap(), "this is gzip: name it .tar.gz");
        assert_eq!(said(Packing::Gzip, b"\x51\x2a\x4d\x18").unwrap(), "this is zstd: name it .tar.zst");
        assert!(said(Packing::Plain, &tar[..100]).unwrap().starts_with("this is bzip2: "));
        for bytes in [&b""[..], b"\x1f", b"BZh9", b"BZh91AY", b"BZhello world", b"PK", b"7z", b"7zip.txt", b"PKZIP"] {
            for named in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
                assert_eq!(said(named, bytes), None, "{bytes:?}");
            }
        }
    }
}
