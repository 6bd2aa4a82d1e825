//! Records as they are written: both forms are read back, and features of later programs are refused.

use deltic_core::{Digest, Version};
use serde_json::{Value, json};

use super::hostile::{checked, version_record};
use crate::format::record::{Owner, Tag, Unreadable, VersionRecord};

/// [`with_tasks`] of 20, as it was written once. Never rewrite it: records in production catalogs must stay readable.
pub(super) const GOLDEN_PACKED: &[u8] =
    include_bytes!("../../tests/golden/format-2-packed/versions/00000000000000000003");

fn json_of(record: &VersionRecord) -> Value {
    serde_json::from_slice(&record.to_bytes().unwrap()).unwrap()
}

/// Changes the JSON of a record, and reads it.
fn read(change: impl FnOnce(&mut Value)) -> Result<VersionRecord, Unreadable> {
    let mut json = json_of(&version_record());
    change(&mut json);
    json.as_object_mut().unwrap().remove("check");
    let text = serde_json::to_string_pretty(&json).unwrap();
    let text = format!("{},\n  \"check\": \"{}\"\n}}\n", text.strip_suffix("\n}").unwrap(), "0".repeat(64));
    VersionRecord::from_bytes(&checked(text.into_bytes()))
}

/// A record with this many tasks.
fn with_tasks(tasks: usize) -> VersionRecord {
    let mut record = version_record();
    let task = record.tasks[0].clone();
    record.tasks = (0..tasks)
        .map(|number| {
            let mut task = task.clone();
            task.id = format!("task-{number:03}").parse().unwrap();
            task.fingerprint = Digest::of(&number.to_le_bytes());
            task
        })
        .collect();
    record.owner = Some(Owner::Tasks(record.tasks.iter().map(|task| task.id.clone()).collect()));
    record
}

#[test]
fn what_is_written_is_read() {
    for tasks in [0, 1, 2, 5, 60] {
        let record = with_tasks(tasks);
        assert_eq!(VersionRecord::from_bytes(&record.to_bytes().unwrap()).unwrap(), record, "{tasks} tasks");
    }
    let owners = [None, Some(Owner::Imports), Some(Owner::Sources)];
    for owner in owners {
        let record = VersionRecord { owner, ..version_record() };
        assert_eq!(VersionRecord::from_bytes(&record.to_bytes().unwrap()).unwrap(), record);
    }
}

#[test]
fn a_short_record_can_be_read_whole_and_a_long_one_is_compressed() {
    let (short, long) = (with_tasks(1), with_tasks(60));
    assert_eq!(json_of(&short)["rest"]["tasks"][0]["id"], "task-000");
    assert_eq!(json_of(&short)["packed"], Value::Null);
    assert_eq!(json_of(&long)["rest"], Value::Null);
    assert!(json_of(&long)["packed"].is_string());
    let plain = serde_json::to_vec(&long.tasks).unwrap().len();
    let written = long.to_bytes().unwrap().len();
    assert!(written < plain * 2 / 3, "{written} bytes of {plain}");
}

#[test]
fn the_golden_packed_record_is_read() {
    let json: Value = serde_json::from_slice(GOLDEN_PACKED).unwrap();
    assert!(json["packed"].is_string() && json["rest"].is_null() && json["format"] == 2);
    let record = VersionRecord::from_bytes(GOLDEN_PACKED).unwrap();
    assert_eq!(record, with_tasks(20));
    assert_eq!(record.problem(Version(3)), None);
}

/// So that a few bytes can not ask for much memory.
#[test]
fn what_would_shrink_to_almost_nothing_is_not_compressed() {
    let mut record = with_tasks(1);
    record.tasks[0].configuration = json!({ "zeros": "0".repeat(1 << 20) });
    let bytes = record.to_bytes().unwrap();
    assert!(bytes.len() > 1 << 20);
    assert_eq!(VersionRecord::from_bytes(&bytes).unwrap(), record);
    // Another writer may not obey this.
    let rest = serde_json::to_vec(&json_of(&record)["rest"]).unwrap();
    let frame = zstd::bulk::compress(&rest, 3).unwrap();
    let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, frame);
    let refused = read(|json| {
        json.as_object_mut().unwrap().remove("rest");
        json["packed"] = packed.into();
    });
    assert!(matches!(&refused, Err(Unreadable::Damaged(what)) if what.contains("may hold")), "{refused:?}");
}

#[test]
fn people_can_read_the_head() {
    let text = String::from_utf8(version_record().to_bytes().unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        ["{", "  \"format\": 2,", "  \"catalog\": \"00000000000000000000000000000005\",", "  \"version\": 3,"]
    );
    assert!(lines.contains(&"    {\"name\": \"keep/one\", \"version\": 1, \"note\": \"a customer has it\"}"), "{text}");
    assert!(lines.contains(&"    [0, 1],"), "{text}");
    assert!(lines.contains(&"  \"pending\": [],"), "{text}");
}

