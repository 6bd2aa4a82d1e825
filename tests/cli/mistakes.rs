//! Arguments that are mixed up, misspelt or not reachable: the error gives advice, and the command leaves nothing behind.

use std::path::Path;

use crate::shell::{Ran, Shell};

/// Runs a command line that must be refused, and returns its message.
fn refused(shell: &Shell, line: &str, code: i32) -> String {
    let ran = shell.run(line);
    assert!(ran.code == code && ran.stdout.is_empty(), "{line}: {ran:?}");
    ran.stderr
}

/// All files.
fn everything(shell: &Shell) -> String {
    shell.ok("find . | LC_ALL=C tr -c '[:print:]\n' '?' | sort")
}

/// A catalog with a layer of one partition, and a configuration that copies it.
fn site() -> Shell {
    let shell = Shell::new();
    shell.write("src/one", "1");
    shell.write(
        "application.conf",
        "[catalogs]\nin = \"file:in\"\nout = \"file:out\"\n[compiler.copy]\nfrom = \"in\"\nlayers = [\"a\"]\n",
    );
    shell.ok("deltic init file:in --layer a=generic && deltic import file:in --layer a=src");
    shell
}

/// Runs a command line as a user without special rights; `None` if that is not possible.
fn as_nobody(shell: &Shell, line: &str) -> Option<Ran> {
    let become_nobody = "setpriv --reuid=65534 --clear-groups";
    // The folders above that of the test are open to its user only.
    let above = shell.work().parent().map(Path::to_path_buf)?;
    shell.ok(&format!("chmod 755 '{}'", above.display()));
    let binary = shell.run(&format!("{become_nobody} deltic --version"));
    if binary.code != 0 {
        eprintln!("skipped: no command can be run as another user here: {}", binary.stderr.trim());
        return None;
    }
    Some(shell.run(&format!("{become_nobody} {line}")))
}

/// Every command that opens a catalog, with a path that can not be followed.
#[test]
fn what_can_not_be_reached_is_not_called_absent() {
    let shell = site();
    shell.ok("ln -s loop loop && ln -s nowhere dangling && mkdir locked && cp -r in locked/c && chmod 700 locked");
    let long = format!("file:{}/c", "x".repeat(300));
    let places = [
        ("file:application.conf/c", "Not a directory"),
        ("file:loop/c", "Too many levels of symbolic links"),
        ("file:loop", "Too many levels of symbolic links"),
        (long.as_str(), "File name too long"),
        ("file:dangling", "a link that leads nowhere"),
        ("file:application.conf", "a file, not a folder"),
    ];
    let lines = [
        "log URL",
        "ls URL",
        "fsck URL",
        "digest URL",
        "errors URL",
        "get URL a one",
        "diff URL 0 1",
        "gc URL",
        "repack URL",
        "retain URL --last 1",
        "import URL --layer a=src",
        "export URL a exported",
        "plan --set catalogs.out=URL",
        "run --set catalogs.out=URL",
        "plan --set catalogs.in=URL",
        "verify --set catalogs.out=URL",
        "doctor URL",
    ];
    let before = everything(&shell);
    for (url, why) in places {
        for line in lines {
            let ran = shell.run(&format!("deltic {}", line.replace("URL", url)));
            assert!(matches!(ran.code, 1 | 2) && ran.stdout.is_empty(), "{url} {line}: {ran:?}");
            assert!(ran.stderr.contains(why), "{url} {line}: {ran:?}");
            for wrong in ["there is no such folder", "deltic init", "does not exist yet", "doctor-"] {
                assert!(!ran.stderr.contains(wrong), "{url} {line}: {ran:?}");
            }
        }
        assert_eq!(everything(&shell), before, "{url}");
    }
    // A catalog that does not exist is still reported as missing.
    let message = refused(&shell, "deltic log file:none", 1);
    assert!(message.contains("there is no such folder; create the catalog with `deltic init file:none"), "{message}");
    for line in lines {
        let Some(ran) = as_nobody(&shell, &format!("deltic {}", line.replace("URL", "file:locked/c"))) else { return };
        assert!(ran.code == 1 && ran.stderr.contains("Permission denied"), "{line}: {ran:?}");
        assert!(!ran.stderr.contains("no such folder") && !ran.stderr.contains("exist yet"), "{line}: {ran:?}");
    }
    // A record behind a link that can not be followed is no damage.
    let record = "versions/00000000000000000001";
    shell.ok(&format!(
        "cp -r in linked && mv linked/{record} locked/record && ln -s $PWD/locked/record linked/{record}"
    ));
    shell.ok("chmod -R a+rX linked && deltic log file:linked");
    for command in ["log", "fsck", "ls"] {
        let Some(ran) = as_nobody(&shell, &format!("deltic {command} file:linked")) else { return };
        assert!(ran.code == 1 && ran.stderr.contains("Permission denied"), "{command}: {ran:?}");
        assert!(!ran.stderr.contains("leads nowhere") && !ran.stdout.contains("leads nowhere"), "{command}: {ran:?}");
    }
}

