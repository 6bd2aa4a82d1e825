//! The texts of reports and of plans of runs.
//!
//! ```text
//! transit  377 → 378  6 of 3,434 changed
//!
//! feeds      incremental  9 in  7 same  2 put  3 through references
//! countries  skipped      its inputs have not changed
//!
//! committed version 378: 2 put, 0 deleted, 11 KiB written in 9.0 ms
//! ```

use deltic_core::Version;
use deltic_driver::{Counts, InputReport, Mode, Orphan, Plan, PlannedTask, Report, TaskReport};

use crate::terminal::columns::{Align, columns};
use crate::terminal::escape;
use crate::terminal::numbers::{bytes, count, milliseconds, partitions};

const NOTHING_CHANGED: &str = "its inputs have not changed";

/// What a run did, without a final line break. Content that it quotes can not forge a line, and can not control a terminal.
pub fn run(report: &Report) -> String {
    escape::joined(&run_lines(report))
}

pub(crate) fn run_lines(report: &Report) -> Vec<String> {
    let mut lines = inputs(&report.inputs);
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(columns(&TASK_COLUMNS, &report.tasks.iter().map(task).collect::<Vec<_>>()));
    lines.extend(report.orphans.iter().map(orphan));
    lines.extend(report.taken_over_from.iter().map(|owner| format!("taken over: so far {owner} wrote the output")));
    lines.extend(report.tasks.iter().flat_map(quarantine));
    let sum = |of: fn(&Counts) -> u64| count(report.tasks.iter().map(|task| of(&task.counts)).sum());
    let took = milliseconds(report.phases.resolve_ms + report.phases.execute_ms + report.phases.commit_ms);
    lines.push(match report.version {
        Some(version) => format!(
            "committed version {version}: {} put, {} deleted, {} written in {took}",
            sum(|counts| counts.put),
            sum(|counts| counts.deleted),
            bytes(report.bytes_written)
        ),
        None => format!("nothing changed: version {} is up to date ({took})", report.base),
    });
    lines
}

/// What a run would do, in the same form.
pub fn plan(plan: &Plan) -> String {
    escape::joined(&plan_lines(plan))
}

pub(crate) fn plan_lines(plan: &Plan) -> Vec<String> {
    let other = plan
        .owned_by
        .as_ref()
        .map(|owner| format!("the output belongs to {owner}: a run of these tasks fails without `--take-over`"));
    let mut lines: Vec<String> = other.into_iter().collect();
    lines.extend(inputs(&plan.inputs));
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(columns(&PLAN_COLUMNS, &plan.tasks.iter().map(planned).collect::<Vec<_>>()));
    lines.extend(plan.orphans.iter().map(orphan));
    let skipped = plan.tasks.iter().all(|task| task.mode == Mode::Skipped);
    // The versions of its inputs are part of a version.
    let is_recorded = plan.inputs.iter().all(|input| input.from.is_none() || input.from == input.to);
    lines.push(match skipped {
        true if is_recorded => format!("a run would do nothing: version {} is up to date", plan.base),
        true => format!(
            "a run would compile nothing: it would record that version {} is also the output of these inputs",
            plan.base
        ),
        false => format!("a run would start from version {}; nothing was written", plan.base),
    });
    lines
}

fn orphan(orphan: &Orphan) -> String {
    match orphan {
        Orphan::Layer(layer) => format!("layer `{layer}` stays unchanged: no task writes it any more"),
        Orphan::State(task) => format!(
            "the state of task `{task}` is deleted: there is no such task any more; a task that was only renamed keeps it \
             with `previously(\"{task}\")`"
        ),
    }
}

fn inputs(inputs: &[InputReport]) -> Vec<String> {
    let version = |to: Option<Version>| to.map_or_else(|| "none yet".to_owned(), |to| to.to_string());
    let row = |input: &InputReport| {
        let versions = match input.from {
            Some(from) if Some(from) != input.to => format!("{from} → {}", version(input.to)),
            _ => version(input.to),
        };
        let what = match (input.from, input.changed) {
            (Some(_), Some(0)) => "unchanged".to_owned(),
            (Some(_), Some(changed)) => {
                // Deleted partitions are not among the existing ones.
                let deleted = input.deleted.unwrap_or_default();
                let there =
                    format!("{} of {} changed", count(changed.saturating_sub(deleted)), count(input.partitions));
                if deleted > 0 { format!("{there}, {} deleted", count(deleted)) } else { there }
            }
            _ => partitions(input.partitions),
        };
        vec![input.catalog.to_string(), versions, what]
    };
    columns(&[Align::Left; 3], &inputs.iter().map(row).collect::<Vec<_>>())
}

