use std::fs::File;
use std::io::Write as _;

use deltic_core::{Payload, Timestamp};

use super::stream::RECORD;
use super::*;

/// A member with a header that the test makes itself.
fn member(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    block_of(&mut Header::new_ustar(), name, kind, content)
}

fn block_of(header: &mut Header, name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkflag = [kind];
    header.set_size(content.len() as u64);
    sealed(header, content)
}

fn sealed(header: &mut Header, content: &[u8]) -> Vec<u8> {
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// An extended header of pax.
fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    records.iter().for_each(|(key, value)| pax::write(&mut content, key, value.as_bytes()));
    member(b"PaxHeaders.0/x", kind, &content)
}

/// The members' bytes one after the other, and an end mark.
fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

/// The content of an archive: names, bytes, user fields.
fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>, String)>, String> {
    read_packed(bytes, "a.tar")
}

fn read_packed(bytes: &[u8], name: &str) -> Result<Vec<(String, Vec<u8>, String)>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut found = Vec::new();
    let done = files_of_archive(&path, Packing::of(&path).unwrap(), &mut |member, read| {
        found.push((member.path, read()?, member.fields.as_str().to_owned()));
        Ok(())
    });
    done.map(|()| found)
        .map_err(|failure| crate::terminal::escape::line(failure.to_string().split_once(": ").unwrap().1).into_owned())
}

fn one(name: &str, content: &[u8]) -> Result<Vec<(String, Vec<u8>, String)>, String> {
    Ok(vec![(name.to_owned(), content.to_vec(), String::new())])
}

#[test]
fn members_stay_below_their_archive() {
    let name = |path: &str| member_path(path.as_bytes(), path).map_err(|failure| failure.to_string());
    assert_eq!(name("./a/b").unwrap(), "a/b");
    assert_eq!(name("a//b").unwrap(), "a/b");
    assert!(name("a/../b").unwrap_err().contains("upwards"));
    assert!(name("/a").unwrap_err().contains("absolute"));
    for path in ["", ".", "a/", "a/."] {
        assert!(name(path).unwrap_err().contains("without a name"), "{path}");
    }
}

#[test]
fn folders_are_folders_in_old_archives_too() {
    let old = |name: &[u8], content: &[u8]| block_of(&mut Header::new_old(), name, 0, content);
    assert_eq!(read(&archive(&[old(b"d/", b""), old(b"d/a", b"x")])), one("d/a", b"x"));
    assert_eq!(read(&archive(&[member(b"d/", b'0', b""), member(b"d/a", b'7', b"x")])), one("d/a", b"x"));
    assert!(read(&archive(&[old(b"d/", b"x")])).unwrap_err().contains("that of a folder, but it has content"));
    assert!(read(&archive(&[member(b"d/", b'5', b"x")])).unwrap_err().contains("a folder or a label with content"));
    // Labels need not state a size, but files must.
    for (kind, is_read) in [(b'V', true), (b'0', false)] {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[0] = b'x';
        header.as_old_mut().linkflag = [kind];
        assert_eq!(read(&archive(&[sealed(&mut header, b"")])).is_ok(), is_read);
    }
}