/// A refusal is certain: the message does not ask to check whether it worked nevertheless.
#[test]
fn a_version_that_may_not_be_written_was_not_made() {
    let shell = site();
    shell.ok("deltic import file:in --layer a=src --note x; echo 2 > src/two; deltic import file:in --layer a=src");
    shell.ok("chmod -R a+rX in && chmod 555 in in/versions");
    let Some(ran) = as_nobody(&shell, "deltic retain file:in --last 1") else { return };
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = "versions/00000000000000000003 could not be created, and no version was made";
    assert!(ran.stderr.contains(expected) && ran.stderr.contains("Permission denied"), "{ran:?}");
    assert!(!ran.stderr.contains("it is unknown whether"), "{ran:?}");
}

#[test]
fn a_time_that_is_to_come_expires_nothing() {
    let shell = site();
    shell.ok("for n in 2 3 4; do echo $n > src/$n; deltic import file:in --layer a=src; done");
    let before = everything(&shell);
    for since in ["2999-01-01", "2999-01-01T00:00:00Z"] {
        for more in ["", " --last 2", " --dry-run", " --keep 0"] {
            let message = refused(&shell, &format!("deltic retain file:in --since {since}{more}"), 2);
            assert!(
                message.contains(
                    "versions since 2999-01-01T00:00:00.000Z are to be kept, but that time is in the future: it is 2"
                ),
                "{message}"
            );
        }
    }
    assert_eq!(everything(&shell), before);
    // No version expires by mistake: all were the latest within the last day.
    assert!(shell.ok("deltic retain file:in --since 1d").contains("nothing expires"));
}

#[test]
fn what_to_retain_is_asked_for() {
    let shell = site();
    let message = refused(&shell, "deltic retain file:in", 2);
    for option in ["--last", "--keep", "--since"] {
        assert!(message.contains(option), "{message}");
    }
}

/// A folder with other files is no place for a catalog.
#[test]
fn a_folder_with_other_files_becomes_no_catalog() {
    let shell = site();
    for file in
        ["photos/a.jpg", "hidden/.git/config", "packs/packs/a.whl", "names/versions/1.0/x", "nested/progress/sub/x"]
    {
        shell.write(file, "x");
    }
    shell.ok("printf x > 'photos/b.jpg'; mkdir bytes && touch \"$(printf 'bytes/\\377')\"; deltic run");
    let before = everything(&shell);
    for folder in ["photos", "hidden", "packs", "names", "nested", "bytes", "."] {
        for line in [
            format!("deltic init file:{folder} --layer a=generic"),
            format!("deltic run --set catalogs.out=file:{folder}"),
            format!("deltic plan --set catalogs.out=file:{folder}"),
            format!("deltic rebuild file:out --version 1 --into file:{folder}"),
        ] {
            let message = refused(&shell, &line, 2);
            assert!(message.contains("the folder is not empty: it has `"), "{line}: {message}");
            assert!(message.contains("name an empty folder, or one that does not exist yet"), "{line}: {message}");
            assert_eq!(everything(&shell), before, "{line}");
        }
    }
    let message = refused(&shell, "deltic init file:photos --layer a=generic", 2);
    assert!(message.contains("it has `a.jpg` and 1 other"), "{message}");
    // An empty folder, and the remains of an interrupted creation.
    for (folder, objects) in [
        ("empty", vec![]),
        // Files that systems put into folders and volumes.
        ("volume", vec![".DS_Store", "lost+found"]),
        ("begun", vec!["catalog.json"]),
        ("more", vec!["probe-0000000000000007", "versions/00000000000000000000#1", "catalog.json#12"]),
    ] {
        shell.ok(&format!("mkdir -p {folder}/versions {folder}/packs"));
        for object in objects {
            match object {
                "catalog.json" => shell.ok(&format!("cp in/catalog.json {folder}")),
                object => shell.ok(&format!("touch '{folder}/{object}'")),
            };
        }
        shell.ok(&format!("deltic init file:{folder} --layer a=generic && deltic log file:{folder}"));
    }
    // A run has written there, so there was a version.
    shell.ok("mkdir -p packed/packs && touch packed/packs/0000000000000000-0000000000000007-0003");
    let message = refused(&shell, "deltic init file:packed --layer a=generic", 1);
    assert!(message.contains("a run on version 0 has left packs"), "{message}");
    // Files that are added to a catalog later are ignored, as before.
    shell.write("begun/notes.txt", "x");
    let message = refused(&shell, "deltic init file:begun --layer a=generic", 1);
    assert!(message.contains("a catalog exists already"), "{message}");
    shell.ok("deltic import file:begun --layer a=src");
}

