//! `retain`: which versions can still be read.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use deltic_core::{Digest, Timestamp, Version};
use deltic_store::{Catalog, Dependency, ErrorKind, Retained, Retention, Snapshot, Stores, Tag};
use serde_json::json;

use crate::args::ConfigArgs;
use crate::catalogs::access::stores;
use crate::catalogs::format::{KEEP, kept, pairs, ranges};
use crate::catalogs::race::again;
use crate::catalogs::url::url_of;
use crate::system::clock::now;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;
use crate::terminal::progress::Progress;

/// `retain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A version stays readable if any option selects it. The latest version, and versions that are kept by name, \
    always stay."
)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// Keep the last COUNT versions; versions that only maintenance made do not count
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// Keep these versions for now; or, with a name, until `--unkeep` removes the name
    #[arg(long, value_name = "N|NAME=N", value_delimiter = ',', value_parser = keep)]
    keep: Vec<Keep>,
    /// The reason, recorded with the names that `--keep` and `--for` give
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Remove names; without other options, nothing expires
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    unkeep: Vec<String>,
    /// Keep the versions of this catalog that a version of another catalog was made from
    #[arg(long = "for", value_name = "URL@N", value_parser = made_from)]
    made_from: Vec<(String, Version)>,
    /// Keep the versions that were the latest at some moment since a time, such as 2026-11-20, 2026-11-20T23:00:13Z or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only show what would expire
    #[arg(long)]
    dry_run: bool,
}

/// The prefix, after [`KEEP`], of the names that `--for` gives.
const FOR: &str = "for/";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Keep {
    name: Option<String>,
    version: Version,
}

fn keep(text: &str) -> Result<Keep, String> {
    let (name, number) = match text.rsplit_once('=') {
        Some((name, number)) => (Some(name), number),
        None => (None, text),
    };
    let version = number.parse().map(Version).ok().filter(|_| name != Some(""));
    let version = version.ok_or("expected a version, or a name and a version, for example 98 or march=98")?;
    if let Some(problem) = name.and_then(problem) {
        return Err(problem);
    }
    Ok(Keep { name: name.map(ToOwned::to_owned), version })
}

/// Why users can not give a name: it must differ from versions, options and the names that `--for` gives.
fn problem(name: &str) -> Option<String> {
    const MOST: usize = 128 - KEEP.len();
    let why = match name {
        _ if name.len() > MOST => format!("has {} bytes, and {MOST} are allowed", name.len()),
        _ if name.contains(|c: char| c.is_control() || "=,".contains(c)) => {
            "has a control character, `=` or `,`".to_owned()
        }
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => "is a number".to_owned(),
        _ if name.starts_with(KEEP) || name.starts_with(FOR) => format!("begins with `{KEEP}` or `{FOR}`"),
        _ => return None,
    };
    Some(format!("`{}` is no legal name: it {why}", name.escape_debug()))
}

fn made_from(text: &str) -> Result<(String, Version), String> {
    let parts = text.rsplit_once('@').and_then(|(url, number)| Some((url, number.parse().ok()?)));
    let (url, number) = parts.ok_or("expected the URL and the version of a catalog, for example file:out@98")?;
    Ok((url.to_owned(), Version(number)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Time(Timestamp),
    Ago { milliseconds: u64 },
}

impl Since {
    /// The time.
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Time(since) => since,
            Since::Ago { milliseconds } => Timestamp(now.0.saturating_sub(milliseconds)),
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
        "expected a day, a time or an age, for example 2026-11-20, 2026-11-20T23:00:13Z or 7d".to_owned()
    })
}

