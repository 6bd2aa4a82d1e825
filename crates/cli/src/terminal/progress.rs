//! Progress on standard error, as bars on a terminal; and logs, which are printed above the bars.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deltic_core::TaskId;
use deltic_driver::{Event, Observer};
use deltic_store::Secrets;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::terminal::numbers::count;
use crate::terminal::running_calls::Calls;
use crate::terminal::{colours, escape};

/// Everything that is shown while a command runs.
#[derive(Clone)]
pub(crate) struct Progress {
    bars: MultiProgress,
    /// Whether only errors are written.
    quiet: bool,
    secrets: Arc<Secrets>,
    calls: Arc<Calls>,
}

/// Counts one kind of event; dropping it removes it from the terminal.
pub(crate) struct Counter(ProgressBar);

/// Shows the tasks of a run.
pub(crate) struct Tasks {
    progress: Progress,
    shown: RwLock<HashMap<TaskId, Shown>>,
    pub(crate) calls: Arc<Calls>,
}

/// The state of a task that is shown.
struct Shown {
    line: Counter,
    inputs: Option<u64>,
    fronts: AtomicU64,
    backs: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Bars on a terminal, nothing elsewhere.
    pub(crate) fn new(quiet: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Progress { bars, quiet, secrets: Arc::new(Secrets::of_environment()), calls: Arc::default() }
    }

    /// Sends logs to standard error. `DELTIC_LOG` selects them, else the number of `-v`.
    pub(crate) fn start_logs(&self, verbose: u8) {
        let default = match verbose {
            0 if self.quiet => "error",
            0 => "warn",
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into());
        let asked = std::env::var("DELTIC_LOG").ok().filter(|_| verbose == 0 && !self.quiet);
        let filter = match asked.as_deref().map(|asked| filter.parse(asked)) {
            Some(Ok(filter)) => filter,
            Some(Err(error)) => {
                self.print(&format!("DELTIC_LOG is ignored, because it selects no logs: {error}"));
                filter.parse_lossy(default)
            }
            None => filter.parse_lossy(default),
        };
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(self.clone());
        // Without colours, so that every escape in a log line is foreign. This fails if a user's binary has set up its own
        // logs: those are used.
        let _ = logs.with_ansi(false).with_target(false).try_init();
    }

    /// Whether only errors are written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a line to standard error, above the bars.
    pub(crate) fn print(&self, line: &str) {
        if !self.quiet {
            self.above(&colours::on_error(&escape::line(line)));
        }
    }

    /// Writes lines that are already escaped.
    pub(crate) fn above(&self, lines: &str) {
        let lines = format!("{}\n", self.secrets.hide(lines));
        self.bars.suspend(|| escape::to_stderr(&lines));
    }

    /// Begins to count.
    pub(crate) fn counter(&self, what: &str) -> Counter {
        self.line(what, "{prefix}  {spinner} {human_pos}  {rate}")
    }

    /// Shows the tasks of a run.
    pub(crate) fn tasks(&self) -> Tasks {
        Tasks { progress: self.clone(), shown: RwLock::default(), calls: Arc::clone(&self.calls) }
    }

    /// The calls that run while something ends the process, in lines that are already escaped.
    pub(crate) fn at_work(&self) -> Vec<String> {
        self.calls.at_work().iter().map(|line| escape::line(&self.secrets.hide(line)).into_owned()).collect()
    }

    fn line(&self, what: &str, template: &str) -> Counter {
        let line = self.bars.add(ProgressBar::no_length());
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // An error of writing to the terminal is not important here.
            let _ = write!(out, "{} a second", count(state.per_sec().round() as u64));
        };
        line.set_style(style.with_key("rate", rate));
        line.set_prefix(escape::line(what).into_owned());
        if !self.bars.is_hidden() {
            line.enable_steady_tick(Duration::from_millis(200));
        }
        Counter(line)
    }
}

impl Counter {
    /// Counts one more.
    pub(crate) fn tick(&self) {
        self.0.inc(1);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Tasks {
    /// Counts an event of a task, if bars are shown.
    fn count(&self, task: &TaskId, counter: impl Fn(&Shown) -> &AtomicU64) {
        if self.progress.bars.is_hidden() {
            return;
        }
        if let Some(shown) = self.shown.read().unwrap_or_else(PoisonError::into_inner).get(task) {
            counter(shown).fetch_add(1, Ordering::Relaxed);
            shown.line.0.set_message(shown.text());
        }
    }
}

impl Shown {
    fn text(&self) -> String {
        let failed = match self.failed.load(Ordering::Relaxed) {
            0 => String::new(),
            failed => format!(", {} failed", count(failed)),
        };
        self.done() + &failed
    }

    fn done(&self) -> String {
        let fronts = self.fronts.load(Ordering::Relaxed);
        let outputs = count(self.backs.load(Ordering::Relaxed));
        match self.inputs {
            Some(inputs) if fronts > 0 => format!("{} of {} inputs, {outputs} outputs", count(fronts), count(inputs)),
            _ if fronts > 0 => format!("{} inputs, {outputs} outputs", count(fronts)),
            // Direct tasks have no front-ends to count.
            Some(inputs) => format!("{outputs} outputs from {} inputs", count(inputs)),
            None => format!("{outputs} outputs"),
        }
    }
}

impl Observer for Tasks {
    fn event(&self, event: &Event<'_>) {
        self.calls.note(event);
        match event {
            Event::TaskStarted { task, inputs } => {
                tracing::info!(%task, inputs, "task started");
                let line = self.progress.line(task.as_str(), "{prefix}  {spinner} {msg}");
                let [fronts, backs, failed] = [const { AtomicU64::new(0) }; 3];
                let shown = Shown { line, inputs: *inputs, fronts, backs, failed };
                self.shown.write().unwrap_or_else(PoisonError::into_inner).insert((*task).clone(), shown);
            }
            Event::Front { task, key } => {
                tracing::debug!(%task, %key, "front-end");
                self.count(task, |shown| &shown.fronts);
            }
            Event::Back { task, key } => {
                tracing::debug!(%task, %key, "back-end");
                self.count(task, |shown| &shown.backs);
            }
            Event::Failed { failure } => {
                tracing::info!(%failure, "failed");
                self.count(&failure.task, |shown| &shown.failed);
            }
            Event::Deleted { task, key } => tracing::debug!(%task, %key, "deleted"),
            Event::TaskDone { report } => {
                tracing::info!(task = %report.task, mode = %report.mode, put = report.counts.put, "task done");
                self.shown.write().unwrap_or_else(PoisonError::into_inner).remove(&report.task);
            }
            _ => {}
        }
    }
}

/// Writes log lines above the bars, without secrets: the clients of stores log errors and URLs unchanged.
pub(crate) struct Above(Progress);

impl Write for Above {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // An event arrives in one call, and is one line.
        let text = String::from_utf8_lossy(line);
        self.0.above(&escape::line(text.strip_suffix('\n').unwrap_or(&text)));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Progress {
    type Writer = Above;

    fn make_writer(&'a self) -> Above {
        Above(self.clone())
    }
}
