//! The samples in the manual on patterns are lines of tested code.

/// What the samples are taken from.
const SOURCES: [&str; 7] = [
    include_str!("../../crates/deltic/src/lib.rs"),
    include_str!("../../examples/id-presets/menus.rs"),
    include_str!("dataset_plan.rs"),
    include_str!("leveling.rs"),
    include_str!("patterns.rs"),
    include_str!("shapes.rs"),
    include_str!("which_ran.rs"),
];

#[test]
fn every_line_of_a_sample_is_in_a_source() {
    let manual = include_str!("../../docs/choosing-a-pattern.md");
    let samples: Vec<&str> = manual.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(samples.len() > 10, "found {} samples", samples.len());
    for sample in samples {
        let lines: Vec<&str> = sample.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let missing = SOURCES.map(|source| lines.iter().find(|line| !source.contains(**line)));
        assert!(
            missing.contains(&None),
            "none of the sources holds all lines of this sample, they lack {missing:?}:\n{sample}"
        );
    }
}
