//! Compilers that do everything that can go wrong in an incremental system, controlled by hashes of their inputs.

use deltic::core::{Digest, Tile};
use deltic::prelude::*;

/// A number that depends on everything given.
pub(crate) fn number(parts: &[&dyn std::fmt::Debug]) -> u64 {
    let digest = Digest::of(format!("{parts:?}").as_bytes());
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap())
}

/// Layers and a seed: what the random compilers have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) salt: u64,
    pub(crate) inputs: Vec<&'static str>,
    pub(crate) references: Vec<&'static str>,
    pub(crate) output: &'static str,
}

impl Shape {
    /// Looks at something, present or not, in one of the ways there are.
    fn look(&self, by: u64, context: &Context<'_>) -> Result<String> {
        let all: Vec<&str> = self.references.iter().chain(&self.inputs).copied().collect();
        let layer = all[number(&[&by, &"layer"]) as usize % all.len()];
        if layer == TILES {
            let quadkey: String =
                (0..1 + by % 3).map(|i| char::from(b'0' + (if i == 0 { 0 } else { by >> i & 3 }) as u8)).collect();
            let tile: Tile = quadkey.parse()?;
            return Ok(match number(&[&by, &"how"]) % 3 {
                0 => format!("{:?}", context.read(layer, tile)?.map(|found| found.payload)),
                1 => format!("{:?}", context.exists(layer, tile)?),
                _ => format!("{:?}", context.list(layer, Within::Subtree(tile))?),
            });
        }
        let name = format!("{}{}", number(&[&by, &"a"]) % 3, number(&[&by, &"b"]) % 4);
        Ok(match number(&[&by, &"how"]) % 7 {
            5 => caught(context.project::<u64>(layer, &name, "bit", &(by % 3).to_string())),
            6 => caught(context.decoded::<String>(layer, &name, "bit")),
            0 | 1 => format!("{:?}", context.read(layer, &name)?.map(|found| found.payload)),
            2 => format!("{:?}", context.exists(layer, &name)?),
            3 => format!("{:?}", context.list(layer, Within::Prefix(&name[..1]))?),
            _ => format!(
                "{:?}",
                context.list(layer, if by.is_multiple_of(7) { Within::All } else { Within::Prefix(&name) })?
            ),
        })
    }

    fn result(&self, seed: u64, context: &Context<'_>) -> Result<Option<Payload>> {
        let seen = if seed.is_multiple_of(3) { self.look(seed, context)? } else { String::new() };
        let made = number(&[&seed, &seen]);
        if made.is_multiple_of(4) {
            return Ok(None);
        }
        // Equal bytes with other user fields, and the other way round.
        let payload = Payload::from((made % 5).to_string());
        Ok(Some(match made / 5 % 3 {
            0 => payload,
            field => payload.with_field("made", &field.to_string())?,
        }))
    }
}

/// The result of a read that may fail: the compiler continues with the text of the error.
fn caught<T: std::fmt::Debug>(found: Result<T>) -> String {
    found.map_or_else(|error| format!("{error:#}"), |found| format!("{found:?}"))
}

/// Parts of a partition that change more rarely than it does, and sometimes are not there. Some partitions can not be
/// decoded, and some parts not be taken.
fn bits() -> Vec<Projection> {
    let decode = |payload: &Payload| {
        let text = format!("{} {:?}", std::str::from_utf8(payload.bytes())?, payload.fields());
        ensure!(!number(&[&text]).is_multiple_of(4), "no bits in {text}");
        Ok(text)
    };
    let part = |text: &String, argument: &str| {
        let number = number(&[text, &argument]);
        ensure!(!number.is_multiple_of(7), "no bit in {text}");
        Ok((!number.is_multiple_of(5)).then_some(number / 5 % 2))
    };
    vec![Projection::new("bit", decode, part)]
}

/// The layer whose names are tiles.
pub(crate) const TILES: &str = "in/t";

macro_rules! layers_of {
    ($name:ident) => {
        impl HasLayers for $name {
            fn layers(&self) -> Result<Layers> {
                Ok(Layers::new()
                    .input_layers(&self.0.inputs)
                    .reference_layers(&self.0.references)
                    .projections(bits())
                    .output_layers([Layer::generic(self.0.output)?]))
            }
        }
    };
}

/// A map-group with content-dependent outputs, several values for one output, and looks in both ends.
#[derive(Debug, Clone)]
pub(crate) struct Groups(pub(crate) Shape);
layers_of!(Groups);

