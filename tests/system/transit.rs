//! The main job on real data: 378 versions, one after another, compared with the data set's own list of changes and with scratch.

use deltic::core::LayerId;
use deltic::prelude::*;
use deltic::store::Snapshot;
use deltic_examples::history::{self, ChangeLine};
use deltic_examples::transit;
use deltic_testkit::Lab;

fn tasks() -> Vec<Task> {
    let mut setup = Setup::default();
    transit::setup(&mut setup).unwrap();
    setup.finish().unwrap()
}

/// What changed between two versions of the input, as the data set writes it.
fn change_lines(before: &Snapshot, after: &Snapshot) -> Vec<ChangeLine> {
    let mut lines = Vec::new();
    for layer in ["gtfs-realtime", "gtfs-schedule"] {
        let tree = |snapshot: &Snapshot| snapshot.tree(&LayerId::new(layer).unwrap()).unwrap();
        for change in tree(before).diff(&tree(after)) {
            let change = change.unwrap();
            let operation = match (&change.before, &change.after) {
                (None, _) => 'A',
                (_, None) => 'D',
                _ => 'M',
            };
            let partition = format!("{layer}/{}", String::from_utf8(change.key.into_vec()).unwrap());
            lines.push(ChangeLine { number: after.version().0, operation, partition });
        }
    }
    lines
}

#[test]
fn the_whole_history_equals_scratch_and_the_data_sets_own_account() {
    let set = history::data("mobility-catalogs");
    let mut expected = history::changes(&set).unwrap();
    expected.sort();
    let mut found = Vec::new();
    let mut lab = Lab::new(tasks());
    lab.threads(2);
    history::replay(&set, |step| {
        for (layer, name, bytes) in &step.put {
            lab.put(&format!("transit/{layer}"), name, bytes.clone());
        }
        for (layer, name) in &step.deleted {
            lab.delete(&format!("transit/{layer}"), name);
        }
        let report = lab.run().report;
        assert_eq!(report.inputs[0].to.map(|to| to.0), Some(step.number));
        let input = lab.input_catalog("transit");
        let snapshot = |number| input.snapshot(deltic::core::Version(number)).unwrap();
        found.extend(change_lines(&snapshot(step.number - 1), &snapshot(step.number)));
        if [1, 41, 190, 238, 300, 353, 378].contains(&step.number) {
            lab.assert_equals_scratch();
        }
        Ok(true)
    })
    .unwrap();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(lab.output().version().0, 378, "one version for each version of the input");
}

#[test]
fn a_dangling_reference_heals_when_its_target_appears() {
    let realtime = r#"{"mdb_source_id": 2, "data_type": "gtfs-rt", "provider": "Rhb", "static_reference": ["1"]}"#;
    let schedule =
        r#"{"mdb_source_id": 1, "data_type": "gtfs", "provider": "Rhb", "location": {"country_code": "CH"}}"#;
    let mut lab = Lab::new(tasks());
    lab.put("transit/gtfs-realtime", "rt.json", realtime);
    lab.run();
    assert!(lab.text("feeds", "rt.json").unwrap().contains(r#""feeds": []"#));
    lab.put("transit/gtfs-schedule", "s.json", schedule);
    let run = lab.run();
    expect_test::expect![[r#"
        front  countries   transit/gtfs-schedule/s.json
        back   countries   countries/CH
        front  coverage    transit/gtfs-schedule/s.json
        front  feed-index  transit/gtfs-schedule/s.json
        back   feed-index  feeds-by-id/1
        back   feeds       feeds/rt.json
    "#]]
    .assert_eq(&run.log());
    assert!(lab.text("feeds", "rt.json").unwrap().contains(r#""provider": "Rhb""#));
    lab.assert_equals_scratch();
    lab.delete("transit/gtfs-schedule", "s.json");
    lab.run();
    assert!(lab.text("feeds", "rt.json").unwrap().contains(r#""feeds": []"#));
    lab.assert_equals_scratch();
}

#[test]
fn a_box_that_moves_leaves_its_old_tiles() {
    let feed = |south: f64, west: f64| {
        format!(
            r#"{{"mdb_source_id": 1, "data_type": "gtfs", "provider": "P", "location": {{"country_code": "XX", "bounding_box":
               {{"minimum_latitude": {south}, "maximum_latitude": {}, "minimum_longitude": {west}, "maximum_longitude": {}}}}}}}"#,
            south + 0.1,
            west + 0.1
        )
    };
    let mut lab = Lab::new(tasks());
    lab.put("transit/gtfs-schedule", "a.json", feed(46.9, 7.4));
    lab.run();
    lab.put("transit/gtfs-schedule", "a.json", feed(59.9, 10.7));
    expect_test::expect![[r#"
        front  countries   transit/gtfs-schedule/a.json
        front  coverage    transit/gtfs-schedule/a.json
        back   coverage    coverage/12002131
        gone   coverage    coverage/12022121
        front  feed-index  transit/gtfs-schedule/a.json
    "#]]
    .assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

#[test]
fn a_box_upside_down_is_an_error_that_says_so() {
    let feed = r#"{"mdb_source_id": 1, "data_type": "gtfs", "provider": "P", "location": {"country_code": "BR", "bounding_box":
        {"minimum_latitude": 12.5, "maximum_latitude": -22.9, "minimum_longitude": 1, "maximum_longitude": 2}}}"#;
    let mut lab = Lab::new(tasks());
    lab.put("transit/gtfs-schedule", "br-rio.json", feed);
    expect_test::expect![[r#"
        2 failures
          coverage: front-end of transit/gtfs-schedule/br-rio.json: bounding box is upside down: south 12.5 is north of north -22.9
          countries: front-end of transit/gtfs-schedule/br-rio.json: bounding box is upside down: south 12.5 is north of north -22.9"#]]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
}
