//! A tile gets the address in the name of its file, and no other.

use deltic::core::{CatalogUuid, Grid, Layer, LayerId, Name, Payload, RunId, Tile, Timestamp};
use deltic::driver::Import;
use deltic::store::{Catalog, Committed, Draft, DraftOptions, NewCatalog, NextVersion, Stores};

use crate::shell::Shell;

#[test]
fn trees_of_web_tiles_are_read_as_such() {
    let shell = Shell::new();
    shell.ok("deltic init file:cat --layer web=tile:mercator:0-8 --layer eight=tile:mercator:8 --layer g=generic");
    shell.ok("deltic init file:cat2 --layer here=tile:here:0-8");
    shell.write("tree/8/130/88.pbf", "a");
    let ran = shell.run("deltic import file:cat --layer web=tree");
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in [
        "as a HERE tile id it is tile `120` of level 3, as z/x/y it is tile `12022010` of level 8",
        "--names here or --names xyz",
    ] {
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    shell.ok("deltic import file:cat --layer web=tree --layer g=tree --names xyz");
    assert_eq!(shell.ok("deltic get file:cat web 12022010"), "a");
    assert_eq!(shell.ok("deltic ls file:cat web").lines().count(), 1);
    // If only one form is possible, `--names` is not needed.
    shell.ok("deltic import file:cat --layer eight=tree");
    assert_eq!(shell.ok("deltic get file:cat eight 12022010"), "a");
    for (wrong, why) in [
        ("import file:cat2 --layer here=tree --names xyz", "mercator grid"),
        ("import file:cat --layer g=tree --names xyz", "none of these layers has tiles"),
        ("export file:cat g out --names quadkey", "is generic"),
        ("export file:cat2 here out --names xyz", "mercator grid"),
        ("import file:cat --layer web=tree --names tms", "possible values: quadkey, here, xyz"),
    ] {
        let ran = shell.run(&format!("deltic {wrong}"));
        assert!(ran.code == 2 && ran.stderr.contains(why), "{wrong}: {ran:?}");
    }
    assert!(!shell.work().join("out").exists());
}

#[test]
fn hidden_files_are_no_tiles() {
    let shell = Shell::new();
    shell.ok("deltic init file:cat --layer web=tile:mercator:0-8 --layer here=tile:here:0-8");
    for file in [".gitkeep", ".DS_Store", "sub/.0123", ".", "..."] {
        shell.ok("rm -rf tree; mkdir -p tree/sub; echo 1 > tree/0213012");
        shell.ok(&format!("echo 2 > 'tree/{file}' || echo 3 > tree/.x"));
        shell.ok("tar cf tree.tar -C tree .");
        for layer in ["web", "here"] {
            for source in ["tree", "tree.tar"] {
                for names in ["", "--names quadkey", "--names here"] {
                    let ran = shell.run(&format!("deltic import file:cat --layer {layer}={source} {names}"));
                    assert_eq!(ran.code, 1, "{file} {layer} {source} {names}: {ran:?}");
                    assert!(names == "--names here" || ran.stderr.contains("a hidden file is no tile"), "{ran:?}");
                }
            }
        }
    }
    shell.ok("rm -rf tree; mkdir tree; echo 1 > tree/root.json; deltic import file:cat --layer here=tree");
    assert_eq!(shell.ok("deltic get file:cat here root"), "1\n");
    let ran = shell.run("deltic get file:cat here ''");
    assert!(ran.code == 2 && ran.stderr.contains("can not be empty"), "{ran:?}");
}

/// A tile that has not changed keeps its place, whatever other files there are.
#[test]
fn neighbours_do_not_decide_where_a_tile_lies() {
    let shell = Shell::new();
    shell.ok("deltic init file:cat --layer t=tile:here:4,5");
    // Both a quadkey of level 4 and a HERE tile id of level 5.
    shell.write("in/1202", "moves");
    for others in [&[][..], &["0213"], &["354"], &["0213", "354"]] {
        shell.ok("rm -f in/0* in/3*");
        others.iter().for_each(|other| shell.write(format!("in/{other}"), "stays"));
        let ran = shell.run("deltic import file:cat --layer t=in");
        assert_eq!(ran.code, 1, "{others:?}: {ran:?}");
    }
    shell.ok("rm in/0* in/3*; deltic import file:cat --layer t=in --names quadkey");
    assert_eq!(shell.ok("deltic get file:cat t 1202"), "moves");
    shell.ok("deltic import file:cat --layer t=in --names here");
    assert_eq!(shell.ok("deltic get file:cat t here:1202"), "moves");
    assert_eq!(shell.ok("deltic diff file:cat 1 2"), "A t/02302\nD t/1202\n");
    // Each name is one tile, but they have different forms.
    shell.ok("rm in/*; echo 1 > in/354; echo 2 > in/12022");
    let ran = shell.run("deltic import file:cat --layer t=in");
    assert!(ran.code == 1 && ran.stderr.contains("it is a tile only as a HERE tile id"), "{ran:?}");
}

#[test]
fn tiles_beyond_the_pole_are_not_taken() {
    let shell = Shell::new();
    shell.ok("deltic init file:cat --layer t=tile:here:1-4 --layer web=tile:mercator:1-4");
    for (file, names) in
        [("2.x", "quadkey"), ("3113", "quadkey"), ("6", "here"), ("here:6", "here"), ("here:7", "quadkey")]
    {
        shell.write(format!("in/{file}"), "x");
        for names in [String::new(), format!("--names {names}")] {
            let ran = shell.run(&format!("deltic import file:cat --layer t=in {names}"));
            assert!(ran.code == 1 && ran.stderr.contains("beyond the north pole"), "{file}{names}: {ran:?}");
        }
        shell.ok(&format!("rm in/{file}"));
    }
    shell.write("in/2", "x");
    shell.ok("deltic import file:cat --layer web=in");
}

/// Tiles that older programs put can be read, exported and deleted, but not put again.
#[test]
fn catalogs_with_tiles_beyond_the_pole_can_be_read() {
    let shell = Shell::new();
    let url = format!("file:{}", shell.work().join("cat").display());
    let identity = NewCatalog { uuid: CatalogUuid(7), run: RunId(1), created: Timestamp(0) };
    let layer = Layer::tiles("t", Grid::Here, [1]).unwrap();
    let catalog = Catalog::create(&Stores::new(), &url, vec![layer.clone()], identity).unwrap();
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(2), DraftOptions::default());
    let entry = draft.put(&Payload::from("old")).unwrap();
    let names = ["1", "2"].map(|name| Ok::<_, deltic::store::Error>((name.as_bytes().into(), Some(entry.clone()))));
    let tree = draft.edit(&draft.empty_tree(), names.into_iter()).unwrap();
    let next = NextVersion { layers: vec![(layer, tree)], ..NextVersion::default() };
    let Committed::New(snapshot) = draft.commit(next).unwrap() else { panic!("nothing to commit") };
    assert_eq!(shell.ok("deltic ls file:cat t").lines().count(), 2);
    assert_eq!(shell.ok("deltic get file:cat t 2"), "old");
    shell.ok("deltic fsck file:cat && deltic export file:cat t out && test -f out/2");
    let (id, beyond) = (LayerId::new("t").unwrap(), Name::Tile("2".parse::<Tile>().unwrap()));
    let import = Import::begin(&snapshot, RunId(3)).unwrap();
    let refused = import.put(&id, &beyond, &Payload::from("new")).unwrap_err();
    assert!(refused.to_string().contains("beyond the north pole"), "{refused}");
    assert!(import.delete(&id, &beyond).unwrap());
    import.commit(Timestamp(1), "").unwrap();
    assert_eq!(shell.ok("deltic diff file:cat 1 2"), "D t/2\n");
}