impl MapGroupCompiler for Groups {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, context: &Context<'_>) -> Result<()> {
        let seed = number(&[&self.0.salt, &input.key, &input.payload]);
        for i in 0..seed % 3 {
            let mut value = number(&[&seed, &i]) % 4;
            if number(&[&seed, &"look", &i]).is_multiple_of(2) {
                value = number(&[&value, &self.0.look(number(&[&seed, &i, &"at"]), context)?]);
            }
            let name = format!("{}{}", number(&[&seed, &"o", &i]) % 3, number(&[&seed, &"p", &i]) % 4);
            out.emit(self.0.output, name, value);
        }
        Ok(())
    }

    fn compile_out(&self, output: &OutKey, values: Values<'_, u64>, context: &Context<'_>) -> Result<Option<Payload>> {
        let values: Vec<(Key, u64)> = values.with_keys().collect();
        assert!(values.is_sorted_by(|a, b| a.0 <= b.0), "values are not sorted by input key: {values:?}");
        self.0.result(number(&[&self.0.salt, output, &values]), context)
    }
}

/// A direct compiler with two outputs an input, neither shared.
#[derive(Debug, Clone)]
pub(crate) struct Pairs(pub(crate) Shape);
layers_of!(Pairs);

impl DirectCompiler for Pairs {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add(self.0.output, &key.name);
        out.add(self.0.output, format!("{}+", key.name));
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        assert_eq!(inputs.len(), 1);
        self.0.result(number(&[&self.0.salt, output, &inputs[0].payload]), context)
    }
}

/// A direct compiler that gathers names by their first character.
#[derive(Debug, Clone)]
pub(crate) struct Gathers(pub(crate) Shape);
layers_of!(Gathers);

impl DirectCompiler for Gathers {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        let name = key.name.to_string();
        out.add(self.0.output, &name[..1]);
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        assert!(!inputs.is_empty() && inputs.is_sorted_by(|a, b| a.key < b.key));
        let seen: Vec<(&Key, &Payload)> = inputs.iter().map(|input| (&input.key, &input.payload)).collect();
        self.0.result(number(&[&self.0.salt, output, &seen]), context)
    }
}

/// Groups that become none to three partitions each, whose names move between groups as contents do.
#[derive(Debug, Clone)]
pub(crate) struct Splits(pub(crate) Shape);
layers_of!(Splits);

impl MapSplitCompiler for Splits {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, context: &Context<'_>) -> Result<()> {
        let seed = number(&[&self.0.salt, &input.key, &input.payload]);
        if seed.is_multiple_of(3) {
            self.0.look(seed, context)?;
        }
        for i in 0..seed % 3 {
            // An even and an odd group never publish the same.
            out.emit(self.0.output, (seed >> i & 1).to_string(), seed % 7);
        }
        Ok(())
    }

    fn compile_out(
        &self,
        group: &OutKey,
        values: Values<'_, u64>,
        out: &mut Publish<'_>,
        context: &Context<'_>,
    ) -> Result<()> {
        let even = group.name.to_string() == "0";
        // Sorted, so that it does not matter which of several inputs emitted it.
        let seed = number(&[&self.0.salt, &values.sorted_by_key(|value| *value)]);
        for i in 0..seed % 4 {
            let name = 2 * (number(&[&seed, &i]) % 2 + 2 * i) + u64::from(!even);
            if let Some(payload) = self.0.result(number(&[&seed, &"payload", &i]), context)? {
                out.put(self.0.output, name.to_string(), payload);
            }
        }
        Ok(())
    }
}

/// A dep compiler: what it emits depends roughly on the number of partitions.
#[derive(Debug, Clone)]
pub(crate) struct Counted(pub(crate) Shape);
layers_of!(Counted);

impl DepCompiler for Counted {
    type Value = String;

    fn compile_in(&self, input: &Whole<'_>, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
        for layer in &self.0.inputs {
            let all = input.list(layer)?.count();
            for partition in input.partitions(layer)? {
                let partition = partition?;
                let seed = number(&[&self.0.salt, &partition.key, &partition.payload]);
                let seen = if seed.is_multiple_of(5) { self.0.look(seed, context)? } else { String::new() };
                out.emit(self.0.output, (seed % 4).to_string(), format!("{}{}{seen}", all / 4, partition.key));
            }
        }
        Ok(())
    }

    fn compile_out(
        &self,
        output: &OutKey,
        values: Values<'_, String>,
        context: &Context<'_>,
    ) -> Result<Option<Payload>> {
        self.0.result(number(&[&self.0.salt, output, &values.collect::<Vec<_>>()]), context)
    }
}

/// A global compiler that passes some of its input on, last first.
#[derive(Debug, Clone)]
pub(crate) struct Passes(pub(crate) Shape);
layers_of!(Passes);

