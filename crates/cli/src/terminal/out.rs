//! Results on standard output: lines for people, or one JSON document with a `schema` field for programs.
//!
//! All text is escaped (`escape`): a line stays one line, and nothing in it can control a terminal.

use std::io::{BufWriter, Write};

use serde::Serialize;
use serde_json::Value;

use crate::terminal::colours::Colour;
use crate::terminal::failure::{Failure, Outcome, unwritten};
use crate::terminal::{colours, escape};

/// How results are written: lines for people, or one JSON document for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    // Not doc comments: these would make a paragraph of each value in the help of every command.
    Text,
    Json,
}

/// The schema of a failure.
const FAILURE: &str = "deltic.failure/1";

/// Standard output.
pub(crate) struct Out {
    pub(crate) format: Format,
    to: BufWriter<Box<dyn Write>>,
    done: Option<String>,
    /// Whether anything was written: a document must be alone in the output.
    used: bool,
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    body: T,
}

/// A row of a list for people.
pub(crate) struct Row {
    /// Its first word, in a colour.
    pub(crate) label: Option<(Colour, &'static str)>,
    pub(crate) text: String,
}

impl From<String> for Row {
    fn from(text: String) -> Row {
        Row { label: None, text }
    }
}

/// A result for people.
pub(crate) trait Lines {
    /// Its lines. A line break within one of them is foreign, and is escaped.
    fn lines(self) -> Vec<String>;
}

impl Lines for String {
    fn lines(self) -> Vec<String> {
        vec![self]
    }
}

impl Lines for Vec<String> {
    fn lines(self) -> Vec<String> {
        self
    }
}

impl Out {
    pub(crate) fn new(format: Format, to: Box<dyn Write>) -> Out {
        Out { format, to: BufWriter::new(to), done: None, used: false }
    }

    /// Records what the command has done, which stays true if the output fails.
    pub(crate) fn has_done(&mut self, what: impl Into<String>) {
        self.done = Some(what.into());
    }

    /// Writes a line.
    fn line(&mut self, line: &str) -> Outcome {
        self.bytes(format!("{}\n", escape::line(line)).as_bytes())
    }

    /// Writes lines for people.
    pub(crate) fn lines(&mut self, lines: &[String]) -> Outcome {
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// Writes part of a JSON or TOML document, of several lines.
    pub(crate) fn part(&mut self, text: &str) -> Outcome {
        self.bytes(escape::document(text).as_bytes())
    }

    /// Writes bytes as they are: those of a partition.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.used = true;
        self.to.write_all(bytes).map_err(|error| unwritten(&error))
    }

    /// Flushes the output, before a step that may take long.
    pub(crate) fn flush(&mut self) -> Outcome {
        self.to.flush().map_err(|error| unwritten(&error))
    }

    /// Writes a JSON document of a schema.
    pub(crate) fn document(&mut self, schema: &str, body: impl Serialize) -> Outcome {
        let text = to_json(|| serde_json::to_string_pretty(&Document { schema, body }))?;
        self.part(&format!("{text}\n"))
    }

    /// Writes a result: its text, or as a JSON document.
    pub(crate) fn result<T: Lines>(&mut self, schema: &str, body: impl Serialize, text: impl FnOnce() -> T) -> Outcome {
        match self.format {
            Format::Json => self.document(schema, body),
            Format::Text => self.lines(&text().lines()),
        }
    }

    /// Writes many rows as they arrive: a line each, or one JSON document whose field `rows` lists them. `head` is an object with
    /// the other fields of the document.
    pub(crate) fn list<T: Serialize, L: Into<Row>>(
        &mut self,
        schema: &str,
        head: &Value,
        rows: &str,
        items: impl Iterator<Item = Outcome<T>>,
        text: impl Fn(&T) -> L,
    ) -> Outcome {
        let mut items = items.peekable();
        // A list that fails at its first row is not begun: then the failure is the document.
        if let Some(Err(failure)) = items.next_if(Result::is_err) {
            return Err(failure);
        }
        if self.format == Format::Text {
            for item in items {
                let Row { label, text } = text(&item?).into();
                if let Some((colour, label)) = label {
                    self.bytes(format!("{} ", colours::on_output(colour, label)).as_bytes())?;
                }
                self.line(&text)?;
            }
            return Ok(());
        }
        self.part("{\n")?;
        let fields = head.as_object().into_iter().flatten();
        for (key, value) in std::iter::once((&"schema".to_owned(), &Value::from(schema))).chain(fields) {
            self.part(&format!("  {}: {value},\n", Value::from(key.as_str())))?;
        }
        self.part(&format!("  {}: [", Value::from(rows)))?;
        let mut comma = "";
        for item in items {
            let item = item?;
            let row = to_json(|| serde_json::to_string(&item))?;
            self.part(&format!("{comma}\n    {row}"))?;
            comma = ",";
        }
        self.part(if comma.is_empty() { "]\n}\n" } else { "\n  ]\n}\n" })
    }

    /// Flushes the output, and returns the outcome of the whole command. If it failed before it had written anything, it writes
    /// the failure as a document.
    pub(crate) fn finish(mut self, command: Outcome) -> Outcome {
        if let (Err(failure), Format::Json, false) = (&command, self.format, self.used)
            && let Some(fields) = failure.for_programs()
        {
            // The failure of the command is more important than that its document can not be written, and is on standard error too.
            let _ = self.document(FAILURE, fields);
        }
        let written = self.to.flush().map_err(|error| unwritten(&error));
        let failed = match (command, written) {
            (Ok(()), written) => written,
            // The failure of the command is more important than that its output could not be written either.
            (failed, _) => failed,
        };
        failed.map_err(|failure| match self.done.take() {
            Some(done) => failure.after(done),
            None => failure,
        })
    }
}

fn to_json(write: impl FnOnce() -> serde_json::Result<String>) -> Outcome<String> {
    write().map_err(|error| Failure::failed(format!("the result can not be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, write: impl FnOnce(&mut Out) -> Outcome) -> String {
        let to = Written::default();
        let mut out = Out::new(format, Box::new(to.clone()));
        let done = write(&mut out);
        out.finish(done).unwrap();
        String::from_utf8(to.0.take()).unwrap()
    }

    #[test]
    fn a_line_stays_a_line() {
        let hostile = "a\ncommitted version 9\u{1b}[2K";
        let lines = |out: &mut Out| out.result("x/1", json!({}), || vec![hostile.to_owned(), "b".to_owned()]);
        assert_eq!(written(Format::Text, lines), "a\\ncommitted version 9\\u{1b}[2K\nb\n");
        let rows = |out: &mut Out| {
            let items = [hostile, "b"].into_iter().map(|item| Ok(json!({ "x": item })));
            out.list("x/1", &json!({ "url": hostile }), "rows", items, |row| row["x"].as_str().unwrap().to_owned())
        };
        assert_eq!(written(Format::Text, rows), "a\\ncommitted version 9\\u{1b}[2K\nb\n");
        let text = written(Format::Json, rows);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({ "schema": "x/1", "url": hostile, "rows": [{ "x": hostile }, { "x": "b" }] }));
    }
}
