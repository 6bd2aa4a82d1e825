//! `import` reads an export back as the same layer: with user fields from archives, without them from folders, which a note
//! reports.

use deltic::core::{CatalogUuid, Fields, Layer, LayerId, Name, Payload, RunId, Timestamp};
use deltic::driver::Import;
use deltic::store::{Catalog, NewCatalog, Stores};
use proptest::prelude::*;

use crate::shell::Shell;

type Partitions = std::collections::BTreeMap<String, (Vec<u8>, Vec<(String, String)>)>;

/// Names that are paths, none the folder of another.
fn partitions() -> impl Strategy<Value = Partitions> {
    let part = r"([a-zäß=%. ]{0,8}|x{90,130})[a-z]";
    let name = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/") + "!");
    let text = "[a-z=%é\n-\u{ff}]{0,9}".prop_map(|text: String| text.replace(char::is_control, ""));
    let field = (r"[a-z=%ü ]{1,9}", text);
    let fields = prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(field, 1..4)];
    let sizes = prop_oneof![4 => 0..600usize, 1 => Just(512), 1 => 20_000..40_000usize];
    let bytes = (any::<u8>(), sizes).prop_map(|(byte, size)| vec![byte; size]);
    proptest::collection::btree_map(name, (bytes, fields), 0..12)
}

/// Makes a catalog of one layer, and returns its digest and how many partitions have user fields.
fn catalog(shell: &Shell, partitions: &Partitions) -> (String, usize) {
    let url = format!("file:{}", shell.work().join("cat").display());
    let identity = NewCatalog { uuid: CatalogUuid(7), run: RunId(1), created: Timestamp(0) };
    let layer = Layer::generic("a").unwrap().with_content_type("text/plain");
    let catalog = Catalog::create(&Stores::new(), &url, vec![layer], identity).unwrap();
    let import = Import::begin(&catalog.latest().unwrap(), RunId(2)).unwrap();
    let mut with_fields = 0;
    for (name, (bytes, fields)) in partitions {
        let mut all = Fields::default();
        fields.iter().for_each(|(name, value)| all.set(name, value).unwrap());
        with_fields += usize::from(!all.is_empty());
        let payload = Payload::new(bytes.clone()).with_fields(all);
        import.put(&LayerId::new("a").unwrap(), &Name::generic(name).unwrap(), &payload).unwrap();
    }
    import.commit(Timestamp(1_700_000_000_000), "").unwrap();
    (digest(shell, "cat"), with_fields)
}