/// Lets versions expire.
pub(super) fn retain(args: &Args, progress: &Progress, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let left = format!("`deltic log {}` shows whether a version was made", args.url);
    interrupts.ends_soon(left);
    let names = !args.unkeep.is_empty() || !args.made_from.is_empty();
    if args.last.is_none() && args.keep.is_empty() && args.since.is_none() && !names {
        let failure = Failure::usage(format!("{}: no option selects the versions to keep", args.url));
        let rules = "select them by --last COUNT, --keep N,N, --since TIME, or several of these";
        return Err(failure.hint(rules).hint("--keep NAME=N and --for URL@N keep them by name, until --unkeep NAME"));
    }
    if !args.reason.is_empty() && args.made_from.is_empty() && args.keep.iter().all(|keep| keep.name.is_none()) {
        let failure = Failure::usage("--reason is recorded with a name, but no option gives one");
        return Err(failure.hint("add --keep NAME=N or --for URL@N"));
    }
    let stores = stores()?;
    let catalog = Catalog::open(&stores, &args.url)?;
    let tag = |keep: &Keep| {
        let name = format!("{KEEP}{}", keep.name.as_ref()?);
        Some(Tag { name, version: keep.version, note: args.reason.clone() })
    };
    let mut tags: Vec<Tag> = args.keep.iter().filter_map(tag).collect();
    for (url, version) in &args.made_from {
        tags.extend(inputs_of(&stores, &catalog, url, *version, &args.reason)?);
    }
    let rules = Retention {
        last: args.last,
        keep: args.keep.iter().filter(|keep| keep.name.is_none()).map(|keep| keep.version).collect(),
        since: args.since.map(|since| since.before(now())),
        tags,
        untag: args.unkeep.iter().map(|name| format!("{KEEP}{}", name.strip_prefix(KEEP).unwrap_or(name))).collect(),
    };
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
        "tags": done.tags,
    });
    out.result("deltic.retain/1", body, || text(&done, args))?;
    // The next steps read other catalogs, and may take long.
    out.flush()?;
    interrupts.may_end(done.version.map(|version| format!("version {version} was committed")).unwrap_or_default());
    for keep in args.keep.iter().filter(|keep| keep.name.is_some()) {
        for missing in unkept_inputs(&stores, &catalog.snapshot(keep.version)?) {
            progress.print(&missing);
        }
    }
    if !done.expired.is_empty() && !progress.is_quiet() {
        expired_inputs(&stores, &catalog, &done).iter().for_each(|line| progress.print(line));
    }
    Ok(())
}

/// Expiring versions that the latest versions of the configured catalogs were made from. Only these catalogs are checked: a
/// catalog does not know its readers.
fn expired_inputs(stores: &Stores, catalog: &Catalog, done: &Retained) -> Vec<String> {
    let Ok(uuid) = catalog.latest().map(|latest| latest.uuid()) else { return Vec::new() };
    let config = match ConfigArgs::default().load() {
        Ok(config) => config,
        Err(why) => return vec![format!("warning: it is not known which catalogs read this one: {why}")],
    };
    let urls: BTreeSet<&String> = config.catalogs.values().map(|bound| &bound.url).collect();
    let latest = |url: &String| Catalog::open(stores, url).and_then(|catalog| catalog.latest());
    // In parallel: a catalog that does not answer does not delay the others.
    let found: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = urls.into_iter().map(|url| (url, scope.spawn(move || latest(url)))).collect();
        asked.into_iter().filter_map(|(url, asked)| Some((url, asked.join().ok()?))).collect()
    });
    let expires = |version: Version| done.expired.iter().any(|(first, last)| (*first..=*last).contains(&version));
    let has = if done.version.is_some() { "has expired" } else { "would expire" };
    let mut lines = Vec::new();
    for (url, reader) in found {
        let reader = match reader {
            Ok(reader) if reader.uuid() != uuid => reader,
            Err(why) if *why.kind() != ErrorKind::NotFound => {
                lines.push(format!("warning: it is not known whether {url} was made from a version that {has}: {why}"));
                continue;
            }
            _ => continue,
        };
        let read = reader.record().dependencies.iter().filter(|read| read.uuid == uuid && expires(read.version));
        let numbers: BTreeSet<Version> = read.map(|read| read.version).collect();
        lines.extend(numbers.iter().map(|number| {
            format!(
                "warning: version {} of {url} was made from version {number}, which {has}: tasks that read it may have to run \
                 in full",
                reader.version()
            )
        }));
    }
    lines
}

