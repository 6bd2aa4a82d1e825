//! Archives of the programs on this machine are read as the folder that they were made from, or refused. A damaged archive never
//! deletes partitions.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::shell::Shell;

/// A folder `tree` with names and contents of all kinds, and a catalog with it.
fn tree(shell: &Shell) -> String {
    let long = format!("long/{}/{}", "x".repeat(120), "y".repeat(130));
    for (name, bytes) in [
        ("a", &b"1\n"[..]),
        ("sub/deep/b.txt", &[7; 513]),
        ("sub/empty", b""),
        (".hidden", b"h"),
        ("with space", &[0; 512]),
        ("gr\u{fc}n", b"g"),
        (&long, b"long"),
    ] {
        shell.write(format!("tree/{name}"), bytes);
    }
    std::fs::create_dir(shell.work().join("tree/nothing")).unwrap();
    shell.ok("deltic init file:cat --layer a=generic && deltic import file:cat --layer a=tree");
    layer_digest(shell, "cat")
}

fn layer_digest(shell: &Shell, catalog: &str) -> String {
    let digests = shell.ok(&format!("deltic digest file:{catalog}"));
    digests.lines().next().unwrap().to_owned()
}

/// Makes an archive, and checks that its import gives a catalog with this digest.
fn check(shell: &Shell, make: &str, digest: &str) {
    shell.ok("rm -rf x.tar* x.tgz back && deltic init file:back --layer a=generic");
    shell.ok(make);
    let archive = shell.ok("ls -d x.t*").trim().to_owned();
    let ran = shell.run(&format!("deltic import file:back --layer a={archive}"));
    assert_eq!(ran.code, 0, "{make}: {ran:?}");
    assert_eq!(layer_digest(shell, "back"), digest, "{make}: {}", shell.ok("deltic diff file:back a 0 1"));
}

/// Whether a program exists; without it, tests that need it print that and pass.
fn there_is(shell: &Shell, program: &str) -> bool {
    let there = shell.run(&format!("command -v {program}")).code == 0;
    if !there {
        eprintln!("skipped: there is no {program} on this machine");
    }
    there
}

/// A file with holes between `pieces` pieces.
fn with_holes(shell: &Shell, pieces: u64) {
    std::fs::create_dir_all(shell.work().join("holes")).unwrap();
    let file = File::create(shell.work().join("holes/holes")).unwrap();
    for piece in 0..pieces {
        file.write_all_at(&[b'a' + (piece % 20) as u8; 4096], (2 * piece + 1) * 65536).unwrap();
    }
    file.set_len((2 * pieces + 1) * 65536).unwrap();
    shell.write("holes/plain", "p");
    shell.ok("rm -rf cat && deltic init file:cat --layer a=generic && deltic import file:cat --layer a=holes");
}

#[test]
fn gnu_tar() {
    let shell = Shell::new();
    if !there_is(&shell, "tar") || !shell.ok("tar --version").contains("GNU") {
        return;
    }
    let digest = tree(&shell);
    for make in [
        "tar cf x.tar -C tree .",
        "tar cf x.tar --format=gnu -C tree .",
        "tar cf x.tar --format=oldgnu -C tree .",
        "tar cf x.tar --format=posix -C tree .",
        "tar cf x.tar --format=posix --pax-option=comment=all,exthdr.name=x,delete=mtime -C tree .",
        "cd tree && tar cf ../x.tar --format=posix --xattrs * .hidden",
        "tar cf x.tar --blocking-factor=1 -C tree .",
        "tar cf x.tar --blocking-factor=256 -C tree .",
        "tar cf x.tar --label=label --format=gnu -C tree .",
        "tar cf x.tar --label=label --format=posix -C tree .",
        "tar czf x.tgz -C tree .",
        "tar cf - -C tree . | zstd -q > x.tar.zst",
        "tar cf - -C tree . | split -b 1000 --filter='gzip' > x.tar.gz",
        "tar cf x.tar -C tree ./a && tar rf x.tar -C tree --exclude=./a .",
        "tar cf x.tar -C tree ./a && tar cf other.tar -C tree --exclude=./a . && tar Af x.tar other.tar",
    ] {
        check(&shell, make, &digest);
    }
    // Forms without long names.
    shell.ok("rm -r tree/long cat && deltic init file:cat --layer a=generic && deltic import file:cat --layer a=tree");
    let digest = layer_digest(&shell, "cat");
    for form in ["v7", "ustar"] {
        check(&shell, &format!("tar cf x.tar --format={form} -C tree ."), &digest);
    }
    // Archives that do not hold all files.
    shell.ok("deltic init file:whole --layer a=generic && deltic import file:whole --layer a=tree");
    for make in [
        "rm -f snar && tar cf x.tar --listed-incremental=snar -C tree .",
        "rm -f snar && tar cf x.tar --listed-incremental=snar --format=posix -C tree .",
        "head -c 30000 /dev/urandom > tree/big && tar cf x.tar --multi-volume --tape-length=20 --file=y.tar -C tree . --format=gnu; mv y.tar x.tar",
    ] {
        shell.ok(&format!("rm -f x.tar y.tar; {make}"));
        let ran = shell.run("deltic import file:whole --layer a=x.tar");
        assert_eq!(ran.code, 1, "{make}: {ran:?}");
        assert_eq!(layer_digest(&shell, "whole"), digest, "{make}");
    }
}

