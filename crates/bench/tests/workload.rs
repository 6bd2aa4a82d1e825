//! The workload gives the same bytes as the reference programs, through catalogs and without, in full and
//! incrementally.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::path::Path;

use deltic_bench::{
    Kind, Outputs, Packed, PackedWriter, Session, Workload, expected_outputs, generate, generate_on, import_generated,
    import_packed, open_input,
};
use deltic_core::Digest;
use deltic_store::Stores;

/// Sixty-two whole groups and a partial one.
const COUNT: u64 = 1003;

/// The results of the reference programs for `COUNT` partitions: digests of the index of `gen` (which holds digests of all
/// payloads) and of the outputs of `floor`, first in version 0, then with one partition of a thousand in version 3.
const INDEX: [&str; 2] = [
    "a634269e23772833e0ab5bca36b6f31d5face007c4425943a02bdfe74e7553ad",
    "edb8111fd2c1c6e5944c3eca19fa4990286b56c1244581b9b579bcd8c09cb4b5",
];
const OUTPUTS_A: [&str; 2] = [
    "34e9d7401d3d5168b44f0c1546598920a767c27dd8b8dc6fe2bc65e593f8d88b",
    "63559850ec6867c454d148b0c2367dc6b59853f8535c7075c4c5253de4e4bd28",
];
const OUTPUTS_B: [&str; 2] = [
    "bd423e0c178f656d5ba07f5782273706c6909e584c894797fc4aee21a4f107a9",
    "1db892c472d8042b0aba0a3f1c5b153cb281c7717732450a0adc57de3b805256",
];

const JOBS: [(Workload, [&str; 2]); 3] = [(Workload::A, OUTPUTS_A), (Workload::B, OUTPUTS_B), (Workload::M, OUTPUTS_B)];

fn index_digest(folder: &Path) -> String {
    Digest::of(&std::fs::read(folder.join("idx.bin")).unwrap()).to_string()
}

