//! No task publishes tiles beyond the pole of the `here` grid; private layers may have them.

use deltic::prelude::*;
use deltic_testkit::{Edit, Lab, check_incremental};

/// Copies tiles of the `mercator` grid, all of which are legal there, into a layer of `grid`.
struct Copies(Grid);

impl HasLayers for Copies {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/t"]).output_layers([Layer::tiles("out", self.0, 0..=3)?]))
    }
}

impl DirectCompiler for Copies {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("out", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        for tile in inputs[0].key.name.tile().into_iter().flat_map(|tile| tile.neighbours(1)) {
            context.exists("in/t", tile)?;
        }
        Ok(Some(inputs[0].payload.clone()))
    }
}

/// The same from a group, as one partition.
struct Groups;

impl HasLayers for Groups {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/t"]).output_layers([Layer::tiles("out", Grid::Here, 0..=3)?]))
    }
}

impl MapGroupCompiler for Groups {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        out.emit("out", &input.key.name, input.text()?.to_owned());
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(values.collect::<String>().into()))
    }
}

fn tile(text: &str) -> Tile {
    text.parse().unwrap()
}

#[test]
fn no_task_publishes_beyond_the_pole() {
    let tasks = [
        Task::new("copies", Direct(Copies(Grid::Here))).unwrap().version("1"),
        Task::new("groups", MapGroup(Groups)).unwrap().version("1"),
    ];
    for task in tasks {
        let mut lab = Lab::new(vec![task]).tiles("in/t", Grid::Mercator);
        lab.put("in/t", tile("10"), "fine");
        lab.put("in/t", tile("0"), "fine");
        lab.run();
        for beyond in ["2", "30", "311"] {
            lab.put("in/t", tile(beyond), "lost");
            let failed = lab.try_run().unwrap_err().to_string();
            assert!(failed.contains(&format!("out/{beyond}")) && failed.contains("beyond the north pole"), "{failed}");
            assert_eq!(lab.names("out"), ["0", "10"]);
            lab.delete("in/t", tile(beyond));
        }
        // It goes on as soon as there is nothing to put there.
        lab.delete("in/t", tile("10"));
        let ran = lab.run();
        assert_eq!(lab.names("out"), ["0"], "{}", ran.log());
    }
}

#[test]
fn the_mercator_grid_has_all_tiles() {
    let copies = Task::new("copies", Direct(Copies(Grid::Mercator))).unwrap().version("1");
    let mut lab = Lab::new(vec![copies]).tiles("in/t", Grid::Mercator);
    for name in ["2", "30", "311"] {
        lab.put("in/t", tile(name), "x");
    }
    lab.run();
    assert_eq!(lab.names("out"), ["2", "30", "311"]);
}

/// The test kit has a grid for whatever tiles it is given.
#[test]
fn histories_may_have_tiles_of_any_grid() {
    let copies = Task::new("copies", Direct(Copies(Grid::Mercator))).unwrap().version("1");
    let put = |name| Edit { layer: "in/t".to_owned(), name: Name::Tile(tile(name)), payload: Some("x".into()) };
    check_incremental(&[copies], &[vec![put("2"), put("0")], vec![put("311")]]);
}

#[test]
fn who_looks_around_a_tile_may_look_beyond_the_pole() {
    let copies = Task::new("copies", Direct(Copies(Grid::Here))).unwrap().version("1");
    let mut lab = Lab::new(vec![copies]).tiles("in/t", Grid::Here);
    lab.put("in/t", tile("02"), "x");
    lab.run();
    assert_eq!(lab.names("out"), ["02"]);
}

#[test]
fn private_layers_have_tiles_of_any_grid() {
    let plan = DataPlan::new("p");
    plan.layer::<Tile>("in/t")
        .map_values(|input| Ok(input.text()?.len()))
        .group_by(|tile: &Tile, length| Ok(tile.ancestor(2).map(|above| (above, length))))
        .map_values(|lengths| Ok(lengths.len()))
        .group_by(|tile: &Tile, count| Ok(tile.ancestor(1).map(|above| (above, count))))
        .publish_with(Layer::tiles("out", Grid::Mercator, [1]).unwrap(), |_, counts| {
            Ok(Some(format!("{counts:?}").into()))
        });
    let stages = plan.finish().unwrap();
    assert!(stages.to_string().contains("(private)"), "{stages}");
    let mut lab = Lab::new(stages.into_tasks()).tiles("in/t", Grid::Mercator);
    for name in ["0123", "2123", "2120", "3333"] {
        lab.put("in/t", tile(name), "x");
    }
    lab.run();
    assert_eq!(lab.names("out"), ["0", "2", "3"]);
}