#[test]
fn names_and_sizes_of_extended_headers_count() {
    let a = || member(b"short", b'0', b"x");
    let is = |members: &[Vec<u8>], name: &str| assert_eq!(read(&archive(members)), one(name, b"x"));
    let is_not = |members: &[Vec<u8>], why: &str| {
        let failed = read(&archive(members)).unwrap_err();
        assert!(failed.contains(why), "{failed}");
    };
    let long = "d/".repeat(300) + "x";
    is(&[pax(b'x', &[("path", &long)]), a()], &long);
    is(&[member(b"././@LongLink", b'L', format!("{long}\0").as_bytes()), a()], &long);
    is(&[member(b"././@LongLink", b'K', b"target\0"), member(b"././@LongLink", b'L', b"long\0"), a()], "long");
    is(&[pax(b'x', &[("path", "long")]), member(b"././@LongLink", b'L', b"long\0"), a()], "long");
    is(&[pax(b'x', &[("path", "")]), a()], "short");
    is(&[pax(b'g', &[("comment", "x"), ("mtime", "1")]), pax(b'x', &[("LIBARCHIVE.creationtime", "1")]), a()], "short");
    is(&[pax(b'x', &[("hdrcharset", "BINARY"), ("path", "grün")]), a()], "grün");
    // The size in the header is then no size.
    let mut header = Header::new_ustar();
    header.as_old_mut().name[0] = b'a';
    header.set_size(0);
    is(&[pax(b'x', &[("size", "1")]), sealed(&mut header, b"x")], "a");
    // Another size, or no number, is ignored too: in POSIX the extended header overrides it, and programs cut sizes of 8 GiB
    // and more there.
    for size in [&b"00000000007\0"[..], b"77777777777\0", b"\xff\xff\xff\xff", b"no number"] {
        header.as_old_mut().size[..size.len()].copy_from_slice(size);
        is(&[pax(b'x', &[("size", "1")]), sealed(&mut header, b"x")], "a");
    }
    is_not(&[pax(b'x', &[("size", "1"), ("size", "2")]), a()], "two values for `size`");
    // Members that readers would read differently.
    is_not(&[pax(b'x', &[("path", "a"), ("path", "b")]), a()], "two values for `path`");
    is_not(&[pax(b'x', &[("path", "a")]), pax(b'x', &[("path", "a")]), a()], "two extended headers");
    is_not(&[pax(b'x', &[("path", "a")]), member(b"L", b'L', b"b\0"), a()], "two names");
    is_not(&[member(b"L", b'L', b"b\0"), member(b"L", b'L', b"b\0"), a()], "two long names");
    is_not(&[pax(b'x', &[("size", "-1")]), a()], "no number");
    is_not(&[pax(b'x', &[("size", "18446744073709551615")]), a()], "no number");
    is_not(&[pax(b'x', &[("path", "a\nb\u{7f}/../c")]), a()], "leads upwards");
    is_not(&[member(b"x", b'x', b"7 path=a\n"), a()], "extended header is damaged");
    is_not(&[pax(b'g', &[("path", "a")]), a()], "a header for all members has a `path`");
    is_not(&[pax(b'g', &[("size", "1")]), a()], "a header for all members has a `size`");
    is_not(&[pax(b'g', &[("DELTIC.field.a", "1")]), a()], "a header for all members has a `DELTIC.field.a`");
    is_not(&[pax(b'x', &[("hdrcharset", "ISO-IR 8859 1 1998")]), a()], "extended header is unknown");
    for (key, value) in [
        ("SCHILY.realsize", "7"),
        ("SCHILY.filetype", "sparse"),
        ("SUN.holesdata", "0 1"),
        ("GNU.dumpdir", "Ya"),
        ("GNU.volume.offset", "512"),
        ("DELTIC.codec", "zstd"),
    ] {
        is_not(&[pax(b'x', &[(key, value)]), a()], "extended header is unknown");
    }
    // The described member must follow.
    is_not(&[a(), pax(b'x', &[("path", "long")])], "cut off");
    is_not(&[a(), member(b"L", b'L', b"long\0")], "cut off");
    let mut huge = Header::new_ustar();
    huge.as_old_mut().linkflag = [b'x'];
    huge.set_size(LONGEST_HEADER + 1);
    is_not(&[sealed(&mut huge, b"")], "extended header is longer than");
    huge.set_size(LONGEST_HEADER);
    is_not(&[sealed(&mut huge, b"")], "cut off");
}