/// A URL instead of a path, and `~`, which only a shell replaces.
#[test]
fn folders_and_urls_are_not_mixed_up() {
    let shell = site();
    let before = everything(&shell);
    for (target, hint) in [
        ("file:out1", "write `out1`"),
        ("file:out1.tar", "write `out1.tar`"),
        ("file:///tmp/x/out1", "write `/tmp/x/out1`"),
        ("s3://bucket/x", "this machine"),
        ("memory:x", "this machine"),
        ("'~/out1'", "`$HOME/out1`"),
        ("'~'", "`$HOME`"),
    ] {
        let message = refused(&shell, &format!("deltic export file:in a {target}"), 2);
        assert!(message.contains(hint), "{target}: {message}");
        let message = refused(&shell, &format!("deltic import file:in --layer a={target}"), 2);
        assert!(message.contains(hint), "{target}: {message}");
    }
    for (url, hint) in
        [("file:~/x", "`file:$HOME/x`"), ("file:~", "`file:$HOME`"), ("file:~anna/x", "`file:./~anna/x`")]
    {
        for line in [
            format!("init {url} --layer a=generic"),
            format!("log {url}"),
            format!("doctor {url}"),
            format!("run --set catalogs.out={url}"),
        ] {
            let message = refused(&shell, &format!("deltic {line}"), 2);
            assert!(message.contains(hint), "{line}: {message}");
        }
    }
    let statement = "deltic rebuild file:in --version 1 --into file:new --statement file:statement.json";
    assert!(refused(&shell, statement, 2).contains("write `statement.json`"));
    assert_eq!(everything(&shell), before);
    // Clear names, and existing paths, are accepted.
    shell.ok("deltic export file:in a ./file:x && deltic import file:in --layer a=file:x");
    shell.ok("deltic export file:in a './~' && deltic init 'file:./~x' --layer a=generic && test -d '~x'");
}

/// Names of archives in other forms do not create folders.
#[test]
fn other_archives_are_not_folders() {
    let shell = site();
    let before = everything(&shell);
    for name in
        ["out.zip", "out.tar.bz2", "out.tar.xz", "out.TBZ2", "out.7z", "out.tar.lz4", "out.gz", "out.zst", "out.rar"]
    {
        let message = refused(&shell, &format!("deltic export file:in a {name}"), 2);
        let expected = "write .tar, .tar.gz, .tgz, .tar.zst, .tzst";
        assert!(message.contains(expected) && message.contains(name), "{name}: {message}");
    }
    assert_eq!(everything(&shell), before);
    // A folder may have a dot in its name, and an existing one may have any name.
    shell.ok("mkdir is.zip; for name in v1.2 out.d names.json is.zip; do deltic export file:in a $name; test -f $name/one; done");
}

/// A packed archive under the name of another form is not reported as cut off or damaged.
#[test]
fn archives_under_wrong_names_are_recognised() {
    let shell = site();
    shell.ok("deltic export file:in a x.tar && deltic export file:in a x.tar.gz && deltic export file:in a x.tar.zst");
    let catalog = shell.ok("deltic digest file:in");
    for (from, to, what, name) in [
        ("x.tar.gz", "y.tar", "gzip", ".tar.gz"),
        ("x.tar.zst", "y.tar", "zstd", ".tar.zst"),
        ("x.tar", "y.tar.gz", "tar", ".tar"),
        ("x.tar", "y.tgz", "tar", ".tar"),
        ("x.tar", "y.tar.zst", "tar", ".tar"),
        ("x.tar.zst", "y.tgz", "zstd", ".tar.zst"),
        ("x.tar.gz", "y.tzst", "gzip", ".tar.gz"),
    ] {
        shell.ok(&format!("cp {from} {to}"));
        let message = refused(&shell, &format!("deltic import file:in --layer a={to}"), 1);
        assert!(message.contains(&format!("this is {what}: name it {name}")), "{from} as {to}: {message}");
        assert!(!message.contains("damaged") && !message.contains("cut off"), "{from} as {to}: {message}");
    }
    for (what, bytes) in [
        ("bzip2", r"BZh91AY\046SY\001\002\003\004"),
        ("xz", r"\3757zXZ\000\000\004"),
        ("zip", r"PK\003\004\024\000"),
        ("7z", r"7z\274\257\047\034\000\004"),
    ] {
        for name in ["y.tar", "y.tar.gz", "y.tar.zst"] {
            shell.ok(&format!("printf '{bytes}' > {name}; head -c 2000 /dev/zero >> {name}"));
            let message = refused(&shell, &format!("deltic import file:in --layer a={name}"), 1);
            assert!(message.contains(&format!("this is {what}")), "{what} as {name}: {message}");
            assert!(message.contains("pack it again as .tar, .tar.gz or .tar.zst"), "{what} as {name}: {message}");
        }
    }
    assert_eq!(shell.ok("deltic digest file:in"), catalog);
    // The name of a file may look like the first bytes of a packed file.
    shell.ok("mkdir odd && cp src/one odd/BZh91AYSY && tar cf odd.tar -C odd BZh91AYSY && deltic import file:in --layer a=odd.tar");
}

