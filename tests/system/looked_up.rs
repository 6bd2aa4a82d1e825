//! The cost of reads through a context if every request is a round trip: payloads with many readers are read once, and reads
//! that are known in advance are made together. None of this changes the output.

use std::sync::atomic::{AtomicU64, Ordering};

use deltic::core::Fields;
use deltic::prelude::*;
use deltic::store::{KeyRange, Stores};
use deltic_testkit::Lab;
use deltic_testkit::store::Rounds;

/// How a child gets at its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A back-end reads them.
    Direct,
    /// Those of all outputs of a batch are asked for before.
    DirectAhead,
    /// The same, where an output may have several inputs.
    ManyAhead,
    /// The same, where the outputs of an input are the user's own graph.
    GraphAhead,
    /// A front-end reads them.
    Group,
    /// It asks for those of all children of a batch before.
    GroupAhead,
    /// They are declared, and so is the grandparent of each.
    Tree,
}

/// Puts the length and the first bytes of its parents beside each child, whose text names them.
#[derive(Debug, Clone, Copy)]
struct Children {
    by: By,
    /// How often it was asked to read ahead.
    asked: &'static AtomicU64,
}

impl Children {
    fn show(parents: impl Iterator<Item = Result<Option<Partition>>>) -> Result<String> {
        let show = |parent: Option<Partition>| match parent {
            Some(parent) => Ok(format!("{}:{}", parent.bytes().len(), &parent.text()?[..8])),
            None => Ok("none".to_owned()),
        };
        let shown = parents.map(|parent| parent.and_then(show));
        Ok(shown.collect::<Result<Vec<_>>>()?.join(" "))
    }

    fn read_together(&self, by: By, children: &[Input], context: &Context<'_>) -> Result<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.by == by {
            let texts = children.iter().map(|child| child.text()).collect::<Result<Vec<_>>>()?;
            context.read_ahead("in/parents", texts.iter().flat_map(|text| text.split(' ')))?;
            // Whatever goes wrong here is nobody's business, and a look is not recorded.
            context.read("in/parents", "nobody")?;
            panic!("enough");
        }
        Ok(())
    }

    fn read(child: &Partition, context: &Context<'_>) -> Result<String> {
        Children::show(child.text()?.split(' ').map(|parent| context.read("in/parents", parent)))
    }
}

impl HasLayers for Children {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/children"])
            .reference_layers(["in/parents"])
            .output_layers([Layer::generic("shown")?]))
    }
}

impl DirectCompiler for Children {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("shown", &key.name);
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        let by = if self.by == By::ManyAhead { By::ManyAhead } else { By::DirectAhead };
        self.read_together(by, inputs, context)
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(Children::read(&inputs[0], context)?.into()))
    }
}

impl MapGroupCompiler for Children {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
        out.emit("shown", input.name(), Children::read(input, context)?);
        Ok(())
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.read_together(By::GroupAhead, inputs, context)
    }

    fn compile_out(&self, _: &OutKey, mut values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(values.next().map(Payload::from))
    }
}

impl RefTreeCompiler for Children {
    type Value = String;

    fn structure(&self) -> RefStructure {
        RefStructure::new().reference("parents", "in/parents").below("parents", "grandparents", "in/parents")
    }

    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()> {
        match reference {
            "parents" => partition.text()?.split(' ').for_each(|parent| to.add(parent)),
            // The grandparent of any is among the parents, ten further on.
            _ => to.add(format!("p{:04}", (partition.name().to_string()[1..].parse::<u64>()? + 10) % 1000)),
        }
        Ok(())
    }

    fn compile_in(&self, child: &Input, found: &References, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        let parents = found.of(child, "parents")?.map(|(_, parent)| Ok(parent.cloned()));
        out.emit("shown", child.name(), Children::show(parents)?);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, mut values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(values.next().map(Payload::from))
    }
}

impl IncrementalDepCompiler for Children {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        for child in input.list("in/children")? {
            let key = Key { layer: LayerRef::parse("in/children")?, name: child?.name };
            out.set(&key, |to| to.add("shown", &key.name))?;
        }
        Ok(())
    }

    fn update(
        &self,
        _: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        _: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        for change in changes {
            let InputChange { key, exists, .. } = change?;
            if exists {
                out.set(&key, |to| to.add("shown", &key.name))?;
            }
        }
        Ok(())
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.read_together(By::GraphAhead, inputs, context)
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(Children::read(&inputs[0], context)?.into()))
    }
}

fn task(by: By) -> Task {
    counted(by, Box::leak(Box::default()))
}

