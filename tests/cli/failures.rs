//! The output of a command that fails, for programs and for people: one document, and coloured labels.

use serde_json::Value;

use crate::output::site;
use crate::server::Server;
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
        ("deltic log file:nowhere", 1, "not-found", Some("file:nowhere")),
        ("deltic ls in nothing", 1, "failed", Some("file:in")),
        ("deltic ls file:thin --version 0", 1, "expired", Some("file:thin")),
        ("deltic run --set catalogs.out=file:in", 2, "usage", Some("file:in")),
        ("deltic plan --set catalogs.out=file:in", 2, "usage", Some("file:in")),
        ("deltic verify --set catalogs.out=file:nowhere", 1, "failed", Some("file:nowhere")),
        ("deltic get file:in names 0", 2, "usage", Some("file:in")),
        ("deltic export file:in nobody exported", 1, "failed", Some("file:in")),
        ("deltic diff file:in 0 9", 1, "not-found", Some("file:in")),
        ("deltic retain file:in", 2, "usage", Some("file:in")),
        ("deltic import file:in --layer names=nowhere", 1, "failed", Some("file:in")),
        ("deltic run --set driver.threads=many", 2, "usage", None),
        ("deltic explain --set compiler.copy.layers=5", 2, "usage", None),
        // Errors of the parser, wherever `--format` was typed.
        ("deltic log", 2, "usage", None),
        ("deltic jump", 2, "usage", None),
    ] {
        // The format may be typed in two ways.
        let ran = shell.run(&format!("{line} --format=json"));
        assert!(ran.code == code && ran.stdout.starts_with('{'), "{line}: {ran:?}");
        let (document, ran) = fails(&shell, line, code);
        assert_eq!(document["schema"], "deltic.failure/1", "{line}");
        assert_eq!((document["kind"].as_str(), document["url"].as_str()), (Some(kind), url), "{line}: {document}");
        // The same for people.
        let message = document["message"].as_str().unwrap();
        let text = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!message.is_empty() && text.starts_with(&format!("error: {message}")), "{line}: {ran:?}");
        for hint in document["hints"].as_array().unwrap() {
            assert!(ran.stderr.contains(hint.as_str().unwrap()), "{line}: {ran:?}");
        }
    }
    let (document, _) = fails(&shell, "deltic log file:nowhere", 1);
    assert_eq!(document["failures"], Value::Null, "no compiler failed: {document}");
    let (document, _) = fails(&shell, "deltic log", 2);
    assert!(document["message"].as_str().unwrap().ends_with("<URL>"), "what is missing is in it: {document}");
}

/// A lost race, and the further fields of an error of compilers.
#[test]
fn a_failure_has_what_its_kind_has() {
    let shell = site();
    shell.write("job.toml", "base_version = 7\n");
    let (document, _) = fails(&shell, "deltic run --job job.toml", 3);
    assert_eq!(document["kind"], "conflict", "{document}");
    let shell = Shell::new();
    shell.write("application.conf", "[catalogs]\nin = 'file:in'\nout = 'file:out'\n");
    for name in ["a", "b", "c"] {
        shell.write(format!("notes/{name}"), "a bad word");
    }
    shell.ok("deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes");
    let (document, ran) = fails(&shell, "notes run", 1);
    assert_eq!((document["kind"].as_str(), document["cut_short"].as_bool()), (Some("compiler"), Some(false)));
    assert_eq!(document["failures"].as_array().map(Vec::len), Some(3), "{document}");
    // They are listed once, and are no hints; commands begin with the program's name.
    assert!(!document["hints"].to_string().contains("bad word"), "{document}");
    assert!(document["hints"].to_string().contains("`notes get file:in notes a"), "{document}");
    assert!(ran.stderr.contains("`notes get file:in notes a"), "{ran:?}");
    let most = "compiler.word-list.on_error.quarantine=1";
    let (document, _) = fails(&shell, &format!("notes run --set {most}"), 1);
    let passed = &document["limits_passed"][0];
    assert_eq!((passed["task"].as_str(), passed["most"].as_u64()), (Some("word-list"), Some(1)), "{document}");
}

#[test]
fn what_fails_at_once_begins_no_document() {
    let shell = Shell::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!(
        "env AWS_ENDPOINT_URL=http://127.0.0.1:{nobody} AWS_ALLOW_HTTP=true AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secretsecret"
    );
    let (document, _) = fails(&shell, &format!("{server} timeout 120 deltic log s3://bucket/x"), 1);
    assert_eq!(
        (document["schema"].as_str(), document["kind"].as_str()),
        (Some("deltic.failure/1"), Some("unavailable"))
    );
}

/// The failure of a command is more important than that its document could not be written.
#[cfg(target_os = "linux")]
#[test]
fn a_failure_that_can_not_be_written_is_the_failure() {
    let ran = Shell::new().run("deltic log file:nowhere --format json > /dev/full");
    assert!(ran.code == 1 && !ran.stderr.contains("No space left"), "{ran:?}");
}

/// A result stays the only document: the exit code shows that it is not a good one.
#[test]
fn a_result_is_alone_in_the_output() {
    let shell = site();
    shell.ok("deltic run && printf x >> $(ls -d in/packs/* | head -n 1)");
    shell.ok(
        "cp -r in apart && deltic import file:apart --layer names=third && deltic import file:in --layer names=first",
    );
    shell.ok("printf x > kept/versions/00000000000000000001");
    for (line, code, schema) in [
        ("deltic fsck file:in", 1, "deltic.fsck/1"),
        ("deltic fsck file:in --against file:apart", 1, "deltic.against/1"),
        ("deltic log file:kept", 1, "deltic.log/1"),
    ] {
        let ran = shell.run(&format!("{line} --format json"));
        let document = serde_json::from_str::<Value>(&ran.stdout);
        assert!(document.is_ok(), "{line}: {ran:?}");
        assert_eq!((ran.code, document.unwrap()["schema"].as_str()), (code, Some(schema)), "{line}: {ran:?}");
    }
}