#[test]
fn what_is_no_file_is_refused() {
    let apple = [&APPLE_DOUBLE[..], b"more"].concat();
    for (member, why) in [
        (member(b"a", b'1', b""), "a hard link"),
        (member(b"a", b'2', b""), "a symbolic link"),
        (member(b"a", b'3', b""), "neither a file nor a folder"),
        (member(b"a", b'D', b"Ya\0"), "incremental or multi-volume"),
        (member(b"a", b'M', b"x"), "incremental or multi-volume"),
        (member(b"a", b'N', b"x"), "the unknown type `N`"),
        (member(b"a", 0x1b, b"x"), "the unknown type `\\u{1b}`"),
        (member(b"a\x1b[2Jb/", b'0', b"x"), "a\\u{1b}[2Jb/: its name is that of a folder"),
        (member(b"\xff", b'0', b"x"), "not UTF-8"),
        (member(b"d/._a", b'0', &apple), "metadata of another file"),
        ([&b"no header"[..], &[1; 2000]].concat(), "header of a member is damaged, or this is no tar archive"),
    ] {
        let failed = read(&archive(&[super::tests::member(b"fine", b'0', b"x"), member])).unwrap_err();
        assert!(failed.contains(why) && !failed.contains('\u{1b}'), "{failed}");
    }
    assert_eq!(read(&archive(&[member(b"._a", b'0', b"x")])), one("._a", b"x"), "a file that is only called so");
    let mut odd = Header::new_ustar();
    odd.as_mut_bytes()[263..265].copy_from_slice(b"07");
    assert!(read(&archive(&[block_of(&mut odd, b"a", b'0', b"x")])).unwrap_err().contains("unknown form"));
}

/// The pieces `ab` at 512 and `c` at 1030, in all forms.
#[test]
fn holes_are_filled() {
    let stored = |map: &[u8]| {
        let mut bytes = map.to_vec();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        [bytes, vec![b'a'; BLOCK], b"c".to_vec()].concat()
    };
    let mut file = vec![0; 2000];
    file[512..1024].fill(b'a');
    file[1030] = b'c';
    let plain = member(b"GNUSparseFile.0/s", b'0', &stored(b""));
    let common = [("GNU.sparse.size", "2000"), ("GNU.sparse.numblocks", "2")];
    let with = |more: &[(&'static str, &'static str)]| pax(b'x', &[&common[..], more].concat());
    let v0 = with(&[
        ("GNU.sparse.offset", "512"),
        ("GNU.sparse.numbytes", "512"),
        ("GNU.sparse.offset", "1030"),
        ("GNU.sparse.numbytes", "1"),
        ("path", "s"),
    ]);
    assert_eq!(read(&archive(&[v0, plain.clone()])), one("s", &file));
    let v01 = with(&[("GNU.sparse.map", "512,512,1030,1"), ("GNU.sparse.name", "s")]);
    assert_eq!(read(&archive(&[v01, plain.clone()])), one("s", &file));
    let one_0 = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", "2000"),
    ];
    let with_map = |map: &[u8]| archive(&[pax(b'x', &one_0), member(b"GNUSparseFile.0/s", b'0', &stored(map))]);
    assert_eq!(read(&with_map(b"2\n512\n512\n1030\n1\n")), one("s", &file));
    // A map of more than a block: pieces without content.
    let long = format!("102\n512\n512\n1030\n1\n{}", "2000\n0\n".repeat(100));
    assert_eq!(read(&with_map(long.as_bytes())), one("s", &file));
    let mut gnu = Header::new_gnu();
    gnu.set_size(513);
    gnu.as_old_mut().name[0] = b's';
    gnu.as_old_mut().linkflag = [b'S'];
    let fields = gnu.as_gnu_mut().unwrap();
    fields.set_real_size(2000);
    fields.sparse[0].set_offset(512);
    fields.sparse[0].set_length(512);
    fields.set_is_extended(true);
    let mut more = tar::GnuExtSparseHeader::new();
    more.sparse[0].set_offset(1030);
    more.sparse[0].set_length(1);
    let old = sealed(&mut gnu, &[more.as_bytes(), &stored(b"")[..]].concat());
    assert_eq!(read(&archive(&[old, member(b"t", b'0', b"x")])).unwrap()[0].1, file);

    let not = |bytes: &[u8]| {
        let failed = read(bytes).unwrap_err();
        assert!(failed.contains("map of its holes is damaged") || failed.contains("unknown form"), "{failed}");
    };
    for map in [
        "",
        "1\n",
        "x\n",
        "1\n512\n512\n",
        "2\n512\n512\n1030\n2\n",
        "2\n1030\n1\n512\n512\n",
        "2\n512\n512\n+1\n1\n",
        "99999999999999999999999",
    ] {
        not(&with_map(map.as_bytes()));
    }
    for more in [
        &[][..],
        &[("GNU.sparse.map", "512,512,1030")],
        &[("GNU.sparse.map", "512,512")],
        &[("GNU.sparse.map", "512,513")],
        &[("GNU.sparse.map", "512,512,1030,1"), ("GNU.sparse.offset", "1")],
        &[("GNU.sparse.numbytes", "512"), ("GNU.sparse.offset", "512")],
        &[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0")],
        &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")],
    ] {
        not(&archive(&[with(more), plain.clone()]));
    }
    let huge = [("GNU.sparse.size", "1073741825"), ("GNU.sparse.numblocks", "0"), ("GNU.sparse.map", "")];
    let failed = read(&archive(&[pax(b'x', &huge), member(b"s", b'0', b"")])).unwrap_err();
    assert!(failed.contains("with its holes it is 1073741825 bytes long"), "{failed}");
}

