//! `problems` and `metrics-14`: which references dangle, and how many there are.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::metrics::{Metrics, add, metrics_layer};
use crate::osm::{Kind, LEVEL, Relation, Way, find, read_lines, write_lines};

/// Checks that the elements to which ways and relations refer exist.
#[derive(Debug)]
pub struct Topology;

/// The values that the check of an input emits to a tile.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// For its problems.
    Problem(Problem),
    /// For its metrics.
    Counted(Metrics),
}

/// An element with dangling references: a line of `problems`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The element's kind.
    pub kind: Kind,
    /// The element's id.
    pub id: u64,
    /// The elements that it refers to and that do not exist.
    pub dangling: BTreeSet<(Kind, u64)>,
}

/// A way or relation, and its references.
struct Element {
    kind: Kind,
    id: u64,
    references: Vec<(Kind, u64)>,
}

/// The tiles of the existing elements among those that were searched; relations are in none.
type Found = BTreeMap<(Kind, u64), Option<Tile>>;

impl HasLayers for Topology {
    fn layers(&self) -> Result<Layers> {
        let problems = Layer::tiles("problems", Grid::Mercator, 0..=LEVEL)?.with_content_type("application/jsonl");
        Ok(Layers::new()
            .input_layers(["osm/way", "osm/relation"])
            .reference_layers(["node-places", "way-places", "relation-places"])
            .output_layers([problems, metrics_layer(LEVEL)?]))
    }
}

impl MapGroupCompiler for Topology {
    type Value = Finding;

    fn compile_in(&self, input: &Input, out: &mut Emit<Finding>, context: &Context) -> Result<()> {
        let elements = elements(input)?;
        let found = look_up(context, &elements)?;
        let mut counted: BTreeMap<Tile, Metrics> = BTreeMap::new();
        for Element { kind, id, references } in elements {
            let tile = input.name().tile().unwrap_or_else(|| enclosing(&references, &found));
            let metrics = counted.entry(tile).or_default();
            add(metrics, [(kind.to_string(), 1)].into());
            for reference in &references {
                let name = format!("{kind}-{}", reference.0);
                let dangling = u64::from(!found.contains_key(reference));
                add(metrics, [(format!("{name}-dangling"), dangling), (name, 1)].into());
            }
            let dangling = references.into_iter().filter(|reference| !found.contains_key(reference));
            let problem = Problem { kind, id, dangling: dangling.collect() };
            if !problem.dangling.is_empty() {
                out.emit("problems", tile, Finding::Problem(problem));
            }
        }
        for (tile, metrics) in counted {
            out.emit(&format!("metrics-{LEVEL}"), tile, Finding::Counted(metrics));
        }
        Ok(())
    }

    fn compile_out(&self, output: &OutKey, findings: Values<Finding>, _: &Context) -> Result<Option<Payload>> {
        let (mut sum, mut problems) = (Metrics::new(), Vec::new());
        for finding in findings {
            match finding {
                Finding::Counted(metrics) => add(&mut sum, metrics),
                Finding::Problem(problem) => problems.push(problem),
            }
        }
        if output.layer.as_str() != "problems" {
            return Ok(Some(Payload::from_json(&sum)?));
        }
        problems.sort_by_key(|problem| (problem.kind, problem.id));
        Ok(Some(write_lines(&problems)?))
    }
}

fn elements(input: &Input) -> Result<Vec<Element>> {
    let way = |Way { id, nodes, .. }| {
        let references = nodes.into_iter().map(|node| (Kind::Node, node)).collect();
        Element { kind: Kind::Way, id, references }
    };
    let relation = |Relation { id, members, .. }| {
        let references = members.into_iter().map(|member| (member.0, member.1)).collect();
        Element { kind: Kind::Relation, id, references }
    };
    Ok(match input.key.layer.layer.as_str() {
        "way" => read_lines(input)?.into_iter().map(way).collect(),
        _ => read_lines(input)?.into_iter().map(relation).collect(),
    })
}

