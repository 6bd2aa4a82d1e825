//! Names of any kind stay in their folder: of files, of archives' members, of partitions, of objects, in URLs.

use std::os::unix::fs::symlink;

use deltic::core::{CatalogUuid, Layer, LayerId, Name, Payload, RunId, Timestamp};
use deltic::driver::Import;
use deltic::store::{Catalog, NewCatalog, Stores};

use crate::shell::Shell;

/// A catalog made by a program, which may give its partitions names that no file has.
fn catalog_of(shell: &Shell, names: &[&str]) {
    let identity = NewCatalog { uuid: CatalogUuid(7), run: RunId(1), created: Timestamp(0) };
    let url = format!("file:{}", shell.work().join("cat").display());
    let _ = std::fs::remove_dir_all(shell.work().join("cat"));
    let catalog = Catalog::create(&Stores::new(), &url, vec![Layer::generic("a").unwrap()], identity).unwrap();
    let import = Import::begin(&catalog.latest().unwrap(), RunId(2)).unwrap();
    for name in names {
        import.put(&LayerId::new("a").unwrap(), &Name::generic(name).unwrap(), &Payload::from(*name)).unwrap();
    }
    import.commit(Timestamp(0), "").unwrap();
}

/// What is in a folder and below, sorted.
fn found(shell: &Shell, folder: &str) -> Vec<String> {
    shell.ok(&format!("cd {folder} && find . -type f | sort")).lines().map(str::to_owned).collect()
}

#[test]
fn exports_stay_in_their_folder() {
    let shell = Shell::new();
    let (long, deep) = ("x".repeat(256), "ä".repeat(200));
    let bad = ["../out", "/etc/x", "a/../../x", "a//b", "a/", "./a", ".", "..", long.as_str(), deep.as_str()];
    shell.ok("mkdir out");
    for name in bad {
        catalog_of(&shell, &["fine", name]);
        let ran = shell.run("deltic export file:cat a out");
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        assert!(ran.stderr.contains("can not be exported"), "{name}: {ran:?}");
        assert!(found(&shell, "out").is_empty(), "{name}: nothing is written of a layer that can not be");
    }
    assert_eq!(std::fs::read_dir(shell.work()).unwrap().count(), 2);
    // Each of these is a different name here, and comes back unchanged.
    let odd =
        ["a", "A", "é", "e\u{301}", "a\\b", "..a", "...", "a b", "%2e%2e", "~", "-rf", "$HOME", "deep/er/x", "C:"];
    catalog_of(&shell, &odd);
    shell.ok("rm -rf out && deltic export file:cat a out");
    assert_eq!(found(&shell, "out").len(), odd.len());
    shell.ok("deltic init file:back --layer a=generic && deltic import file:back --layer a=out");
    assert_eq!(shell.ok("deltic digest file:back"), shell.ok("deltic digest file:cat"));
}

#[test]
fn exports_follow_no_link() {
    let shell = Shell::new();
    catalog_of(&shell, &["a", "sub/b"]);
    shell.write("elsewhere/keep", "as it was");
    for link in ["a", "sub"] {
        shell.ok("rm -rf out && mkdir out");
        symlink("../elsewhere", shell.work().join("out").join(link)).unwrap();
        let ran = shell.run("deltic export file:cat a out");
        assert!(ran.code == 2 && ran.stderr.contains("not empty"), "{ran:?}");
    }
    assert_eq!(found(&shell, "elsewhere"), ["./keep"]);
    // The folder itself may be a link, because the user named it.
    shell.ok("rm -rf out && mkdir target && ln -s target out && deltic export file:cat a out");
    assert_eq!(found(&shell, "target"), ["./a", "./sub/b"]);
}

#[test]
fn imports_take_files_and_nothing_else() {
    let shell = Shell::new();
    shell.write("outside/secret", "secret");
    shell.ok("deltic init file:cat --layer a=generic");
    for (make, why) in [
        ("ln -s ../outside/secret in/x", "a symbolic link"),
        ("ln -s ../outside in/x", "a symbolic link"),
        ("ln -s nowhere in/x", "a symbolic link"),
        ("mkdir in/sub && ln -s ../../outside in/sub/x", "a symbolic link"),
        ("mkfifo in/x", "neither a file nor a folder"),
        ("mknod in/x c 1 5 || mkfifo in/x", "neither a file nor a folder"),
        ("touch \"$(printf 'in/a\\nb')\"", "control character"),
        ("touch \"$(printf 'in/\\377')\"", "not UTF-8"),
    ] {
        shell.ok(&format!("rm -rf in && mkdir in && echo fine > in/fine && ({make})"));
        let ran = shell.run("timeout 60 deltic import file:cat --layer a=in");
        assert_eq!(ran.code, 1, "{make}: {ran:?}");
        assert!(ran.stderr.contains(why) && ran.stderr.contains("nothing was imported"), "{make}: {ran:?}");
    }
    // A second name of a file is a file.
    shell.ok("rm -rf in && mkdir in && ln outside/secret in/x && deltic import file:cat --layer a=in");
    assert_eq!(shell.ok("deltic ls file:cat a").lines().count(), 1);
}

/// One member of an archive, in the form of an attacker.
fn member(name: &[u8], kind: u8, link: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(b"00000000001\0");
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend([b'x'; 1]);
    archive.extend([0; 511]);
    archive.extend([0; 1024]);
    archive
}

