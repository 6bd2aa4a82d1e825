//! Ctrl-C and SIGTERM: a command ends, or prints what it waits for, and a second signal ends it; the catalog is unchanged.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Command};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::server::Server;
use crate::shell::{Ran, Shell};

const CONFIGURATION: &str =
    "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.slow]\non = true\nrounds = 2000000\n";

/// A catalog with one note: for many slow outputs, or for one that reads a pipe.
fn shell(note: &str) -> Shell {
    let shell = Shell::new();
    shell.write("notes/n", note);
    shell.write("application.conf", CONFIGURATION);
    shell.ok("mkfifo pipe && deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes");
    shell
}

/// A running command, and its standard error.
struct Running<'a> {
    shell: &'a Shell,
    child: Child,
    stderr: BufReader<ChildStderr>,
    text: String,
    _guarded: Sender<()>,
}

/// Kills a process that does not end within a minute, so that a signal without effect is a failure and no endless wait.
fn guard(process: u32) -> Sender<()> {
    let (guarded, ended) = channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
        }
    });
    guarded
}

impl<'a> Running<'a> {
    fn start(shell: &'a Shell, line: &str) -> Running<'a> {
        // Whoever runs the tests in the background has interrupts ignored, and so would all its children.
        let mut child = shell.command(&format!("exec env --default-signal=INT {line}")).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let guarded = guard(child.id());
        Running { shell, child, stderr, text: String::new(), _guarded: guarded }
    }

    /// Waits until it prints a text.
    fn prints(&mut self, what: &str) {
        loop {
            let mut line = String::new();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "`{what}` was not printed: {}", self.text);
            self.text.push_str(&line);
            if line.contains(what) {
                return;
            }
        }
    }

    fn signal(&self, signal: &str) {
        self.shell.ok(&format!("kill -{signal} {}", self.child.id()));
    }

    /// Waits for the end.
    fn ended(mut self) -> Ran {
        self.stderr.read_to_string(&mut self.text).unwrap();
        let mut ran = Ran::from(self.child.wait_with_output().unwrap());
        ran.stderr = self.text;
        ran
    }
}

fn versions(shell: &Shell, catalog: &str) -> usize {
    shell.ok(&format!("deltic log file:{catalog}")).lines().count()
}

#[test]
fn a_run_that_computes() {
    let shell = shell("outputs 100000");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut run = Running::start(&shell, "notes -vv run");
        run.prints("back-end");
        run.signal(signal);
        let ran = run.ended();
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("\nstopped: nothing was published; the latest version is 0\n"), "{}", ran.stderr);
        assert_eq!(versions(&shell, "out"), 1);
    }
    // Its remains do not hinder the next run.
    shell.ok("deltic fsck file:out && notes run --set compiler.slow.rounds=1");
    assert_eq!(versions(&shell, "out"), 2);
}

#[test]
fn a_run_that_is_stuck() {
    let shell = shell("pipe pipe");
    for again in [true, false] {
        let mut run = Running::start(&shell, "notes run");
        // Opens when the compiler opens it.
        let mut pipe = OpenOptions::new().write(true).open(shell.work().join("pipe")).unwrap();
        run.signal("INT");
        run.prints("waiting for the back-end of slow: slow/n");
        run.prints("press Ctrl-C again to end at once");
        let stderr = if again {
            run.signal("INT");
            "\nstopped: nothing was published\n"
        } else {
            pipe.write_all(b"enough").unwrap();
            drop(pipe);
            "\nstopped: nothing was published; the latest version is 0\n"
        };
        let ran = run.ended();
        assert_eq!((ran.code, ran.stdout.as_str()), (130, ""), "{}", ran.stderr);
        assert!(ran.stderr.ends_with(stderr), "{}", ran.stderr);
        assert_eq!(versions(&shell, "out"), 1);
    }
}