#[test]
fn secrets_are_in_no_document() {
    let shell = site();
    shell.write(".aws/credentials", "[default]\naws_access_key_id=key\naws_secret_access_key=profilesecretindeed\n");
    for (variables, secret) in
        [("AWS_SECRET_ACCESS_KEY=verysecretindeed", "verysecretindeed"), ("HOME=$PWD", "profilesecretindeed")]
    {
        for line in
            [format!("log file:{secret}"), format!("export file:in {secret} x"), format!("retain file:{secret}")]
        {
            let ran = shell.run(&format!("env {variables} deltic {line} --format json"));
            assert!(ran.code != 0 && !ran.stdout.is_empty(), "{line}: {ran:?}");
            assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(secret), "{line}: {ran:?}");
        }
    }
}

const RED: &str = "\u{1b}[1;31m";
const GREEN: &str = "\u{1b}[1;32m";
const YELLOW: &str = "\u{1b}[1;33m";

#[test]
fn colours_are_printed_on_request() {
    let shell = site();
    shell.ok("deltic run");
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
        let ran = shell.run(&format!("{line} {asked} --color never"));
        assert!(plain(&ran) && !ran.stderr.contains("multiple"), "{line}: the last holds: {ran:?}");
    }
    let ran = shell.run("deltic log file:nowhere --color always");
    assert!(ran.stderr.starts_with(&format!("{RED}error:\u{1b}[0m ")), "{ran:?}");
    let ran = shell.run("deltic diff file:in 1 2 --color always");
    assert!(ran.stdout.starts_with(&format!("{YELLOW}M\u{1b}[0m names/0\n")), "{ran:?}");
    assert!(shell.ok("deltic diff file:in 0 1 --color always").starts_with(&format!("{GREEN}A\u{1b}[0m ")));
    assert!(shell.ok("deltic diff file:in 1 0 --color always").starts_with(&format!("{RED}D\u{1b}[0m ")));
    let warning = shell.run("deltic retain file:out --keep a=1 --color always").stderr;
    assert!(warning.starts_with(&format!("{YELLOW}warning:\u{1b}[0m ")), "{warning}");
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

/// When versions expire, a warning names the configured catalogs whose latest versions were made from them.
#[test]
fn whoever_reads_an_expired_version_is_named() {
    let shell = site();
    shell.ok("deltic run && deltic import file:in --layer names=third && deltic import file:in --layer names=first");
    let warning = |has: &str| {
        format!(
            "warning: version 1 of file:out was made from version 2, which {has}: tasks that read it may have to run in full\n"
        )
    };
    assert_eq!(shell.run("deltic retain file:in --last 2 --dry-run").stderr, warning("would expire"));
    assert_eq!(shell.run("deltic retain file:in --last 2 --dry-run --quiet").stderr, "");
    assert_eq!(shell.run("deltic retain file:in --last 3").stderr, "");
    shell.ok("cp -r in before && cp -r before other");
    assert_eq!(shell.run("deltic retain in --last 2").stderr, warning("has expired"));
    assert_eq!(shell.run("deltic retain in --last 2").stderr, "", "it has expired before");
    let ran = shell.ok("deltic run");
    assert!(ran.contains("full") && ran.contains("expired"), "{ran}");
    assert_eq!(shell.run("deltic retain in --last 1").stderr, "", "the latest is read");
    // A reader that can not be opened is named; a catalog that does not exist yet is no reader.
    shell.write("application.conf", "[catalogs]\nin = 'file:before'\nout = 'file:broken'\nnext = 'file:nowhere'\n");
    shell.ok("cp -r out broken && for f in broken/versions/*; do printf x > $f; done");
    let text = shell.run("deltic retain file:before --last 2").stderr;
    assert!(
        text.starts_with("warning: it is not known whether file:broken was made from a version that has expired: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    shell.write("application.conf", "[catalogs\n");
    let text = shell.run("deltic retain file:other --last 2").stderr;
    assert!(text.starts_with("warning: it is not known which catalogs read this one: "), "{text}");
}

/// The committed version is printed before other catalogs are opened.
#[test]
fn a_reader_that_does_not_answer_holds_nothing_up() {
    let (server, shell) = (Server::silent(), site());
    shell.write("application.conf", "[catalogs]\nin = 'file:in'\nfar = 's3://bucket/x'\nfarther = 's3://bucket/y'\n");
    let line = format!("exec env {} deltic retain in --last 1 --format json", server.variables());
    let mut child = shell.command(&line).spawn().unwrap();
    // Both are opened before either has answered.
    let asked: Vec<String> = server.asked.iter().take(2).collect();
    assert!(asked[0] != asked[1], "{asked:?}");
    let mut written = [0; 4096];
    let length = std::io::Read::read(child.stdout.as_mut().unwrap(), &mut written).unwrap();
    let document: Value = serde_json::from_slice(&written[..length]).unwrap();
    assert_eq!((document["schema"].as_str(), document["version"].as_u64()), (Some("deltic.retain/1"), Some(3)));
    // Sent to `sh`, which has become the command by then.
    shell.ok(&format!("kill -TERM {}", child.id()));
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(ran.stderr.contains("stopped: version 3 was committed"), "{ran:?}");
}