#[test]
fn members_of_archives_stay_in_their_archive() {
    let shell = Shell::new();
    shell.ok("deltic init file:cat --layer a=generic");
    for (name, kind, link, why) in [
        (&b"../x"[..], b'0', &b""[..], "leads upwards"),
        (b"a/../../x", b'0', b"", "leads upwards"),
        (b"/etc/x", b'0', b"", "absolute"),
        (b"x", b'2', b"/etc/passwd", "a symbolic link"),
        (b"x", b'1', b"/etc/passwd", "a hard link"),
        (b"x", b'3', b"", "neither a file nor a folder"),
        (b"x", b'6', b"", "neither a file nor a folder"),
        (b"x", b'S', b"", "a sparse file of an unknown form"),
        (b"a\nb", b'0', b"", "control character"),
        (b"\xff", b'0', b"", "not UTF-8"),
    ] {
        shell.write("in.tar", member(name, kind, link));
        let ran = shell.run("timeout 60 deltic import file:cat --layer a=in.tar");
        assert_eq!(ran.code, 1, "{name:?} {kind}: {ran:?}");
        assert!(ran.stderr.contains(why), "{name:?} {kind}: {ran:?}");
    }
    shell.write("in.tar", member(b"./a/./b", b'0', b""));
    shell.ok("deltic import file:cat --layer a=in.tar");
    assert_eq!(shell.ok("deltic get file:cat a a/b"), "x");
}

#[test]
fn ids_are_no_paths() {
    let shell = Shell::new();
    for id in ["..", "a/b", "../a", "/a", "a%2fb", "", "a\\b", &"x".repeat(51)] {
        let ran = shell.run(&format!("deltic init file:cat --layer '{id}=generic'"));
        assert_eq!(ran.code, 2, "{id}: {ran:?}");
        for section in [format!("[compiler.\"{id}\"]\nx = 1\n"), format!("[catalogs]\n\"{id}\" = \"file:in\"\n")] {
            shell.write("bad.conf", section.replace('\\', "\\\\"));
            let ran = shell.run("deltic config show --config bad.conf");
            assert_eq!(ran.code, 2, "{id}: {ran:?}");
        }
    }
    assert!(!shell.work().join("cat").exists());
}

/// Records and folders of an attacker lead no read and no sweep out of the catalog.
#[test]
fn hostile_catalogs_keep_to_themselves() {
    let shell = Shell::new();
    shell.write("names/a", "a ".repeat(500));
    for cat in ["mine", "other"] {
        shell.ok(&format!("deltic init file:{cat} --layer a=generic && deltic import file:{cat} --layer a=names"));
    }
    let before = found(&shell, "other");
    // A record with an illegal name of a pack is no record.
    let pack = shell.ok("ls mine/packs").trim().to_owned();
    let record = shell.work().join("mine/versions/00000000000000000001");
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.contains(&pack));
    for name in [format!("../../other/packs/{pack}"), format!("/{pack}"), "..".to_owned(), format!("{pack}/../x")] {
        std::fs::write(&record, text.replace(&pack, &name)).unwrap();
        for command in ["get file:mine a a", "ls file:mine a", "gc file:mine", "fsck file:mine", "repack file:mine"] {
            let ran = shell.run(&format!("deltic {command}"));
            assert_eq!(ran.code, 1, "{name}: {command}: {ran:?}");
        }
    }
    std::fs::write(&record, &text).unwrap();
    // A sweep ignores other files beside the packs, whatever their names.
    shell.write("mine/packs/..not-a-pack", "x");
    shell.write("mine/packs/sub/0000000000000000-0000000000000001-0000", "x");
    shell.ok("deltic gc file:mine");
    assert!(shell.work().join("mine/packs/..not-a-pack").exists());
    assert!(shell.work().join("mine/packs/sub/0000000000000000-0000000000000001-0000").exists());
    // A link to the packs of another catalog: a sweep here would treat all of them as unused.
    for part in ["packs", "versions"] {
        shell.ok(&format!("mv mine/{part} kept && ln -s ../other/{part} mine/{part}"));
        for command in
            ["gc file:mine", "get file:mine a a", "retain file:mine --last 1", "init file:mine --layer a=generic"]
        {
            let ran = shell.run(&format!("deltic {command}"));
            assert!(ran.code == 2 && ran.stderr.contains("symbolic link"), "{command}: {ran:?}");
        }
        shell.ok(&format!("rm mine/{part} && mv kept mine/{part}"));
    }
    assert_eq!(found(&shell, "other"), before);
    shell.ok("deltic fsck file:other --payloads && deltic fsck file:mine --payloads");
}

#[test]
fn urls_that_lead_upwards_are_refused() {
    let shell = Shell::new();
    let work = shell.work();
    let work = work.display();
    for path in ["a/%2e%2e/b", "a/../b", "a/%2E./b", "a%2fb", "a/..%2Fb", "a%00b"] {
        for url in [format!("file://{work}/{path}"), format!("s3://bucket/{path}")] {
            let ran = shell.run(&format!("deltic init '{url}' --layer a=generic"));
            assert!(ran.code == 2 && ran.stderr.contains("leads upwards"), "{url}: {ran:?}");
        }
    }
    assert_eq!(std::fs::read_dir(shell.work()).unwrap().count(), 0);
    shell.ok(&format!("deltic init 'file://{work}/a%20b..' --layer a=generic"));
    assert!(shell.work().join("a b..").is_dir());
}
