//! Output that can not be written, or that nobody reads: the command reports what it had done, and its exit code differs from
//! that of a failure.

use std::process::Stdio;

use crate::shell::{Ran, Shell};

/// Catalogs with something to do for every command.
pub(crate) fn site() -> Shell {
    let shell = Shell::new();
    for n in 0..4 {
        let text = |version: &str| format!("{n} of the {version} version").repeat(100);
        shell.write(format!("first/{n}"), text("first"));
        shell.write(format!("second/{n}"), text(if n < 3 { "second" } else { "first" }));
        shell.write(format!("third/{n}"), text("third"));
    }
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n",
    );
    shell.ok("deltic init file:in --layer names=generic && deltic import file:in --layer names=first");
    shell.ok("deltic import file:in --layer names=second && deltic run --set catalogs.out=file:published");
    // In one, little of a pack is needed; in the other, nothing.
    shell.ok("cp -r in thin && cp -r in swept && deltic import file:swept --layer names=third");
    shell.ok("cp -r in kept && deltic retain file:thin --last 1 && deltic retain file:swept --last 1");
    shell
}

/// Every command, with its message about what it has done; an empty message if it changes nothing.
const LINES: [(&str, &str); 24] = [
    ("deltic init file:new --layer a=generic", "the catalog file:new was created at version 0"),
    ("deltic import file:in --layer names=third", "version 3 was committed"),
    ("deltic export file:in names exported", "layer `names` of version 3 was exported"),
    ("deltic layer add file:in more=generic", "version 4 was committed"),
    ("deltic revert file:in --to 1", "version 5 was committed"),
    ("deltic run", "version 1 was committed"),
    ("deltic rebuild file:published --version 1 --into file:again", "version 1 was rebuilt as version 1 of file:again"),
    ("deltic retain file:kept --last 1", "version 3 was committed"),
    ("deltic gc file:swept", "everything that no version needs was removed"),
    ("deltic repack file:thin --below 100%", "version 4 was committed"),
    ("deltic log file:in", ""),
    ("deltic ls file:in", ""),
    ("deltic get file:in names 0", ""),
    ("deltic diff file:in 0 1", ""),
    ("deltic digest file:in", ""),
    ("deltic errors file:published --format json", ""),
    ("deltic plan", ""),
    ("deltic verify --set catalogs.out=file:published", ""),
    ("deltic explain", ""),
    ("deltic fsck file:in", ""),
    ("deltic doctor file:here", ""),
    ("deltic config show", ""),
    ("deltic completions bash", ""),
    ("deltic man .", "pages were written to ."),
];

fn done(line: &str, ran: &Ran, message: &str) {
    assert!(!ran.stderr.contains("panicked"), "{line}: {ran:?}");
    if !message.is_empty() {
        assert!(ran.stderr.contains(message), "{line}: {ran:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_the_output() {
    Shell::new().assert_covers(LINES.map(|(line, _)| line));
    for (format, shell) in [("text", site()), ("json", site())] {
        for (line, message) in LINES {
            // `get` knows no JSON.
            let format = if line.contains(" get ") { "text" } else { format };
            let line = if line.contains("--format") { line.to_owned() } else { format!("{line} --format {format}") };
            let ran = shell.run(&format!("{line} > /dev/full"));
            let code = if message.is_empty() { 1 } else { 4 };
            assert_eq!(ran.code, code, "{line}: {ran:?}");
            assert!(ran.stderr.contains("error: the output could not be written: No space left"), "{line}: {ran:?}");
            done(&line, &ran, message);
        }
        // The reported version exists.
        assert_eq!(shell.ok("deltic log file:out | wc -l").trim(), "2");
        assert_eq!(shell.ok("deltic log file:in | wc -l").trim(), "6");
        // A command that did nothing reports nothing.
        let ran = shell.run("deltic run > /dev/full");
        assert!(ran.code == 1 && !ran.stderr.contains("committed"), "{ran:?}");
    }
}

/// Help is a result like any other.
#[cfg(target_os = "linux")]
#[test]
fn help_that_can_not_be_written() {
    let shell = Shell::new();
    for line in ["--help", "-h", "--version", "help", "help run", "run --help", "config show -h"] {
        let ran = shell.run(&format!("deltic {line} > /dev/full"));
        let message = "error: the output could not be written: No space left on device (os error 28)\n";
        assert_eq!((ran.code, ran.stderr.as_str()), (1, message), "{line}");
        assert_eq!(shell.run(&format!("deltic {line} > /dev/full 2> /dev/full")).code, 1, "{line}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Ran::from(shell.command(&format!("deltic {line}")).stdout(Stdio::from(writer)).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
        assert!(!shell.ok(&format!("deltic {line}")).is_empty());
    }
}

#[test]
fn a_pipe_that_nobody_reads() {
    let shell = site();
    for (line, message) in LINES {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = shell.command(line).stdout(Stdio::from(writer)).output().unwrap();
        let ran = Ran::from(output);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        done(line, &ran, message);
        if message.is_empty() {
            assert!(!ran.stderr.contains("nobody read"), "{line}: {ran:?}");
        }
    }
}

/// Standard error is full too: no message is possible, and only the exit code reports the failure.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_both() {
    let shell = site();
    for (line, code) in [("run", 4), ("log file:in", 1), ("log file:none", 1), ("log ftp://x", 2), ("nonsense", 2)] {
        let ran = shell.run(&format!("deltic {line} > /dev/full 2> /dev/full"));
        assert_eq!(ran.code, code, "{line}: {ran:?}");
    }
    let ran = shell.run("deltic plan --set catalogs.out=file:none 2> /dev/full");
    assert!(ran.code == 0 && ran.stdout.contains("would start from version 0"), "{ran:?}");
}

/// A record that is damaged or lost is a finding like others: the result is complete, in both forms.
#[test]
fn damaged_records_are_part_of_the_result() {
    let shell = site();
    let latest = "versions/00000000000000000002";
    shell.ok(&format!("cp -r in lost && rm lost/{latest} && printf x > in/{latest}"));
    let fsck = |url: &str| {
        let ran = shell.run(&format!("deltic fsck {url} --format json"));
        assert_eq!(ran.code, 1, "{ran:?}");
        let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        (found["damage"][0]["object"].as_str().unwrap().to_owned(), found["as_of"].as_u64())
    };
    assert_eq!(fsck("file:in"), (latest.to_owned(), Some(1)));
    assert_eq!(fsck("file:lost"), ("versions/latest".to_owned(), Some(1)));
    let ran = shell.run("deltic log file:in --format json");
    let listed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let numbers: Vec<_> = listed["versions"].as_array().unwrap().iter().map(|one| one["version"].as_u64()).collect();
    assert_eq!((ran.code, numbers), (1, vec![Some(2), Some(1), Some(0)]));
    // A run does not read an earlier version instead of the lost one.
    let before = shell.ok("deltic digest file:published");
    let ran = shell.run("deltic run --set catalogs.in=file:lost --set catalogs.out=file:published");
    assert!(ran.code == 1 && ran.stderr.contains("versions/latest is ahead"), "{ran:?}");
    assert_eq!(shell.ok("deltic digest file:published"), before);
    // The record of an expired version is not needed.
    shell.ok("printf x > thin/versions/00000000000000000001");
    let ran = shell.run("deltic fsck file:thin");
    assert!(ran.code == 0 && ran.stdout.contains("warning: versions/00000000000000000001"), "{ran:?}");
    let ran = shell.run("deltic log file:thin");
    assert!(ran.code == 0 && ran.stdout.contains("can not be read, and has expired"), "{ran:?}");
}
