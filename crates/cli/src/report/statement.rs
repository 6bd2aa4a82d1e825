//! The statements of rebuilds as people read them.

use deltic_driver::{LayerContent, RebuiltLayer, Statement, Verdict};

use crate::terminal::columns::{Align, columns};
use crate::terminal::escape;
use crate::terminal::numbers::partitions;

/// What a rebuild states, without a final line break. Whatever is in it, no line of it can be forged, and none commands a
/// terminal.
pub fn statement(statement: &Statement) -> String {
    escape::joined(&statement_lines(statement))
}

pub(crate) fn statement_lines(statement: &Statement) -> Vec<String> {
    let input = |known: &&deltic_store::Dependency| {
        let id = known.catalog.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![id, known.version.to_string(), known.digest.short()]
    };
    let direct = statement.dependencies.iter().filter(|known| known.direct);
    let mut lines = columns(&[Align::Left; 3], &direct.map(|known| input(&known)).collect::<Vec<_>>());
    let mut parts: Vec<Vec<String>> = statement.layers.iter().map(part).collect();
    let equal = if statement.state_equal { "equal".to_owned() } else { "differs".to_owned() };
    let first = statement.state_first.as_ref().map(|first| format!(": {first}")).unwrap_or_default();
    parts.push(vec!["the state".to_owned(), statement.recorded.state.short(), String::new(), equal + &first]);
    lines.extend(columns(&[Align::Left, Align::Left, Align::Right, Align::Left], &parts));
    let verdict = match statement.verdict {
        Verdict::Equal => "equal",
        Verdict::Differs => "it differs",
        Verdict::NotCovered => "equal as far as tasks made it",
    };
    let (recorded, rebuilt) = (&statement.recorded, &statement.rebuilt);
    lines.push(format!(
        "version {} of {}, rebuilt as version {} of {}: {verdict}",
        recorded.version, recorded.url, rebuilt.version, rebuilt.url
    ));
    lines.push(format!("statement {}", statement.digest));
    lines
}

fn part(part: &RebuiltLayer) -> Vec<String> {
    let known = part.recorded.or(part.rebuilt);
    let digest = known.map(|known| known.digest.short()).unwrap_or_default();
    let number = known.map(|LayerContent { partitions: number, .. }| partitions(number)).unwrap_or_default();
    let how = match (&part.first, part.carried_from) {
        (None, None) => "equal".to_owned(),
        (None, Some(version)) => {
            format!("no task writes it: carried over from version {version}, rebuild that one too")
        }
        (Some(first), _) if part.is_accounted_for() => format!("differs: {first}"),
        (Some(why), _) => format!("not covered: {why}"),
    };
    vec![part.name.clone(), digest, number, how]
}
