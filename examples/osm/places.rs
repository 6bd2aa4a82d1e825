//! `node-places`, `way-places`, `relation-places`: an index from ids to tiles.
//!
//! A way names its nodes by id, and an id does not show where a node is. The index does: a partition holds a range of ids.
//! Elements that were drawn together have ids close together, so a way needs few partitions of the index. New elements have
//! new ids, so an update of the map changes few partitions too. Moving a node within its tile, or tagging it, changes none.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;

use super::element::{Id, Kind, read_lines};

/// How many low bits of an id are ignored for the partition that it is in.
const BITS: u32 = 16;

/// The content of a partition of the index, as JSON: the tile of each element. Relations exist, but are in no tile.
pub type Entries = BTreeMap<u64, Option<Tile>>;

/// Indexes the elements of a kind.
#[derive(Debug)]
pub struct Places(pub Kind);

impl HasLayers for Places {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers([format!("osm/{}", self.0)])
            .output_layers([Layer::generic(&places_layer(self.0))?.with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for Places {
    /// The ids that an input has in a partition of the index.
    type Value = Vec<u64>;

    fn compile_in(&self, input: &Input, out: &mut Emit<Vec<u64>>, _: &Context) -> Result<()> {
        let ids = read_lines(input)?.into_iter().map(|Id { id }| id);
        for (range, ids) in by_range(ids) {
            out.emit(&places_layer(self.0), range, ids.into_iter().collect());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<Vec<u64>>, _: &Context) -> Result<Option<Payload>> {
        let mut entries = Entries::new();
        for (key, ids) in values.with_keys() {
            for id in ids {
                let twice = entries.insert(id, key.name.tile()).is_some();
                ensure!(!twice, "{} {id} is in two partitions, one of them {key}", self.0);
            }
        }
        Ok(Some(Payload::from_json(&entries)?))
    }
}

/// The layer of the index of a kind.
pub fn places_layer(kind: Kind) -> String {
    format!("{kind}-places")
}

/// Looks elements up in the index of their kind, reading each partition of it once. Those that do not exist are left
/// out.
pub fn find(context: &Context, kind: Kind, ids: impl IntoIterator<Item = u64>) -> Result<BTreeMap<u64, Option<Tile>>> {
    let layer = places_layer(kind);
    let mut found = BTreeMap::new();
    for (range, ids) in by_range(ids) {
        let Some(partition) = context.read(&layer, range)? else { continue };
        let entries: Entries = partition.json()?;
        found.extend(ids.into_iter().filter_map(|id| Some((id, *entries.get(&id)?))));
    }
    Ok(found)
}

/// The partition of the index that an id is in. Names sort as their ids do.
pub fn range(id: u64) -> String {
    format!("{:06}", id >> BITS)
}

fn by_range(ids: impl IntoIterator<Item = u64>) -> BTreeMap<String, BTreeSet<u64>> {
    let mut ranges: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for id in ids {
        ranges.entry(range(id)).or_default().insert(id);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The task that reads nodes by id.
    struct Reader;

    impl HasLayers for Reader {
        fn layers(&self) -> Result<Layers> {
            Ok(Layers::new().input_layers(["node-places"]).output_layers([Layer::generic("unused")?]))
        }
    }

    #[test]
    fn ids_go_to_their_range() {
        let places = Places(Kind::Node);
        let fixture = Fixture::new(&places).unwrap();
        let tile: Tile = "12".parse().unwrap();
        let input = fixture.input("osm/node", tile, "{\"id\":5}\n{\"id\":65535}\n{\"id\":65536}\n").unwrap();
        let mut out = Emit::new(fixture.outputs());
        places.compile_in(&input, &mut out, &fixture.context()).unwrap();
        let key = |range| OutKey::new("node-places", range).unwrap();
        assert_eq!(out.into_rows().unwrap(), [(key("000000"), vec![5, 65535]), (key("000001"), vec![65536])]);
    }

    #[test]
    fn what_is_indexed_is_found_and_nothing_else() {
        let mut fixture = Fixture::new(&Reader).unwrap();
        fixture.put("node-places", "000000", r#"{"5":"12","6":null}"#).unwrap();
        let context = fixture.context();
        let found = find(&context, Kind::Node, [5, 6, 7, 70_000]).unwrap();
        assert_eq!(found, [(5, Some("12".parse().unwrap())), (6, None)].into());
        assert_eq!(context.into_seen().len(), 2, "the range that does not exist was looked at too");
    }
}
