//! `fsck`: checks everything that a catalog holds.

use deltic_core::NameBytes;
use deltic_store::{Catalog, Checked, Damage, Part, Stores, Touched};
use serde_json::{Value, json};

use super::gc::packs;
use super::retain::{pairs, ranges};
use crate::failure::{Failure, Outcome};
use crate::human::count;
use crate::out::Out;

/// `fsck`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with exit code 1 when something is damaged.")]
pub(crate) struct Args {
    /// The catalog
    url: String,
    /// Also read all payloads and compare them with their digests
    #[arg(long)]
    payloads: bool,
}

/// Checks a catalog.
pub(super) fn fsck(args: &Args, out: &mut Out) -> Outcome {
    let found = Catalog::open(&Stores::new(), &args.url)?.fsck(args.payloads)?;
    let body = json!({
        "url": args.url,
        "versions": found.versions,
        "retained": found.retained,
        "nodes": found.nodes,
        "entries": found.entries,
        "packs": found.packs,
        "payloads": found.payloads,
        "damage": found.damage.iter().map(damage).collect::<Vec<_>>(),
    });
    out.result("deltic.fsck/1", body, || text(&found))?;
    let damaged = found.damage.len();
    if damaged == 0 {
        return Ok(());
    }
    let times = if damaged == 1 { "one damage".to_owned() } else { format!("{damaged} damages") };
    let failure = Failure::failed(format!("{}: {times} found", args.url));
    Err(failure.hint("restore the objects named from a copy; what they do not touch can be read"))
}

fn damage(damage: &Damage) -> Value {
    let key = |key: &Option<NameBytes>| key.as_ref().map(shown);
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

fn text(found: &Checked) -> Vec<String> {
    let number = |number: u64, one: &str| format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" });
    let mut lines: Vec<String> = Vec::new();
    for damage in &found.damage {
        lines.push(format!("{}: {}", damage.object, damage.what));
        lines.extend(damage.touches.iter().map(|touched| {
            let versions = ranges(&touched.versions);
            let Some(part) = &touched.part else { return format!("  version {versions}: can not be read") };
            let mut line = format!("  version {versions}, {part}: {}", entries(touched.entries));
            if let Some(after) = &touched.after {
                line.push_str(&format!(", after `{}`", shown(after)));
            }
            if let Some(last) = &touched.last {
                line.push_str(&format!(", up to `{}`", shown(last)));
            }
            line
        }));
    }
    let verdict = if found.damage.is_empty() { ": no damage" } else { "" };
    lines.push(format!(
        "checked {}, {} of them readable: {}, {}, {}, {} by their bytes{verdict}",
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

/// A key as text: as it is where it is text that can be read, else its bytes.
fn shown(key: &NameBytes) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => format!("0x{}", key.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}
