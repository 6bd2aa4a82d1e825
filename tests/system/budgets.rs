//! Invariant 5: requests and bytes follow the change, counted at the store.

use deltic::core::{CatalogUuid, RunId, Timestamp};
use deltic::driver::Import;
use deltic::prelude::*;
use deltic::store::{Catalog, NewCatalog, Stores};
use deltic_testkit::Lab;
use deltic_testkit::store::{Operation, Request, RequestLog, Rounds};

/// Copies partitions, one to one.
struct Mirror;

impl HasLayers for Mirror {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("mirrored")?]))
    }
}

impl DirectCompiler for Mirror {
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        out.add("mirrored", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
        Ok(Some(inputs[0].payload.clone()))
    }
}

/// Groups by the first two characters of the name.
struct Grouped;

impl HasLayers for Grouped {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("grouped")?]))
    }
}

impl MapGroupCompiler for Grouped {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<u64>, _: &Context) -> Result<()> {
        let name = input.name().to_string();
        out.emit("grouped", &name[..name.len() - 1], input.bytes().len() as u64);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<u64>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(values.sum::<u64>().to_string().into()))
    }
}

/// Too big to lie inline in a leaf.
fn payload(number: u64, version: u64) -> Payload {
    format!("{number:>80}{version:>80}").into()
}

fn lab(tasks: Vec<Task>, partitions: u64, log: &RequestLog) -> Lab {
    let mut lab = Lab::on(Stores::new().with_wrapper(log.wrapper()), tasks);
    for number in 0..partitions {
        lab.put("in/a", format!("{number:07}"), payload(number, 1));
    }
    lab.run();
    log.take();
    lab
}

fn writes(requests: &[Request]) -> Vec<(&Operation, &str)> {
    let written = requests.iter().filter(|request| matches!(request.operation, Operation::Put | Operation::Create));
    written.map(|request| (&request.operation, request.object.split(['/', '-']).next().unwrap_or_default())).collect()
}

#[test]
fn a_run_with_nothing_to_do_makes_a_handful_of_requests_and_writes_nothing() {
    let log = RequestLog::new();
    let tasks = vec![
        Task::new("mirror", Direct(Mirror)).unwrap().version("1"),
        Task::new("grouped", MapGroup(Grouped)).unwrap().version("1"),
    ];
    let mut lab = lab(tasks, 20_000, &log);
    lab.run();
    let requests = log.take();
    // The lab itself looks at the input once more than a run does: nothing was put, so it does not.
    assert!(requests.len() <= 2 * 4, "{requests:#?}");
    assert_eq!(writes(&requests), []);
    assert!(requests.iter().map(|request| request.bytes).sum::<u64>() < 16 << 10, "{requests:#?}");
}

#[test]
fn one_change_among_a_million_is_forty_requests_and_256_kib() {
    let log = RequestLog::new();
    let mut lab = lab(vec![Task::new("mirror", Direct(Mirror)).unwrap().version("1")], 1_000_000, &log);
    let changed = payload(500_000, 2);
    lab.put("in/a", "0500000", changed.clone());
    lab.commit_inputs();
    log.take();
    lab.forget_caches();
    let run = lab.run();
    let requests = log.take();
    assert_eq!(run.log(), "back   mirror  mirrored/0500000\n");
    assert!(requests.len() <= 40, "{} requests: {requests:#?}", requests.len());
    assert_eq!(
        writes(&requests),
        [(&Operation::Put, "packs"), (&Operation::Create, "versions"), (&Operation::Put, "versions")]
    );
    let written = log_bytes(&requests);
    assert!(written <= changed.len() + (256 << 10), "{written} bytes written");
    println!("{} requests, {written} bytes written, {} read", requests.len(), read_bytes(&requests));
}

fn log_bytes(requests: &[Request]) -> u64 {
    let written = requests.iter().filter(|request| matches!(request.operation, Operation::Put | Operation::Create));
    written.map(|request| request.bytes).sum()
}

