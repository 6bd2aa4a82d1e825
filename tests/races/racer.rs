//! The processes that race: this test binary again, controlled by environment variables.
//!
//! Each makes a number of versions of one catalog, and starts again from the latest after each conflict. For each version that the
//! store acknowledges, it prints number, run and digest. All wait for each other before they begin.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use deltic::core::{CatalogId, CatalogUuid, Digest, LayerId, RunId, Timestamp, Version};
use deltic::driver::{self, Error, Import, Job, LocalEngine, Options};
use deltic::prelude::*;
use deltic::store::{Catalog, ErrorKind, NewCatalog, Stores};
use deltic_testkit::store::{Fault, Operation, faults};

use crate::proxy::Proxy;
use crate::store::Store;

const VARIABLE: &str = "DELTIC_TEST_RACER";
const READY: &str = "racer ready";
const ACK: &str = "racer made";
const END: &str = "racer conflicts";

/// Partitions of the input that runs read.
pub(crate) const PARTITIONS: u64 = 20;

/// The work of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Imports into one catalog, each of a different partition.
    Import,
    /// Runs of drivers on one output.
    Run,
}

/// Failures of the connection to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// Of every three records that are created, one gets no answer.
    LosesAnswers,
    /// A creation overwrites an existing object.
    Overwrites,
}

/// A version that was acknowledged to a process.
#[derive(Debug)]
pub(crate) struct Ack {
    pub(crate) writer: u64,
    pub(crate) round: u64,
    pub(crate) version: Version,
    pub(crate) run: RunId,
    pub(crate) digest: Digest,
}

/// The catalogs of a race.
pub(crate) struct Race {
    pub(crate) kind: Kind,
    pub(crate) catalog: Catalog,
    mishap: Mishap,
    input: String,
    proxy: Option<Proxy>,
}

impl Race {
    /// Makes the catalogs.
    pub(crate) fn prepare(store: &Store, kind: Kind, mishap: Mishap) -> Race {
        let identity = |n| NewCatalog { uuid: CatalogUuid(n), run: RunId(n as u64), created: Timestamp(0) };
        let stores = Stores::new();
        let (input, raced) = (store.catalog("in"), store.catalog(&format!("raced {kind:?}")));
        let layer = || Layer::generic("a").unwrap();
        let layers = if kind == Kind::Import { vec![layer()] } else { Vec::new() };
        let catalog = Catalog::create(&stores, &raced, layers, identity(1)).unwrap();
        if kind == Kind::Run {
            let input = Catalog::create(&stores, &input, vec![layer()], identity(2)).unwrap();
            let import = Import::begin(&input.latest().unwrap(), RunId(1)).unwrap();
            for number in 0..PARTITIONS {
                let name = Name::generic(&number.to_string()).unwrap();
                import.put(&layer().id, &name, &format!("{number:0300}").into()).unwrap();
            }
            import.commit(Timestamp(0), "").unwrap();
        }
        let proxy = (mishap == Mishap::LosesAnswers && !store.is_folder()).then(Proxy::for_servers).flatten();
        Race { kind, catalog, mishap, input, proxy }
    }

    /// Lets processes race, and returns their acknowledgements, and the number of conflicts.
    pub(crate) fn start(&self, writers: u64, rounds: u64) -> (Vec<Ack>, u64) {
        let mut racers: Vec<Racer> = (1..=writers).map(|writer| self.racer(writer, rounds)).collect();
        racers.iter_mut().for_each(|racer| assert_eq!(racer.line(), READY));
        for racer in &mut racers {
            racer.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        let (mut acks, mut conflicts) = (Vec::new(), 0);
        for mut racer in racers {
            loop {
                let line = racer.line();
                if let Some(number) = line.strip_prefix(END) {
                    conflicts += number.trim().parse::<u64>().unwrap();
                    break;
                }
                acks.push(Ack::read(racer.writer, line.strip_prefix(ACK).unwrap()));
            }
            racer.lines.by_ref().for_each(drop);
            assert!(racer.child.wait().unwrap().success());
        }
        (acks, conflicts)
    }

    /// How many answers were lost on the connections to servers, if there are any.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.proxy.as_ref().map(Proxy::lost)
    }

    fn racer(&self, writer: u64, rounds: u64) -> Racer {
        let Race { kind, mishap, input, .. } = self;
        let url = self.catalog.url();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "racer::race_in_a_process_of_its_own", "--nocapture"]);
        command.env(VARIABLE, format!("{kind:?}\n{mishap:?}\n{writer}\n{rounds}\n{url}\n{input}"));
        command.envs(self.proxy.iter().flat_map(Proxy::environment));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map_while(Result::ok).filter_map(|line| Some(line[line.find("racer ")?..].to_owned()));
        Racer { writer, child, lines: Box::new(lines) }
    }
}

