//! TOML texts as trees of values with places.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Content, Node, Origin};
use super::problem::Problem;

/// Reads the text of a configuration file. `path` is the name of the file in places.
pub(super) fn parse(path: &str, text: &str) -> Result<Node, Problem> {
    let places = Places { path: path.into(), text };
    let table = DeTable::parse(text).map_err(|error| {
        let origin = places.at(&error.span().unwrap_or_default());
        Problem { origin, message: one_line(error.message()) }
    })?;
    let start = places.at(&(0..0));
    table_node(table.get_ref(), &start, &|span, _| places.at(span))
}

/// Reads a value of the environment or the command line: as TOML if it is TOML, else as a string. TOML that can not be used is an
/// error, and no string.
pub(super) fn value(text: &str, origin: &Origin) -> Result<Node, Problem> {
    let Ok(parsed) = DeValue::parse(text) else {
        return Ok(Node { origin: origin.clone(), content: Content::Scalar(Value::from(text)) });
    };
    value_node(parsed.get_ref(), origin, &|_, parent| parent.clone()).map_err(|problem| {
        let message = format!("{}; write it in quotes to make it a text", problem.message);
        Problem { message, ..problem }
    })
}

/// Reads a dotted key such as `compiler."feed.index".level`.
pub(super) fn dotted_key(text: &str) -> Option<Vec<String>> {
    // Read as the key of a table, it must come out as one key in one key and so on, down to the value.
    let document = format!("{text} = 0");
    let table = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    let mut table = table.get_ref();
    loop {
        let mut keys = table.iter();
        let (key, value) = keys.next().filter(|_| table.len() == 1)?;
        path.push(key.get_ref().clone().into_owned());
        match value.get_ref() {
            DeValue::Table(below) => table = below,
            DeValue::Integer(_) => return Some(path),
            _ => return None,
        }
    }
}

/// Gives a node its place: from the span of its key or list item, and the place of the table or list it is in.
type Place<'a> = dyn Fn(&Range<usize>, &Origin) -> Origin + 'a;

fn table_node(table: &DeTable<'_>, origin: &Origin, place: &Place<'_>) -> Result<Node, Problem> {
    let key = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let origin = place(&key.span(), origin);
        Ok((key.get_ref().clone().into_owned(), value_node(value.get_ref(), &origin, place)?))
    };
    let keys = table.iter().map(key).collect::<Result<_, Problem>>()?;
    Ok(Node { origin: origin.clone(), content: Content::Table(keys) })
}

fn value_node(value: &DeValue<'_>, origin: &Origin, place: &Place<'_>) -> Result<Node, Problem> {
    let problem = |message: String| Problem { origin: origin.clone(), message };
    let scalar = match value {
        DeValue::Table(table) => return table_node(table, origin, place),
        DeValue::Array(items) => {
            let item = |item: &Spanned<DeValue<'_>>| value_node(item.get_ref(), &place(&item.span(), origin), place);
            let items = items.iter().map(item).collect::<Result<_, Problem>>()?;
            return Ok(Node { origin: origin.clone(), content: Content::List(items) });
        }
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        // Compilers get their sections as JSON, which has no times: they get the text.
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| problem(format!("{number} is out of range: a whole number has 64 bits")))?,
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| problem(format!("{number} is not a number that can be used: it must be finite")))?,
    };
    Ok(Node { origin: origin.clone(), content: Content::Scalar(scalar) })
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// Turns offsets into lines and columns.
struct Places<'a> {
    path: Arc<str>,
    text: &'a str,
}

impl Places<'_> {
    fn at(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Origin::File(Arc::clone(&self.path), line, column)
    }
}