fn counted(by: By, asked: &'static AtomicU64) -> Task {
    let children = Children { by, asked };
    let task = match by {
        By::Direct | By::DirectAhead => Task::new("children", Direct(children)),
        By::ManyAhead => Task::new("children", DirectMany(children)),
        By::GraphAhead => Task::new("children", IncrementalDep(children)),
        By::Group | By::GroupAhead => Task::new("children", MapGroup(children)),
        By::Tree => Task::new("children", RefTree(children)),
    };
    task.unwrap().version("1")
}

/// Children, the length of parents in bytes, and how many parents each child names.
#[derive(Clone, Copy)]
struct Family {
    children: u64,
    parents: u64,
    bytes: usize,
    named: u64,
}

impl Family {
    fn parent(self, number: u64) -> String {
        format!("{number:08}{}", "-".repeat(self.bytes - 8))
    }

    fn put(self, lab: &mut Lab) {
        for number in 0..self.parents {
            lab.put("in/parents", format!("p{number:04}"), self.parent(number));
        }
        for number in 0..self.children {
            // Far from each other, and one that does not exist.
            let parent = |i: u64| (number * 37 + i * 11) % (self.parents + 1);
            let names: Vec<String> = (0..self.named).map(|i| format!("p{:04}", parent(i))).collect();
            lab.put("in/children", format!("c{number:05}"), names.join(" "));
        }
        lab.commit_inputs();
    }
}

/// A lab behind a network, with nothing cached, and how its requests are counted.
fn far(family: Family, by: By) -> (Lab, Rounds) {
    let rounds = Rounds::new();
    let mut lab = Lab::on(Stores::new().with_wrapper(rounds.wrapper()), vec![task(by)]).at("s3://lab/");
    family.put(&mut lab);
    lab.forget_caches();
    rounds.take();
    (lab, rounds)
}

/// Requests for inputs, and round trips of all of the run.
fn run(lab: &mut Lab, rounds: &Rounds) -> (u64, usize) {
    let report = lab.run().report;
    (report.input_requests.gets, rounds.take().1)
}

fn holds_against_a_local_one(lab: &mut Lab, family: Family, by: By) {
    let mut near = Lab::new(vec![task(by)]);
    family.put(&mut near);
    near.run();
    near.assert_equals(lab);
    // A parent that changes, one that goes, one that comes: the record of who looked at what is whole.
    for lab in [&mut *lab, &mut near] {
        lab.put("in/parents", "p0003", family.parent(1_000_003));
        lab.delete("in/parents", "p0004");
        lab.put("in/parents", format!("p{:04}", family.parents), family.parent(9));
        lab.run();
    }
    near.assert_equals(lab);
}

#[test]
fn what_many_look_at_is_read_once() {
    let family = Family { children: 3000, parents: 100, bytes: 400, named: 1 };
    for by in [By::Direct, By::Group] {
        let mut of_threads = Vec::new();
        for threads in [1, 4] {
            let (mut lab, rounds) = far(family, by);
            lab.threads(threads);
            let (gets, _) = run(&mut lab, &rounds);
            println!("{by:?}, {threads} threads: {gets} requests for {} reads", family.children);
            assert!(gets <= family.parents + 40, "{by:?}, {threads} threads: {gets}");
            of_threads.push(gets);
            holds_against_a_local_one(&mut lab, family, by);
        }
        // Who wants what somebody else is reading waits for it. Nodes of the tree may be read by several at a time.
        assert!(of_threads[1] <= of_threads[0] + 12, "{by:?}: {of_threads:?}");
    }
}

#[test]
fn what_is_known_before_is_read_together() {
    let family = Family { children: 1000, parents: 1000, bytes: 400, named: 3 };
    let (mut one_by_one, rounds) = far(family, By::Group);
    let (gets, trips) = run(&mut one_by_one, &rounds);
    assert!(gets >= family.parents, "{gets}: the parents of a child lie apart");
    for by in [By::DirectAhead, By::ManyAhead, By::GraphAhead, By::GroupAhead, By::Tree] {
        let (mut lab, rounds) = far(family, by);
        let (ahead_gets, ahead_trips) = run(&mut lab, &rounds);
        println!("{by:?}: {ahead_gets} requests in {ahead_trips} round trips; {gets} in {trips} one by one");
        assert!(ahead_gets <= 60 && ahead_trips <= 60, "{by:?}: {ahead_gets} requests, {ahead_trips} round trips");
        holds_against_a_local_one(&mut lab, family, by);
    }
}

