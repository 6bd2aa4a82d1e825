//! Whatever names, arguments, archives, records and messages contain, nothing that the commands print controls a terminal, and
//! every line is really a line of the command.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deltic::core::{CatalogUuid, Digest, Layer, RunId, Timestamp};
use deltic::store::{Catalog, NewCatalog, Stores};

use crate::server::Server;
use crate::shell::{Ran, Shell};

/// Moves the cursor, rings the bell, changes colours (also by a C1 control), changes the direction of writing, and begins a line
/// that looks like one of ours.
const BAD: &str =
    "\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{85}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}\r\t\u{7f}\nerror: forged\n  forged";

/// The part of it that a name of a partition can hold.
const BAD_NAME: &str = "\u{202e}a\u{2066}\u{200f}\u{61c}\u{2028}b";

/// Characters that must not reach a terminal, by their meaning, independent of the code under test.
fn commands(c: char) -> bool {
    let code = u32::from(c);
    let control = code < 0x20 && c != '\n' || (0x7f..0xa0).contains(&code);
    let turns = [0x61c, 0x200e, 0x200f].contains(&code) || (0x2066..=0x2069).contains(&code);
    control || turns || (0x2028..=0x202e).contains(&code)
}

/// Runs a command with the hostile texts in variables, and checks its output.
fn look(shell: &Shell, line: &str) -> Ran {
    let mut command = shell.command(line);
    command.env("BAD", BAD).env("BADNAME", BAD_NAME).env("RUST_BACKTRACE", "1");
    let ran = Ran::from(command.output().unwrap());
    assert!(ran.code >= 0 && ran.code != 101, "{line}: {ran:?}");
    for text in [&ran.stdout, &ran.stderr] {
        assert_eq!(text.chars().find(|c| commands(*c)), None, "{line}: {text:?}");
        let forged = text.lines().find(|line| line.trim_start().trim_start_matches("error: ") == "forged");
        assert_eq!(forged, None, "{line}: {text}");
    }
    ran
}

/// The same as text and as JSON, which is parsed.
fn look_both(shell: &Shell, line: &str) -> Ran {
    let json = look(shell, &format!("{line} --format json"));
    if json.code == 0 {
        serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap();
    }
    look(shell, line)
}

fn site() -> Shell {
    let shell = Shell::new();
    shell.write("notes/a", "one");
    shell.write("notes/b", "two");
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.noise]\non = true\n[compiler.word-list]\nmin_length = 1000\n",
    );
    shell.ok("deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes && notes run");
    shell
}

