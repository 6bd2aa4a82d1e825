//! `diff`: the partitions that were added, modified and deleted between two versions.

use std::collections::BTreeSet;

use deltic_core::{Digest, Fields, Layer, LayerId};
use deltic_store::{Catalog, Change, Entry, Part, Snapshot};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalogs::access::stores;
use crate::catalogs::format::fields_of;
use crate::catalogs::version::Which;
use crate::terminal::colours::Colour;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::{Out, Row};
use crate::terminal::progress::Progress;

/// `diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The two versions, in any order; before them a layer, to compare only that one
    #[arg(num_args = 2..=3, required = true, value_names = ["A", "B"], allow_negative_numbers = true)]
    pub(crate) what: Vec<String>,
}

/// A partition that differs.
#[derive(Debug, Serialize)]
struct Differs {
    change: Kind,
    layer: LayerId,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Digest>,
    /// User fields, if they differ: equal digests do not mean equal fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_fields: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_fields: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Added,
    Modified,
    Deleted,
}

/// Lists the partitions that differ from version A to version B, layer by layer in the order of names.
pub(super) fn diff(args: &Args, progress: &Progress, out: &mut Out) -> Outcome {
    let (only, from, to) = match &args.what[..] {
        [layer, from, to] => (Some(LayerId::new(layer)?), from, to),
        [from, to] => (None, from, to),
        _ => return Err(Failure::usage("expected two versions, or a layer and two versions")),
    };
    let catalog = Catalog::open(&stores()?, &args.url)?;
    let version =
        |text: &str| text.parse::<Which>().map_err(|wrong| Failure::usage(format!("`{text}`: {wrong}")))?.of(&catalog);
    let (from, to) = (version(from)?, version(to)?);
    let known: BTreeSet<&LayerId> = from.layers().chain(to.layers()).map(|layer| &layer.id).collect();
    let layers: Vec<&LayerId> = match &only {
        Some(id) if !known.contains(id) => {
            let versions = format!("neither at version {} nor at {}", from.version(), to.version());
            return Err(Failure::failed(format!("{}: there is no layer `{id}`, {versions}", args.url)));
        }
        Some(id) => vec![id],
        None => known.into_iter().collect(),
    };
    let head = json!({ "url": args.url, "from": from.version(), "to": to.version() });
    let mut differing = false;
    let changes = layers.into_iter().flat_map(|id| changes(id, &from, &to)).inspect(|_| differing = true);
    out.list("deltic.diff/1", &head, "changes", changes, |differs| {
        let label = match differs.change {
            Kind::Added => (Colour::Green, "A"),
            Kind::Modified => (Colour::Yellow, "M"),
            Kind::Deleted => (Colour::Red, "D"),
        };
        Row { label: Some(label), text: format!("{}/{}", differs.layer, differs.name) }
    })?;
    if !differing {
        progress.print(&format!("versions {} and {} do not differ", from.version(), to.version()));
    }
    Ok(())
}

/// The changes of one layer.
fn changes<'a>(id: &LayerId, from: &'a Snapshot, to: &'a Snapshot) -> impl Iterator<Item = Outcome<Differs>> + use<'a> {
    let compared = from.compare(to, &Part::Layer(id.clone()));
    compared.changes().filter_map(move |change| match change {
        Ok(change) => Some(differs(compared.settings_of(&change)?, change)),
        Err(error) => Some(Err(error.into())),
    })
}

fn differs(settings: &Layer, change: Change) -> Outcome<Differs> {
    let name = settings.name_from_bytes(&change.key).map_err(|error| Failure::failed(error.to_string()))?;
    let fields = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.meta.fields.clone());
    let (old_fields, new_fields) = (fields(&change.before), fields(&change.after));
    let differ = old_fields.clone().unwrap_or_default() != new_fields.clone().unwrap_or_default();
    let shown = |fields: Option<Fields>| fields.filter(|_| differ).map(|fields| fields_of(&fields));
    Ok(Differs {
        change: match (&change.before, &change.after) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Deleted,
            _ => Kind::Modified,
        },
        layer: settings.id.clone(),
        name: name.to_string(),
        old: change.before.map(|entry| entry.meta.digest),
        new: change.after.map(|entry| entry.meta.digest),
        old_fields: shown(old_fields),
        new_fields: shown(new_fields),
    })
}

#[cfg(test)]
mod tests {
    use deltic_core::{Name, Payload};
    use deltic_store::Place;

    use super::*;

    #[test]
    fn user_fields_are_shown_where_they_differ() {
        let entry = |payload: &Payload| {
            let (meta, place) = (payload.meta(), Place::Inline(payload.bytes().clone()));
            Some(Entry { meta, place })
        };
        let shown = |before: Option<Entry>, after: Option<Entry>| {
            let key = Name::generic("bern").unwrap().to_bytes();
            let differs = differs(&Layer::generic("names").unwrap(), Change { key, before, after });
            let json = serde_json::to_value(differs.unwrap()).unwrap();
            json.get("old_fields").into_iter().chain(json.get("new_fields")).map(Value::to_string).collect::<Vec<_>>()
        };
        let (plain, german) = (Payload::from("Bern"), Payload::from("Bern").with_field("in", "german").unwrap());
        assert_eq!(shown(entry(&plain), entry(&german)), ["{}", r#"{"in":"german"}"#]);
        assert_eq!(shown(entry(&german), None), [r#"{"in":"german"}"#]);
        assert_eq!(shown(None, entry(&plain)), [""; 0]);
        assert_eq!(shown(entry(&german), entry(&Payload::from("B").with_fields(german.fields().clone()))), [""; 0]);
    }
}
