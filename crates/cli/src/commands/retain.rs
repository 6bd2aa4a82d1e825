//! `retain`: which versions can still be read.

use std::time::UNIX_EPOCH;

use deltic_core::{RunId, Timestamp, Version};
use deltic_store::{Catalog, ErrorKind, Retained, Retention, Stores};
use serde_json::json;

use crate::edge::{new_run_id, now};
use crate::failure::{Failure, Outcome};
use crate::human::time;
use crate::interrupt::Interrupts;
use crate::out::Out;

/// How often a command that lost a race against a run begins again.
const TRIES: u32 = 5;

/// `retain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A version that any of the options names is kept, and the latest always is.")]
pub(crate) struct Args {
    /// The catalog
    url: String,
    /// Keep the last COUNT versions; those that maintenance made of the same content do not count
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// Keep these versions
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    keep: Vec<Version>,
    /// Keep what was the latest version at some moment since a time, such as 2026-11-20, 2026-11-20T23:00:13Z or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only say what would expire
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Time(Timestamp),
    Ago { milliseconds: u64 },
}

impl Since {
    /// The time that is meant. One that is to come, most likely a slip, would let every version expire but the latest.
    fn before(self, now: Timestamp) -> Outcome<Timestamp> {
        match self {
            Since::Time(since) if since > now => {
                let message = format!("--since {} is still to come: it is now {}", time(since), time(now));
                Err(Failure::usage(message).hint("nothing has expired"))
            }
            Since::Time(since) => Ok(since),
            Since::Ago { milliseconds } => Ok(Timestamp(now.0.saturating_sub(milliseconds))),
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Since::Ago { milliseconds: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX) });
    }
    let day = format!("{text}T00:00:00Z");
    let time = humantime::parse_rfc3339(text).or_else(|_| humantime::parse_rfc3339(&day));
    let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let since = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    since.map(|since| Since::Time(Timestamp(since))).ok_or_else(|| {
        "expected a day, a time or how long ago, for example 2026-11-20, 2026-11-20T23:00:13Z or 7d".to_owned()
    })
}

/// Lets versions expire.
pub(super) fn retain(args: &Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let left = format!("whether a version was made says `deltic log {}`", args.url);
    interrupts.ends_soon(left);
    if args.last.is_none() && args.keep.is_empty() && args.since.is_none() {
        let failure = Failure::usage(format!("{}: it is not said which versions to keep", args.url));
        return Err(failure.hint("name them by --last COUNT, --keep N,N, --since TIME, or several of these"));
    }
    let catalog = Catalog::open(&Stores::new(), &args.url)?;
    let since = args.since.map(|since| since.before(now())).transpose()?;
    let rules = Retention { last: args.last, keep: args.keep.iter().copied().collect(), since };
    let done = again(|run| catalog.retain(&rules, run, now(), args.dry_run))?;
    if let Some(version) = done.version {
        out.has_done(format!("version {version} was committed"));
    }
    let body = json!({
        "url": args.url,
        "dry_run": args.dry_run,
        "version": done.version,
        "retained": pairs(&done.retained),
        "expired": pairs(&done.expired),
    });
    out.result("deltic.retain/1", body, || text(&done, args))
}

fn text(done: &Retained, args: &Args) -> Vec<String> {
    let (retained, expired) = (ranges(&done.retained), ranges(&done.expired));
    match done.version {
        _ if done.expired.is_empty() => vec![format!("nothing expires: {retained} can be read")],
        None => vec![format!("would expire: {expired}; could still be read: {retained}")],
        Some(version) => vec![
            format!("committed version {version}: {expired} expired, {retained} can be read"),
            format!("`deltic gc {}` frees the space", args.url),
        ],
    }
}

/// Does something that may lose a race against runs, a few times, each as a run of its own.
pub(super) fn again<T>(mut attempt: impl FnMut(RunId) -> deltic_store::Result<T>) -> Outcome<T> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match attempt(new_run_id()?) {
            Err(error) if left > 0 && matches!(error.kind(), ErrorKind::Conflict { .. }) => {}
            done => return Ok(done?),
        }
    }
}

/// Ranges of versions as people read them: `3, 5-7`.
pub(super) fn ranges(ranges: &[(Version, Version)]) -> String {
    let one = |(first, last): &(Version, Version)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Ranges of versions as programs read them: the first and the last of each.
pub(super) fn pairs(ranges: &[(Version, Version)]) -> Vec<[Version; 2]> {
    ranges.iter().map(|(first, last)| [*first, *last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_moments_or_ages() {
        assert_eq!(since("1970-01-02"), Ok(Since::Time(Timestamp(86_400_000))));
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Since::Time(Timestamp(1000))));
        assert_eq!(since("2h"), Ok(Since::Ago { milliseconds: 7_200_000 }));
        let now = Timestamp(10_000);
        assert_eq!(Since::Time(now).before(now).unwrap(), now);
        assert!(Since::Time(Timestamp(10_001)).before(now).is_err());
        assert_eq!(Since::Ago { milliseconds: 11_000 }.before(now).unwrap(), Timestamp(0));
        for bad in ["", "yesterday", "7", "1969-01-01", "2026-13-01"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
