//! A long build that is killed or interrupted resumes where it was: measured with real processes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr};

use serde_json::Value;

use crate::shell::{Ran, Shell};

/// Outputs of a build.
const OUTPUTS: u64 = 40_000;

/// A catalog with one note, from which many outputs are made with some work each. There is a checkpoint after each batch, so that
/// no figure depends on the machine.
fn shell(outputs: u64) -> Shell {
    let shell = Shell::new();
    shell.write("notes/n", format!("outputs {outputs}"));
    let driver = "[driver]\nthreads = 2\ncheckpoint = '0s'\n";
    let compiler = "[compiler.slow]\non = true\nrounds = 60000\n";
    shell.write("application.conf", format!("[catalogs]\nin = 'file:in'\nout = 'file:out'\n{driver}{compiler}"));
    shell.ok("deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes");
    shell
}

/// Starts a run and lets it compile a number of outputs.
fn compiled(shell: &Shell, outputs: u64) -> (Child, BufReader<ChildStderr>) {
    let mut child = shell.command("exec env --default-signal=INT notes -vv run").spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut seen) = (String::new(), 0);
    while seen < outputs {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the run has ended after {seen} outputs");
        seen += u64::from(line.contains("back-end task=slow"));
    }
    (child, stderr)
}

/// Runs to the end; returns how many outputs were compiled, and how many were reused from checkpoints.
fn go_on(shell: &Shell, outputs: u64) -> (u64, u64) {
    let report: Value = serde_json::from_str(&shell.ok("notes run --format json")).unwrap();
    let slow = report["tasks"].as_array().unwrap().iter().find(|task| task["task"] == "slow").unwrap();
    let (compiled, resumed) = (slow["compiled"].as_u64().unwrap(), slow["resumed"].as_u64().unwrap_or_default());
    assert_eq!(compiled + resumed, outputs);
    assert_eq!(shell.ok("ls out/progress").lines().count(), 0, "the checkpoints are removed");
    (compiled, resumed)
}

fn digests(shell: &Shell) -> String {
    shell.ok("deltic digest file:out && deltic fsck file:out --payloads > /dev/null")
}

/// Kills a build when four fifths of its outputs are compiled.
fn killed_late(outputs: u64) {
    let shell = shell(outputs);
    let (mut run, stderr) = compiled(&shell, outputs * 8 / 10);
    run.kill().unwrap();
    run.wait().unwrap();
    drop(stderr);
    assert_eq!(shell.ok("deltic log file:out").lines().count(), 1);
    let (compiled, resumed) = go_on(&shell, outputs);
    println!("killed at 80 %: {compiled} of {outputs} compiled, {resumed} taken over");
    assert!(compiled * 100 <= outputs * 25, "{compiled} of {outputs} compiled");
    let resumed_digests = digests(&shell);
    shell.ok("rm -r out && notes run --set driver.checkpoint=false");
    assert_eq!(resumed_digests, digests(&shell), "as if nothing had happened");
}

#[test]
fn a_build_that_is_killed_late() {
    killed_late(OUTPUTS);
}

/// `cargo test -p deltic-tests --test cli -- --ignored resume:: --nocapture`
#[test]
#[ignore = "minutes: run it for the figure in docs/guarantees.md"]
fn a_longer_build_that_is_killed_late() {
    killed_late(5 * OUTPUTS);
}

#[test]
fn a_build_that_is_interrupted() {
    let shell = shell(OUTPUTS);
    let (run, mut stderr) = compiled(&shell, OUTPUTS / 2);
    shell.ok(&format!("kill -INT {}", run.id()));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let ran = Ran::from(run.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (130, ""), "{rest}");
    let text = shell.ok("deltic gc file:out");
    assert!(text.contains("the next run resumes from them"), "{text}");
    // Only the work in progress is lost.
    let (compiled, _) = go_on(&shell, OUTPUTS);
    assert!(compiled * 100 <= OUTPUTS * 53, "{compiled} of {OUTPUTS} compiled");
}