/// `doctor` leaves everything as it was, also an empty place.
#[test]
fn the_doctor_leaves_nothing_behind() {
    let shell = site();
    shell.ok("mkdir -p there/empty");
    let before = everything(&shell);
    for url in ["file:new", "file:new/deep/er", "file:there/new", "file:there/empty", "file:in"] {
        assert!(!shell.ok(&format!("deltic doctor {url}")).contains("FAILED"));
        assert_eq!(everything(&shell), before, "{url}");
    }
    for url in ["nowhere", "ftp://nowhere", "file:application.conf/x", "''", "file:"] {
        let ran = shell.run(&format!("deltic doctor {url}"));
        assert!(ran.code != 0 && !ran.stderr.contains("doctor-"), "{ran:?}");
    }
    assert!(refused(&shell, "deltic doctor nowhere", 2).contains("write `file:nowhere`"));
    assert_eq!(everything(&shell), before);
}

/// Missing folders on the path are created, for an archive and for a folder, and removed again if the export fails.
#[test]
fn folders_on_the_way_are_made() {
    let shell = site();
    for target in ["one/two/out", "three/four/out.tar", "five/out.tar.gz"] {
        shell.ok(&format!("deltic export file:in a {target} && test -e {target}"));
    }
    let before = everything(&shell);
    // The payload is missing: the export fails after it has begun.
    shell.ok("cp -r in broken && head -c 5000 /dev/urandom > src/big && deltic import file:broken --layer a=src");
    shell.ok("rm -r broken/packs/*-*-*");
    for target in ["six/seven/out", "six/seven/out.tar"] {
        assert_eq!(shell.run(&format!("deltic export file:broken a {target}")).code, 1);
    }
    shell.ok("rm -r broken src/big");
    assert_eq!(everything(&shell), before);
    let message = refused(&shell, "deltic export file:in a application.conf/x/out.tar", 1);
    assert!(message.contains("Not a directory"), "{message}");
}

/// More partitions were deleted than remain: changes and deletions are counted separately.
#[test]
fn no_more_have_changed_than_there_are() {
    let shell = site();
    shell.ok("for n in 1 2 3 4 5 6 7; do echo $n > src/$n; done; deltic import file:in --layer a=src && deltic run");
    shell.ok("rm src/[1-6] && echo x > src/7 && deltic import file:in --layer a=src");
    let expected = "in  2 → 3  1 of 2 changed, 6 deleted\n";
    for command in ["plan", "run"] {
        let message = shell.ok(&format!("deltic {command}"));
        assert!(message.starts_with(expected), "{message}");
    }
    shell.ok("rm src/7 src/one && deltic import file:in --layer a=src --allow-empty");
    let message = shell.ok("deltic plan");
    assert!(message.starts_with("in  3 → 4  0 of 0 changed, 2 deleted\n"), "{message}");
    let message = shell.ok("deltic plan --format json");
    assert!(message.contains("\"changed\": 2") && message.contains("\"deleted\": 2"), "{message}");
}

/// The text states what was counted.
#[test]
fn the_check_states_which_payloads_it_read() {
    let shell = site();
    let message = shell.ok("deltic fsck file:in");
    assert!(message.contains("the bytes of 1 payload within nodes (--payloads reads all): no damage"), "{message}");
    let message = shell.ok("deltic fsck file:in --payloads");
    assert!(message.contains(", the bytes of 1 payload: no damage"), "{message}");
}

/// The manual's table of commands equals the list in the help, in its order.
#[test]
fn the_manual_lists_every_command() {
    let manual = include_str!("../../docs/cli.md");
    let rows = manual.lines().skip_while(|line| *line != "| command | |").take_while(|line| !line.is_empty());
    let named = rows.filter_map(|row| row.strip_prefix("| ")?.split('`').nth(1)?.split(' ').next());
    assert_eq!(named.collect::<Vec<_>>(), Shell::new().commands());
}