/// An import whose source blocks does not wait for it.
#[test]
fn an_import_that_is_stuck() {
    let shell = shell("");
    shell.ok("mkfifo slow.tar");
    let import = Running::start(&shell, "deltic import file:in --layer notes=slow.tar");
    let pipe = OpenOptions::new().write(true).open(shell.work().join("slow.tar")).unwrap();
    import.signal("TERM");
    let ran = import.ended();
    drop(pipe);
    let expected = "stopped: nothing was imported; the latest version is 1\n";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (143, "", expected));
    assert_eq!(versions(&shell, "in"), 2);
}

/// A command that publishes nothing ends at once.
#[test]
fn a_listing_that_nobody_reads() {
    let shell = shell("outputs 3");
    for n in 0..5000 {
        shell.write(format!("many/{n:0>200}"), "");
    }
    shell.ok("deltic import file:in --layer notes=many");
    let mut listing = Running::start(&shell, "deltic ls file:in notes");
    // More than a pipe holds, so it waits for a reader.
    let mut first = [0; 1];
    listing.child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    listing.signal("INT");
    listing.prints("stopped");
    assert_eq!(listing.child.wait().unwrap().code(), Some(130));
}

/// A process that is started with interrupts ignored continues to ignore them.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_that_is_ignored() {
    let shell = shell("pipe pipe");
    let mut run = Running::start(&shell, "env --ignore-signal=INT notes run");
    let mut pipe = OpenOptions::new().write(true).open(shell.work().join("pipe")).unwrap();
    run.signal("INT");
    pipe.write_all(b"on it goes").unwrap();
    drop(pipe);
    run.prints("created catalog");
    let ran = run.ended();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(shell.ok("deltic get file:out slow n"), "on it goes");
}

/// Every command, with what it waits for from a server that never answers.
const LINES: [&str; 22] = [
    "deltic init URL --layer notes=generic",
    "deltic import URL --layer notes=notes",
    "deltic export URL notes exported",
    "deltic layer drop URL notes",
    "deltic revert URL --to 1",
    "deltic retain file:in --for URL@1",
    "deltic log URL",
    "deltic ls URL",
    "deltic get URL notes n",
    "deltic diff URL 0 1",
    "deltic errors URL",
    "deltic digest URL",
    "deltic run --set catalogs.out=URL",
    "deltic plan --set catalogs.out=URL",
    "deltic verify --set catalogs.out=URL",
    "deltic rebuild URL --version 1 --into file:again",
    "deltic retain URL --last 1",
    "deltic gc URL",
    "deltic repack URL",
    "deltic fsck URL",
    "deltic doctor URL",
    "deltic run --set catalogs.in=URL",
];

/// The commands that open no catalog.
const AT_ONCE: [&str; 4] = ["deltic explain", "deltic config show", "deltic completions bash", "deltic man ."];

/// One signal ends every command that waits for a server.
#[test]
fn a_server_that_never_answers() {
    let shell = shell("");
    shell.write(
        "copy.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['notes']\n",
    );
    shell.assert_covers(LINES.into_iter().chain(AT_ONCE));
    for line in LINES {
        let server = Server::silent();
        let mut line = format!("env {} {}", server.variables(), line.replace("URL", "s3://bucket/x"));
        if line.contains(" --set ") {
            line.push_str(" --config copy.conf");
        }
        let run = Running::start(&shell, &line);
        server.asked.recv_timeout(Duration::from_secs(60)).unwrap();
        run.signal("INT");
        let ran = run.ended();
        assert_eq!((ran.code, ran.stdout.as_str()), (130, ""), "{line}: {ran:?}");
        assert!(ran.stderr.lines().last().unwrap_or_default().starts_with("stopped"), "{line}: {ran:?}");
    }
}

/// A command that waits long prints what it waits for, even without a signal.
#[test]
fn silence_is_reported() {
    let (shell, server) = (shell(""), Server::silent());
    let mut run = Running::start(&shell, &format!("env {} deltic log s3://bucket/x", server.variables()));
    run.prints("s3://bucket/x: waiting for versions/");
    run.signal("INT");
    assert_eq!(run.ended().code, 130);
}
