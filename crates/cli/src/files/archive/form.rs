//! The form of a file by its first bytes, if it differs from the form in its name.
//!
//! Only a certain form counts. Any other file is read in the form of its name, and reading it shows the error.

use std::fmt;
use std::io::{self, ErrorKind};

use super::Packing;

/// Where a tar archive has its magic number: in the header of its first member. Forms of before 1988 have none.
const USTAR: (usize, &[u8]) = (257, b"ustar");

/// The first bytes of files of other programs.
const OTHERS: [(&str, &[u8]); 4] =
    [("xz", b"\xfd7zXZ\0"), ("zip", b"PK\x03\x04"), ("zip", b"PK\x05\x06"), ("7z", b"7z\xbc\xaf\x27\x1c")];

/// The magic numbers of a block of bzip2 and of its end. Four bytes are before them, with which names may begin too.
const BZIP2: [&[u8]; 2] = [b"1AY&SY", b"\x17rE8P\x90"];

/// A file in another form than its name states.
#[derive(Debug)]
pub(super) struct OtherForm {
    what: &'static str,
    hint: &'static str,
}

impl OtherForm {
    /// The form of a file by its first bytes, if it is certain and differs from the form in its name.
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
            (None, other.or(is_bzip2.then_some("bzip2"))?, "unpack it, or pack it again as .tar, .tar.gz or .tar.zst")
        };
        (packing != Some(named)).then_some(OtherForm { what, hint })
    }
}

/// A frame, or one that readers skip.
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
        let found = |named, first: &[u8]| OtherForm::find(named, first).map(|other| other.to_string());
        assert_eq!(found(Packing::Plain, &tar), None);
        assert_eq!(found(Packing::Gzip, &tar).unwrap(), "this is tar: name it .tar");
        assert_eq!(found(Packing::Zstd, b"\x1f\x8b\x08\0").unwrap(), "this is gzip: name it .tar.gz");
        assert_eq!(found(Packing::Gzip, b"\x51\x2a\x4d\x18").unwrap(), "this is zstd: name it .tar.zst");
        assert!(found(Packing::Plain, &tar[..100]).unwrap().starts_with("this is bzip2: "));
        for bytes in [&b""[..], b"\x1f", b"BZh9", b"BZh91AY", b"BZhello world", b"PK", b"7z", b"7zip.txt", b"PKZIP"] {
            for named in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
                assert_eq!(found(named, bytes), None, "{bytes:?}");
            }
        }
    }
}