/// Searches everything that some elements refer to.
fn look_up(context: &Context, elements: &[Element]) -> Result<Found> {
    let mut found = Found::new();
    for kind in Kind::ALL {
        let references = elements.iter().flat_map(|element| &element.references);
        let ids = references.filter(|reference| reference.0 == kind).map(|reference| reference.1);
        found.extend(find(context, kind, ids)?.into_iter().map(|(id, tile)| ((kind, id), tile)));
    }
    Ok(found)
}

/// The deepest tile that holds all references that were found: the root if none was.
fn enclosing(references: &[(Kind, u64)], found: &Found) -> Tile {
    let mut tiles = references.iter().filter_map(|reference| *found.get(reference)?);
    let Some(first) = tiles.next() else { return Tile::ROOT };
    let widen = |tile: Tile, other: Tile| {
        let mut ancestors = (0..=tile.level()).rev().filter_map(|level| tile.ancestor(level));
        ancestors.find(|ancestor| ancestor.contains(other)).unwrap_or(Tile::ROOT)
    };
    tiles.fold(first, widen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osm::places_layer;

    fn fixture() -> Fixture {
        let mut fixture = Fixture::new(&Topology).unwrap();
        fixture.put(&places_layer(Kind::Node), "000000", r#"{"1":"1200","2":"1203"}"#).unwrap();
        fixture.put(&places_layer(Kind::Way), "000000", r#"{"7":"1211"}"#).unwrap();
        fixture.put(&places_layer(Kind::Relation), "000000", r#"{"5":null}"#).unwrap();
        fixture
    }

    fn found(fixture: &Fixture, input: &Input) -> Vec<(String, Finding)> {
        let mut out = Emit::new(fixture.outputs());
        Topology.compile_in(input, &mut out, &fixture.context()).unwrap();
        out.into_rows().unwrap().into_iter().map(|(key, finding)| (key.to_string(), finding)).collect()
    }

    fn counted(counts: &[(&str, u64)]) -> Finding {
        Finding::Counted(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    }

    #[test]
    fn a_way_whose_node_does_not_exist_is_a_problem_of_its_tile() {
        let fixture = fixture();
        let tile: Tile = "1200".parse().unwrap();
        let input = fixture.input("osm/way", tile, r#"{"id":7,"nodes":[1,2,3,3],"tags":{}}"#).unwrap();
        let problem = Problem { kind: Kind::Way, id: 7, dangling: [(Kind::Node, 3)].into() };
        assert_eq!(
            found(&fixture, &input),
            [
                ("problems/1200".to_owned(), Finding::Problem(problem)),
                ("metrics-14/1200".to_owned(), counted(&[("way", 1), ("way-node", 4), ("way-node-dangling", 2)])),
            ]
        );
    }

    #[test]
    fn a_relation_is_counted_in_the_tile_that_holds_its_members() {
        let fixture = fixture();
        let relation = |id, members| format!(r#"{{"id":{id},"members":{members},"tags":{{}}}}"#);
        let lines = [
            relation(1, r#"[["n",1,""],["n",2,""]]"#),
            relation(2, r#"[["n",1,""],["w",7,""],["r",5,""]]"#),
            relation(3, r#"[["r",5,""]]"#),
        ];
        let input = fixture.input("osm/relation", "b00", lines.join("\n")).unwrap();
        let keys: Vec<String> = found(&fixture, &input).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["metrics-14/root", "metrics-14/12", "metrics-14/120"]);
    }

    #[test]
    fn a_reference_is_looked_for_even_where_nothing_is() {
        let fixture = fixture();
        let tile: Tile = "1200".parse().unwrap();
        let input = fixture.input("osm/way", tile, r#"{"id":7,"nodes":[70000],"tags":{}}"#).unwrap();
        let context = fixture.context();
        Topology.compile_in(&input, &mut Emit::new(fixture.outputs()), &context).unwrap();
        assert_eq!(context.into_seen().len(), 1, "so that the way is checked again when the node appears");
    }
}
