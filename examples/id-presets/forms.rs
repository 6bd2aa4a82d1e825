//! `preset-index`, `forms` and `field-users`.

use deltic::prelude::*;

use super::json_layer;
use super::model::{Form, Kind, Preset, preset_id, read};

/// Files of presets to presets by id, without the parts that no later task needs. From version 61 on, some ids have two
/// files: the last one by name counts, as in the source's own build.
#[derive(Debug)]
pub struct PresetIndex;

impl HasLayers for PresetIndex {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["schema/presets"]).output_layers([json_layer("presets-by-id")?]))
    }
}

impl DirectCompiler for PresetIndex {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("presets-by-id", preset_id(&key.name.to_string()));
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let last: Option<Preset> = inputs.last().map(|last| read(&last.payload)).transpose()?.flatten();
        last.map(|preset| Ok(Payload::from_json_pretty(&preset)?)).transpose()
    }
}

/// Presets to their forms.
#[derive(Debug)]
pub struct Forms;

impl HasLayers for Forms {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["presets-by-id"])
            .reference_layers(["schema/fields"])
            // The label of a field does not affect the forms that it is in.
            .projections([Projection::new("kind", read::<Kind>, |kind: &Option<Kind>, _: &str| Ok(kind.clone()))])
            .output_layers([json_layer("forms")?]))
    }
}

impl DirectCompiler for Forms {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("forms", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let (id, preset) = (inputs[0].name().to_string(), inputs[0].json::<Preset>()?);
        let mut resolver = Resolver { context, way: Vec::new(), problems: Vec::new() };
        let fields = resolver.fields(&id, &preset, Which::Shown)?;
        let more_fields = resolver.fields(&id, &preset, Which::More)?;
        let mut problems = resolver.problems;
        problems.sort();
        problems.dedup();
        Ok(Some(Payload::from_json_pretty(&Form { name: preset.name, fields, more_fields, problems })?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Shown,
    More,
}

/// Follows references between presets.
struct Resolver<'a> {
    context: &'a Context<'a>,
    /// The presets that led here.
    way: Vec<String>,
    problems: Vec<String>,
}

impl Resolver<'_> {
    /// All fields of a preset, each once, in the order of the form.
    fn fields(&mut self, id: &str, preset: &Preset, which: Which) -> Result<Vec<String>> {
        self.way.push(id.to_owned());
        let mut found = Vec::new();
        let listed = match which {
            Which::Shown => &preset.fields,
            Which::More => &preset.more_fields,
        };
        for field in listed {
            match field.strip_prefix('{').and_then(|reference| reference.strip_suffix('}')) {
                Some(other) => found.extend(self.inherited(preset, other, which, true)?),
                None if self.kind(field)?.is_some() => found.push(field.clone()),
                None => self.problems.push(format!("there is no field `{field}`, or none that can be read")),
            }
        }
        if found.is_empty()
            && let Some((above, _)) = id.rsplit_once('/')
        {
            found = self.inherited(preset, above, which, false)?;
        }
        let mut once = Vec::with_capacity(found.len());
        for field in found {
            if !once.contains(&field) {
                once.push(field);
            }
        }
        self.way.pop();
        Ok(once)
    }

    /// The fields of another preset that a preset takes over.
    fn inherited(&mut self, preset: &Preset, from: &str, which: Which, named: bool) -> Result<Vec<String>> {
        if self.way.iter().any(|id| id == from) {
            self.problems.push(format!("preset `{from}` leads back to itself"));
            return Ok(Vec::new());
        }
        let Some(other) = self.context.read("presets-by-id", from)? else {
            // A preset need not have another one above it.
            if named {
                self.problems.push(format!("there is no preset `{from}`"));
            }
            return Ok(Vec::new());
        };
        let mut fields = self.fields(from, &other.json()?, which)?;
        if which == Which::Shown {
            let mut kept = Vec::with_capacity(fields.len());
            for field in fields {
                if self.kind(&field)?.is_none_or(|kind| is_inherited(&kind, preset)) {
                    kept.push(field);
                }
            }
            fields = kept;
        }
        Ok(fields)
    }

    fn kind(&self, field: &str) -> Result<Option<Kind>> {
        self.context.project("schema/fields", field, "kind", "")
    }
}

/// A field for a tag that defines the preset is not taken over, unless the tag may have several values.
fn is_inherited(field: &Kind, preset: &Preset) -> bool {
    let defines = field.key.as_ref().is_some_and(|key| preset.tags.contains_key(key));
    let several = ["multiCombo", "semiCombo", "manyCombo", "check"];
    !defines || field.kind.as_deref().is_some_and(|kind| several.contains(&kind))
}

/// Forms to fields: which presets use one.
#[derive(Debug)]
pub struct FieldUsers;

impl HasLayers for FieldUsers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["forms"]).output_layers([json_layer("field-users")?]))
    }
}

impl MapGroupCompiler for FieldUsers {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        let form: Form = input.json()?;
        for field in form.fields.iter().chain(&form.more_fields) {
            out.emit("field-users", field, input.name().to_string());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, presets: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        // A field may be shown and listed among those to add.
        let mut presets: Vec<String> = presets.collect();
        presets.dedup();
        Ok(Some(Payload::from_json_pretty(&presets)?))
    }
}
