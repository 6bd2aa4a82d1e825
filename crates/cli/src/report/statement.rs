//! The text of the statement of a rebuild.

use deltic_driver::{RebuiltLayer, Statement, Verdict};

use crate::terminal::columns::{Align, columns};
use crate::terminal::escape;
use crate::terminal::numbers::partitions;

/// The statement of a rebuild, without a final line break. Content that it quotes can not forge a line, and can not control a
/// terminal.
pub fn statement(statement: &Statement) -> String {
    escape::joined(&statement_lines(statement))
}

pub(crate) fn statement_lines(statement: &Statement) -> Vec<String> {
    let input = |input: &deltic_store::Dependency| {
        let id = input.catalog.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![id, input.version.to_string(), input.digest.short()]
    };
    let direct = statement.dependencies.iter().filter(|input| input.direct);
    let mut lines = columns(&[Align::Left; 3], &direct.map(input).collect::<Vec<_>>());
    let mut parts: Vec<Vec<String>> = statement.layers.iter().map(part).collect();
    let equal = if statement.state_equal { "equal".to_owned() } else { "differs".to_owned() };
    let first = statement.state_first.as_ref().map(|first| format!(": {first}")).unwrap_or_default();
    parts.push(vec!["the state".to_owned(), statement.recorded.state.short(), String::new(), equal + &first]);
    lines.extend(columns(&[Align::Left, Align::Left, Align::Right, Align::Left], &parts));
    let verdict = match statement.verdict {
        Verdict::Equal => "equal",
        Verdict::Differs => "different",
        Verdict::NotCovered => "equal where tasks made it",
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
    let layer = part.recorded.or(part.rebuilt);
    let digest = layer.map(|layer| layer.digest.short()).unwrap_or_default();
    let number = layer.map(|layer| partitions(layer.partitions)).unwrap_or_default();
    let how = match (&part.first, part.carried_from) {
        (None, None) => "equal".to_owned(),
        (None, Some(version)) => {
            format!("no task writes it: it comes from version {version}, rebuild that version too")
        }
        (Some(first), _) if part.is_accounted_for() => format!("differs: {first}"),
        (Some(why), _) => format!("not covered: {why}"),
    };
    vec![part.name.clone(), digest, number, how]
}