#[test]
fn what_is_exported_is_imported_by_the_same_names() {
    let shell = Shell::new();
    shell.ok("deltic init file:web --layer t=tile:mercator:0-8 && deltic init file:here --layer t=tile:here:0-8");
    for tile in ["root", "0", "12", "121", "01230123", "1110"] {
        shell.write(format!("in/{tile}.x"), tile);
    }
    for (catalog, names) in [("web", "quadkey"), ("web", "here"), ("web", "xyz"), ("here", "quadkey"), ("here", "here")]
    {
        shell.ok(&format!("deltic import file:{catalog} --layer t=in --names quadkey"));
        for target in ["out", "out.tar"] {
            shell.ok(&format!("rm -rf out out.tar back && deltic export file:{catalog} t {target} --names {names}"));
            let scheme = if catalog == "web" { "mercator" } else { "here" };
            shell.ok(&format!("deltic init file:back --layer t=tile:{scheme}:0-8"));
            shell.ok(&format!("deltic import file:back --layer t={target} --names {names}"));
            let digest = |catalog| shell.ok(&format!("deltic digest file:{catalog} | grep layer"));
            assert_eq!(digest("back"), digest(catalog), "{catalog} {names} {target}");
        }
    }
    assert!(shell.run("deltic export file:web t xyz --names xyz && test -f xyz/8/85/51").code == 0);
}