/// Members of odd sizes, with all kinds of extensions.
fn several() -> Vec<u8> {
    let members = (0..20).flat_map(|n: usize| {
        let long = pax(b'x', &[("path", &format!("long/{n}"))]);
        [long, member(b"x", b'0', &vec![b'a' + n as u8; n * 111])]
    });
    archive(&members.collect::<Vec<_>>())
}

#[test]
fn archives_that_are_cut_are_refused() {
    let whole = several();
    let end = whole.len() - 2 * BLOCK;
    let all = read(&whole).unwrap();
    assert_eq!(all.len(), 20);
    for length in (0..whole.len()).step_by(101).chain((0..whole.len()).step_by(BLOCK)) {
        match read(&whole[..length]) {
            Ok(found) => assert!(length >= end + BLOCK && found == all, "cut at {length}"),
            Err(why) => {
                assert!(why.contains("cut off") && length < end + BLOCK || length % BLOCK > 0, "{length}: {why}");
            }
        }
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&whole).unwrap();
    let packed = [("a.tgz", gzip.finish().unwrap()), ("a.tar.zst", zstd::bulk::compress(&whole, 1).unwrap())];
    for (name, packed) in &packed {
        assert_eq!(read_packed(packed, name).unwrap(), all);
        for length in 0..packed.len() {
            assert!(read_packed(&packed[..length], name).is_err(), "{name} cut at {length}");
        }
        // Several streams are read as one, so these are two archives; bytes that are no stream are an error.
        assert!(
            read_packed(&[&packed[..], packed].concat(), name).unwrap_err().contains("follows the archive's end mark")
        );
        let program = if *name == "a.tgz" { "gzip" } else { "zstd" };
        for (rest, what) in [
            (&b"garbage"[..], format!("7 bytes of data that is no {program} stream")),
            (&[0; 700], "700 bytes of zeros".to_owned()),
            (b"\0\0x", format!("3 bytes of data that is no {program} stream")),
        ] {
            let failed = read_packed(&[&packed[..], rest].concat(), name).unwrap_err();
            assert_eq!(failed, format!("the archive can not be read: its {program} stream is followed by {what}"));
        }
        if program == "zstd" {
            let skipped = [&packed[..], b"\x50\x2a\x4d\x18\x03\0\0\0abc"].concat();
            assert_eq!(read_packed(&skipped, name).unwrap(), all, "a frame that is to be passed over");
        }
        // More bytes than are read ahead.
        let failed = read_packed(&[&packed[..], &vec![0; 3 << 20]].concat(), name).unwrap_err();
        assert!(failed.ends_with("3145728 bytes of zeros"), "{failed}");
        // One archive in two streams.
        let (one, other) = whole.split_at(whole.len() / 2 + 7);
        let both = match *name {
            "a.tgz" => {
                let pack = |bytes: &[u8]| {
                    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                    gzip.write_all(bytes).unwrap();
                    gzip.finish().unwrap()
                };
                [pack(one), pack(other)].concat()
            }
            _ => [zstd::bulk::compress(one, 1).unwrap(), zstd::bulk::compress(other, 1).unwrap()].concat(),
        };
        assert_eq!(read_packed(&both, name).unwrap(), all);
    }
}

