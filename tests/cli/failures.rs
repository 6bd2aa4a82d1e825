//! What programs and people see of a command that fails: one document, and labels in colours.

use serde_json::Value;

use crate::output::site;
use crate::shell::{Ran, Shell};

/// Runs a command that fails, and reads the document that it writes.
fn fails(shell: &Shell, line: &str, code: i32) -> (Value, Ran) {
    let ran = shell.run(&format!("{line} --format json"));
    assert_eq!(ran.code, code, "{line}: {ran:?}");
    let document = serde_json::from_str(&ran.stdout);
    assert!(document.is_ok(), "{line}: {ran:?}");
    (document.unwrap(), ran)
}

#[test]
fn a_failure_is_a_document() {
    let shell = site();
    for (line, code, kind, url) in [
        ("deltic log file:nowhere", 1, "failed", Some("file:nowhere")),
        ("deltic ls in nothing", 1, "failed", Some("file:in")),
        ("deltic get file:in names 0", 2, "usage", Some("file:in")),
        ("deltic export file:in nobody exported", 1, "failed", Some("file:in")),
        ("deltic diff file:in 0 9", 1, "failed", Some("file:in")),
        ("deltic retain file:in", 2, "usage", Some("file:in")),
        ("deltic import file:in --layer names=nowhere", 1, "failed", Some("file:in")),
        ("deltic run --set driver.threads=many", 2, "usage", None),
        ("deltic explain --set compiler.copy.layers=5", 2, "usage", None),
        // What the parser refuses, wherever it was typed what is to be read.
        ("deltic log", 2, "usage", None),
        ("deltic jump", 2, "usage", None),
    ] {
        let (document, ran) = fails(&shell, line, code);
        assert_eq!(document["schema"], "deltic.failure/1", "{line}");
        assert_eq!((document["kind"].as_str(), document["url"].as_str()), (Some(kind), url), "{line}: {document}");
        // The same as people read it.
        let message = document["message"].as_str().unwrap();
        assert!(!message.is_empty() && ran.stderr.starts_with(&format!("error: {message}\n")), "{line}: {ran:?}");
        for hint in document["hints"].as_array().unwrap() {
            assert!(ran.stderr.contains(hint.as_str().unwrap()), "{line}: {ran:?}");
        }
    }
    let (document, _) = fails(&shell, "deltic log file:nowhere", 1);
    assert_eq!(document["failures"], Value::Null, "no compiler failed: {document}");
}

/// A result that is there stays the only document: the exit code says that it is not a good one.
#[test]
fn a_result_is_alone_in_the_output() {
    let shell = site();
    shell.ok("printf x >> $(ls -d in/packs/* | head -n 1)");
    let ran = shell.run("deltic fsck file:in --format json");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, document["schema"].as_str()), (1, Some("deltic.fsck/1")), "{ran:?}");
}

#[test]
fn secrets_are_in_no_document() {
    let shell = site();
    let line = "env AWS_SECRET_ACCESS_KEY=verysecretindeed deltic log file:verysecretindeed";
    let (document, _) = fails(&shell, line, 1);
    assert!(!document["message"].to_string().contains("verysecretindeed"), "{document}");
}

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";

#[test]
fn colours_are_for_whoever_asks_for_them() {
    let shell = site();
    let plain = |ran: &Ran| !ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}');
    // Neither stream is a terminal here.
    for (line, asked) in [
        ("deltic log file:nowhere", "--color always"),
        ("deltic diff file:in 1 2", "--color=always"),
        ("deltic log", "--color always"),
        ("deltic retain file:out --keep a=1", "--color always"),
        ("deltic log --help", "--color always"),
    ] {
        assert!(plain(&shell.run(line)), "{line}");
        assert!(plain(&shell.run(&format!("{line} --color never"))), "{line}");
        let ran = shell.run(&format!("{line} {asked}"));
        assert!(!plain(&ran), "{line}: {ran:?}");
        assert!(plain(&shell.run(&format!("{line} {asked} --color never"))) || line.contains("--help"), "{line}");
    }
    let ran = shell.run("deltic log file:nowhere --color always");
    assert!(ran.stderr.starts_with(&format!("{RED}error:\u{1b}[0m ")), "{ran:?}");
    let ran = shell.run("deltic diff file:in 1 2 --color always");
    assert!(ran.stdout.starts_with(&format!("{YELLOW}M\u{1b}[0m names/0\n")), "{ran:?}");
    // A document has none.
    assert!(plain(&shell.run("deltic diff file:in 1 2 --color always --format json")));
    let ran = shell.run("deltic diff file:in 1 2 --color sometimes");
    assert!(ran.code == 2 && ran.stderr.contains("sometimes"), "{ran:?}");
}

#[test]
fn a_driver_has_its_own_version() {
    let shell = Shell::new();
    let deltic = shell.ok("deltic --version");
    assert_eq!(shell.ok("notes --version"), format!("notes 7.1, made with {deltic}"));
}

/// What the latest versions of configured catalogs were made from is said when it expires: the next run can not know what changed.
#[test]
fn whoever_reads_an_expired_version_is_named() {
    let shell = site();
    shell.ok("deltic run && deltic import file:in --layer names=third && deltic import file:in --layer names=first");
    let warning = |has: &str, then: &str| {
        format!(
            "warning: version 2 {has}, from which version 1 of file:out was made: without it what has changed since can not be \
             told, and the next run {then} a full one\n"
        )
    };
    // Relative URLs are as the configuration has them; what has no readers here warns of nothing.
    let ran = shell.run("deltic retain file:in --last 2 --dry-run");
    assert_eq!(ran.stderr, warning("would expire", "would be"));
    assert_eq!(shell.run("deltic retain file:in --last 3").stderr, "");
    assert_eq!(shell.run("deltic retain in --last 2").stderr, warning("has expired", "is"));
    assert_eq!(shell.run("deltic retain in --last 2").stderr, "", "it has expired before");
    let ran = shell.ok("deltic run");
    assert!(ran.contains("full") && ran.contains("expired"), "{ran}");
    assert_eq!(shell.run("deltic retain in --last 1").stderr, "", "the latest is read");
    assert_eq!(shell.run("cd bin 2>/dev/null; cd ..; deltic retain file:work/in --last 1").stderr, "");
}