fn read_bytes(requests: &[Request]) -> u64 {
    requests.iter().filter(|request| request.operation == Operation::Get).map(|request| request.bytes).sum()
}

/// The bytes that one changed input of a map-group writes, state included.
#[test]
fn one_change_of_a_map_group_writes_128_kib_at_most() {
    let log = RequestLog::new();
    let mut lab = lab(vec![Task::new("grouped", MapGroup(Grouped)).unwrap().version("1")], 300_000, &log);
    let mut changed: Payload = payload(150_000, 2);
    changed = format!("{}!", String::from_utf8_lossy(changed.bytes())).into();
    lab.put("in/a", "0150000", changed);
    lab.commit_inputs();
    log.take();
    lab.forget_caches();
    let run = lab.run();
    let requests = log.take();
    assert_eq!(run.report.tasks[0].counts.put, 1);
    assert!(requests.len() <= 60, "{} requests: {requests:#?}", requests.len());
    let written = log_bytes(&requests);
    assert!(written <= 128 << 10, "{written} bytes written");
    println!("{} requests, {written} bytes written, {} read", requests.len(), read_bytes(&requests));
}

/// What one change costs where every request is a round trip over a network, with nothing cached.
#[test]
fn one_change_on_a_remote_store_is_few_round_trips() {
    let rounds = Rounds::new();
    let stores = Stores::new().with_wrapper(rounds.wrapper());
    let mut lab = Lab::on(stores, vec![Task::new("mirror", Direct(Mirror)).unwrap().version("1")]).at("s3://lab/");
    for number in 0..100_000 {
        lab.put("in/a", format!("{number:07}"), payload(number, 1));
    }
    lab.run();
    lab.put("in/a", "0050000", payload(50_000, 2));
    lab.commit_inputs();
    lab.forget_caches();
    rounds.take();
    let run = lab.run();
    assert_eq!(run.log(), "back   mirror  mirrored/0050000\n");
    let (requests, round_trips) = rounds.take();
    println!("{requests} requests in {round_trips} round trips");
    assert!(requests <= 24, "{requests} requests");
    assert!(round_trips <= 10, "{round_trips} round trips one after another");
}

/// One file of 20,000 has changed in a folder that is imported whole.
#[test]
fn an_import_looks_its_names_up_together() {
    let rounds = Rounds::new();
    let stores = Stores::new().with_wrapper(rounds.wrapper());
    let new = NewCatalog { uuid: CatalogUuid(1), run: RunId(1), created: Timestamp(0) };
    let layer = Layer::generic("a").unwrap();
    Catalog::create(&stores, "s3://lab/in", vec![layer.clone()], new).unwrap();
    let import = |run, changed| {
        let catalog = Catalog::open(&stores, "s3://lab/in").unwrap();
        rounds.take();
        let import = Import::begin(&catalog.latest().unwrap(), RunId(run)).unwrap();
        import.replace(&layer.id).unwrap();
        let name = |number: &u64| Name::generic(&format!("{number:07}")).unwrap();
        let named: Vec<(u64, Name)> = (0..20_000).map(|number| (number, name(&number))).collect();
        for batch in named.chunks(1024) {
            import.look_up(&layer.id, batch.iter().map(|(_, name)| name)).unwrap();
            for (number, name) in batch {
                let version = if changed == Some(*number) { 2 } else { 1 };
                import.put(&layer.id, name, &payload(*number, version)).unwrap();
            }
        }
        let counts = import.commit(Timestamp(0), "").unwrap().counts;
        let (requests, round_trips) = rounds.take();
        println!("{requests} requests in {round_trips} round trips");
        (counts.modified, counts.unchanged, requests, round_trips)
    };
    import(2, None);
    let (modified, unchanged, requests, round_trips) = import(3, Some(10_000));
    assert_eq!((modified, unchanged), (1, 19_999));
    assert!(requests <= 60, "{requests} requests");
    assert!(round_trips <= 45, "{round_trips} round trips one after another");
}
