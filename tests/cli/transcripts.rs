//! Runs the commands in `transcripts/` and in the manual, and compares what they print.
//!
//! Commands are in fences of language `console`, after `$ `, continued by `> `. The output of a command, on either stream, follows
//! it, and `[exit N]` if it did not end with 0. All commands of one file run one after the other in one folder, which is empty at
//! first.

use std::path::Path;

use expect_test::expect_file;

use crate::redact::redact;
use crate::shell::Shell;

#[test]
fn catalogs() {
    check("tests/cli/transcripts/catalogs.md");
}

#[test]
fn sources() {
    check("tests/cli/transcripts/sources.md");
}

#[test]
fn runs() {
    check("tests/cli/transcripts/runs.md");
}

#[test]
fn inputs() {
    check("tests/cli/transcripts/inputs.md");
}

#[test]
fn inputs_that_were_restored() {
    check("tests/cli/transcripts/restored.md");
}

#[test]
fn a_driver_of_ones_own() {
    check("tests/cli/transcripts/driver.md");
}

#[test]
fn damage() {
    check("tests/cli/transcripts/damage.md");
}

#[test]
fn configuration() {
    check("tests/cli/transcripts/configuration.md");
}

#[test]
fn json() {
    check("tests/cli/transcripts/json.md");
}

#[test]
fn parts() {
    check("tests/cli/transcripts/parts.md");
}

#[test]
fn layers() {
    check("tests/cli/transcripts/layers.md");
}

#[test]
fn shells() {
    check("tests/cli/transcripts/shells.md");
}

#[test]
fn kept() {
    check("tests/cli/transcripts/kept.md");
}

#[test]
fn verification() {
    check("tests/cli/transcripts/verifying.md");
}

#[test]
fn help() {
    check("tests/cli/transcripts/help.md");
}

#[test]
fn the_manual() {
    check("docs/cli.md");
}

#[test]
fn the_manual_of_the_configuration() {
    check("docs/configuration.md");
}

/// Runs the commands of a file, and compares the file with the same file with today's output.
fn check(path: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    let shell = Shell::new();
    let mut now = String::new();
    let mut ran = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        now.push_str(&format!("{line}\n"));
        if line != "```console" {
            continue;
        }
        while let Some(line) = lines.next_if(|line| *line != "```") {
            // A line without a prompt is earlier output.
            let Some(command) = line.strip_prefix("$ ") else { continue };
            now.push_str(&format!("{line}\n"));
            let mut command = format!("{command}\n");
            while let Some(line) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
                now.push_str(&format!("{line}\n"));
                command.push_str(&format!("{}\n", line.get(2..).unwrap_or_default()));
            }
            now.push_str(&print(&shell, &command));
            ran += 1;
        }
    }
    assert!(ran > 0, "{} has no commands", path.display());
    expect_file![path].assert_eq(&now);
}

/// The output of a command.
fn print(shell: &Shell, command: &str) -> String {
    let ran = shell.run(&format!("{{ {command} }} 2>&1"));
    assert_eq!(ran.stderr, "", "{command}: the shell reports an error");
    let mut text: String = ran.stdout.lines().map(|line| redact(line) + "\n").collect();
    if ran.code != 0 {
        text.push_str(&format!("[exit {}]\n", ran.code));
    }
    text
}

#[test]
fn every_transcript_is_checked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/transcripts");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(
            include_str!("transcripts.rs").contains(&format!("tests/cli/transcripts/{name}\"")),
            "{name} is not run"
        );
    }
}
