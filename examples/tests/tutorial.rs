//! Follows `docs/tutorial.md` to the letter, in an empty folder beside this repository, and compares what is printed.
//!
//! Fences of language `sh` and `console` are run, one after the other, in one shell. Those of `console` hold commands after `$ `,
//! continued by `> `, and below them what they print; `UPDATE_EXPECT=1` writes what they print now. Any other fence is the
//! content of the file that the line above it names, as in "`Cargo.toml`:".
//!
//! Three things differ from what a reader does: versions of dependencies are those of this repository, so that nothing is
//! downloaded; crates that are built already are not built again; and those of this repository are built without
//! optimisation, which takes a third of the time.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;

/// The shell prints this after the output of a command; the exit code follows.
const END: &str = "end of command ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// `cargo test -p deltic-examples --test tutorial -- --ignored`
#[test]
#[ignore = "minutes: it builds a package of its own"]
fn the_tutorial_is_followed_to_the_letter() {
    let path = root().join("docs/tutorial.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    symlink(root(), folder.path().join("deltic")).unwrap();
    std::fs::create_dir(folder.path().join(".cargo")).unwrap();
    std::fs::write(folder.path().join(".cargo/config.toml"), configuration()).unwrap();
    let mut shell = Shell::start(folder.path());

    let (mut now, mut above, mut ran) = (String::new(), "", 0);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        now.push_str(&format!("{line}\n"));
        let Some(language) = line.strip_prefix("```") else {
            above = if line.is_empty() { above } else { line };
            continue;
        };
        let fence: Vec<&str> = std::iter::from_fn(|| lines.next_if(|line| *line != "```")).collect();
        if language == "console" {
            for (command, shown) in commands(&fence) {
                now.push_str(&format!("{shown}{}", shell.run(&command)));
                ran += 1;
            }
        } else {
            now.extend(fence.iter().map(|line| format!("{line}\n")));
            match above.strip_suffix("`:").and_then(|above| above.rsplit('`').next()) {
                Some(file) if language != "sh" => shell.write(file, &format!("{}\n", fence.join("\n"))),
                // Each line must succeed.
                None if language == "sh" => drop(shell.run(&fence.join(" &&\n"))),
                _ => panic!("a fence of `{language}` below {above:?}"),
            }
        }
        now.push_str(&format!("{}\n", lines.next().unwrap()));
    }
    assert!(ran > 20, "the tutorial has only {ran} commands");
    expect_file![path].assert_eq(&now);
}

/// The commands of a fence, each with its lines. Lines without a prompt are the output.
fn commands(fence: &[&str]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in fence {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), all.last_mut()) {
            (Some(command), ..) => all.push((command.to_owned(), format!("{line}\n"))),
            (None, Some(more), Some((command, shown))) => {
                command.push_str(&format!("\n{more}"));
                shown.push_str(&format!("{line}\n"));
            }
            _ => {}
        }
    }
    all
}

/// A shell that keeps its folder and its variables from one command to the next.
struct Shell {
    child: std::process::Child,
    printed: BufReader<std::process::ChildStdout>,
    folder: PathBuf,
}

impl Shell {
    fn start(folder: &Path) -> Shell {
        let mut command = Command::new("sh");
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (variable, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("DELTIC") || name.starts_with("CARGO_PKG"))
        {
            command.env_remove(variable);
        }
        command.env("LC_ALL", "C").env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never");
        let mut child = command.spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap());
        Shell { child, printed, folder: folder.to_owned() }
    }

    /// Runs a command, which must succeed, and returns its output.
    fn run(&mut self, command: &str) -> String {
        let all = format!("{{ {command}\n}} 2>&1 < /dev/null; printf '\\n{END}%s\\n' $?; pwd\n");
        self.child.stdin.as_mut().unwrap().write_all(all.as_bytes()).unwrap();
        let mut printed = String::new();
        let code = loop {
            let mut line = String::new();
            assert!(self.printed.read_line(&mut line).unwrap() > 0, "{command}: the shell has ended: {printed}");
            match line.strip_prefix(END) {
                Some(code) => break code.trim().to_owned(),
                None => printed.push_str(&line),
            }
        };
        assert_eq!(code, "0", "{command}: {printed}");
        let mut folder = String::new();
        self.printed.read_line(&mut folder).unwrap();
        self.entered(PathBuf::from(folder.trim_end()));
        printed.strip_suffix('\n').unwrap().lines().map(|line| measured(line) + "\n").collect()
    }

    /// Prepares a package that was entered for the first time: see above.
    fn entered(&mut self, folder: PathBuf) {
        self.folder = folder;
        if self.folder.join("Cargo.toml").exists() && !self.folder.join("Cargo.lock").exists() {
            std::fs::copy(root().join("Cargo.lock"), self.folder.join("Cargo.lock")).unwrap();
            symlink(target(), self.folder.join("target")).unwrap();
        }
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.folder.join(file), content).unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The folder that this test was built in, `…/debug/deps`, is in there.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// Builds the crates of this repository without optimisation.
fn configuration() -> String {
    let crates = std::fs::read_dir(root().join("crates")).unwrap().map(|found| found.unwrap().file_name());
    let names = crates.map(|name| name.into_string().unwrap()).map(|name| match &*name {
        "deltic" => name,
        _ => format!("deltic-{name}"),
    });
    names.map(|name| format!("[profile.dev.package.{name}]\nopt-level = 0\n")).collect()
}

/// A line without the parts that differ between runs: sizes in KiB and times.
fn measured(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_unit = |index: usize| words.get(index + 1).is_some_and(|next| ["KiB", "ms", "ms)"].contains(next));
    let shown = words.iter().enumerate().map(|(index, word)| match word.strip_prefix('(') {
        Some(_) if is_unit(index) => "(2.0",
        None if is_unit(index) => "2.0",
        _ => word,
    });
    shown.collect::<Vec<_>>().join(" ")
}