/// Where a read is no round trip, nobody is asked what to read together.
#[test]
fn nothing_is_read_ahead_where_reads_are_local() {
    let family = Family { children: 300, parents: 10, bytes: 400, named: 1 };
    for by in [By::DirectAhead, By::ManyAhead, By::GraphAhead, By::GroupAhead] {
        let asked: [&'static AtomicU64; 2] = std::array::from_fn(|_| &*Box::leak(Box::default()));
        let rounds = Rounds::new();
        let far = Stores::new().with_wrapper(rounds.wrapper());
        let mut labs =
            [Lab::new(vec![counted(by, asked[0])]), Lab::on(far, vec![counted(by, asked[1])]).at("s3://lab/")];
        for lab in &mut labs {
            family.put(lab);
            lab.forget_caches();
            lab.run();
        }
        let asked = asked.map(|asked| asked.load(Ordering::Relaxed));
        assert!(asked[0] == 0 && (1..family.children).contains(&asked[1]), "{by:?}: {asked:?}");
    }
}

/// More than is read ahead at once, and more than the cache holds.
#[test]
fn more_than_there_is_room_for_is_read_when_it_is_needed() {
    let family = Family { children: 60, parents: 40, bytes: 1 << 20, named: 2 };
    for by in [By::Direct, By::DirectAhead, By::GroupAhead, By::Tree] {
        let (mut lab, rounds) = far(family, by);
        let (gets, _) = run(&mut lab, &rounds);
        println!("{by:?}: {gets} requests for {} parents of 1 MiB", family.parents);
        assert!(gets <= 2 * family.children * 3 + 40, "{by:?}: {gets}");
        holds_against_a_local_one(&mut lab, family, by);
    }
}

/// One that would leave no room for others is not held: whoever wants it reads it.
#[test]
fn what_is_too_large_for_the_cache_is_not_held() {
    // The parent has number 0; every other child names one that does not exist.
    let family = |mib: usize| Family { children: 6, parents: 1, bytes: mib << 20, named: 1 };
    let readers = (0..family(1).children).filter(|number| (number * 37) % 2 == 0).count() as u64;
    let gets = [15, 17].map(|mib| {
        let (mut lab, rounds) = far(family(mib), By::Direct);
        let (gets, _) = run(&mut lab, &rounds);
        holds_against_a_local_one(&mut lab, family(mib), By::Direct);
        gets
    });
    assert_eq!(
        gets[1],
        gets[0] + readers - 1,
        "{gets:?}: one of 15 MiB is read once, one of 17 MiB by each of {readers}"
    );
}

/// Publishes what its input names as it is, user fields included.
struct Forwards;

impl HasLayers for Forwards {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/children"])
            .reference_layers(["in/parents"])
            .output_layers([Layer::generic("shown")?]))
    }
}

impl DirectCompiler for Forwards {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("shown", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let names: Vec<&str> = inputs[0].text()?.split(' ').collect();
        context.read_ahead("in/parents", names.iter().copied())?;
        Ok(context.read("in/parents", names[0])?.map(|parent| parent.payload))
    }
}

/// Two may have the same bytes and other user fields: neither is taken for the other, from wherever it is read.
#[test]
fn user_fields_are_part_of_what_is_held() {
    let rounds = Rounds::new();
    let task = || vec![Task::new("forwards", Direct(Forwards)).unwrap().version("1")];
    let mut lab = Lab::on(Stores::new().with_wrapper(rounds.wrapper()), task()).at("s3://lab/");
    let mut near = Lab::new(task());
    for lab in [&mut lab, &mut near] {
        for (name, author) in [("a", "ann"), ("b", "bob")] {
            let mut fields = Fields::default();
            fields.set("author", author).unwrap();
            lab.put("in/parents", name, Payload::from("-".repeat(400)).with_fields(fields));
        }
        for (name, text) in [("1", "a b"), ("2", "b a"), ("3", "a"), ("4", "b")] {
            lab.put("in/children", name, text);
        }
        lab.commit_inputs();
        lab.forget_caches();
        lab.run();
    }
    near.assert_equals(&lab);
    let output = lab.output();
    let fields = output.layers().flat_map(|layer| {
        output
            .tree(&layer.id)
            .unwrap()
            .scan(KeyRange::all())
            .map(|found| found.unwrap().1.meta.fields.clone())
            .collect::<Vec<_>>()
    });
    let fields: std::collections::BTreeSet<String> = fields.map(|fields| fields.as_str().to_owned()).collect();
    assert_eq!(fields.len(), 2, "{fields:?}");
}
