//! Importing from a program: `deltic::driver::Import`, which the command uses.

use deltic::core::{CatalogUuid, Layer, LayerId, Name, Payload, RunId, Timestamp, Version};
use deltic::driver::{ErrorKind, Import, ImportCounts};
use deltic::store::{Catalog, NewCatalog, Stores};

struct Lab {
    catalog: Catalog,
    run: u64,
}

impl Lab {
    fn new() -> Lab {
        let identity = NewCatalog { uuid: CatalogUuid(7), run: RunId(1), created: Timestamp(0) };
        let layers = vec![Layer::generic("a").unwrap(), Layer::generic("b").unwrap()];
        let catalog = Catalog::create(&Stores::new(), "memory:in", layers, identity).unwrap();
        Lab { catalog, run: 1 }
    }

    fn begin(&mut self) -> Import {
        self.run += 1;
        Import::begin(&self.catalog.latest().unwrap(), RunId(self.run)).unwrap()
    }

    fn names(&self, layer: &LayerId) -> Vec<String> {
        let tree = self.catalog.latest().unwrap().tree(layer).unwrap();
        let name = |found: deltic::store::Result<(Box<[u8]>, _)>| String::from_utf8(found.unwrap().0.to_vec()).unwrap();
        tree.scan(deltic::store::KeyRange::all()).map(name).collect()
    }
}

fn id(layer: &str) -> LayerId {
    LayerId::new(layer).unwrap()
}

fn name(text: &str) -> Name {
    Name::generic(text).unwrap()
}

/// After an import a layer has its earlier partitions with the puts and deletions applied, and the counts agree.
#[test]
fn changes_are_applied_and_counted() {
    let mut lab = Lab::new();
    let import = lab.begin();
    for (n, text) in ["one", "two", "three"].into_iter().enumerate() {
        import.put(&id("a"), &name(text), &Payload::from(format!("{n}"))).unwrap();
    }
    let first = import.commit(Timestamp(1), "first").unwrap();
    assert_eq!(first.version, Some(Version(1)));
    assert_eq!(first.counts, ImportCounts { added: 3, ..ImportCounts::default() });

    let import = lab.begin();
    import.put(&id("a"), &name("one"), &Payload::from("0")).unwrap();
    import.put(&id("a"), &name("two"), &Payload::from("22")).unwrap();
    import.put(&id("b"), &name("four"), &Payload::from("4")).unwrap();
    assert!(import.delete(&id("a"), &name("three")).unwrap());
    assert!(!import.delete(&id("a"), &name("five")).unwrap());
    let second = import.commit(Timestamp(2), "").unwrap();
    assert_eq!(second.counts, ImportCounts { added: 1, modified: 1, deleted: 1, unchanged: 1 });
    assert_eq!(second.layers[&id("b")], ImportCounts { added: 1, ..ImportCounts::default() });
    assert_eq!(lab.names(&id("a")), ["one", "two"]);
    assert_eq!(lab.catalog.latest().unwrap().record().note, "");
}

/// A replaced layer holds only the put partitions; other layers stay.
#[test]
fn a_replaced_layer_is_what_was_put() {
    let mut lab = Lab::new();
    let import = lab.begin();
    for text in ["one", "two"] {
        import.put(&id("a"), &name(text), &Payload::from(text)).unwrap();
        import.put(&id("b"), &name(text), &Payload::from(text)).unwrap();
    }
    import.commit(Timestamp(1), "").unwrap();

    let import = lab.begin();
    import.replace(&id("a")).unwrap();
    import.put(&id("a"), &name("two"), &Payload::from("two")).unwrap();
    let report = import.commit(Timestamp(2), "").unwrap();
    assert_eq!(report.counts, ImportCounts { deleted: 1, unchanged: 1, ..ImportCounts::default() });
    assert_eq!(
        (lab.names(&id("a")), lab.names(&id("b"))),
        (vec!["two".to_owned()], vec!["one".to_owned(), "two".to_owned()])
    );

    let import = lab.begin();
    import.replace(&id("a")).unwrap();
    import.put(&id("a"), &name("two"), &Payload::from("two")).unwrap();
    let report = import.commit(Timestamp(3), "").unwrap();
    assert_eq!((report.version, report.bytes_written), (None, 0), "nothing changed");
    let import = lab.begin();
    import.replace(&id("a")).unwrap();
    assert_eq!(import.commit(Timestamp(4), "").unwrap().counts.deleted, 1);
    assert!(lab.names(&id("a")).is_empty());
}