/// Writes the first `count` partitions of a folder into another one.
fn cut(from: &Path, to: &Path, count: usize) {
    let packed = Packed::open(from).unwrap();
    let mut writer = PackedWriter::create(to).unwrap();
    for entry in &packed.entries()[..count] {
        writer.add(entry.key, entry.digest, &packed.read(entry).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn generated_inputs_are_those_of_the_reference_programs() {
    let area = tempfile::tempdir().unwrap();
    let [base, apart, shared] = ["base", "apart", "shared"].map(|name| area.path().join(name));
    generate(&base, COUNT, Kind::Base, 1).unwrap();
    generate(&apart, COUNT, Kind::Permille, 3).unwrap();
    assert_eq!([index_digest(&base), index_digest(&apart)], INDEX);

    generate_on(&base, &shared, Kind::Permille, 3).unwrap();
    assert_eq!(index_digest(&base), INDEX[0], "the base must stay as it is");
    let (apart, shared) = (Packed::open(&apart).unwrap(), Packed::open(&shared).unwrap());
    for (one, two) in apart.entries().iter().zip(shared.entries()) {
        assert_eq!((one.key, one.digest), (two.key, two.digest));
        assert_eq!(apart.read(one).unwrap(), shared.read(two).unwrap());
    }
}

#[test]
fn outputs_are_those_of_the_reference_programs() {
    let area = tempfile::tempdir().unwrap();
    let (one, two) = (area.path().join("one"), area.path().join("two"));
    generate(&one, COUNT, Kind::Base, 1).unwrap();
    generate(&two, COUNT, Kind::Permille, 3).unwrap();
    for (job, known) in JOBS {
        let stores = Stores::new();
        let base = open_input(&stores, "memory:in").unwrap();
        import_packed(&base, &Packed::open(&one).unwrap()).unwrap();
        let mut session = Session::open(&stores, job, "memory:in", "memory:out", 2).unwrap();
        let full = session.run().unwrap();
        let outputs = || Outputs::of_catalog(&stores, "memory:out").unwrap();
        assert_eq!(outputs().digest().to_string(), known[0], "job {job}, full");
        assert_eq!(outputs(), expected_outputs(job, COUNT, Kind::Base, 0).unwrap());
        assert_eq!(full.tasks[0].counts.put, outputs().len() as u64);

        // Only changed partitions are uploaded, and only their outputs are compiled.
        let report = import_packed(&session.input().latest().unwrap(), &Packed::open(&two).unwrap()).unwrap();
        assert_eq!((report.counts.modified, report.counts.added, report.counts.unchanged), (1, 0, 0));
        let some = session.run().unwrap();
        assert_eq!((some.tasks[0].counts.compiled, some.tasks[0].counts.put), (1, 1), "job {job}");
        assert_eq!(outputs().digest().to_string(), known[1], "job {job}, incremental");
        assert_eq!(session.run().unwrap().version, None);
        session.full(true);
        assert_eq!(session.run().unwrap().tasks[0].counts.same, outputs().len() as u64);
    }
}

#[test]
fn an_import_deletes_what_the_folder_does_not_have() {
    let area = tempfile::tempdir().unwrap();
    let (all, fewer) = (area.path().join("all"), area.path().join("fewer"));
    generate(&all, COUNT, Kind::Base, 1).unwrap();
    cut(&all, &fewer, 990);
    let stores = Stores::new();
    import_packed(&open_input(&stores, "memory:in").unwrap(), &Packed::open(&all).unwrap()).unwrap();
    let mut session = Session::open(&stores, Workload::B, "memory:in", "memory:out", 1).unwrap();
    session.run().unwrap();
    let report = import_packed(&session.input().latest().unwrap(), &Packed::open(&fewer).unwrap()).unwrap();
    assert_eq!((report.counts.deleted, report.counts.modified), (13, 0));
    session.run().unwrap();
    let outputs = Outputs::of_catalog(&stores, "memory:out").unwrap();
    assert_eq!(outputs, expected_outputs(Workload::B, 990, Kind::Base, 0).unwrap());

    // And puts them back.
    let report = import_packed(&session.input().latest().unwrap(), &Packed::open(&all).unwrap()).unwrap();
    assert_eq!((report.counts.added, report.counts.modified, report.counts.deleted), (13, 0, 0));
    session.run().unwrap();
    let outputs = Outputs::of_catalog(&stores, "memory:out").unwrap();
    assert_eq!(outputs.digest().to_string(), OUTPUTS_B[0]);
}

#[test]
fn generated_and_packed_imports_agree() {
    let area = tempfile::tempdir().unwrap();
    let stores = Stores::new();
    for (kind, version) in [(Kind::Base, 0), (Kind::One, 5), (Kind::All, 6)] {
        let folder = area.path().join(format!("{kind:?}"));
        generate(&folder, 100, kind, version).unwrap();
        import_generated(&open_input(&stores, "memory:one").unwrap(), 100, kind, version).unwrap();
        import_packed(&open_input(&stores, "memory:two").unwrap(), &Packed::open(&folder).unwrap()).unwrap();
        let digest = |url| open_input(&stores, url).unwrap().digest();
        assert_eq!(digest("memory:one"), digest("memory:two"), "{kind:?}");
    }
}

#[test]
fn what_does_not_match_its_digest_is_refused() {
    let area = tempfile::tempdir().unwrap();
    let folder = area.path().join("bad");
    generate(&folder, 10, Kind::Base, 1).unwrap();
    let data = folder.join("data.bin");
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[20_000] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let stores = Stores::new();
    let base = open_input(&stores, "memory:in").unwrap();
    let error = import_packed(&base, &Packed::open(&folder).unwrap()).unwrap_err();
    assert!(error.to_string().contains("does not match its digest"), "{error}");
    assert_eq!(base.catalog().latest().unwrap().version(), base.version());
}
