//! `menus`: categories with what their members are called and how long their forms are.

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::json_layer;
use super::model::{Form, Preset};

/// Looks the members of categories up: a reference tree of two levels.
#[derive(Debug)]
pub struct Menus;

#[derive(Deserialize)]
struct Category {
    name: String,
    members: Vec<String>,
}

#[derive(Serialize)]
struct Menu {
    name: String,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    preset: String,
    /// None where there is no such preset.
    name: Option<String>,
    fields: usize,
}

impl HasLayers for Menus {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["schema/preset_categories"])
            .reference_layers(["presets-by-id", "forms"])
            .output_layers([json_layer("menus")?]))
    }
}

impl RefTreeCompiler for Menus {
    type Value = String;

    fn structure(&self) -> RefStructure {
        RefStructure::new().reference("members", "presets-by-id").below("members", "forms", "forms")
    }

    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()> {
        match reference {
            "members" => partition.json::<Category>()?.members.iter().for_each(|member| to.add(member)),
            // A form is called as its preset is.
            _ => to.add(partition.name()),
        }
        Ok(())
    }

    fn compile_in(
        &self,
        category: &Input,
        found: &References,
        out: &mut Emit<'_, String>,
        _: &Context<'_>,
    ) -> Result<()> {
        let mut members = Vec::new();
        for (key, preset) in found.of(category, "members")? {
            let form = match preset {
                Some(preset) => found.of(preset, "forms")?.next().and_then(|(_, form)| form),
                None => None,
            };
            members.push(Member {
                preset: key.name.to_string(),
                name: preset.map(|preset| Ok::<_, anyhow::Error>(preset.json::<Preset>()?.name)).transpose()?,
                fields: form.map(Partition::json::<Form>).transpose()?.map_or(0, |form| form.fields.len()),
            });
        }
        let menu = Menu { name: category.json::<Category>()?.name, members };
        out.emit("menus", category.name(), serde_json::to_string_pretty(&menu)?);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, mut menu: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(menu.next().map(|menu| format!("{menu}\n").into()))
    }
}