fn digest(shell: &Shell, catalog: &str) -> String {
    shell.ok(&format!("deltic digest file:{catalog} | grep layer"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn layers_come_back(partitions in partitions()) {
        let shell = Shell::new();
        let (before, with_fields) = catalog(&shell, &partitions);
        for target in ["out.tar", "out.tar.gz", "out.tzst", "out"] {
            let message = shell.ok(&format!("rm -rf back; deltic export file:cat a {target}"));
            shell.ok(&format!("deltic init file:back --layer a=generic && deltic import file:back --layer a={target}"));
            if target != "out" || with_fields == 0 {
                prop_assert_eq!(digest(&shell, "back"), before.clone(), "{}", target);
                prop_assert!(!message.contains("user fields"), "{}", message);
            } else {
                let expected = format!("note: a folder does not keep user fields, and {with_fields} partition");
                prop_assert!(message.contains(&expected), "{}", message);
                prop_assert_ne!(digest(&shell, "back"), before.clone());
            }
        }
    }
}

/// A payload that is streamed, and more partitions than are read at once.
#[test]
fn large_layers_come_back() {
    let shell = Shell::new();
    let mut partitions: Partitions = (0..600).map(|n| (format!("{n}"), (vec![n as u8; n], Vec::new()))).collect();
    partitions.insert("3big".to_owned(), (vec![3; (8 << 20) + 7], vec![("k".to_owned(), "v".to_owned())]));
    let (before, _) = catalog(&shell, &partitions);
    for target in ["out.tar", "out.tar.zst"] {
        let message = shell.ok(&format!("rm -rf back; deltic export file:cat a {target} --format json"));
        assert!(message.contains("\"without_fields\": 0"), "{message}");
        shell.ok(&format!("deltic init file:back --layer a=generic && deltic import file:back --layer a={target}"));
        assert_eq!(digest(&shell, "back"), before, "{target}");
    }
    let message = shell.ok("deltic export file:cat a out --format json");
    assert!(message.contains("\"without_fields\": 1"), "{message}");
    // The archive is readable for everybody, the same each time, and is not overwritten.
    assert_eq!(shell.ok("tar tf out.tar 2> /dev/null | wc -l").trim(), "602");
    shell.ok("deltic export file:cat a again.tar && cmp out.tar again.tar");
    let ran = shell.run("deltic export file:cat a out.tar");
    assert!(ran.code == 2 && ran.stderr.contains("out.tar: the archive exists already"), "{ran:?}");
    shell.ok("cmp out.tar again.tar");
}

/// A layer that can not be exported leaves no archive behind.
#[test]
fn no_part_of_an_archive_is_left() {
    let shell = Shell::new();
    catalog(&shell, &[("../x".to_owned(), (vec![], vec![]))].into());
    let ran = shell.run("deltic export file:cat a out.tar");
    assert!(ran.code == 1 && ran.stderr.contains("can not be exported"), "{ran:?}");
    assert!(!shell.work().join("out.tar").exists());
    // An export that fails in the middle.
    let shell = Shell::new();
    catalog(&shell, &[("x".to_owned(), (vec![1; 500], vec![])), ("y".to_owned(), (vec![2; 500], vec![]))].into());
    shell.ok("for pack in cat/packs/*; do printf z | dd of=$pack bs=1 seek=600 conv=notrunc 2> /dev/null; done");
    let ran = shell.run("deltic export file:cat a out.tar");
    assert!(ran.code == 1 && ran.stderr.contains("packs/"), "{ran:?}");
    assert!(!shell.work().join("out.tar").exists());
}

/// An export into the folder of a catalog would mix with its objects. Imports refuse such places, and so do exports, with the same
/// message and before anything is written.
#[test]
fn catalogs_take_no_exports() {
    let shell = Shell::new();
    catalog(&shell, &[("x".to_owned(), (vec![1], vec![]))].into());
    shell.ok("deltic init file:deep/other --layer a=generic && ln -s cat same && mkdir -p cat/progress && mkdir empty");
    let files = || shell.ok("find . | sort");
    let before = files();
    for target in [
        "cat",
        "cat/packs/sub",
        "cat/versions/x.tar",
        "cat/progress",
        "cat/new/folder",
        "same/packs/sub",
        "nowhere/../cat/packs/sub",
        "nowhere/../same/packs/sub",
        "empty/../same/x.tar.gz",
        "deep/other/packs/sub",
        "deep/other/x.tar.zst",
        "\"$PWD/deep/other/sub\"",
    ] {
        let ran = shell.run(&format!("deltic export file:cat a {target}"));
        assert_eq!(ran.code, 2, "{target}: {ran:?}");
        assert!(ran.stderr.contains(" the folder of the catalog file:"), "{target}: {ran:?}");
        assert_eq!(files(), before, "{target}");
    }
    // Imports from there, of folders and archives.
    shell.ok("deltic export file:cat a out.tar && mkdir -p deep/other/packs && cp out.tar deep/other/packs");
    for source in ["deep/other", "deep/other/packs", "deep/other/packs/out.tar", "same/packs"] {
        let ran = shell.run(&format!("deltic import file:cat --layer a={source}"));
        assert!(ran.code == 2 && ran.stderr.contains(" the folder of the catalog file:"), "{source}: {ran:?}");
    }
    // A file with a name like one of a catalog's makes no catalog; and a folder beside a catalog is accepted.
    shell.write("stac/catalog.json", "{}");
    shell.ok("deltic export file:cat a stac/out && deltic export file:cat a deep/out");
}

/// When one name is the folder of another, a folder can hold only one of them. An archive holds both, and a note reports it.
#[test]
fn a_name_that_is_the_folder_of_another() {
    let shell = Shell::new();
    for between in ["a!", "a-b", "a b/c", "a.x"] {
        let names = ["a", between, "a/b", "b", "bb/c"];
        let partitions = names.map(|name| (name.to_owned(), (name.as_bytes().to_vec(), vec![]))).into();
        shell.ok("rm -rf cat out* back");
        let (before, _) = catalog(&shell, &partitions);
        let ran = shell.run("deltic export file:cat a out");
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("partitions `a` and `a/b` can not both be files"), "{ran:?}");
        assert!(!shell.work().join("out").exists(), "nothing is made of a layer that can not be written");
        let message = shell.ok("deltic export file:cat a out.tar");
        assert!(message.contains("note: the archive holds `a` and `a/b`: `import` reads both"), "{message}");
        shell.ok("deltic init file:back --layer a=generic && deltic import file:back --layer a=out.tar");
        assert_eq!(digest(&shell, "back"), before);
    }
    // Names that only have the same beginning.
    let partitions = ["a", "a-b/c", "ab", "ab c"].map(|name| (name.to_owned(), (vec![], vec![]))).into();
    shell.ok("rm -rf cat out*");
    catalog(&shell, &partitions);
    shell.ok("deltic export file:cat a out");
    let message = shell.ok("deltic export file:cat a out.tar");
    assert!(!message.contains("note:"), "{message}");
}

/// Names that an archive can import, an archive can export; a folder can not have such names.
#[test]
fn names_that_no_file_system_takes_go_into_archives() {
    let shell = Shell::new();
    let (long, deep) = ("x".repeat(256), format!("d/{}/e", "\u{e4}".repeat(200)));
    for name in [&long, &deep] {
        shell.ok("rm -rf cat out* back");
        let (before, _) =
            catalog(&shell, &[("fine".to_owned(), (vec![], vec![])), (name.clone(), (vec![7], vec![]))].into());
        for target in ["out.tar", "out.tar.gz", "out.tar.zst"] {
            shell.ok(&format!("rm -rf back; deltic export file:cat a {target}"));
            shell.ok(&format!("deltic init file:back --layer a=generic && deltic import file:back --layer a={target}"));
            assert_eq!(digest(&shell, "back"), before, "{target}");
        }
        let ran = shell.run("deltic export file:cat a out");
        assert!(ran.code == 1 && ran.stderr.contains(&format!("partition `{name}` can not be exported")), "{ran:?}");
        assert!(ran.stderr.contains("at most 255 bytes") && !shell.work().join("out").exists(), "{ran:?}");
    }
}

/// A refused export leaves nothing behind, and existing files stay.
#[test]
fn a_refused_export_leaves_no_folder() {
    let shell = Shell::new();
    catalog(&shell, &[("../x".to_owned(), (vec![], vec![]))].into());
    for target in ["out", "new/out", "there"] {
        shell.ok("mkdir -p there");
        let ran = shell.run(&format!("deltic export file:cat a {target}"));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_eq!(shell.ok("ls"), "cat\nthere\n", "{target}");
    }
}