#[test]
fn archives_end_with_zeros_and_nothing_else() {
    let whole = several();
    let all = read(&whole);
    for from in (0..whole.len() - 2 * BLOCK - 4096).step_by(BLOCK) {
        let mut damaged = whole.clone();
        damaged[from..from + 4096].fill(0);
        // Damaged zeros in a long content can not be distinguished from correct ones; these files have none.
        assert!(read(&damaged).is_err(), "4 KiB of zeros at {from}");
    }
    for last in ["x", "\0\0\0x"] {
        let more = [&whole[..], last.as_bytes()].concat();
        assert!(read(&more).unwrap_err().contains("follows the archive's end mark"));
    }
    assert!(read(&[&whole[..], &whole].concat()).unwrap_err().contains("follows the archive's end mark"));
    // Padded to a record of 10 KiB or of a power of two.
    let filled = |length: usize| {
        let mut bytes = whole.clone();
        bytes.resize(length, 0);
        read(&bytes)
    };
    assert!(whole.len() < 60_000 && whole.len() > 4 * RECORD as usize);
    assert_eq!(filled(whole.len().next_multiple_of(RECORD as usize)), all);
    for record in [1 << 16, 1 << 20] {
        assert_eq!(filled(record), all);
    }
    for length in
        [whole.len().next_multiple_of(RECORD as usize) + 3 * RECORD as usize, (1 << 20) + 512, 2 << 20, 8 << 20]
    {
        assert!(filled(length).unwrap_err().contains("more zeros follow"), "{length}");
    }
    // Only zeros.
    for length in [512, 1024, 10240] {
        assert!(read(&vec![0; length]).unwrap_err().contains("no members"));
    }
    assert!(read(&[]).unwrap_err().contains("cut off"));
    // As `git archive` writes an empty tree.
    let about_all = archive(&[pax(b'g', &[("comment", "0123456789abcdef")])]);
    assert!(read(&about_all).unwrap_err().contains("no members"));
    // The zeros of one record after the last member: the end mark in a separate record.
    let mut exact = whole[..whole.len() - 2 * BLOCK].to_vec();
    exact.extend(member(b"last", b'0', &vec![b'z'; (1 << 16) - exact.len() - BLOCK]));
    assert_eq!(exact.len(), 1 << 16);
    exact.resize(2 << 16, 0);
    assert_eq!(read(&exact).unwrap().len(), 21);
    assert_eq!(read(&archive(&[member(b"./", b'5', b"")])), Ok(vec![]));
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}ä", "long/".repeat(40));
    let files = [
        ("a", Payload::from("1").with_field("k=%", "v").unwrap().with_field("l", "").unwrap()),
        ("empty", Payload::default()),
        ("of/._x", Payload::new([&APPLE_DOUBLE[..], b"no metadata"].concat())),
        ("grün", Payload::new(vec![7; 513])),
        (&*long, Payload::new(vec![8; 1024]).with_field("ä", "=").unwrap()),
    ];
    for name in ["a.tar", "b.tar.gz", "c.tar.zst"] {
        let path = folder.path().join(name);
        let packing = Packing::of(&path).unwrap();
        let mut writer = Writer::new(File::create(&path).unwrap(), packing, Timestamp(1_700_000_000_123)).unwrap();
        for (name, payload) in &files {
            writer.begin(name, &payload.meta()).unwrap();
            writer.write_all(payload.bytes()).unwrap();
            writer.end(payload.len()).unwrap();
        }
        writer.finish().unwrap();
        let read = read_packed(&std::fs::read(&path).unwrap(), name).unwrap();
        let expected = files.iter().map(|(name, payload)| {
            ((*name).to_owned(), payload.bytes().to_vec(), payload.fields().as_str().to_owned())
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }
}
