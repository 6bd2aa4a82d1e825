//! The text of a verification.
//!
//! ```text
//! in  2
//! words  12 in  4 compiled
//! words: words/hello is not what is compiled, from byte 3 of 10: "x" and "y"
//! a sample of version 3, 1 % with seed 0: 1 difference
//! ```

use deltic_driver::{RecordMatch, Verification, VerifiedTask};

use crate::terminal::columns::{Align, columns};
use crate::terminal::escape;
use crate::terminal::numbers::count;

/// The result of a verification, without a final line break. Content that it quotes can not forge a line, and can not control a
/// terminal.
pub fn verification(found: &Verification) -> String {
    escape::joined(&verification_lines(found))
}

pub(crate) fn verification_lines(found: &Verification) -> Vec<String> {
    let inputs: Vec<Vec<String>> =
        found.inputs.iter().map(|input| vec![input.catalog.to_string(), input.version.to_string()]).collect();
    let mut lines = columns(&[Align::Left; 2], &inputs);
    lines.extend(found.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(columns(&TASK, &found.tasks.iter().map(task).collect::<Vec<_>>()));
    lines.extend(found.not_covered.iter().map(|layer| format!("layer `{layer}` is not verified: no task writes it")));
    lines.extend(found.differences.iter().map(ToString::to_string));
    lines.extend(more(found.more_differences, "differences"));
    lines.extend(found.offenders.iter().map(ToString::to_string));
    lines.extend(more(found.more_offenders, "that give different results when compiled twice"));
    let version = found.version;
    let what = match found.sample {
        None => format!("all of version {version}"),
        Some(sample) => {
            let percent = f64::from(sample.millionths) / 10_000.0;
            format!("a sample of version {version}, {percent} % with seed {}", sample.seed)
        }
    };
    lines.push(match found.is_clean() {
        true => format!("{what}: equal to what its inputs compile to"),
        false => format!("{what}: {}", findings(found)),
    });
    lines
}

/// The number of differences that a verification found.
pub(crate) fn findings(found: &Verification) -> String {
    let number = |listed: usize, more: u64, one: &str, many: &str| {
        let all = listed as u64 + more;
        let what = if all == 1 { one } else { many };
        (all > 0).then(|| format!("{} {what}", count(all)))
    };
    let differences = number(found.differences.len(), found.more_differences, "difference", "differences");
    let offenders = number(
        found.offenders.len(),
        found.more_offenders,
        "partition that gives different results when compiled twice",
        "partitions that give different results when compiled twice",
    );
    differences.into_iter().chain(offenders).collect::<Vec<_>>().join(", ")
}

const TASK: [Align; 4] = [Align::Left, Align::Right, Align::Right, Align::Left];

fn task(task: &VerifiedTask) -> Vec<String> {
    let record = match &task.record {
        RecordMatch::Same => None,
        RecordMatch::Changed { reason, outputs_only } => {
            let state = if *outputs_only { "; its state is not compared" } else { "" };
            Some(format!("{reason}: the next run compiles it in full{state}"))
        }
        RecordMatch::New => {
            return vec![task.task.to_string(), String::new(), String::new(), "has not run before".to_owned()];
        }
    };
    let passed_over = (task.in_quarantine > 0).then(|| format!("{} in quarantine skipped", count(task.in_quarantine)));
    let remarks: Vec<String> = record.into_iter().chain(passed_over).collect();
    vec![
        task.task.to_string(),
        format!("{} in", count(task.inputs)),
        format!("{} compiled", count(task.outputs)),
        remarks.join("; "),
    ]
}

fn more(number: u64, what: &str) -> Option<String> {
    (number > 0).then(|| format!("and {} more {what}", count(number)))
}