/// After an input was restored and changed, a version number has other content.
#[test]
fn what_is_kept_is_known_by_content() {
    let shell = Shell::new();
    shell.write("first/a", "1");
    shell.write("second/a", "2");
    shell.write("third/a", "3");
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n",
    );
    shell.ok("deltic init file:in --layer names=generic && deltic import file:in --layer names=first && cp -r in copy");
    shell.ok("deltic import file:in --layer names=second && deltic run");
    let keep = |shell: &Shell| shell.run("deltic retain file:out --keep a=1").stderr;
    assert!(keep(&shell).contains("version 2 of file:in, which is not kept by name"), "{}", keep(&shell));
    shell.ok("deltic retain file:in --for file:out@1 --reason audit");
    shell.ok("deltic retain file:in --for file:out@1");
    assert!(shell.ok("deltic log file:in").contains("version 1: audit"), "a reason that is there stays");
    assert!(!keep(&shell).contains("warning"), "{}", keep(&shell));
    shell.ok("rm -r in && mv copy in && deltic import file:in --layer names=third");
    assert!(keep(&shell).contains("version 2 of file:in, which has other content now"), "{}", keep(&shell));
    let ran = shell.run("deltic retain file:in --for file:out@1");
    assert!(ran.code == 1 && ran.stderr.contains("was made from another content"), "{ran:?}");
    // A version that can not be read can not be kept, and no new version is made.
    shell.ok("deltic import file:in --layer names=first && printf x > in/versions/00000000000000000002");
    let before = shell.ok("deltic log file:in -n 1");
    for keep in ["--keep 2", "--keep b=2"] {
        let ran = shell.run(&format!("deltic retain file:in {keep}"));
        assert!(ran.code == 1 && ran.stdout.is_empty(), "{keep}: {ran:?}");
    }
    assert_eq!(shell.ok("deltic log file:in -n 1"), before);
}

#[test]
fn a_layer_is_changed_once_at_a_time() {
    let shell = Shell::new();
    shell.ok("deltic init file:in --layer a=generic");
    for line in ["drop file:in a a", "add file:in b=generic b=generic", "change file:in a=generic a=tile:here:3"] {
        let message = refused(&shell, &format!("deltic layer {line}"), 2);
        assert!(message.contains("is given twice"), "{line}: {message}");
    }
}

/// Ten partitions may always be deleted.
#[test]
fn an_import_that_takes_much_away_is_asked_about() {
    let shell = Shell::new();
    for number in 0..12 {
        shell.write(format!("names/{number:02}"), "x");
    }
    shell.ok("deltic init file:in --layer names=generic && deltic import file:in --layer names=names");
    shell.ok("cp -r in again && mkdir gone && mv names/00 names/01 names/02 names/03 names/04 names/05 names/06 names/07 names/08 names/09 gone");
    assert!(shell.ok("deltic import file:in --layer names=names").contains("10 deleted"));
    shell.ok("mv names/10 gone");
    let ran = shell.run("deltic import file:again --layer names=names");
    assert!(ran.code == 1 && ran.stderr.contains("11 of 12"), "{ran:?}");
    for (line, says) in [
        ("deltic import file:again --layer names=names --add --most-deleted 1%", "--most-deleted"),
        ("deltic import file:again --layer names=names --add --allow-empty", "--allow-empty"),
        ("deltic import file:again --delete names=11 --allow-empty", "--layer"),
    ] {
        let ran = shell.run(line);
        assert!(ran.code == 2 && ran.stderr.contains(says), "{line}: {ran:?}");
    }
}

/// Errors of compilers are stored with the quarantine, and everyone who can read the catalog can see them.
#[test]
fn secrets_in_errors_of_compilers_are_not_kept() {
    let shell = Shell::new();
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.noise]\non = true\non_error = 'quarantine'\n",
    );
    shell.write("notes/a", "fail https://u:sec@h/x?X-Amz-Signature=abc");
    shell.write("notes/b", "fine");
    shell.ok("deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes");
    for line in ["notes run", "notes errors file:out", "notes errors file:out --format json"] {
        let ran = shell.run(line);
        assert!(ran.code == 0 && ran.stdout.contains("https://***@h/x"), "{line}: {ran:?}");
        assert!(
            ![&ran.stdout, &ran.stderr].into_iter().any(|text| text.contains("sec@") || text.contains("abc")),
            "{ran:?}"
        );
    }
}
