//! The cost of a command: CPU of its process tree, wall time, memory, bytes written.
//!
//! CPU is user plus system time of the command and of everything that it waited for, as the kernel accounts for it to
//! the microsecond. Memory is sampled from `/proc`, so a peak of a run of a few milliseconds may be missed; bytes
//! written are read after the command's end, before it is reaped. Only one command may run at a time: two would share the account.

use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::Serialize;

/// What one run of a command cost.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    /// User and system time of the process tree, in milliseconds.
    pub(crate) cpu_ms: f64,
    /// From start to end, in milliseconds.
    pub(crate) wall_ms: f64,
    /// The peak of anonymous memory; 0 if the command ended before the first sample.
    pub(crate) anonymous_bytes: u64,
    /// The peak of resident memory, mapped files included; 0 as above.
    pub(crate) resident_bytes: u64,
    /// Bytes passed to write calls, by the process itself.
    pub(crate) written_bytes: u64,
    /// What it printed.
    #[serde(skip)]
    pub(crate) printed: String,
}

/// Runs a command to its end. A command that fails is an error with its standard error.
pub(crate) fn measure(command: &mut Command) -> Result<Sample> {
    let what = format!("{command:?}");
    let mut printed = tempfile::tempfile().context("making a file for the command's output")?;
    let mut complaints = tempfile::tempfile().context("making a file for the command's output")?;
    command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(complaints.try_clone()?);
    let before = children_ms()?;
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("starting {what}"))?;
    let (memory, ended) = watch(&child)?;
    let wall = ended.duration_since(started);
    let written_bytes = proc_number(child.id(), "io", "wchar:").unwrap_or(0);
    let status = child.wait().with_context(|| format!("waiting for {what}"))?;
    let cpu_ms = children_ms()? - before;
    if !status.success() {
        complaints.rewind()?;
        let mut message = String::new();
        complaints.read_to_string(&mut message)?;
        bail!("{what} failed with {status}: {}", message.trim());
    }
    printed.rewind()?;
    let mut text = String::new();
    printed.read_to_string(&mut text).with_context(|| format!("reading what {what} printed"))?;
    Ok(Sample {
        cpu_ms,
        wall_ms: wall.as_secs_f64() * 1000.0,
        anonymous_bytes: memory.anonymous,
        resident_bytes: memory.resident,
        written_bytes,
        printed: text,
    })
}

/// CPU time of this process so far, in milliseconds.
pub(crate) fn own_ms() -> Result<f64> {
    let time =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).context("reading the CPU clock")?;
    Ok(Duration::from(time).as_secs_f64() * 1000.0)
}

/// CPU time of all children that have ended, in milliseconds.
fn children_ms() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("reading the CPU time of children")?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1000.0)
}

#[derive(Clone, Copy, Default)]
struct Memory {
    anonymous: u64,
    resident: u64,
}

/// Waits until a child has ended, and does not reap it, so that its accounts can still be read.
fn watch(child: &Child) -> Result<(Memory, Instant)> {
    let pid = child.id();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| sample_memory(pid, &done));
        let id = Id::Pid(Pid::from_raw(pid.cast_signed()));
        let waited = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let ended = Instant::now();
        done.store(true, Ordering::Release);
        let memory = sampler.join().unwrap_or_default();
        waited.context("waiting for a command")?;
        Ok((memory, ended))
    })
}

/// Samples the memory of a process, often at first and every ten milliseconds later.
fn sample_memory(pid: u32, done: &AtomicBool) -> Memory {
    let mut memory = Memory::default();
    let mut pause = Duration::from_micros(300);
    while !done.load(Ordering::Acquire) {
        let field = |name| proc_number(pid, "status", name).unwrap_or(0) * 1024;
        memory.anonymous = memory.anonymous.max(field("RssAnon:"));
        memory.resident = memory.resident.max(field("VmHWM:"));
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(10));
    }
    memory
}

/// A number from one of a process's files in `/proc`.
fn proc_number(pid: u32, file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_accounted_for() {
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; printf '%01000d' 7; sleep 0.05";
        let sample = measure(Command::new("sh").args(["-c", script])).unwrap();
        assert!(sample.cpu_ms > 5.0 && sample.wall_ms > sample.cpu_ms, "{sample:?}");
        assert!(sample.wall_ms >= 50.0 && sample.anonymous_bytes > 0, "{sample:?}");
        assert_eq!((sample.written_bytes, sample.printed.len()), (1000, 1000));
    }

    #[test]
    fn a_failure_has_the_standard_error() {
        let error = measure(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