/// A process, seen from outside.
struct Racer {
    writer: u64,
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Racer {
    fn line(&mut self) -> String {
        // The harness prints the test's name on the first line of the process.
        self.lines.find(|line| [READY, ACK, END].iter().any(|known| line.starts_with(known))).unwrap()
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        // Ended already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ack {
    fn read(writer: u64, text: &str) -> Ack {
        let parts: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(parts.len(), 4, "{text}");
        let [round, version, run, digest] = [parts[0], parts[1], parts[2], parts[3]];
        Ack {
            writer,
            round: round.parse().unwrap(),
            version: version.parse().unwrap(),
            run: run.parse().unwrap(),
            digest: digest.parse().unwrap(),
        }
    }
}

/// The content that a writer puts in a round.
pub(crate) fn content(writer: u64, round: u64) -> String {
    // Half of them too long for a leaf.
    let width = 10 + round as usize % 2 * 500;
    format!("{writer} {round:>width$}")
}

/// Runs only in the separate processes.
#[test]
fn race_in_a_process_of_its_own() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let told: Vec<&str> = told.split('\n').collect();
    let [kind, mishap, writer, rounds, url, input] = told[..] else { panic!("{told:?}") };
    let (writer, rounds): (u64, u64) = (writer.parse().unwrap(), rounds.parse().unwrap());
    // With remote stores, the proxy loses the answers, which is more realistic.
    let local = url.starts_with("file:");
    let (overwrites, loses) = (mishap == "Overwrites", local && mishap == "LosesAnswers");
    let created = std::sync::atomic::AtomicU64::new(writer);
    let stores = Stores::new().with_wrapper(faults(move |operation, object| {
        let record = operation == Operation::Create && object.starts_with("versions/");
        match record {
            true if overwrites => Fault::IgnoreCondition,
            true if loses && created.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(3) => {
                Fault::After
            }
            _ => Fault::None,
        }
    }));
    let catalog = Catalog::open(&stores, url).unwrap();
    let input = (kind == "Run").then(|| Catalog::open(&stores, input).unwrap());

    println!("\n{READY}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let (mut conflicts, mut drawn) = (0, writer << 32);
    'rounds: for round in 1..=rounds {
        let made = loop {
            drawn += 1;
            let tried = match &input {
                None => import(&catalog, RunId(drawn), writer, round),
                Some(input) => compile(input, &catalog, RunId(drawn), writer, round),
            };
            match tried {
                Ok(version) => break version,
                Err(error) => match of_store(&error) {
                    Some(ErrorKind::Conflict { .. }) => conflicts += 1,
                    // A record lies over the parent of another: nobody goes on from there.
                    Some(ErrorKind::Corrupt { .. }) if overwrites => break 'rounds,
                    _ => panic!("writer {writer}: {error}: {:?}", std::error::Error::source(&error)),
                },
            }
        };
        let digest = match catalog.snapshot(made) {
            Ok(snapshot) => snapshot.digest(),
            // It was acknowledged nevertheless.
            Err(_) if overwrites => Digest::of(b""),
            Err(error) => panic!("writer {writer}: {error}"),
        };
        println!("{ACK} {round} {made} {} {digest}", RunId(drawn));
    }
    println!("{END} {conflicts}");
}

fn import(catalog: &Catalog, run: RunId, writer: u64, round: u64) -> Result<Version, Error> {
    let import = Import::begin(&catalog.latest()?, run)?;
    let name = Name::generic(&writer.to_string()).unwrap();
    import.put(&LayerId::new("a").unwrap(), &name, &content(writer, round).into())?;
    Ok(import.commit(Timestamp(0), "")?.version.unwrap())
}

/// Writes the maker of each partition into it.
struct Stamp(String);

impl HasLayers for Stamp {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("x")?]))
    }
}

impl DirectCompiler for Stamp {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("x", &key.name);
    }

    fn compile(&self, _: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(self.0.as_str().into()))
    }
}

fn compile(input: &Catalog, output: &Catalog, id: RunId, writer: u64, round: u64) -> Result<Version, Error> {
    let stamp = content(writer, round);
    let tasks = [Task::new("stamp", Direct(Stamp(stamp.clone()))).unwrap().version(&stamp)];
    let report = Job::new(output, &tasks, Options::new(id, Timestamp(0), LayerId::new("state").unwrap()))
        .input(CatalogId::new("in").unwrap(), input.clone())
        .run(&LocalEngine::new(1))?;
    Ok(report.version.unwrap())
}

/// What an error of a run is to the store, where it is the store's.
fn of_store(error: &Error) -> Option<&ErrorKind> {
    match error.kind() {
        driver::ErrorKind::Store(error) => Some(error.kind()),
        _ => None,
    }
}