/// An import has one edit for a partition.
#[test]
fn what_is_named_twice_is_refused() {
    let mut lab = Lab::new();
    let import = lab.begin();
    let put = |text: &str| import.put(&id("a"), &name(text), &Payload::from("x"));
    put("one").unwrap();
    import.delete(&id("a"), &name("two")).unwrap();
    for text in ["one", "two"] {
        assert_eq!(put(text).unwrap_err().to_string(), format!("layer a: `{text}` is named twice in one import"));
        assert!(import.delete(&id("a"), &name(text)).is_err());
    }
    let tile = Name::Tile("123".parse().unwrap());
    let error = import.put(&id("a"), &tile, &Payload::from("x")).unwrap_err();
    assert!(error.to_string().contains("layer `a` is generic"), "{error}");
    let error = import.put(&id("c"), &name("x"), &Payload::from("x")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Setup) && error.to_string().contains("it has `a`, `b`"), "{error}");
}

/// Many threads may put; of those that put the same name, one succeeds.
#[test]
fn threads_may_put_at_once() {
    let mut lab = Lab::new();
    let import = lab.begin();
    let refused: usize = std::thread::scope(|scope| {
        let put = |thread: usize| {
            let import = &import;
            scope.spawn(move || {
                let put =
                    |n: usize| import.put(&id("a"), &name(&format!("{n}")), &Payload::from(vec![thread as u8; 300]));
                (0..100).filter(|n| put(*n).is_err()).count()
            })
        };
        let threads: Vec<_> = (0..4).map(put).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(refused, 300);
    assert_eq!(import.commit(Timestamp(1), "").unwrap().counts.added, 100);
    let latest = lab.catalog.latest().unwrap();
    let tree = latest.tree(&id("a")).unwrap();
    for found in tree.scan(deltic::store::KeyRange::all()) {
        assert_eq!(tree.read(&found.unwrap().1).unwrap().len(), 300);
    }
}

/// Of two imports on one base, the later one is refused, and the earlier one is kept.
#[test]
fn an_import_on_an_old_base_is_refused() {
    let mut lab = Lab::new();
    let (one, other) = (lab.begin(), lab.begin());
    one.put(&id("a"), &name("one"), &Payload::from("1")).unwrap();
    other.put(&id("a"), &name("other"), &Payload::from("2")).unwrap();
    one.commit(Timestamp(1), "").unwrap();
    match other.commit(Timestamp(2), "").unwrap_err().kind() {
        ErrorKind::Store(error) => {
            assert!(matches!(error.kind(), deltic::store::ErrorKind::Conflict { .. }), "{error}");
        }
        kind => panic!("{kind:?}"),
    }
    assert_eq!(lab.names(&id("a")), ["one"]);
}

/// Even with much data, when a real import would write each full pack at once.
#[test]
fn a_dry_import_writes_nothing() {
    let mut lab = Lab::new();
    let puts = lab.catalog.requests().puts;
    let import = lab.begin().dry();
    for n in 0..20 {
        let mut state = n;
        let noise = std::iter::repeat_with(|| {
            state = u64::wrapping_add(u64::wrapping_mul(state, 6_364_136_223_846_793_005), 1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        let payload = Payload::new(noise.take(1 << 20).collect::<Vec<u8>>());
        import.put(&id("a"), &name(&n.to_string()), &payload).unwrap();
    }
    let report = import.commit(Timestamp(1), "").unwrap();
    assert_eq!((report.version, report.counts.added, report.bytes_written), (None, 20, 0));
    assert_eq!((lab.catalog.requests().puts, lab.catalog.latest().unwrap().version()), (puts, Version(0)));
}
