//! `topology`: the nodes and ways of a coarse tile, its references rewritten.

use std::collections::HashMap;

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use crate::osm::{LEVEL, Node, Tags, Way, read_lines};

/// Merges the tiles below a coarser one. The names of tiles alone decide their target, so no other content is read.
#[derive(Debug)]
pub struct Lift(pub LiftConfig);

/// Where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct LiftConfig {
    /// The levels to lift to, each 14 or less.
    pub levels: Vec<u8>,
}

impl Default for LiftConfig {
    fn default() -> LiftConfig {
        LiftConfig { levels: vec![12, 10] }
    }
}

/// A coarse tile. Nodes and ways are sorted by id.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// All nodes in the tile.
    pub nodes: Vec<Node>,
    /// The ways that begin in the tile.
    pub ways: Vec<LiftedWay>,
}

/// A way whose references were rewritten.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiftedWay {
    /// As it was.
    pub id: u64,
    /// The nodes it goes through.
    pub nodes: Vec<Reference>,
    /// As they were.
    pub tags: Tags,
}

/// How a lifted way refers to a node.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    /// A position in the tile's own nodes: a number.
    Inside(usize),
    /// The id of a node of another tile: a text.
    Outside(String),
}

impl HasLayers for Lift {
    fn layers(&self) -> Result<Layers> {
        let levels = &self.0.levels;
        ensure!(levels.iter().all(|level| *level <= LEVEL), "levels {levels:?}: tiles of {LEVEL} can not go deeper");
        let layer = Layer::tiles("topology", Grid::Mercator, levels.iter().copied())?;
        Ok(Layers::new()
            .input_layers(["osm/node", "osm/way"])
            .output_layers([layer.with_content_type("application/json")]))
    }
}

impl DirectCompiler for Lift {
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        let Some(tile) = key.name.tile() else { return };
        for coarse in self.0.levels.iter().filter_map(|level| tile.ancestor(*level)) {
            out.add("topology", coarse);
        }
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
        let (mut nodes, mut ways) = (Vec::new(), Vec::new());
        for input in inputs {
            match input.key.layer.layer.as_str() {
                "node" => nodes.extend(read_lines::<Node>(input)?),
                _ => ways.extend(read_lines::<Way>(input)?),
            }
        }
        nodes.sort_unstable_by_key(|node| node.id);
        ways.sort_unstable_by_key(|way| way.id);
        let positions: HashMap<u64, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
        let rewrite = |id: u64| match positions.get(&id) {
            Some(at) => Reference::Inside(*at),
            None => Reference::Outside(id.to_string()),
        };
        let lift =
            |way: Way| LiftedWay { id: way.id, nodes: way.nodes.into_iter().map(rewrite).collect(), tags: way.tags };
        let ways = ways.into_iter().map(lift).collect();
        Ok(Some(Payload::from_json(&Lifted { nodes, ways })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_goes_into_one_tile_of_each_level() {
        let lift = Lift(LiftConfig { levels: vec![2, 1] });
        let fixture = Fixture::new(&lift).unwrap();
        let input = fixture.input("osm/node", "1203".parse::<Tile>().unwrap(), "").unwrap();
        let mut out = Outputs::new(fixture.outputs());
        lift.map_key(&input.key, &mut out);
        let names: Vec<String> = out.into_keys().unwrap().iter().map(|(_, name)| name.to_string()).collect();
        assert_eq!(names, ["1", "12"]);
    }

    #[test]
    fn references_to_merged_nodes_become_positions() {
        let lift = Lift(LiftConfig { levels: vec![2] });
        let fixture = Fixture::new(&lift).unwrap();
        let tile = |text: &str| text.parse::<Tile>().unwrap();
        let node = |id: u64| format!("{{\"id\":{id},\"lat\":42.5,\"lon\":1.5}}\n");
        let inputs = [
            fixture.input("osm/node", tile("1200"), node(8)).unwrap(),
            fixture.input("osm/node", tile("1201"), node(3)).unwrap(),
            fixture.input("osm/way", tile("1200"), r#"{"id":1,"nodes":[8,3,9],"tags":{}}"#).unwrap(),
        ];
        let payload = lift.compile(&OutKey::new("topology", tile("12")).unwrap(), &inputs, &fixture.context()).unwrap();
        assert_eq!(
            std::str::from_utf8(payload.unwrap().bytes()).unwrap(),
            r#"{"nodes":[{"id":3,"lat":42.5,"lon":1.5},{"id":8,"lat":42.5,"lon":1.5}],"ways":[{"id":1,"nodes":[1,0,"9"],"tags":{}}]}"#
        );
    }

    #[test]
    fn a_level_that_is_too_deep_is_an_error() {
        let error = Task::new("lift", DirectMany(Lift(LiftConfig { levels: vec![15] }))).unwrap_err();
        assert!(error.to_string().contains("can not go deeper"), "{error}");
    }
}