#[test]
fn features_of_later_programs_are_refused() {
    assert!(read(|_| {}).is_ok());
    let main = || json!({ "name": "main", "version": 3, "since": 0, "from": null, "fork": null });
    let with = |field: &str, value: Value| {
        let mut main = main();
        main[field] = value;
        json!([main])
    };
    let mut layer = json_of(&version_record())["layers"].clone();
    layer[0]["scheme"] = json!("hexagon:0-8");
    let unsupported: [(&str, &str, Value); 20] = [
        ("owner", "owner", json!("mirror")),
        ("owner", "owner", json!({ "mirror": ["task"] })),
        ("owner", "owner", json!({ "tasks": ["task"], "mirror": true })),
        ("owner", "owner", json!({ "tasks": [{ "id": "task" }] })),
        ("owner", "owner", json!(["imports", "sources"])),
        ("layers", "layers", layer),
        ("branches", "branch", json!(["main"])),
        ("branches", "base", json!({ "version": 2 })),
        ("branches", "branches", json!({ "main": main() })),
        ("branches", "branches", json!(["main"])),
        ("branches", "branches", with("from", json!(["main", "other"]))),
        ("versions of several catalogs", "pending", json!({ "3": "main" })),
        ("branches", "branch", json!("other")),
        ("branches", "branch", Value::Null),
        ("branches", "base", json!(1)),
        ("branches", "branches", json!([main(), main()])),
        ("branches", "branches", json!([])),
        ("branches", "merged", json!({ "version": 1, "fork": 0 })),
        ("versions of several catalogs", "pending", json!([{ "version": 3 }])),
        ("versions of several catalogs", "group", json!({ "run": "0000000000000001" })),
    ];
    for (what, field, value) in unsupported {
        let refused = read(|json| json[field] = value.clone());
        assert!(
            matches!(&refused, Err(Unreadable::Unsupported(found)) if found.contains(what)),
            "{field}: {refused:?}"
        );
    }
    let left_out = read(|json| json["rest"]["tasks"][0]["inputs"] = json!([]));
    assert!(matches!(&left_out, Err(Unreadable::Unsupported(what)) if what.contains("left out")), "{left_out:?}");
    assert!(matches!(read(|json| json["format"] = json!(3)), Err(Unreadable::Format(3))));
    // Nothing depends on what is new beside the rest.
    assert!(read(|json| json["report"] = json!("x")).is_ok());
    assert!(read(|json| json["branches"] = with("note", json!("x"))).is_ok());
}

#[test]
fn a_record_without_one_of_its_fields_is_damaged() {
    let damaged = |change: fn(&mut Value)| assert!(matches!(read(change), Err(Unreadable::Damaged(_))));
    damaged(|json| drop(json.as_object_mut().unwrap().remove("rest")));
    damaged(|json| json["packed"] = json!("AAAA"));
    damaged(|json| {
        json.as_object_mut().unwrap().remove("rest");
        json["packed"] = json!("no base64!");
    });
    damaged(|json| {
        json.as_object_mut().unwrap().remove("rest");
        json["packed"] = json!("AAAA");
    });
    for field in ["tags", "owner", "branch", "base", "branches", "pending", "layers"] {
        let refused = read(|json| drop(json.as_object_mut().unwrap().remove(field)));
        assert!(matches!(&refused, Err(Unreadable::Damaged(what)) if what.contains(field)), "{field}: {refused:?}");
    }
}

#[test]
fn tags_are_names_of_versions_that_can_be_read() {
    let tag = |name: &str, version| Tag { name: name.to_owned(), version: Version(version), note: String::new() };
    let problem = |tags: Vec<Tag>| VersionRecord { tags, ..version_record() }.problem(Version(3));
    assert_eq!(problem(vec![tag("a", 0), tag("b", 1), tag("c", 3)]), None);
    assert!(problem(vec![tag("a", 2)]).unwrap().contains("a tag of version 2"));
    let many = |count: usize| (0..count).map(|number| tag(&format!("{number:04}"), 3)).collect::<Vec<_>>();
    assert_eq!(problem(many(1024)), None);
    for bad in [
        vec![tag("b", 1), tag("a", 1)],
        vec![tag("a", 1), tag("a", 3)],
        vec![tag("", 1)],
        vec![tag("a\nb", 1)],
        vec![tag(&"a".repeat(129), 1)],
        many(1025),
    ] {
        assert!(problem(bad).unwrap().contains("its tags are not"));
    }
    assert_eq!(problem(vec![tag(&"a".repeat(128), 1)]), None);
}