/// The most lines about quarantine for each task.
const LISTED: usize = 20;

/// The partitions in quarantine, a line each.
fn quarantine(report: &TaskReport) -> Vec<String> {
    let all = &report.in_quarantine;
    let Some(more) = all.len().checked_sub(1) else { return Vec::new() };
    let number = if more == 0 { "1 partition".to_owned() } else { format!("{} partitions", count(all.len() as u64)) };
    let mut lines = vec![format!("{}: {number} in quarantine, which the next run tries again", report.task)];
    let groups = deltic_driver::group_failures(all);
    lines.extend(groups.iter().take(LISTED).map(|line| format!("  {line}")));
    let rest: usize = groups.iter().skip(LISTED).map(|line| line.count).sum();
    if rest > 0 {
        lines.push(format!("  and {} more: `errors --format json` lists them all", count(rest as u64)));
    }
    lines
}

const INTERRUPTED: &str = "from the interrupted run";

const TASK_COLUMNS: [Align; 8] = {
    use Align::{Left, Right};
    [Left, Left, Right, Right, Right, Right, Right, Left]
};

fn task(report: &TaskReport) -> Vec<String> {
    let Counts {
        inputs,
        inputs_through_reads,
        cut_off,
        remembered,
        retried,
        through_reads,
        resumed,
        fronts_resumed,
        same,
        put,
        deleted,
        ..
    } = report.counts;
    let of = |number: u64, what: &str| if number == 0 { String::new() } else { format!("{} {what}", count(number)) };
    let resumed = match (fronts_resumed, resumed) {
        (0, outputs) => of(outputs, INTERRUPTED),
        (fronts, 0) => format!("{} front-ends {INTERRUPTED}", count(fronts)),
        (fronts, outputs) => format!("{} front-ends and {} outputs {INTERRUPTED}", count(fronts), count(outputs)),
    };
    let (mode, remarks) = match &report.mode {
        Mode::Skipped => return vec![report.task.to_string(), "skipped".to_owned(), NOTHING_CHANGED.to_owned()],
        Mode::Incremental { .. } => {
            let remarks = [
                of(inputs_through_reads + through_reads, "through references"),
                of(remembered, "remembered"),
                of(retried, "tried again"),
                resumed,
            ];
            ("incremental", remarks.to_vec())
        }
        Mode::Full { reason } => ("full", vec![reason.clone(), resumed]),
    };
    let remark = remarks.into_iter().filter(|remark| !remark.is_empty()).collect::<Vec<_>>().join(", ");
    vec![
        report.task.to_string(),
        mode.to_owned(),
        format!("{} in", count(inputs)),
        of(cut_off, "cut off"),
        of(same, "same"),
        of(put, "put"),
        of(deleted, "deleted"),
        remark,
    ]
}

const PLAN_COLUMNS: [Align; 4] = [Align::Left, Align::Left, Align::Right, Align::Left];

fn planned(task: &PlannedTask) -> Vec<String> {
    let awaits: Vec<&str> = task.awaits.iter().map(|task| task.as_str()).collect();
    let after = (!awaits.is_empty()).then(|| format!("after {}", awaits.join(", ")));
    let (mode, reason) = match &task.mode {
        Mode::Skipped => return vec![task.task.to_string(), "skipped".to_owned(), NOTHING_CHANGED.to_owned()],
        Mode::Incremental { changed } => {
            let changed = (!changed.is_empty()).then(|| format!("{} changed", changed.join(", ")));
            let readers = (!task.readers_of.is_empty())
                .then(|| format!("and the readers of {}, which the run finds", task.readers_of.join(", ")));
            (
                "incremental",
                Some(changed.into_iter().chain(readers).collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty()),
            )
        }
        Mode::Full { reason } => ("full", Some(reason.clone())),
    };
    let again = (task.in_quarantine > 0).then(|| format!("{} in quarantine", count(task.in_quarantine)));
    let reasons: Vec<String> = reason.into_iter().chain(again).chain(after).collect();
    // The results of earlier tasks are not known yet.
    let least = if task.awaits.is_empty() { "" } else { "at least " };
    vec![task.task.to_string(), mode.to_owned(), format!("{least}{} in", count(task.inputs)), reasons.join("; ")]
}
