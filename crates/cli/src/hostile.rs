//! Wrong input files of the commands: configurations, job files, archives to import.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use crate::config::{Config, JobFile, Sources};
use crate::files::archive::files_of_archive;
use crate::files::source::Source;

#[path = "../../../tests/support/hostile.rs"]
mod harness;

use harness::{Decoder, check, seeds};

const CONFIGURATION: &str = r#"
[catalogs]
in = "file:data/in"
names = { url = "file:data/names", version = 5 }
before = { catalog = "in", runs_ago = 1 }

[driver]
threads = 3
memory = "512 MiB"

[compiler.coverage]
level = 12
area = { names = ["a", "b"], deep = true, limit = 1.5e3 }
when = 2026-11-20T23:00:13Z

[filters.near]
box = { south = 46.9, west = 7.4, north = 47.0, east = 7.5, generic = true }
"#;

const JOB: &str = r#"
base_version = 7

[inputs]
map = { changes = { since = 3, version = 5 } }
roads = { no_changes = { version = 4 } }
names = { reprocess = {} }
"#;

/// Elements of TOML.
const WORDS: &[&str] = &[
    "[",
    "[[",
    "]",
    "{",
    "{a=",
    "a.",
    "a = [",
    "\n[a]\n",
    "\n[[a]]\n",
    "\"",
    "'''",
    "\"\"\"",
    "=",
    "9",
    "-",
    "nan",
    "inf",
    "1e999",
    "0x",
    "\\u0000",
    "\\UFFFFFFFF",
    "\n",
    "#",
    ",",
];

/// A setting of the driver in the environment.
fn variable(name: &'static str, setting: &'static str, valid: &[&str]) -> Decoder<'static> {
    let valid = valid.iter().map(|text| text.as_bytes().to_vec()).collect();
    Decoder::new(name, valid, (512, 1 << 16), move |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let environment = vec![(OsString::from(format!("DELTIC__DRIVER__{setting}")), OsString::from(text))];
        Config::merge("x", None, &Sources { environment, ..Sources::default() }).is_ok()
    })
    .with_words(&["99999999999999999999", "9", " MiB", " B", "h", "ns", "-", ".", "[", "\""])
}

/// An archive of two files in a folder.
fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in [("folder/one", &b"1"[..]), ("folder/two", &[7; 700])] {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, body).unwrap();
    }
    let long = format!("folder/{}", "x".repeat(200));
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    builder.append_data(&mut header, long, &b"abc"[..]).unwrap();
    builder.into_inner().unwrap()
}

/// An archive with pax headers: of all members, of a name and a user field, of a file with holes.
fn pax() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut file = |kind: tar::EntryType, body: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, "folder/file", body).unwrap();
    };
    file(tar::EntryType::XGlobalHeader, b"12 comment=\n");
    file(tar::EntryType::XHeader, b"14 path=a/b/c\n22 DELTIC.field.%25=x\n");
    file(tar::EntryType::Regular, b"1");
    let sparse = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n21 GNU.sparse.name=s\n28 GNU.sparse.realsize=2000\n";
    file(tar::EntryType::XHeader, sparse);
    let mut body = b"2\n512\n512\n1030\n1\n".to_vec();
    body.resize(512, 0);
    body.resize(1025, b'a');
    file(tar::EntryType::Regular, &body);
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Corrects the checksums of all headers.
fn summed(mut archive: Vec<u8>) -> Vec<u8> {
    for block in archive.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

fn read_archive(path: &PathBuf, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).unwrap();
    let Ok(Source::Archive(path, packing)) = Source::find(path, false) else { panic!("no archive") };
    files_of_archive(&path, packing, &mut |file, read| {
        let name = file.path;
        assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."));
        read().map(|_| ())
    })
    .is_ok()
}

fn check_all(range: std::ops::Range<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (plain, zipped, zstd) = (at("a.tar"), at("a.tar.gz"), at("a.tar.zst"));
    let setting =
        |text: &str| Config::merge("x", None, &Sources { settings: vec![text.to_owned()], ..Sources::default() });
    // Memory for the archive itself: 1 MiB that is read ahead, and 64 MiB for a file whose header states that length.
    let archive = 68 << 20;
    check(
        &[
            Decoder::new("a configuration", vec![CONFIGURATION.into()], (512, 1 << 16), |bytes| {
                std::str::from_utf8(bytes)
                    .is_ok_and(|text| Config::merge("x.conf", Some(text), &Sources::default()).is_ok())
            })
            .with_words(WORDS),
            Decoder::new("a job", vec![JOB.into()], (512, 1 << 16), |bytes| {
                std::str::from_utf8(bytes).is_ok_and(|text| JobFile::parse("job", text).is_ok())
            })
            .with_words(WORDS),
            Decoder::new(
                "a setting",
                vec![b"compiler.a.\"b c\".d=7".to_vec(), b"driver.threads=2".to_vec()],
                (512, 1 << 16),
                |bytes| std::str::from_utf8(bytes).is_ok_and(|text| setting(text).is_ok()),
            )
            .with_words(WORDS),
            variable("a number in a variable", "THREADS", &["3", "1000"]),
            variable("a size in a variable", "MEMORY", &["512 MiB", "0 B", "1 GiB"]),
            variable("a time in a variable", "CHECKPOINT", &["90s", "1h 30m", "false"]),
            Decoder::new("a tar archive", vec![tar(), pax()], (8, archive), |bytes| read_archive(&plain, bytes))
                .sealed(summed),
            Decoder::new("a tar.gz archive", vec![gzip(&tar())], (4000, archive), |bytes| read_archive(&zipped, bytes)),
            Decoder::new(
                "a tar.zst archive",
                vec![zstd::bulk::compress(&tar(), 1).unwrap()],
                (64 << 10, archive),
                |bytes| read_archive(&zstd, bytes),
            ),
        ],
        range,
    );
}

#[test]
fn decoders_bear_anything() {
    check_all(0..2000);
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-cli --lib -- --ignored hostile:: --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn decoders_bear_much_more() {
    check_all(seeds("0..100000"));
}