impl GlobalCompiler for Passes {
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, context: &Context<'_>) -> Result<()> {
        let mut all = Vec::new();
        for layer in &self.0.inputs {
            all.extend(input.partitions(layer)?.collect::<Result<Vec<_>>>()?);
        }
        for partition in all.iter().rev() {
            let seed = number(&[&self.0.salt, &partition.key, &partition.payload]);
            if let Some(payload) = self.0.result(seed, context)? {
                out.put(self.0.output, partition.key.to_string().replace('/', "-"), payload);
            }
        }
        Ok(())
    }
}

/// An incremental-dep compiler: an input goes into an output by its place among all, three to an output, counted from what
/// one of them says.
#[derive(Debug, Clone)]
pub(crate) struct Thirds(pub(crate) Shape);
layers_of!(Thirds);

impl Thirds {
    fn places(&self, input: &Whole<'_>, mut each: impl FnMut(Key, String) -> Result<()>) -> Result<()> {
        let first = input.read(self.0.inputs[0], (number(&[&self.0.salt]) % 4).to_string())?;
        let mut place = number(&[&first.map(|first| first.payload)]) % 3;
        for layer in &self.0.inputs {
            for listed in input.list(layer)? {
                let key = Key { layer: LayerRef::parse(layer)?, name: listed?.name };
                each(key, (place / 3).to_string())?;
                place += 1;
            }
        }
        Ok(())
    }
}

impl IncrementalDepCompiler for Thirds {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        self.places(input, |key, place| out.set(&key, |to| to.add(self.0.output, place)))
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        for change in changes {
            let InputChange { key, existed, exists } = change?;
            assert!(existed || exists);
            for output in before.outputs_of(&key)? {
                assert!(existed && before.inputs_of(&output)?.contains(&key));
            }
        }
        self.places(input, |key, place| {
            let before = before.outputs_of(&key)?;
            let same = before.len() == 1 && before[0].name.to_string() == place;
            if same { Ok(()) } else { out.set(&key, |to| to.add(self.0.output, place)) }
        })
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        assert!(!inputs.is_empty() && inputs.is_sorted_by(|a, b| a.key < b.key));
        let seen: Vec<(&Key, &Payload)> = inputs.iter().map(|input| (&input.key, &input.payload)).collect();
        self.0.result(number(&[&self.0.salt, output, &seen]), context)
    }
}

/// A chain of tasks of every pattern over two input layers, made from a seed.
pub(crate) fn random_tasks(seed: u64) -> Vec<Task> {
    salted_tasks(seed, |_| 0)
}

/// The same; what the one with this number makes depends on a further number.
pub(crate) fn salted_tasks(seed: u64, salted: impl Fn(&str) -> u64) -> Vec<Task> {
    let shape = |salt: &str, inputs: &[&'static str], references: &[&'static str], output| Shape {
        salt: number(&[&seed, &salt]).wrapping_add(salted(salt)),
        inputs: inputs.to_vec(),
        references: references.to_vec(),
        output,
    };
    let splits = Splits(shape("6", &["in/a", "x"], &["y"], "s"));
    [
        Task::new("one", MapGroup(Groups(shape("1", &["in/a"], &[TILES], "x")))),
        Task::new("two", MapGroup(Groups(shape("2", &["x", "in/a", TILES], &[], "y")))).map(|two| two.memo(24)),
        Task::new("three", Direct(Pairs(shape("3", &["y"], &["x", TILES], "z")))),
        Task::new("four", DirectMany(Gathers(shape("4", &["z", TILES], &["x"], "v")))),
        Task::new("five", Direct(Pairs(shape("5", &["in/a"], &["in/a", "v"], "w")))),
        Task::new("six", MapSplit(splits)).map(|six| if seed.is_multiple_of(2) { six.memo(1000) } else { six }),
        Task::new("seven", Dep(Counted(shape("7", &["s", "in/a"], &["x", TILES], "c")))),
        Task::new("nine", IncrementalDep(Thirds(shape("9", &["c", "in/a"], &["s", TILES], "t")))),
        Task::new("eight", Global(Passes(shape("8", &["c", TILES], &["s"], "p")))),
    ]
    .into_iter()
    .map(|task| task.unwrap().version("1"))
    .collect()
}

/// A chain of tasks of three patterns, over layer `a` of input `in`.
pub(crate) fn three_tasks() -> Vec<Task> {
    let shape = |salt, input, output| Shape { salt, inputs: vec![input], references: vec!["in/a"], output };
    let tasks = [
        Task::new("one", MapGroup(Groups(shape(1, "in/a", "x")))),
        Task::new("two", Direct(Pairs(shape(2, "in/a", "y")))),
        Task::new("three", DirectMany(Gathers(shape(3, "y", "z")))),
    ];
    tasks.into_iter().map(|task| task.unwrap().version("1")).collect()
}
