//! `pedestrian`: ways joined to their nodes by tracked reads.

use deltic::prelude::*;

use super::model::{NetworkConfig, Path, draw, encode, network_layer, walkable_ways};
use crate::osm::locate;

/// Draws ways, and puts each into every tile in which it has a node.
#[derive(Debug)]
pub struct Network(pub NetworkConfig);

impl HasLayers for Network {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["osm/way"])
            .reference_layers(["osm/node", "node-places"])
            .output_layers([network_layer("pedestrian", &self.0)?]))
    }
}

impl MapGroupCompiler for Network {
    type Value = Path;

    fn compile_in(&self, input: &Input, out: &mut Emit<Path>, context: &Context) -> Result<()> {
        let ways = walkable_ways(input)?;
        let nodes = locate(context, ways.iter().flat_map(|way| &way.nodes).copied())?;
        for (tile, path) in draw(&ways, &nodes, &self.0) {
            out.emit("pedestrian", tile, path);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, paths: Values<Path>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(encode(paths)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(text: &str) -> Tile {
        text.parse().unwrap()
    }

    /// A path from node 1, in tile 00, to node 2, in tile 01, and on to node 3.
    fn emitted(fixture: &Fixture) -> Vec<(OutKey, Path)> {
        let network = Network(NetworkConfig { level: 2 });
        let way = r#"{"id":7,"nodes":[1,2,3],"tags":{"highway":"path"}}"#;
        let road = r#"{"id":8,"nodes":[1,4],"tags":{"highway":"motorway"}}"#;
        let input = fixture.input("osm/way", tile("00"), format!("{way}\n{road}\n")).unwrap();
        let mut out = Emit::new(fixture.outputs());
        network.compile_in(&input, &mut out, &fixture.context()).unwrap();
        out.into_rows().unwrap()
    }

    fn fixture() -> Fixture {
        let mut fixture = Fixture::new(&Network(NetworkConfig { level: 2 })).unwrap();
        fixture.put("node-places", "000000", r#"{"1":"00","2":"01"}"#).unwrap();
        fixture.put("osm/node", tile("00"), r#"{"id":1,"lat":42.5,"lon":1.5}"#).unwrap();
        fixture.put("osm/node", tile("01"), r#"{"id":2,"lat":42.5,"lon":1.6}"#).unwrap();
        fixture
    }

    #[test]
    fn a_path_goes_to_every_tile_it_has_a_node_in() {
        let rows = emitted(&fixture());
        let keys: Vec<String> = rows.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["pedestrian/00", "pedestrian/01"]);
        assert_eq!(rows[0].1.id, 7);
        assert_eq!((rows[0].1.line.len(), rows[0].1.missing), (2, 1), "node 3 does not exist");
    }

    #[test]
    fn a_path_is_whole_once_its_node_appears() {
        let mut fixture = fixture();
        fixture.put("node-places", "000000", r#"{"1":"00","2":"01","3":"01"}"#).unwrap();
        let nodes = "{\"id\":2,\"lat\":42.5,\"lon\":1.6}\n{\"id\":3,\"lat\":42.5,\"lon\":1.7}\n";
        fixture.put("osm/node", tile("01"), nodes).unwrap();
        let rows = emitted(&fixture);
        assert_eq!((rows[0].1.line.len(), rows[0].1.missing), (3, 0));
    }
}
