//! Two processes that want to make the same version: one succeeds, the other ends with exit code 3, and nothing is lost.

use std::fs::OpenOptions;
use std::io::Write;

use crate::shell::{Ran, Shell};

/// With any timing, every success is a version, every loser gets a conflict, and each version is complete.
#[test]
fn runs_at_once() {
    let shell = Shell::new();
    for n in 0..50 {
        shell.write(format!("names/{n}"), format!("partition {n}\n").repeat(50));
    }
    shell.ok("deltic init file:in --layer names=generic");
    shell.ok("deltic import file:in --layer names=names");
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n",
    );
    for round in 0..4 {
        // Each has something to do, in any order: the prefix is part of the fingerprint, and new in this round.
        let digits = if round % 2 == 0 { 1..=4 } else { 5..=8 };
        let start = |digit: u8| {
            let prefix = format!("--set compiler.copy.prefix='\"{digit}\"'");
            shell.command(&format!("exec deltic run {prefix} --note '{round} {digit}'")).spawn().unwrap()
        };
        let before = versions(&shell);
        let runs: Vec<_> = digits.clone().map(|digit| (digit, start(digit))).collect();
        let ended: Vec<(u8, Ran)> =
            runs.into_iter().map(|(digit, run)| (digit, Ran::from(run.wait_with_output().unwrap()))).collect();
        for (digit, ran) in &ended {
            assert!(matches!(ran.code, 0 | 3), "{digit}: {ran:?}");
            if ran.code == 3 {
                assert!(
                    ran.stderr.contains("has made version") && ran.stderr.contains("the latest version is"),
                    "{ran:?}"
                );
                assert_eq!(ran.stdout, "");
            }
        }
        let won: Vec<&u8> = ended.iter().filter(|(_, ran)| ran.code == 0).map(|(digit, _)| digit).collect();
        assert!(!won.is_empty(), "somebody wins");
        assert_eq!(versions(&shell) - before, won.len(), "every success is a version");
        let log = shell.ok("deltic log file:out");
        for digit in digits {
            let published = log.lines().any(|line| line.ends_with(&format!("  {round} {digit}")));
            assert_eq!(published, won.contains(&&digit), "{log}");
        }
        // The last version is that of one winner, complete.
        let last = log.lines().next().unwrap().chars().last().unwrap();
        let listed = shell.ok("deltic ls file:out names");
        let expected = (0..50).filter(|n| n.to_string().starts_with(last)).count();
        assert_eq!(listed.lines().count(), expected, "{listed}");
    }
}

fn versions(shell: &Shell) -> usize {
    let log = shell.run("deltic log file:out");
    if log.code == 0 { log.stdout.lines().count() } else { 1 }
}

/// Stops an import between reading the base and its commit, with a pipe as the archive, and lets another one go first.
#[test]
fn an_import_that_was_overtaken() {
    let shell = Shell::new();
    shell.write("slow/a", "slow");
    shell.write("fast/a", "fast");
    shell.ok("deltic init file:in --layer names=generic && tar cf slow.done.tar -C slow . && mkfifo slow.tar");
    // When tests run in the background, interrupts are ignored, and child processes would ignore them too.
    let import = "exec env --default-signal=INT deltic import file:in --layer names=slow.tar";
    let slow = shell.command(import).spawn().unwrap();
    // Opens when the import opens it, which has read version 0 by then.
    let mut pipe = OpenOptions::new().write(true).open(shell.work().join("slow.tar")).unwrap();
    shell.ok("deltic import file:in --layer names=fast");
    pipe.write_all(&std::fs::read(shell.work().join("slow.done.tar")).unwrap()).unwrap();
    drop(pipe);
    let slow = Ran::from(slow.wait_with_output().unwrap());
    assert_eq!((slow.code, slow.stdout.as_str()), (3, ""), "{slow:?}");
    assert!(slow.stderr.contains("has made version 1 first"), "{slow:?}");
    assert!(slow.stderr.contains("nothing was imported; the latest version is 1"), "{slow:?}");
    assert_eq!(shell.ok("deltic get file:in names a"), "fast");
    // The next attempt succeeds.
    shell.ok("deltic import file:in --layer names=slow");
    assert_eq!(shell.ok("deltic get file:in names a"), "slow");
    assert_eq!(shell.ok("deltic get file:in names a --version 1"), "fast");
}

/// A run can require the version that a plan was made for.
#[test]
fn a_base_that_has_moved() {
    let shell = Shell::new();
    shell.write("names/a", "a");
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n",
    );
    shell.ok("deltic init file:in --layer names=generic && deltic import file:in --layer names=names");
    assert!(shell.ok("deltic plan").contains("from version 0"));
    shell.ok("deltic run");
    let late = shell.run("deltic run --full --expect-base 0");
    assert_eq!((late.code, late.stdout.as_str()), (3, ""), "{late:?}");
    assert!(late.stderr.contains("is at version 1, not at 0 as expected"), "{late:?}");
    assert_eq!(versions(&shell), 2);
    shell.ok("deltic run --full --expect-base 1");
    // A catalog that does not exist has only the version that it begins with.
    let missing = shell.run("deltic run --set catalogs.out=file:other --expect-base 5");
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(!shell.work().join("other").exists());
    shell.ok("deltic run --set catalogs.out=file:other --expect-base 0");
}
