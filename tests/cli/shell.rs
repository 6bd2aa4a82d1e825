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

    /// A command line, ready to be started: nothing of the environment of the tests shows through.
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

    /// Runs a command line that must succeed, and gives its standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        ran.stdout
    }
}

/// What a command did.
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
