//! Versions on the command line: a number, `latest`, or the distance from the latest.

use deltic_core::Version;
use deltic_store::{Catalog, Snapshot};

use crate::terminal::failure::{Failure, Outcome};

/// A version as it is typed: `98`, `latest`, or `-1` for the one before the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Number(Version),
    /// This many versions before the latest.
    Back(u64),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Which, String> {
        let back = text.strip_prefix('-').and_then(|back| back.parse().ok());
        match (text, back) {
            ("latest", _) => Ok(Which::Back(0)),
            (_, Some(back)) => Ok(Which::Back(back)),
            (number, None) => number.parse().map(Which::Number).map_err(|_| {
                "expected a version: a number, `latest`, or for example -1 for the version before the latest".to_owned()
            }),
        }
    }
}

impl Which {
    /// The number of the version in a catalog.
    pub(crate) fn of(self, catalog: &Catalog) -> Outcome<Snapshot> {
        match self {
            Which::Number(version) => Ok(catalog.snapshot(version)?),
            Which::Back(_) => self.before(&catalog.latest()?),
        }
    }

    /// The number of the version in a catalog with this latest version.
    pub(crate) fn before(self, latest: &Snapshot) -> Outcome<Snapshot> {
        let number = match self {
            Which::Number(version) => version,
            Which::Back(0) => return Ok(latest.clone()),
            Which::Back(back) => latest.version().0.checked_sub(back).map(Version).ok_or_else(|| {
                let (url, latest) = (latest.catalog().url(), latest.version());
                Failure::failed(format!("{url}: there is no version {back} before the latest, which is {latest}"))
            })?,
        };
        Ok(latest.catalog().snapshot(number)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_or_counted_from_the_latest() {
        let read = |text: &str| text.parse::<Which>().ok();
        assert_eq!(read("98"), Some(Which::Number(Version(98))));
        assert_eq!([read("latest"), read("-0"), read("-12")], [0, 0, 12].map(|back| Some(Which::Back(back))));
        assert!(
            ["", "-", "--1", "1.5", "newest", "-99999999999999999999"].into_iter().all(|text| read(text).is_none())
        );
    }
}
