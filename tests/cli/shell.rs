//! A folder and a shell in which `deltic` is the stock binary and `notes` the driver binary of `bin/driver.rs`.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A fresh folder to work in; gone when dropped.
pub(crate) struct Shell {
    folder: TempDir,
}

impl Shell {
    pub(crate) fn new() -> Shell {
        let folder = tempfile::tempdir().unwrap();
        for part in ["bin", "work"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_deltic-test-stock"), folder.path().join("bin/deltic")).unwrap();
        symlink(env!("CARGO_BIN_EXE_deltic-test-driver"), folder.path().join("bin/notes")).unwrap();
        Shell { folder }
    }

    /// The folder in which commands run.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Writes a file below that folder.
    pub(crate) fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A command line, ready to be started, without the environment of the tests.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let bin = self.folder.path().join("bin");
        command.arg("-c").arg(line).current_dir(self.work()).env_clear();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).env("LC_ALL", "C");
        command.env("TMPDIR", self.folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command line.
    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().unwrap())
    }

    /// All commands, as the help lists them: a test of every command must cover these.
    pub(crate) fn commands(&self) -> Vec<String> {
        let help = self.ok("deltic --help");
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // The description of a command may continue in the next line, indented.
        let names =
            listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
        let names: Vec<String> = names.map(str::to_owned).collect();
        assert!(names.len() > 15 && names.contains(&"run".to_owned()), "{help}");
        names.into_iter().filter(|name| name != "help").collect()
    }

    /// Fails unless each command is in one of the lines, which begin with the binary's name.
    pub(crate) fn assert_covers<'a>(&self, lines: impl IntoIterator<Item = &'a str>) {
        let covered: Vec<&str> = lines.into_iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
        for command in self.commands() {
            assert!(covered.contains(&command.as_str()), "`{command}` is not in the table of this test");
        }
    }

    /// Runs a command line that must succeed, and returns its standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        ran.stdout
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
