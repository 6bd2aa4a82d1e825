//! Look-ups in real data: browsers' releases by rows and by tables, and chains of references among presets.

#![expect(clippy::unwrap_used, reason = "a failure fails the test, and names the place")]

use deltic::driver::Report;
use deltic_examples::replay::{Chain, Example};
use deltic_examples::{browser_compat, id_presets};
use serde_json::Value;
use tempfile::TempDir;

/// An example after some versions of its data, equal to a build from scratch.
struct Replayed {
    chain: Chain,
    reports: Vec<Report>,
    _dir: TempDir,
}

fn replay(example: &Example, last: u64) -> Replayed {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::open(example, dir.path(), 2).unwrap();
    let mut reports = Vec::new();
    chain.replay(Some(last), |_, report, _| reports.push(report.clone())).unwrap();
    assert_eq!(reports.len() as u64, last);
    let scratch = chain.scratch(&dir.path().join("scratch")).unwrap();
    assert!(!chain.compare(&scratch).unwrap().is_empty());
    Replayed { chain, reports, _dir: dir }
}

impl Replayed {
    /// Outputs that a task compiled after the first version.
    fn compiled(&self, task: &str) -> u64 {
        let tasks = self.reports[1..].iter().flat_map(|report| &report.tasks);
        tasks.filter(|report| report.task.as_str() == task).map(|report| report.counts.compiled).sum()
    }

    fn json(&self, layer: &str, name: &str) -> Value {
        let all = self.chain.partitions(layer).unwrap();
        let (_, payload) = all.into_iter().find(|(found, _)| found.to_string() == name).unwrap();
        payload.json().unwrap()
    }
}

#[test]
fn a_feature_is_compiled_again_for_the_rows_that_it_names() {
    let last = 8;
    let (parts, whole) = (replay(&browser_compat::EXAMPLE, last), replay(&browser_compat::WHOLE, last));
    assert_eq!((parts.compiled("availability"), whole.compiled("availability")), (1_276, 12_523));
    let layer = |replayed: &Replayed| replayed.chain.partitions("availability").unwrap();
    assert!(layer(&parts) == layer(&whole), "what is read is the same, so what is made of it is");
    let feature = &parts.json("availability", "api/AbortController")["api.AbortController"];
    assert_eq!(feature["chrome"]["version"], "66");
    assert_eq!(feature["chrome"]["date"], "2018-04-17");
    assert_eq!(feature["ie"], Value::Null, "it never had it");
}

#[test]
fn a_form_follows_its_presets_and_the_kinds_of_its_fields() {
    let replayed = replay(&id_presets::EXAMPLE, 64);
    let form = replayed.json("forms", "shop/books");
    assert_eq!(form["name"], "Bookstore");
    // The fields of `{shop}`, without the field for the tag that makes it a book store.
    assert_eq!(
        form["fields"],
        serde_json::json!([
            "name",
            "operator",
            "address",
            "building_area_yes",
            "opening_hours",
            "payment_multi",
            "phone",
            "internet_access"
        ])
    );
    let counts = ["preset-index", "forms", "field-users", "menus"].map(|task| replayed.compiled(task));
    assert_eq!(counts, [793, 1_544, 416, 21]);
}