#[test]
fn gnu_tar_with_holes() {
    let shell = Shell::new();
    if !there_is(&shell, "tar") || !shell.ok("tar --version").contains("GNU") {
        return;
    }
    // More pieces than fit into a header of the old form and its first extension, and a map of several blocks.
    for pieces in [0, 1, 4, 60] {
        with_holes(&shell, pieces);
        let digest = layer_digest(&shell, "cat");
        for (form, mark) in [
            ("gnu", ""),
            ("oldgnu", ""),
            ("posix --sparse-version=0.0", "GNU.sparse.numblocks"),
            ("posix --sparse-version=0.1", "GNU.sparse.map"),
            ("posix --sparse-version=1.0", "GNU.sparse.major"),
        ] {
            check(&shell, &format!("tar cf x.tar --sparse --format={form} -C holes ."), &digest);
            let archive = std::fs::read(shell.work().join("x.tar")).unwrap();
            assert!(archive.len() < 500_000, "the file has holes in the archive too");
            assert!(String::from_utf8_lossy(&archive).contains(mark), "{form}");
        }
    }
}

#[test]
fn bsdtar() {
    let shell = Shell::new();
    if !there_is(&shell, "bsdtar") {
        return;
    }
    let digest = tree(&shell);
    for make in [
        "bsdtar -cf x.tar -C tree .",
        "bsdtar -cf x.tar --format pax -C tree .",
        "bsdtar -cf x.tar --format gnutar -C tree .",
        "bsdtar -czf x.tar.gz --format pax -C tree .",
        "bsdtar -cf x.tar --format pax -b 1 -C tree .",
    ] {
        check(&shell, &format!("LC_ALL=C.UTF-8; export LC_ALL; {make}"), &digest);
    }
    shell.ok("rm -r tree/long cat && deltic init file:cat --layer a=generic && deltic import file:cat --layer a=tree");
    let digest = layer_digest(&shell, "cat");
    for form in ["v7", "ustar"] {
        check(&shell, &format!("LC_ALL=C.UTF-8; export LC_ALL; bsdtar -cf x.tar --format {form} -C tree ."), &digest);
    }
    for pieces in [1, 60] {
        with_holes(&shell, pieces);
        check(&shell, "bsdtar -cf x.tar --format pax -C holes .", &layer_digest(&shell, "cat"));
        let archive = std::fs::read(shell.work().join("x.tar")).unwrap();
        assert!(
            String::from_utf8_lossy(&archive).contains("GNU.sparse.major"),
            "the file has holes in the archive too"
        );
    }
}

#[test]
fn python() {
    let shell = Shell::new();
    if !there_is(&shell, "python3") {
        return;
    }
    let digest = tree(&shell);
    let make = |form: &str, more: &str| {
        let script = format!(
            "import tarfile\nwith tarfile.open(\"x.tar\", \"w\", format=tarfile.{form}{more}) as t: t.add(\"tree\", \".\")"
        );
        format!("LC_ALL=C.UTF-8 python3 -c '{script}'")
    };
    check(&shell, &make("GNU_FORMAT", ""), &digest);
    check(&shell, &make("PAX_FORMAT", ""), &digest);
    check(&shell, &make("PAX_FORMAT", ", pax_headers={\"comment\": \"of all\", \"uname\": \"nobody\"}"), &digest);
    let packed = make("PAX_FORMAT", "").replace("x.tar", "x.tar.gz").replace("\"w\"", "\"w:gz\"");
    check(&shell, &packed, &digest);
    shell.ok("rm -r tree/long cat && deltic init file:cat --layer a=generic && deltic import file:cat --layer a=tree");
    check(&shell, &make("USTAR_FORMAT", ""), &layer_digest(&shell, "cat"));
}

