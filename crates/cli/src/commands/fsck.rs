//! `fsck`: checks everything in a catalog, or compares its history with that of another one.

use deltic_core::NameBytes;
use deltic_store::{Catalog, Checked, Damage, Lineage, Part, Relation, Snapshot, Touched};
use serde_json::{Value, json};

use crate::args::ConfigArgs;
use crate::catalogs::access::stores;
use crate::catalogs::format::{packs, packs_as_json, pairs, ranges};
use crate::catalogs::url::url_of;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::numbers::count;
use crate::terminal::out::Out;

/// `fsck`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with exit code 1 when something is damaged, or, with --against, when the two catalogs are no copies \
                        of each other."
)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// Also read all payloads and compare them with their digests
    #[arg(long)]
    payloads: bool,
    /// Only compare the records of the catalog with those of this one
    #[arg(long, value_name = "URL", conflicts_with = "payloads")]
    against: Option<String>,
}

/// Checks a catalog.
pub(super) fn fsck(args: &Args, out: &mut Out) -> Outcome {
    if let Some(other) = &args.against {
        return against(&args.url, &url_of(other, &ConfigArgs::default())?, out);
    }
    let found = Catalog::open(&stores()?, &args.url)?.fsck(args.payloads)?;
    let body = json!({
        "url": args.url,
        "versions": found.versions,
        "retained": found.retained,
        "nodes": found.nodes,
        "entries": found.entries,
        "packs": packs_as_json(&found.packs),
        "payloads": found.payloads,
        "as_of": found.as_of,
        "damage": found.damage.iter().map(damage).collect::<Vec<_>>(),
        "warnings": found.warnings.iter().map(damage).collect::<Vec<_>>(),
    });
    out.result("deltic.fsck/1", body, || text(&found, args.payloads))?;
    let damaged = found.damage.len();
    if damaged == 0 {
        return Ok(());
    }
    let objects = if damaged == 1 { "one damaged object".to_owned() } else { format!("{damaged} damaged objects") };
    let failure = Failure::failed(format!("{}: {objects} found", args.url));
    Err(failure.hint("restore these objects from a copy; everything else can be read"))
}

/// Reports whether two catalogs are copies, whether one is behind, or where their histories diverge.
fn against(url: &str, other: &str, out: &mut Out) -> Outcome {
    let stores = stores()?;
    let Lineage { ours, theirs, relation } = Catalog::open(&stores, url)?.lineage(&Catalog::open(&stores, other)?)?;
    let side = |latest: &Snapshot| {
        let url = latest.catalog().url();
        json!({ "url": url, "uuid": latest.uuid(), "version": latest.version(), "digest": latest.digest() })
    };
    let (relation_name, more) = match relation {
        Relation::Unrelated => ("unrelated", json!({})),
        Relation::Same => ("same", json!({})),
        Relation::Behind(versions) => ("behind", json!({ "versions": versions })),
        Relation::Ahead(versions) => ("ahead", json!({ "versions": versions })),
        Relation::Diverged { after, ours, theirs } => {
            ("diverged", json!({ "after": after, "digest": ours, "other_digest": theirs }))
        }
    };
    let mut body = json!({ "catalog": side(&ours), "against": side(&theirs), "relation": relation_name });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    let versions =
        |number: u64| if number == 1 { "1 version".to_owned() } else { format!("{} versions", count(number)) };
    let (latest, other_latest) = (ours.version(), theirs.version());
    let verdict = match relation {
        Relation::Unrelated => {
            let uuids = (ours.uuid(), theirs.uuid());
            vec![format!(
                "{url} is catalog {}, and {other} is catalog {}: these are different catalogs",
                uuids.0, uuids.1
            )]
        }
        Relation::Same => {
            vec![format!("the same catalog, both at version {latest} with digest {}", ours.digest().short())]
        }
        Relation::Behind(number) => vec![format!(
            "the same catalog: {url}, at version {latest}, is {} behind {other}, at version {other_latest}",
            versions(number)
        )],
        Relation::Ahead(number) => vec![format!(
            "the same catalog: {other}, at version {other_latest}, is {} behind {url}, at version {latest}",
            versions(number)
        )],
        Relation::Diverged { after, ours, theirs } => {
            let next = after.map_or(0, |after| after.0 + 1);
            let after = after.map_or("from the beginning".to_owned(), |after| format!("after version {after}"));
            let digests = match ours == theirs {
                true => format!("version {next} was made twice, with digest {} both times", ours.short()),
                false => {
                    format!("version {next} has digest {} at {url}, and {} at {other}", ours.short(), theirs.short())
                }
            };
            let now = format!("{url} is at version {latest}, {other} at version {other_latest}");
            vec![format!("two histories of one catalog, which diverge {after}: {digests}"), now]
        }
    };
    out.result("deltic.against/1", body, || verdict)?;
    match relation {
        Relation::Same | Relation::Behind(_) | Relation::Ahead(_) => Ok(()),
        Relation::Unrelated => Err(Failure::failed(format!("{url} and {other} are different catalogs"))),
        Relation::Diverged { .. } => {
            let failure = Failure::failed(format!("{url} and {other} have two histories of one catalog"));
            Err(failure
                .hint("continue with one of them; digests in the records of outputs show which of them was read"))
        }
    }
}

fn damage(damage: &Damage) -> Value {
    let key = |key: &Option<NameBytes>| key.as_ref().map(name);
    let touched = |touched: &Touched| {
        let (layer, table) = match &touched.part {
            Some(Part::Layer(id)) => (Some(id.as_str()), None),
            Some(Part::State(table)) => (None, Some(table.as_str())),
            None => (None, None),
        };
        json!({
            "versions": pairs(&touched.versions),
            "layer": layer,
            "state_table": table,
            "after": key(&touched.after),
            "last": key(&touched.last),
            "entries": touched.entries,
        })
    };
    json!({
        "object": damage.object,
        "what": damage.what,
        "touches": damage.touches.iter().map(touched).collect::<Vec<_>>(),
    })
}

fn text(found: &Checked, payloads: bool) -> Vec<String> {
    let number = |number: u64, one: &str| format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" });
    let mut lines: Vec<String> = Vec::new();
    for damage in &found.damage {
        lines.push(format!("{}: {}", damage.object, damage.what));
        lines.extend(damage.touches.iter().map(|touched| {
            let versions = ranges(&touched.versions);
            let Some(part) = &touched.part else { return format!("  version {versions}: can not be read") };
            let mut line = format!("  version {versions}, {part}: {}", entries(touched.entries));
            if let Some(after) = &touched.after {
                line.push_str(&format!(", after `{}`", name(after)));
            }
            if let Some(last) = &touched.last {
                line.push_str(&format!(", up to `{}`", name(last)));
            }
            line
        }));
    }
    let warning = |warning: &Damage| format!("warning: {}: {}", warning.object, warning.what);
    lines.extend(found.warnings.iter().map(warning));
    let which = if payloads { "" } else { " within nodes (--payloads reads all)" };
    let verdict = if found.damage.is_empty() { ": no damage" } else { "" };
    lines.push(format!(
        "checked {}, {} of them readable: {}, {}, {}, the bytes of {}{which}{verdict}",
        number(found.versions, "version"),
        count(found.retained),
        number(found.nodes, "node"),
        entries(found.entries),
        packs(&found.packs),
        number(found.payloads, "payload"),
    ));
    lines
}

fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{} entries", count(number)) }
}

/// A key as text, or its bytes in hexadecimal if it is no text.
fn name(key: &NameBytes) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("0x{}", key.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}
