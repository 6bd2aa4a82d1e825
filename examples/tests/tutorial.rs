//! Keeps `docs/tutorial.md` true: its commands print what it says they print, and the code in it stands in the files
//! that it names.
//!
//! Fences of language `console` hold commands after `$ `, continued by `> `, and below them what they print. They run
//! one after the other in one empty folder, in which `walk` is the driver. `UPDATE_EXPECT=1` writes what they print now.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn commands_print_what_the_tutorial_says() {
    let path = root().join("docs/tutorial.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (bin, work) = (folder.path().join("bin"), folder.path().join("work"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(&work).unwrap();
    symlink(env!("CARGO_BIN_EXE_walk"), bin.join("walk")).unwrap();
    let run = |command: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{{ {command}\n}} 2>&1")).current_dir(&work).env_clear();
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).env("LC_ALL", "C");
        let output = shell.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {printed}");
        printed.lines().map(|line| measured(line) + "\n").collect::<String>()
    };

    let (mut now, mut ran) = (String::new(), 0);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        now.push_str(&format!("{line}\n"));
        while line == "```console"
            && let Some(line) = lines.next_if(|line| *line != "```")
        {
            // What does not begin with a prompt is what a command printed last time.
            let Some(first) = line.strip_prefix("$ ") else { continue };
            now.push_str(&format!("{line}\n"));
            let mut command = first.to_owned();
            while let Some(line) = lines.next_if(|line| line.starts_with("> ")) {
                now.push_str(&format!("{line}\n"));
                command.push_str(&format!("\n{}", &line[2..]));
            }
            now.push_str(&run(&command));
            ran += 1;
        }
    }
    assert!(ran > 10, "the tutorial has only {ran} commands");
    expect_file![path].assert_eq(&now);
}

/// A line without what differs from run to run: sizes in KiB and times.
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

#[test]
fn code_stands_in_the_files_that_the_tutorial_names() {
    let text = std::fs::read_to_string(root().join("docs/tutorial.md")).unwrap();
    let (mut file, mut quotes) = (String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((_, link)) = line.rsplit_once("](../examples/") {
            file = format!("examples/{}", link.split(')').next().unwrap());
        }
        if line != "```rust" {
            continue;
        }
        let quoted: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let code = std::fs::read_to_string(root().join(&file)).unwrap();
        assert!(code.contains(&quoted), "{file} has no such lines any more:\n{quoted}");
        quotes += 1;
    }
    assert!(quotes > 5, "the tutorial quotes only {quotes} pieces of code");
}