/// Every command, with hostile text in each of its arguments.
const LINES: [&str; 61] = [
    "notes init \"file:$BAD\" --layer a=generic",
    "notes init file:new --layer \"$BAD=generic\"",
    "notes init file:new --layer \"a=$BAD\"",
    "notes import \"file:$BAD\" --layer notes=notes",
    "notes import file:in --layer \"notes=$BAD\"",
    "notes import file:in --layer \"$BAD=notes\"",
    "notes import file:in --layer notes=notes --note \"$BAD\"",
    "notes export \"file:$BAD\" notes out",
    "notes export file:in \"$BAD\" out",
    "notes export file:in notes \"in/packs/$BAD/x\"",
    "notes import file:in --delete \"notes=$BAD\"",
    "notes import file:in --delete \"notes=$BADNAME\"",
    "notes import file:in --add --layer \"notes=$BAD\"",
    "notes import file:in --layer notes=notes --most-deleted \"$BAD\"",
    "notes layer add \"file:$BAD\" b=generic",
    "notes layer add file:in \"b=$BAD\" --note \"$BAD\"",
    "notes layer drop file:in \"$BAD\"",
    "notes revert \"file:$BAD\" --to 0",
    "notes revert file:in --to \"$BAD\"",
    "notes log \"file:$BAD\"",
    "notes log file:in -n \"$BAD\"",
    "notes log file:in",
    "notes ls \"$BAD\"",
    "notes ls file:in \"$BAD\"",
    "notes ls file:in notes --prefix \"$BAD\"",
    "notes ls file:in notes --box \"$BAD\"",
    "notes get file:in notes \"$BAD\"",
    "notes get file:in notes \"$BADNAME\"",
    "notes diff file:in \"$BAD\" 1",
    "notes diff file:in \"$BAD\" 0 1",
    "notes errors \"file:$BAD\"",
    "notes digest \"$BAD:x\"",
    "notes run --set \"compiler.noise.$BAD=1\"",
    "notes run --set \"compiler.noise.\\\"$BADNAME\\\"=1\"",
    "notes run --set \"$BAD\"",
    "notes run --config \"$BAD\"",
    "notes run --job \"$BAD\"",
    "notes run --input \"$BAD=1\"",
    "notes run --since \"in=$BAD\"",
    "notes run --full --note \"$BAD\"",
    "notes run --set \"catalogs.in='$BADNAME'\"",
    "DELTIC__COMPILER__NOISE__X=\"$BAD\" notes run",
    "DELTIC__DRIVER__THREADS=\"$BAD\" notes run",
    "DELTIC_LOG=\"$BAD\" notes plan",
    "notes plan --reprocess \"$BAD\"",
    "notes verify --tasks \"$BAD\"",
    "notes verify --sample \"$BAD\"",
    "notes rebuild file:out --version 1 --into \"file:$BAD\"",
    "notes rebuild file:out --version 1 --into file:again --statement \"$BAD/x\"",
    "notes explain --config \"$BAD\"",
    "notes retain file:in --since \"$BAD\"",
    "notes retain file:in --keep \"$BADNAME=1\" --reason \"$BAD\"",
    "notes retain file:in --unkeep \"$BADNAME\"",
    "notes retain file:in --for \"file:$BAD@1\"",
    "notes gc \"$BAD\"",
    "notes repack \"file:$BAD\" --below \"$BAD\"",
    "notes fsck \"file:$BAD\"",
    "notes doctor \"file:/proc/$BAD\"",
    "notes config show --set \"compiler.noise.setup='$BADNAME'\"",
    "notes completions \"$BAD\"",
    "notes man \"$BAD\"",
];

#[test]
fn arguments() {
    let shell = site();
    shell.assert_covers(LINES.map(|line| &line[line.find("notes").unwrap()..]));
    for line in LINES {
        look(&shell, line);
        // With all logs.
        look(&shell, &format!("{line} -vvv"));
        // Errors of the parser, which name the unexpected argument.
        look(&shell, &format!("{line} \"$BAD\" \"--$BAD\""));
        let ran = look(&shell, &format!("{line} --format \"$BAD\""));
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
    }
    look(&shell, "notes \"$BAD\"");
    look(&shell, "ln -s \"$(command -v notes)\" \"$BADNAME\" && \"./$BADNAME\" --help && \"./$BADNAME\" diff");
    look_both(&shell, "notes log file:in");
    look_both(&shell, "notes log file:out");
}

