//! Layers over layers, places, and what is refused.

use deltic_compiler::{ConfigError, Setup};
use deltic_core::Version;
use deltic_driver::At;
use serde::{Deserialize, Serialize};

use super::*;

fn merge(text: &str, environment: &[(&str, &str)], settings: &[&str]) -> Result<Config, Problem> {
    let sources = Sources {
        file: None,
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        settings: settings.iter().map(ToString::to_string).collect(),
    };
    Config::merge("x.conf", Some(text), &sources)
}

fn wrong(text: &str, environment: &[(&str, &str)], settings: &[&str]) -> String {
    merge(text, environment, settings).unwrap_err().to_string()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct Coverage {
    level: u8,
    grid: String,
    area: Area,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Area {
    names: Vec<String>,
    deep: bool,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage { level: 8, grid: "here".to_owned(), area: Area::default(), limit: None }
    }
}

fn coverage(config: &Config) -> Result<Coverage, String> {
    let mut setup = Setup::new(config.sections());
    let read = setup.config::<Coverage>("coverage").and_then(|read| {
        setup.task("coverage", deltic_compiler::MapGroup(Nothing))?;
        setup.finish()?;
        Ok(read)
    });
    read.map_err(|error| match error.downcast_ref::<ConfigError>() {
        Some(wrong) => config.locate(wrong).to_string(),
        None => format!("{error:#}"),
    })
}

const FILE: &str = "\
[catalogs]
in = 'file:data/in'

[driver]
  threads = 4

[compiler.coverage]
level = 9
";

#[test]
fn later_layers_win() {
    let level = |environment: &[(&str, &str)], settings: &[&str]| {
        coverage(&merge(FILE, environment, settings).unwrap()).unwrap().level
    };
    assert_eq!(level(&[], &[]), 9);
    assert_eq!(level(&[("DELTIC__COMPILER__COVERAGE__LEVEL", "10")], &[]), 10);
    assert_eq!(level(&[("DELTIC__COMPILER__COVERAGE__LEVEL", "10")], &["compiler.coverage.level=11"]), 11);
    assert_eq!(level(&[], &["compiler.coverage.level=11", "compiler.coverage.level=12"]), 12);
    assert_eq!(coverage(&merge("", &[], &[]).unwrap()).unwrap().level, 8);
    let config = merge(FILE, &[("DELTIC__DRIVER__INCREMENTAL", "false")], &["driver.threads=2"]).unwrap();
    assert_eq!((config.driver.threads, config.driver.incremental), (2, false));
    let memory = |environment: &[(&str, &str)], settings: &[&str]| {
        merge("[driver]\nmemory = '1 GiB'\n", environment, settings).unwrap().driver.memory.0
    };
    assert_eq!(memory(&[], &[]), 1 << 30);
    assert_eq!(memory(&[("DELTIC__DRIVER__MEMORY", "2 MiB")], &[]), 2 << 20);
    assert_eq!(memory(&[("DELTIC__DRIVER__MEMORY", "2 MiB")], &["driver.memory=3KiB"]), 3 << 10);
}

#[test]
fn values_are_toml_or_else_text() {
    let config = merge(
        "",
        &[("DELTIC__CATALOGS__IN", "s3://bucket/in"), ("DELTIC__COMPILER__COVERAGE__GRID", "\"web mercator\"")],
        &["compiler.coverage.area={ deep = true, names = ['a', \"b\"] }", "compiler.coverage.limit=0x10"],
    )
    .unwrap();
    assert_eq!(config.catalogs.values().next().unwrap().url, "s3://bucket/in");
    let coverage = coverage(&config).unwrap();
    assert_eq!(coverage.grid, "web mercator");
    assert!(coverage.area.deep);
    assert_eq!(coverage.area.names, ["a", "b"]);
    assert_eq!(coverage.limit, Some(16));
}

/// TOML that can not be used does not become a text: it is refused, with its key.
#[test]
fn toml_that_can_not_be_used_is_no_text() {
    for (value, why) in [
        ("nan", "nan is not a number that can be used: it must be finite; write it in quotes to make it a text"),
        ("-inf", "-inf is not a number that can be used"),
        ("1e999", "1e999 is not a number that can be used"),
        ("[1, inf]", "inf is not a number that can be used"),
        ("{ a = { b = nan } }", "nan is not a number that can be used"),
        ("9223372036854775808", "9223372036854775808 is out of range: a whole number has 64 bits; write it in quotes"),
    ] {
        let option = format!("compiler.coverage.grid={value}");
        assert!(wrong("", &[], &[&option]).starts_with(&format!("--set compiler.coverage.grid: {why}")), "{value}");
        let message = wrong("", &[("DELTIC__COMPILER__COVERAGE__GRID", value)], &[]);
        assert!(
            message.starts_with(&format!("environment variable DELTIC__COMPILER__COVERAGE__GRID: {why}")),
            "{message}"
        );
        let quoted = format!("compiler.coverage.grid='{value}'");
        assert_eq!(coverage(&merge("", &[], &[&quoted]).unwrap()).unwrap().grid, value);
    }
    for text in ["{a=1", "[1", "nans", "infinity", "{a=1} b", "{a=1, a=2}"] {
        let config = merge("", &[], &[&format!("compiler.coverage.grid={text}")]).unwrap();
        assert_eq!(coverage(&config).unwrap().grid, text);
    }
}

#[test]
fn environment_names_stand_for_ids() {
    let path = |text: &str, name: &str| {
        let config = merge(text, &[(name, "1")], &[]).map_err(|problem| problem.to_string())?;
        Ok::<_, String>(config.sections())
    };
    let both = "[compiler.Feed_Index]\nMin-Size = 0\n[compiler.other]\n";
    // As in the file, whatever its case and signs.
    assert_eq!(path(both, "DELTIC__COMPILER__FEED_INDEX__MIN_SIZE").unwrap()["Feed_Index"]["Min-Size"], 1);
    // Without an entry in the file: as ids and keys are usually written.
    assert_eq!(path("", "DELTIC__COMPILER__FEED_INDEX__MIN_SIZE").unwrap()["feed-index"]["min_size"], 1);
    assert_eq!(path("", "DELTIC__compiler__feed-index__A__B").unwrap()["feed-index"]["a"]["b"], 1);
    let twice = "[compiler.a-b]\nx = 1\n[compiler.a_b]\nx = 1\n";
    assert_eq!(
        path(twice, "DELTIC__COMPILER__A_B__X").unwrap_err(),
        "environment variable DELTIC__COMPILER__A_B__X: `A_B` can mean `a-b` or `a_b`: use --set"
    );
}

#[test]
fn dotted_keys_may_be_quoted() {
    let config = merge("", &[], &["compiler.\"feed.index\".level=1"]).unwrap();
    assert_eq!(config.sections()["feed.index"]["level"], 1);
    for bad in ["threads=1", "driver.threads", "=1", "a b.c=1", "driver.threads.=1", "a.b\n[c]\nd=1"] {
        assert!(wrong("", &[], &[bad]).contains("expected section.key=value"), "{bad}");
    }
}

#[test]
fn unknown_keys_are_errors_on_every_layer() {
    let expected = "unknown key `thread`, expected `threads`, `memory`, `engine`, `incremental`, `checkpoint`, `retry`, `output`, `state_layer`";
    assert_eq!(wrong("[driver]\n  thread = 1\n", &[], &[]), format!("x.conf:2:3: {expected}"));
    assert_eq!(
        wrong(FILE, &[("DELTIC__DRIVER__THREAD", "1")], &[]),
        format!("environment variable DELTIC__DRIVER__THREAD: {expected}")
    );
    assert_eq!(wrong(FILE, &[], &["driver.thread=1"]), format!("--set driver.thread: {expected}"));
    let sections = "expected `catalogs`, `driver`, `compiler`, `filters`";
    assert_eq!(wrong("a = 1\n\n[drivers]\n", &[], &[]), format!("x.conf:1:1: unknown section `a`, {sections}"));
    assert_eq!(wrong("\n\n[drivers]\n", &[], &[]), format!("x.conf:3:2: unknown section `drivers`, {sections}"));
    assert_eq!(wrong("", &[], &["drivers.x=1"]), format!("--set drivers.x: unknown section `drivers`, {sections}"));
    assert!(wrong("", &[("DELTIC__X", "1")], &[]).contains("expected DELTIC__SECTION__KEY"));
    assert!(wrong("", &[("DELTIC__DRIVER____X", "1")], &[]).contains("expected DELTIC__SECTION__KEY"));
    for mistyped in ["DELTIC_DRIVER__THREADS", "DELTIC_DRIVER_THREADS", "DELTIC_THREADS", "DELTIC_compiler_copy_from"] {
        let message = wrong("", &[(mistyped, "1")], &[]);
        assert!(
            message.starts_with(&format!("environment variable {mistyped}: expected DELTIC__SECTION__KEY")),
            "{message}"
        );
    }
    assert!(merge("", &[("DELTIC_DRIVERS", "1"), ("DELTIC_SEEDS", "1")], &[]).is_ok(), "variables of other programs");
    // Variables of other programs.
    assert!(merge("", &[("DELTIC_LOG", "debug"), ("PATH", "x")], &[]).is_ok());
}

#[test]
fn values_of_the_wrong_kind_are_errors() {
    let of_threads = "must be a whole number from 0 to 1024, 0 for one thread a processor, not";
    assert_eq!(wrong("driver.threads = '4'\n", &[], &[]), format!("x.conf:1:8: `threads` {of_threads} \"4\""));
    assert_eq!(wrong("", &[], &["driver.threads=-1"]), format!("--set driver.threads: `threads` {of_threads} -1"));
    let of_memory =
        "must be a whole number and a unit in quotes, as in \"48 MiB\" (units are B, KiB, MiB and GiB), not";
    assert_eq!(wrong("[driver]\nmemory = 48\n", &[], &[]), format!("x.conf:2:1: `memory` {of_memory} 48"));
    assert_eq!(
        wrong("", &[("DELTIC__DRIVER__MEMORY", "48 MB")], &[]),
        format!("environment variable DELTIC__DRIVER__MEMORY: `memory` {of_memory} \"48 MB\"")
    );
    assert!(wrong("[driver]\nincremental = 1\n", &[], &[]).contains("x.conf:2:1: `incremental` must be true or false"));
    assert!(merge("", &[], &["driver.retry='10m'"]).is_ok());
    assert_eq!(
        wrong("[driver]\nretry = '601s'\n", &[], &[]),
        "x.conf:2:1: `retry` must be at most \"10m\", because a signed request is not valid much longer, not \"601s\""
    );
    assert!(wrong("[driver]\nengine = 'spark'\n", &[], &[]).contains("unknown engine `spark`, expected `local`"));
    assert!(wrong("[driver]\noutput = 'a b'\n", &[], &[]).contains("x.conf:2:1: `output`: `a b` is not a catalog id"));
    assert!(wrong("[catalogs]\n'a b' = 'x'\n", &[], &[]).contains("x.conf:2:1: `a b` is not a catalog id"));
    assert!(wrong("[catalogs]\nin = 1\n", &[], &[]).contains("x.conf:2:1: `in` must be a URL in quotes"));
    assert!(wrong("driver = 1\n", &[], &[]).contains("x.conf:1:1: `driver` must be a table"));
    assert!(wrong("[compiler]\nx = 1\n", &[], &[]).contains("x.conf:2:1: `compiler.x` must be a table"));
    assert!(wrong("[compiler.x]\nn = inf\n", &[], &[]).contains("x.conf:2:1: inf is not a number that can be used"));
    assert!(wrong("[compiler.x]\nn = 9223372036854775808\n", &[], &[]).contains("out of range"));
}

#[test]
fn ids_stand_for_versions() {
    let text = "[catalogs]\nmap = 'file:map'\nold = { catalog = 'map', version = 5 }\nat = { url = 'file:at', version = 6 }\n\
                last = { catalog = 'at', runs_ago = 2 }\nself = { feedback = true }\nout = 'file:out'\n";
    let config = merge(text, &[("DELTIC__CATALOGS__AT__VERSION", "7")], &[]).unwrap();
    let bound = |id: &str| {
        let binding = &config.catalogs[&CatalogId::new(id).unwrap()];
        (binding.url.as_str(), binding.at.clone())
    };
    assert_eq!(bound("map"), ("file:map", At::Latest));
    assert_eq!(bound("old"), ("file:map", At::Version(Version(5))));
    assert_eq!(bound("at"), ("file:at", At::Version(Version(7))));
    assert_eq!(bound("last"), ("file:at", At::RunsAgo { of: CatalogId::new("at").unwrap(), runs: 2 }));
    assert_eq!(bound("self"), ("file:out", At::Feedback));
    assert!(wrong("[catalogs]\na = { feedback = false }\n", &[], &[]).starts_with("x.conf:2:1: `a` must be a URL"));
    assert!(
        wrong("[catalogs]\na = { url = 'x', catalog = 'b' }\n", &[], &[]).starts_with("x.conf:2:1: `a` must be a URL")
    );
    assert!(
        wrong("[catalogs]\na = { catalog = 'b c', version = 1 }\n", &[], &[])
            .starts_with("x.conf:2:7: `catalog`: `b c`")
    );
}

#[test]
fn what_is_no_toml_has_a_place() {
    assert!(wrong("[driver]\nthreads 4\n", &[], &[]).starts_with("x.conf:2:9: "));
    assert!(wrong("[driver]\nthreads = 4\nthreads = 5\n", &[], &[]).starts_with("x.conf:3:1: "));
    // Columns are characters, not bytes.
    assert!(wrong("driver = { \"ä\" = 1 }\n", &[], &[]).starts_with("x.conf:1:12: unknown key `ä`"));
    assert!(wrong("[driver]\r\nthreads = 4\r\n  x = 5\r\n", &[], &[]).starts_with("x.conf:3:3: "));
}

#[test]
fn errors_of_compilers_get_their_place() {
    let message = |text: &str, settings: &[&str]| coverage(&merge(text, &[], settings).unwrap()).unwrap_err();
    assert_eq!(
        message("[compiler.coverage]\nlevels = 9\n", &[]),
        "x.conf:2:1: unknown key `levels`, expected `area`, `grid`, `level`"
    );
    assert_eq!(
        message("[compiler.coverage]\n[compiler.coverage.area]\n deeper = 9\n", &[]),
        "x.conf:3:2: unknown key `deeper`, expected `deep`, `names`"
    );
    assert_eq!(
        message("[compiler.coverage]\ngrid = 'here'\n level = 'x'\n", &[]),
        "x.conf:3:2: `level`: invalid type: string \"x\", expected u8"
    );
    assert_eq!(
        message("[compiler.coverage.area]\nnames = [\n 'a',\n 1]\n", &[]),
        "x.conf:4:2: `area.names`: invalid type: integer `1`, expected a string"
    );
    assert_eq!(
        message("[compiler.coverage]\n[compiler.coverage.area]\nnames = []\n", &["compiler.coverage.area.names=1"]),
        "--set compiler.coverage.area.names: invalid type: integer `1`, expected a sequence"
    );
    // An option that sets more than the wrong value.
    assert_eq!(
        message("", &["compiler.coverage={ area = { names = ['a', 1] } }"]),
        "--set compiler.coverage: `area.names`: invalid type: integer `1`, expected a string"
    );
    assert!(
        message("", &["compiler.coverage.levels=9"])
            .starts_with("--set compiler.coverage.levels: unknown key `levels`")
    );
    assert_eq!(message("\n[compiler.cover]\n", &[]), "x.conf:2:11: unknown task `cover`, expected `coverage`");
    let in_environment = merge("", &[("DELTIC__COMPILER__COVERAGE__LEVEL", "many")], &[]).unwrap();
    assert_eq!(
        coverage(&in_environment).unwrap_err(),
        "environment variable DELTIC__COMPILER__COVERAGE__LEVEL: invalid type: string \"many\", expected u8"
    );
}

/// A missing value has no place: the error names the nearest place above it, and the missing keys below.
#[test]
fn what_is_missing_is_named() {
    let missing = |text: &str, settings: &[&str], keys: &[&str]| {
        let path = ["compiler", "coverage"].iter().chain(keys).map(ToString::to_string).collect();
        let error = ConfigError { path, message: "say what you want".to_owned() };
        merge(text, &[], settings).unwrap().locate(&error).to_string()
    };
    assert_eq!(missing("", &[], &[]), "`compiler.coverage`: say what you want");
    assert_eq!(missing("", &[], &["area", "deep"]), "`compiler.coverage.area.deep`: say what you want");
    assert_eq!(missing(FILE, &[], &[]), "x.conf:7:11: say what you want");
    assert_eq!(missing(FILE, &[], &["area", "deep"]), "x.conf:7:11: `area.deep`: say what you want");
    let other = ["compiler.coverage.limit=1"];
    let place = "--set compiler.coverage.limit";
    assert_eq!(missing("", &other, &["level"]), format!("{place}: `compiler.coverage.level`: say what you want"));
    assert_eq!(
        missing("", &["compiler.coverage.area={}"], &["area", "deep"]),
        "--set compiler.coverage.area: `deep`: say what you want"
    );
}

#[test]
fn every_value_shows_where_it_came_from() {
    let config = merge(
        FILE,
        &[("DELTIC__COMPILER__COVERAGE__GRID", "mercator")],
        &["compiler.coverage.area.names=['a']", "driver.state_layer=memory"],
    )
    .unwrap();
    let mut setup = Setup::new(config.sections());
    let _: Coverage = setup.config("coverage").unwrap();
    setup.task("coverage", deltic_compiler::MapGroup(Nothing)).unwrap();
    let sections = setup.effective().clone();
    let values = config.show(&setup.finish().unwrap(), &sections);
    expect_test::expect![[r#"
        catalogs.in = "file:data/in"          # x.conf:2:1
        driver.checkpoint = "1m"              # default
        driver.engine = "local"               # default
        driver.incremental = true             # default
        driver.memory = "48 MiB"              # default
        driver.output = "out"                 # default
        driver.retry = "2m"                   # default
        driver.state_layer = "memory"         # --set driver.state_layer
        driver.threads = 4                    # x.conf:5:3
        compiler.coverage.area.deep = false   # default
        compiler.coverage.area.names = ["a"]  # --set compiler.coverage.area.names
        compiler.coverage.grid = "mercator"   # environment variable DELTIC__COMPILER__COVERAGE__GRID
        compiler.coverage.level = 9           # x.conf:8:1
        compiler.coverage.on_error = "abort"  # default
    "#]]
    .assert_eq(&with_origins(&values).unwrap());
    // The output is a configuration with the same meaning.
    for text in [with_origins(&values).unwrap(), document(&values).unwrap()] {
        let again = merge(&text, &[], &[]).unwrap();
        assert_eq!((&again.catalogs, &again.driver), (&config.catalogs, &config.driver), "{text}");
        assert_eq!(
            serde_json::to_value(coverage(&again).unwrap()).unwrap(),
            serde_json::to_value(coverage(&config).unwrap()).unwrap()
        );
    }
}

/// The settings that are commented out in `application.conf` begin right after their `#`; prose has a space there.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).map(str::to_owned)
    };
    text.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn the_default_file_states_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../application.conf");
    let text = std::fs::read_to_string(path).unwrap();
    let built_in = Driver::built_in().unwrap();
    let config = merge(&text, &[], &[]).unwrap();
    assert_eq!(config.driver, built_in);
    assert!(config.catalogs.is_empty() && config.sections().is_empty());
    // All keys are there.
    let keys: Vec<&String> = config.root.get(&["driver".to_owned()]).and_then(Node::keys).unwrap().keys().collect();
    assert_eq!(keys.len(), serde_json::to_value(&built_in).unwrap().as_object().unwrap().len(), "{keys:?}");
    // The commented settings are valid without other changes.
    let config = merge(&uncommented(&text), &[], &[]).unwrap();
    assert_eq!(config.driver, built_in);
    assert!(config.catalogs.len() == 2 && config.sections().contains_key("copy"));
    let mut setup = Setup::new(config.sections());
    crate::copy::register(&mut setup, &crate::job::inputs::Inputs::closed(&config)).unwrap();
    assert_eq!(setup.finish().unwrap().len(), 1);
}

struct Nothing;

impl deltic_compiler::HasLayers for Nothing {
    fn layers(&self) -> deltic_compiler::Result<deltic_compiler::Layers> {
        Ok(deltic_compiler::Layers::new().input_layers(["in/x"]).output_layers([deltic_core::Layer::generic("y")?]))
    }
}

impl deltic_compiler::MapGroupCompiler for Nothing {
    type Value = u8;

    fn compile_in(
        &self,
        _: &deltic_compiler::Input,
        _: &mut deltic_compiler::Emit<'_, u8>,
        _: &deltic_compiler::Context<'_>,
    ) -> deltic_compiler::Result<()> {
        Ok(())
    }

    fn compile_out(
        &self,
        _: &deltic_compiler::OutKey,
        _: deltic_compiler::Values<'_, u8>,
        _: &deltic_compiler::Context<'_>,
    ) -> deltic_compiler::Result<Option<deltic_core::Payload>> {
        Ok(None)
    }
}
