//! Standard output: data only. People get text, scripts get JSON (`docs/json.md`).

mod human;
mod table;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

pub use human::{age, bytes, count, counted, line, moment, span};
pub use table::Table;

use crate::error::CommandError;

/// Version of every JSON document, raised when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// Where data is printed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text, or JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON was asked for.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints text as it is.
    pub fn text(self, text: &str) -> Result<(), CommandError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CommandError::Output)
    }

    /// Prints one document, `{"version":1,` and the fields of `body`.
    pub fn document(self, body: &impl Serialize) -> Result<(), CommandError> {
        self.text(&format!("{}\n", document(body)?))
    }

    /// Prints one document per line.
    pub fn documents<T: Serialize>(
        self,
        bodies: impl IntoIterator<Item = T>,
    ) -> Result<(), CommandError> {
        let mut lines = String::new();
        for body in bodies {
            lines.push_str(&document(&body)?.to_string());
            lines.push('\n');
        }
        self.text(&lines)
    }
}

/// One document on one line, without a line feed; quicker than [`document`] for many.
pub fn document_line(body: &impl Serialize) -> Result<String, CommandError> {
    let not_json = |error: serde_json::Error| CommandError::Output(io::Error::other(error));
    let fields = serde_json::to_string(body).map_err(not_json)?;
    Ok(match fields.strip_prefix('{') {
        Some("}") => format!("{{\"version\":{VERSION}}}"),
        Some(fields) => format!("{{\"version\":{VERSION},{fields}"),
        None => format!("{{\"version\":{VERSION},\"value\":{fields}}}"),
    })
}

fn document(body: &impl Serialize) -> Result<Value, CommandError> {
    let not_json = |error: serde_json::Error| CommandError::Output(io::Error::other(error));
    let mut document = serde_json::Map::new();
    document.insert("version".into(), VERSION.into());
    match serde_json::to_value(body).map_err(not_json)? {
        Value::Object(fields) => document.extend(fields),
        other => {
            document.insert("value".into(), other);
        }
    }
    Ok(Value::Object(document))
}
