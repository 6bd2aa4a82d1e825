//! Compilers that print, and compilers that end the process: results stay complete, and are not mixed with other output.

use crate::shell::{Ran, Shell};

const NOTES: usize = 60;

/// A catalog of notes, each of which makes the task `noise` do something.
fn site(note: impl Fn(usize) -> String) -> Shell {
    let shell = Shell::new();
    for n in 0..NOTES {
        shell.write(format!("notes/{n:02}"), note(n));
    }
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[driver]\nthreads = 4\n[compiler.noise]\non = true\nsetup = 'print'\n\
         [compiler.word-list]\nmin_length = 1000\n",
    );
    shell.ok("deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes");
    shell
}

/// A command that must not hang.
fn run(shell: &Shell, line: &str) -> Ran {
    shell.run(&format!("timeout 120 {line}"))
}

const KINDS: [&str; 4] = ["print", "eprint", "child", "panic no such luck"];

#[test]
fn what_compilers_print_goes_to_standard_error() {
    let shell = site(|n| KINDS[n % 3].to_owned());
    let message = |ran: &Ran, text: &str| ran.stderr.matches(text).count();
    for (line, times) in [
        ("notes run", 1),
        ("notes run --full --format json", 1),
        ("notes run --full --check determinism", 2),
        ("notes verify --all", 1),
        ("notes verify --all --format json", 1),
        ("notes rebuild file:out --version 1 --into file:again --format json", 1),
        ("notes plan", 0),
        ("notes plan --format json", 0),
        ("notes explain", 0),
        ("notes config show", 0),
    ] {
        let ran = run(&shell, line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert!(!ran.stdout.contains("printed") && !ran.stdout.is_empty(), "{line}: {ran:?}");
        if line.ends_with("json") {
            serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
        }
        // Nothing is lost, not even a last line without a line break.
        assert_eq!(message(&ran, "printed for setup\n"), 1, "{line}: {ran:?}");
        assert_eq!(message(&ran, "[printed without a line break for setup]"), 1, "{line}: {ran:?}");
        for n in 0..NOTES {
            let texts: &[String] = match n % 3 {
                0 => &[format!("printed for {n:02}\n"), format!("[printed without a line break for {n:02}]")],
                1 => &[format!("told for {n:02}\n")],
                _ => &[format!("printed by a child for {n:02}\n"), format!("told by a child for {n:02}\n")],
            };
            for text in texts {
                assert_eq!(message(&ran, text), times, "{line}: {text}: {ran:?}");
            }
        }
    }
}

#[test]
fn panics_are_printed_beside_other_output() {
    let shell = site(|n| KINDS[if n == 7 { 3 } else { n % 3 }].to_owned());
    let ran = run(&shell, "notes run --format json");
    assert_eq!(ran.code, 1, "{ran:?}");
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["schema"], "deltic.failure/1");
    assert_eq!(document["failures"].as_array().map(Vec::len), Some(1), "{document}");
    let error = "error: noise: back-end of noise/07: panicked at tests/cli/bin/driver.rs:";
    let place = ran.stderr.split_once(error).and_then(|(_, rest)| rest.lines().next());
    assert!(place.is_some_and(|rest| rest.ends_with(": no such luck")), "{ran:?}");
    assert!(!ran.stderr.contains("thread '"), "the error says it: {ran:?}");
    assert!(ran.stderr.contains("printed for 00\n"), "{ran:?}");
}

/// Text that a program prints before and after its command goes to standard output.
#[test]
fn around_the_command_standard_output_is_as_it_was() {
    let shell = site(|_| "print".to_owned());
    let ran = run(&shell, "env PRINTED_BEFORE='<before>' PRINTED_AFTER='<after>' notes run");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("<before>in ") && ran.stdout.ends_with("ms\n<after>\n"), "{ran:?}");
}

/// Child processes do not inherit the real standard output: one that outlives the command would keep the reader waiting.
#[test]
fn children_do_not_hold_standard_output() {
    let shell = site(|n| if n == 0 { "child".to_owned() } else { String::new() });
    shell.ok("mkfifo alive && mkdir bin && printf '#!/bin/sh\\nread x < alive &\\n' > bin/sh && chmod +x bin/sh");
    // The child leaves a process behind that waits for the pipe, which opens after the result was read to its end.
    let ran = shell.run("(PATH=$PWD/bin:$PATH timeout 120 notes run 2> message) | timeout 60 cat && echo end > alive");
    assert!(ran.code == 0 && ran.stdout.contains("committed version 1"), "{ran:?}");
}

