//! Results on standard output: lines for people, or one JSON document with a `schema` field for programs.

use std::fmt::Display;
use std::io::{BufWriter, StdoutLock, Write};

use serde::Serialize;
use serde_json::Value;

use crate::failure::{Failure, Outcome, unread_or_failed};

/// How results are written: lines for people, or one JSON document for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    // Not doc comments: these would make a paragraph of each value in the help of every command.
    Text,
    Json,
}

/// Standard output.
pub(crate) struct Out {
    pub(crate) format: Format,
    to: BufWriter<StdoutLock<'static>>,
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    body: T,
}

impl Out {
    pub(crate) fn new(format: Format) -> Out {
        Out { format, to: BufWriter::new(std::io::stdout().lock()) }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl Display) -> Outcome {
        writeln!(self.to, "{line}").map_err(|error| unread_or_failed(&error))
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.to.write_all(bytes).map_err(|error| unread_or_failed(&error))
    }

    /// Writes a JSON document of a schema.
    pub(crate) fn document(&mut self, schema: &str, body: impl Serialize) -> Outcome {
        let text = to_json(|| serde_json::to_string_pretty(&Document { schema, body }))?;
        self.line(text)
    }

    /// Writes a result: its text, or as a JSON document.
    pub(crate) fn result(&mut self, schema: &str, body: impl Serialize, text: impl FnOnce() -> String) -> Outcome {
        match self.format {
            Format::Json => self.document(schema, body),
            Format::Text => self.line(text()),
        }
    }

    /// Writes many rows as they come: a line each, or one JSON document whose field `rows` lists them. `head` is an
    /// object, the document's other fields.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        schema: &str,
        head: &Value,
        rows: &str,
        items: impl Iterator<Item = Outcome<T>>,
        text: impl Fn(&T) -> String,
    ) -> Outcome {
        if self.format == Format::Text {
            for item in items {
                self.line(text(&item?))?;
            }
            return Ok(());
        }
        self.line("{")?;
        let fields = head.as_object().into_iter().flatten();
        for (key, value) in std::iter::once((&"schema".to_owned(), &Value::from(schema))).chain(fields) {
            self.line(format_args!("  {}: {value},", Value::from(key.as_str())))?;
        }
        self.bytes(format!("  {}: [", Value::from(rows)).as_bytes())?;
        let mut comma = "";
        for item in items {
            let item = item?;
            let row = to_json(|| serde_json::to_string(&item))?;
            self.bytes(format!("{comma}\n    {row}").as_bytes())?;
            comma = ",";
        }
        self.line(if comma.is_empty() { "]\n}" } else { "\n  ]\n}" })
    }

    /// Hands everything over. What was written is not sure to have arrived before.
    pub(crate) fn finish(mut self) -> Outcome {
        self.to.flush().map_err(|error| unread_or_failed(&error))
    }
}

fn to_json(write: impl FnOnce() -> serde_json::Result<String>) -> Outcome<String> {
    write().map_err(|error| Failure::failed(format!("the result can not be written as JSON: {error}")))
}
