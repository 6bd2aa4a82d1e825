//! The place of a race.

use std::fmt;

use tempfile::TempDir;

/// A separate place for catalogs of this test.
pub(crate) struct Store {
    name: &'static str,
    url: String,
    folder: Option<TempDir>,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Store {
    /// A folder of this machine, gone when dropped.
    pub(crate) fn folder() -> Store {
        let folder = tempfile::tempdir().unwrap();
        Store { name: "a folder", url: format!("file:{}", folder.path().display()), folder: Some(folder) }
    }

    /// S3, if the environment names a bucket.
    pub(crate) fn s3() -> Option<Store> {
        Store::named("S3", "DELTIC_TEST_S3")
    }

    /// Azure, if the environment names a container.
    pub(crate) fn azure() -> Option<Store> {
        Store::named("Azure", "DELTIC_TEST_AZURE")
    }

    fn named(name: &'static str, variable: &str) -> Option<Store> {
        let Ok(url) = std::env::var(variable) else {
            println!("skipped: {variable} names no store; .ci/servers does");
            return None;
        };
        // Servers outlive tests, so no two tests may use one place; and every test should have characters that URLs must escape.
        let own = tempfile::Builder::new().prefix("").rand_bytes(12).tempdir().unwrap();
        let own = own.path().file_name().unwrap().to_str().unwrap().to_owned();
        Some(Store { name, url: format!("{url}/a b+ä%26c/{own}"), folder: None })
    }

    /// Whether it is on this machine's disk, without a server.
    pub(crate) fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// The URL of a catalog.
    pub(crate) fn catalog(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}