#[test]
fn an_exit_in_a_compiler_is_no_success() {
    for code in [0, 3] {
        let shell = site(|n| if n == 30 { format!("exit {code}") } else { "print".to_owned() });
        for line in ["notes run", "notes run --format json", "notes run --check determinism"] {
            let ran = run(&shell, line);
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
            assert!(
                ran.stderr
                    .contains("error: a compiler, or a library that it uses, called `exit` and ended the process"),
                "{line}: {ran:?}"
            );
            // The error names this call, and no other.
            assert!(ran.stderr.contains("\n  it came from the back-end of noise: noise/30\n"), "{line}: {ran:?}");
            assert!(!ran.stderr.contains("was running"), "{line}: {ran:?}");
            assert_eq!(shell.ok("deltic log file:out").lines().count(), 1, "{line}: nothing was published");
        }
    }
    // Also in the set-up of tasks; a process that ends regularly has its own code.
    let shell = site(|_| String::new());
    for line in ["plan", "run", "explain", "config show", "verify"] {
        let ran = run(&shell, &format!("notes {line} --set compiler.noise.setup='\"exit 0\"'"));
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
    }
    // From a thread that a compiler started: the error names all calls that were running.
    let threads = site(|n| if n == 30 { "exit-thread 0".to_owned() } else { String::new() });
    let ran = run(&threads, "notes run");
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("\n  the back-end of noise: noise/30 was running\n"), "{ran:?}");
    shell.ok("notes run && notes --help && notes plan --help");
    assert_eq!(run(&shell, "notes nonsense").code, 2);
    assert_eq!(run(&shell, "env PRINTED_AFTER=x notes log file:out").code, 0);
}

/// A panic in the set-up of tasks is an error like any other: with its place, and the exit code of the command.
#[test]
fn a_panic_in_the_set_up_is_an_error() {
    let shell = site(|_| String::new());
    shell.ok("notes run");
    for line in ["plan", "run", "explain", "config show", "verify", "rebuild file:out --version 1 --into file:again"] {
        let ran = run(&shell, &format!("notes {line} --set compiler.noise.setup='\"panic no such luck\"'"));
        if line.starts_with("rebuild") {
            // `rebuild` sets up the tasks with recorded settings.
            assert_eq!(ran.code, 0, "{ran:?}");
            continue;
        }
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
        let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let [error] = errors[..] else { panic!("{line}: {ran:?}") };
        let place = error.strip_prefix("error: the set-up of the tasks panicked at tests/cli/bin/driver.rs:");
        assert!(place.is_some_and(|rest| rest.ends_with(": no such luck")), "{line}: {ran:?}");
    }
}

/// Types of intermediate values are tried before a value is written. A panic during the trial is no error.
#[test]
fn a_type_that_panics_when_it_is_tried_is_not_reported() {
    let shell = site(|n| if n == 7 { "panic no such luck".to_owned() } else { String::new() });
    let set = "--set compiler.noise.setup=insistent";
    for line in ["plan", "plan --format json", "explain", "config show"] {
        let ran = run(&shell, &format!("notes {line} {set}"));
        assert!(ran.code == 0 && !ran.stdout.is_empty(), "{line}: {ran:?}");
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("never 1"), "{line}: {ran:?}");
    }
    // Other panics are printed as usual, with a backtrace if the environment asks for it.
    let ran = run(&shell, &format!("notes run {set}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains(": no such luck\n") && !ran.stderr.contains("never 1"), "{ran:?}");
    let ran = run(&shell, &format!("env RUST_BACKTRACE=1 notes run {set}"));
    assert_eq!(ran.stderr.matches("' panicked at ").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("\n  | no such luck\n") && ran.stderr.contains("   0: "), "{ran:?}");
    shell.ok(&format!("notes run {set} --set compiler.noise.on=false"));
}

/// Like an illegal task.
#[test]
fn a_plan_that_can_not_be_one_is_wrong_usage() {
    let shell = site(|_| String::new());
    for line in ["plan", "run", "explain", "config show"] {
        let ran = run(&shell, &format!("notes {line} --set compiler.noise.setup=long"));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(ran.stderr.contains("error: plan `too-long`: layer `xxx"), "{line}: {ran:?}");
        assert!(ran.stderr.contains("is not a task id"), "{line}: {ran:?}");
    }
}
