//! Hints for an error of a run: which version is the latest, which command shows the input, and how to continue.

use std::collections::BTreeSet;

use deltic_compiler::{OnError, Pattern, Task};
use deltic_core::{Key, RunId, TaskId};
use deltic_driver::{At, Error, ErrorKind, Failures, Phase};
use deltic_store::Catalog;

use super::prepared::Prepared;
use crate::catalogs::race::with_latest;
use crate::terminal::failure::Failure;
use crate::terminal::shell_words::quoted;

impl Prepared<'_> {
    /// Adds hints to an error of a run: which version is the latest, and how to see the input that failed.
    pub(crate) fn explain(&self, error: Error, output: &Catalog, run: RunId) -> Failure {
        let mut hints = Vec::new();
        if let ErrorKind::Compiler(failures) = error.kind() {
            let input = failures.all.iter().find_map(|failure| self.get_command(failure.input.as_ref()?));
            let which = if failures.all.len() == 1 { "this" } else { "the first" };
            hints.extend(input.map(|command| format!("see {which} input: {command}")));
            hints.extend(self.quarantine_hint(failures));
        }
        if matches!(error.kind(), ErrorKind::Owned { .. }) {
            let binding = self.config.origin_of_url(&self.config.driver.output);
            hints.extend([
                binding,
                "bind another output catalog; if the tasks have new ids, state the earlier ones with `previously`; to replace \
                 the content of this catalog, add `--take-over`"
                    .to_owned(),
            ]);
        }
        if let ErrorKind::NotDeterministic { offenders, .. } = error.kind() {
            // The message has the first one.
            hints.extend(offenders.iter().skip(1).map(ToString::to_string));
        }
        let mut failure = Failure::from(error);
        if !failure.is_stopped() {
            failure = with_latest(failure, output, run, "nothing was published");
        }
        hints.into_iter().fold(failure, Failure::hint)
    }

    /// How to continue without the partitions that failed, if that is possible.
    fn quarantine_hint(&self, failures: &Failures) -> Option<String> {
        let single = failures.all.iter().all(|failure| matches!(failure.phase, Phase::Front | Phase::Back));
        let tasks: BTreeSet<&TaskId> = failures.all.iter().map(|failure| &failure.task).collect();
        let aborts = |task: &&Task| task.policy() == OnError::Abort && !matches!(task.pattern(), Pattern::Global(_));
        let mut aborting = self.tasks.iter().filter(|task| tasks.contains(task.id())).filter(aborts);
        let task = aborting.next().filter(|_| single && !failures.cut_short)?;
        let what = if failures.all.len() == 1 { "its last good output" } else { "their last good output" };
        let more = if aborting.next().is_some() { ", and likewise for the other tasks" } else { "" };
        Some(format!(r#"to keep {what} and continue: set compiler.{}.on_error = "quarantine"{more}"#, task.id()))
    }

    /// The command that shows an input.
    fn get_command(&self, key: &Key) -> Option<String> {
        let id = key.layer.catalog.as_ref()?;
        // A version that only an earlier run knows is not known here.
        let At::Version(version) = self.inputs.get(id)?.at else { return None };
        let url = &self.config.catalogs.get(id)?.url;
        let name = quoted(&key.name.to_string());
        Some(format!("`deltic get {} {} {name} --version {version}`", quoted(url), key.layer.layer))
    }
}