/// The names that keep the versions that a version of another catalog was made from.
fn inputs_of(stores: &Stores, catalog: &Catalog, url: &str, version: Version, reason: &str) -> Outcome<Vec<Tag>> {
    let (latest, product) =
        (catalog.latest()?, Catalog::open(stores, &url_of(url, &ConfigArgs::default())?)?.snapshot(version)?);
    // Absolute, so that it is valid in every folder.
    let url = product.catalog().url();
    let mut tags = Vec::new();
    let read = product.record().dependencies.iter().filter(|read| read.uuid == latest.uuid());
    // A restored input used a number for two contents: one of them no longer exists.
    let versions: BTreeSet<(Version, Digest)> = read.map(|read| (read.version, read.digest)).collect();
    for (number, digest) in &versions {
        if catalog.snapshot(*number)?.digest() != *digest {
            return Err(Failure::failed(format!(
                "{}: version {version} of {url} was made from another content of version {number} than it has now",
                catalog.url()
            )));
        }
        let which = if versions.len() == 1 { String::new() } else { format!(".{number}") };
        let name = format!("{KEEP}{FOR}{}@{version}{which}", product.uuid());
        let known = latest.record().tags.iter().find(|tag| tag.name == name && reason.is_empty());
        let note = match known {
            Some(known) => known.note.clone(),
            None => format!("{url} version {version}{}{reason}", if reason.is_empty() { "" } else { ": " }),
        };
        tags.push(Tag { name, version: *number, note });
    }
    if tags.is_empty() {
        return Err(Failure::usage(format!("{url}: version {version} was not made from {}", catalog.url())));
    }
    Ok(tags)
}

/// Inputs of a version that are not kept by name: without them it can be read, but not be made again.
fn unkept_inputs(stores: &Stores, kept: &Snapshot) -> Vec<String> {
    let (url, version) = (kept.catalog().url(), kept.version());
    let mut lines = Vec::new();
    for read in kept.record().dependencies.iter().filter(|read| read.uuid != kept.uuid()) {
        let what = format!("version {version} was made from version {} of {}", read.version, read.url);
        lines.push(match is_kept(stores, read) {
            Ok(Kept::ByName) => continue,
            Ok(Kept::ByNobody) => {
                format!(
                    "warning: {what}, which is not kept by name: `deltic retain {} --for {url}@{version}` keeps it",
                    read.url
                )
            }
            Ok(Kept::Expired) => {
                format!("warning: {what}, which has expired: version {version} can be read, but not be made again")
            }
            Ok(Kept::Another) => {
                format!(
                    "warning: {what}, which has other content now: version {version} can be read, but not be made again"
                )
            }
            Err(why) => format!("warning: {what}; it is not known whether that is kept: {why}"),
        });
    }
    lines
}

/// The state of a version that another version was made from.
enum Kept {
    ByName,
    ByNobody,
    Expired,
    /// The number exists, but has other content.
    Another,
}

fn is_kept(stores: &Stores, read: &Dependency) -> Result<Kept, String> {
    let catalog = Catalog::open(stores, &read.url).map_err(|error| error.to_string())?;
    let latest = catalog.latest().map_err(|error| error.to_string())?;
    if latest.uuid() != read.uuid {
        return Err("there is another catalog at this URL".to_owned());
    }
    if !latest.record().retains(read.version) {
        return Ok(Kept::Expired);
    }
    let now = catalog.snapshot(read.version).map_err(|error| error.to_string())?;
    let has_name = latest.record().tags.iter().any(|tag| tag.version == read.version);
    Ok(match now.digest() == read.digest {
        false => Kept::Another,
        true if has_name => Kept::ByName,
        true => Kept::ByNobody,
    })
}

fn text(done: &Retained, args: &Args) -> Vec<String> {
    // With the word `version`: `0 expired` would mean that none did.
    let named = |all: &[(Version, Version)]| match all {
        [(first, last)] if first == last => format!("version {first}"),
        _ => format!("versions {}", ranges(all)),
    };
    let (retained, expired) = (named(&done.retained), named(&done.expired));
    let mut lines = expiry(done, args, &retained, &expired);
    let is = if args.dry_run { "would be" } else { "is" };
    lines.extend(done.tags.iter().filter_map(|tag| Some(format!("version {} {is} kept: {}", tag.version, kept(tag)?))));
    lines
}

fn expiry(done: &Retained, args: &Args, retained: &str, expired: &str) -> Vec<String> {
    match done.version {
        Some(version) if done.expired.is_empty() => {
            vec![format!("committed version {version}: nothing expires: {retained} can be read")]
        }
        _ if done.expired.is_empty() => vec![format!("nothing expires: {retained} can be read")],
        None => vec![format!("would expire: {expired}; could still be read: {retained}")],
        Some(version) => vec![
            format!("committed version {version}: {expired} expired; {retained} can be read"),
            format!("`deltic gc {}` frees the space", args.url),
        ],
    }
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
        assert_eq!(Since::Time(now).before(now), now);
        assert_eq!(Since::Ago { milliseconds: 11_000 }.before(now), Timestamp(0));
        for bad in ["", "yesterday", "7", "1969-01-01", "2026-13-01"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