/// Twenty files are in the catalog, and stay there however their archive is damaged.
#[test]
fn nothing_goes_because_an_archive_is_damaged() {
    let shell = Shell::new();
    for n in 0..20 {
        shell.write(format!("in/f{n:02}"), format!("{n} ").repeat(300));
    }
    shell.ok("tar cf in.tar --format=ustar -C in . && tar cf more.tar --format=ustar -C in ./f03");
    shell.ok("deltic init file:cat --layer a=generic && deltic import file:cat --layer a=in.tar");
    assert_eq!(shell.ok("deltic ls file:cat a").lines().count(), 20);
    let whole = std::fs::read(shell.work().join("in.tar")).unwrap();
    let mut holed = whole.clone();
    // The headers of `.` and of six files, and their content, come before.
    let at = 512 + 6 * 1536;
    holed[at..at + 4096].fill(0);
    shell.write("holed.tar", &holed);
    shell.write("zeros.tar", vec![0; whole.len()]);
    shell.write("half.tar", [&whole[..20 * 512], &vec![0; 2 << 20]].concat());
    shell.ok("cat more.tar in.tar > both.tar; gzip -c more.tar > both.tar.gz; gzip -c in.tar >> both.tar.gz");
    shell.ok("(zstd -qc more.tar; zstd -qc in.tar) > both.tar.zst");
    shell.ok("head -c 9000 in.tar > cut.tar; gzip -c in.tar | head -c 300 > cut.tgz; zstd -qc in.tar | head -c 300 > cut.tzst");
    for (archive, why) in [
        ("holed.tar", "follows the archive's end mark"),
        ("zeros.tar", "no members"),
        ("half.tar", "more zeros follow"),
        ("both.tar", "follows the archive's end mark"),
        ("both.tar.gz", "follows the archive's end mark"),
        ("both.tar.zst", "follows the archive's end mark"),
        ("cut.tar", "cut off"),
        ("cut.tgz", "can not be read"),
        ("cut.tzst", "can not be read"),
    ] {
        let ran = shell.run(&format!("deltic import file:cat --layer a={archive}"));
        assert_eq!(ran.code, 1, "{archive}: {ran:?}");
        assert!(
            ran.stderr.contains(why) && ran.stderr.contains("nothing was imported; the latest version is 1"),
            "{ran:?}"
        );
    }
    assert_eq!(shell.ok("deltic import file:cat --layer a=in.tar"), "nothing changed: version 1 is up to date\n");
}

/// Compressed archives with trailing bytes: the error names them, and how to remove them.
#[test]
fn what_follows_a_compressed_archive_is_named() {
    let shell = Shell::new();
    shell.write("in/a", "a".repeat(3000));
    shell.ok("deltic init file:cat --layer a=generic && tar cf in.tar -C in .");
    for (program, ending) in [("gzip", "tar.gz"), ("zstd", "tar.zst")] {
        if !there_is(&shell, program) {
            continue;
        }
        shell.ok(&format!("{program} -c in.tar > in.{ending}"));
        for (make, what) in [
            ("head -c 10000 /dev/zero", "10000 bytes of zeros".to_owned()),
            ("echo more", format!("5 bytes of data that is no {program} stream")),
            ("cat in.tar", format!("bytes of data that is no {program} stream")),
        ] {
            shell.ok(&format!("(cat in.{ending}; {make}) > more.{ending}"));
            let ran = shell.run(&format!("deltic import file:cat --layer a=more.{ending}"));
            assert!(ran.code == 1 && ran.stderr.contains(&format!("its {program} stream is followed by ")), "{ran:?}");
            assert!(ran.stderr.contains(&what), "{ran:?}");
            assert!(ran.stderr.contains(&format!("`{program} -dc OLD | {program} -c > NEW`")), "{ran:?}");
            // The command in the hint, whatever the program prints about the trailing bytes.
            shell.ok(&format!("{program} -dc more.{ending} 2> /dev/null | {program} -c > new.{ending}"));
            let report = shell.ok(&format!("deltic import file:cat --layer a=new.{ending}"));
            assert!(report.contains("version"), "{report}");
        }
    }
}