#[test]
fn configurations() {
    let shell = site();
    for text in [
        format!("[catalogs]\n\"{BAD_NAME}\" = 'file:in'\n"),
        format!("[catalogs]\nin = '{BAD_NAME}:x'\n"),
        "[catalogs]\nin = \"a\\u001b[2J\\nerror: forged\\n\"\n".to_owned(),
        format!("[compiler.noise]\non = true\nsetup = '{BAD_NAME}'\n"),
        "[compiler.noise]\non = true\nsetup = \"a\\u001b[2J\\u009b\\u202e\\nerror: forged\\n\"\n".to_owned(),
        format!("[compiler.noise]\n\"{BAD_NAME}\" = 1\n"),
        "[compiler.noise]\n\"\\u001b[2J\\nerror: forged\\n\" = 1\n".to_owned(),
        "[compiler.\"\\u001b[2J\\nerror: forged\\n\"]\na = 1\n".to_owned(),
        "[filters.\"\\u001b[2J\\nerror: forged\\n\"]\nprefix = 'a'\n".to_owned(),
        "[filters.noise]\nprefix = \"\\u001b[2J\\nerror: forged\\n\"\n".to_owned(),
        format!("[driver]\nthreads = \"{BAD_NAME}\"\n"),
        BAD.to_owned(),
        format!("a = {BAD}"),
        format!("\"{BAD}\" = 1"),
    ] {
        shell.write("bad.conf", &text);
        shell.write("bad.job", &text);
        for line in [
            "notes config show --config bad.conf",
            "notes config show --origin --config bad.conf",
            "notes explain --config bad.conf",
            "notes plan --config bad.conf",
            "notes run --job bad.job",
            "deltic config show --config bad.conf",
        ] {
            look_both(&shell, line);
        }
        // The output is a configuration, and equal to the original.
        let shown = shell.run("notes config show --config bad.conf --format json > a.json && notes config show --config bad.conf > shown.conf");
        if shown.code == 0 {
            shell.ok("notes config show --config shown.conf --format json > b.json");
            let values = |file: &str| {
                let text = std::fs::read_to_string(shell.work().join(file)).unwrap();
                let all: serde_json::Value = serde_json::from_str(&text).unwrap();
                let all = all["values"].as_array().unwrap().iter();
                all.map(|value| (value["path"].clone(), value["value"].clone())).collect::<Vec<_>>()
            };
            assert_eq!(values("a.json"), values("b.json"), "{text}");
        }
    }
    // Hostile names of files and variables, which are the origins of values.
    shell.ok("cp application.conf \"$(printf 'x\\033[2J\\nerror: forged\\n')\"");
    let ran = look_both(&shell, "notes config show --origin --config \"$(printf 'x\\033[2J\\nerror: forged\\n')\"");
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// A header of an archive, with its checksum.
fn member(name: &[u8], kind: u8, link: &[u8], size: usize) -> [u8; 512] {
    let mut header = [0u8; 512];
    header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn archives_and_folders() {
    let shell = site();
    let long = |kind: u8, text: &[u8]| {
        let mut bytes = member(b"long", kind, b"", text.len()).to_vec();
        bytes.extend(text);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let pax = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
        long(b'x', format!("{length}{rest}").as_bytes())
    };
    let bad = BAD.as_bytes();
    for (extra, name, kind, link) in [
        (vec![], bad, b'0', &b""[..]),
        (vec![], bad, b'2', bad),
        (vec![], b"x", b'2', bad),
        (vec![], bad, b'1', bad),
        (vec![], bad, b'S', b""),
        (vec![], b"../\x1b[2J\nerror: forged", b'0', b""),
        (vec![], b"/\x1b[2J\nerror: forged", b'0', b""),
        (vec![], b"\xff\x1b[2J\x9b", b'0', b""),
        (long(b'L', bad), b"x", b'0', b""),
        (long(b'K', bad), b"x", b'2', b""),
        (pax("path", BAD), b"x", b'0', b""),
        (pax("linkpath", BAD), b"x", b'2', b""),
        (pax(BAD, "x"), b"x", b'0', b""),
        (pax("size", BAD), b"x", b'0', b""),
    ] {
        let mut archive = extra;
        archive.extend(member(name, kind, link, 0));
        archive.resize(archive.len() + 1024, 0);
        shell.write("bad.tar", &archive);
        look_both(&shell, "notes import file:in --layer notes=bad.tar");
        look(&shell, "notes import file:in --layer notes=bad.tar -vvv");
    }
    // The archive and the folder themselves, and the files in folders.
    for make in [
        "cp bad.tar \"$BAD.tar\"",
        "mkdir -p \"$BAD.tar\"/x",
        "mkdir \"$BAD.tar\" && echo > \"$BAD.tar/$(printf '\\377')\"",
        "mkdir \"$BAD.tar\" && ln -s \"$BAD\" \"$BAD.tar/$BAD\"",
        "mkdir \"$BAD.tar\" && echo > \"$BAD.tar/$BAD\"",
        "mkfifo \"$BAD\" && mkdir \"$BAD.tar\" && mv \"$BAD\" \"$BAD.tar\"",
    ] {
        look(&shell, &format!("{make}; notes import file:in --layer \"notes=$BAD.tar\"; rm -rf \"$BAD.tar\""));
    }
    // Names of partitions may change the direction of writing: they are printed escaped, and found unescaped.
    shell.write(format!("odd/{BAD_NAME}"), "odd");
    let ran = look_both(&shell, "notes import file:in --layer notes=odd -vvv");
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in ["ls file:in notes", "diff file:in 1 2", "fsck file:in"] {
        assert_eq!(look_both(&shell, &format!("notes {line}")).code, 0, "{line}");
    }
    for line in ["notes run -vvv", "notes export file:in notes exported", "notes get file:in notes \"$BADNAME\""] {
        assert_eq!(look(&shell, line).code, 0, "{line}");
    }
}

#[test]
fn compilers() {
    let shell = site();
    for kind in ["fail", "panic"] {
        shell.write("notes/bad", format!("{kind} {BAD}"));
        shell.write("notes/worse", format!("{kind} {BAD}"));
        shell.ok("deltic import file:in --layer notes=notes");
        for line in ["notes run", "notes run -vvv", "notes run --full", "notes run --check determinism"] {
            let ran = look_both(&shell, line);
            assert!(ran.code == 1 && ran.stderr.contains("\\u{1b}[2J"), "{line}: {ran:?}");
        }
        // Stored, and printed again later.
        let keep = "--set compiler.noise.on_error='\"quarantine\"'";
        for line in ["notes run", "notes errors file:out", "notes plan", "notes verify --all", "notes run --full"] {
            let keep = if line.contains("errors") { "" } else { keep };
            let ran = look_both(&shell, &format!("{line} {keep}"));
            assert_eq!(ran.code, 0, "{line}: {ran:?}");
        }
        let ran = look_both(&shell, "notes errors file:out");
        assert!(ran.stdout.contains("\\nerror: forged"), "{ran:?}");
    }
    let ran = look(&shell, "notes plan --set \"compiler.noise.setup='fail $BADNAME'\"");
    assert!(ran.code == 1 && ran.stderr.contains("\\u{202e}"), "{ran:?}");
    // A note beside a result.
    let ran = look(&shell, "notes plan --set \"catalogs.out='file:$BADNAME'\"");
    assert!(ran.stderr.contains("\\u{202e}") && ran.stderr.contains("does not exist yet"), "{ran:?}");
}

/// Changes a text of a record and corrects its check, as an attacker can do who can write to the store.
fn forge(record: &str, changes: &[(&str, String)]) -> String {
    let mut text = record.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replacen(from, to, 1);
    }
    let sealed = text.rfind("  \"check\": \"").unwrap();
    format!("{}  \"check\": \"{}\"\n}}\n", &text[..sealed], Digest::of(&text.as_bytes()[..sealed]))
}

/// A record without compressed parts.
fn unpacked(record: &[u8]) -> String {
    let mut json: serde_json::Value = serde_json::from_slice(record).unwrap();
    let fields = json.as_object_mut().unwrap();
    fields.remove("check");
    if let Some(packed) = fields.remove("packed") {
        let frame = STANDARD.decode(packed.as_str().unwrap()).unwrap();
        let rest = zstd::decode_all(&frame[..]).unwrap();
        fields.insert("rest".to_owned(), serde_json::from_slice(&rest).unwrap());
    }
    let text = serde_json::to_string_pretty(&json).unwrap();
    forge(&format!("{},\n  \"check\": \"\"\n}}\n", text.strip_suffix("\n}").unwrap()), &[])
}

/// Records that an attacker has written.
#[test]
fn records() {
    let shell = site();
    let json = serde_json::Value::from(BAD).to_string();
    let inner = &json[1..json.len() - 1];
    let lines = [
        "notes log file:out",
        "notes ls file:out",
        "notes errors file:out",
        "notes plan",
        "notes verify --all",
        "notes run --full",
        "notes fsck file:out",
        "notes gc file:out --dry-run",
        "notes rebuild file:out --version 1 --into file:again",
        "notes diff file:out 0 1",
        "notes get file:out noise a",
    ];
    let path = shell.work().join(format!("out/versions/{:020}", 1));
    let record = unpacked(&std::fs::read(&path).unwrap());
    let fingerprint = record.split("\"fingerprint\": \"").nth(1).unwrap()[..64].to_owned();
    let other = (fingerprint.as_str(), "0".repeat(64));
    for (changes, shown_by) in [
        (vec![("\"note\": \"\"", format!("\"note\": {json}"))], "log"),
        (vec![("\"parts\": {", format!("\"parts\": {{{json}: {json},")), other.clone()], "plan"),
        (vec![("\"code\": \"version 1\"", format!("\"code\": {json}")), other], "rebuild"),
        (
            vec![
                ("\"url\": \"file:in", format!("\"url\": \"file:in{inner}")),
                ("\"catalog\": \"in\"", "\"catalog\": null".to_owned()),
            ],
            "log",
        ),
        (vec![("\"id\": \"noise\"", format!("\"id\": {json}"))], ""),
        (vec![("\"scheme\": \"generic\"", format!("\"scheme\": {json}"))], ""),
        (vec![("\"statistics\": {", format!("\"statistics\": {{{json}: {json},"))], "json"),
        (vec![("{", format!("{{{json}"))], ""),
    ] {
        let mut shown = false;
        for line in lines {
            std::fs::write(&path, forge(&record, &changes)).unwrap();
            let ran = look_both(&shell, line);
            shown |= line.contains(&format!(" {shown_by}")) && format!("{ran:?}").contains("error: forged");
            shell.ok("rm -rf again out/versions/00000000000000000002 out/versions/latest");
        }
        assert!(shown || matches!(shown_by, "" | "json"), "{shown_by} {changes:?}");
    }
}

/// Content that programs can put into a catalog, but no command would.
#[test]
fn content_types() {
    let shell = Shell::new();
    let identity = NewCatalog { uuid: CatalogUuid(7), run: RunId(1), created: Timestamp(0) };
    let layer = Layer::generic("names").unwrap().with_content_type(BAD);
    let url = format!("file:{}", shell.work().join("in").display());
    Catalog::create(&Stores::new(), &url, vec![layer], identity).unwrap();
    shell.write("names/a", "a");
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n",
    );
    for line in [
        "import file:in --layer names=names",
        "ls file:in",
        "ls file:in names",
        "run",
        "ls file:out",
        "plan",
        "explain",
    ] {
        let ran = look_both(&shell, &format!("deltic {line}"));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert_eq!(ran.stdout.contains("\\n  forged"), matches!(line, "ls file:in" | "ls file:out"), "{line}: {ran:?}");
    }
}

#[test]
fn servers() {
    let shell = site();
    for (status, body) in [
        ("500 Bad", format!("<Error><Code>{BAD}</Code><Message>{BAD}</Message></Error>")),
        ("403 \u{1b}[2J", BAD.to_owned()),
        ("404 Not Found", format!("<Error><Code>NoSuchBucket</Code><Message>{BAD}</Message></Error>")),
        ("200 OK", BAD.to_owned()),
        ("301 Moved\r\nLocation: http://127.0.0.1:1/\u{9b}\u{202e}", BAD.to_owned()),
    ] {
        let server = Server::saying(status, &body);
        for url in ["s3://bucket/x", "az://container/x"] {
            let line = format!("env {} notes log {url} -vv", server.variables());
            assert_eq!(look(&shell, &line).code, 1);
        }
    }
    for name in ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_PROXY_URL", "AWS_ALLOW_HTTP", "HTTPS_PROXY"] {
        let ran = look(
            &shell,
            &format!("env AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b {name}=\"x$BADNAME\" notes log s3://b/x"),
        );
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}
