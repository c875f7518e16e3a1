//! Changes archived lines and makes everything around them fit again: digests, indexes, sums. What
//! is left to find is only what the lines themselves say.
//!
//! It follows `docs/formats/histories.md` and shares no code with the program under test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Rewrites every segment of a store in a folder. `edit` is given each line without its line feed,
/// and gives the line to put in its place, if another one.
///
/// # Errors
/// When the store cannot be read or written, or is none.
pub fn rewrite(store: &Path, mut edit: impl FnMut(&str) -> Option<String>) -> Result<(), Error> {
    for path in manifests(&store.join("manifests/histories"))? {
        let document: Value = parse(&read(&path)?)?;
        let mut manifest = document["manifest"].clone();
        let (mut events, mut bytes) = (0, 0);
        let Some(segments) = manifest["segments"].as_array_mut() else { continue };
        for segment in segments {
            let key = |part: &str| segment[part]["key"].as_str().unwrap_or_default().to_owned();
            let (data, index) = (store.join(key("data")), store.join(key("index")));
            let rewritten = Segment::new(&unpacked(&data)?, &unpacked(&index)?, &mut edit)?;
            events += rewritten.events;
            bytes += rewritten.bytes;
            for (part, path, content) in
                [("data", data, rewritten.data), ("index", index, rewritten.index)]
            {
                segment[part]["size"] = content.len().into();
                segment[part]["sha256"] = hex(&content).into();
                write(&path, &content)?;
            }
            // Filters are over ids, and an id that was changed is not in them: one that has every
            // bit set rules nothing out.
            segment["bloom"] = "Af//////////".into();
        }
        manifest["events"] = events.into();
        manifest["historyBytes"] = bytes.into();
        let text = manifest.to_string();
        let digest = hex(text.as_bytes());
        write(&path, format!("{{\"manifest\":{text},\"sha256\":\"{digest}\"}}\n").as_bytes())?;
    }
    Ok(())
}

/// A line whose JSON was changed.
///
/// # Errors
/// When it is no JSON.
pub fn edited(line: &str, change: impl FnOnce(&mut Value)) -> Result<String, Error> {
    let mut value = parse(line.as_bytes())?;
    change(&mut value);
    Ok(value.to_string())
}

struct Segment {
    data: Vec<u8>,
    index: Vec<u8>,
    events: usize,
    bytes: usize,
}

impl Segment {
    fn new(
        data: &str,
        index: &str,
        edit: &mut impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        // Lines come in the order of the segment, entries of the index in another.
        let mut entries = BTreeMap::new();
        let (mut lines, mut events, mut bytes) = (String::new(), 0, 0);
        for line in data.lines() {
            let old: Value = parse(line.as_bytes())?;
            let line = edit(line).unwrap_or_else(|| line.to_owned());
            let new: Value = parse(line.as_bytes())?;
            let count = new["history"]["events"].as_array().map_or(0, Vec::len);
            let head = line.split_once(",\"history\":{").map_or("", |(head, _)| head);
            let at = json!({
                "offset": 0,
                "length": 0,
                "skip": lines.len(),
                "size": line.len(),
                "events": count,
                "sha256": hex(line.as_bytes()),
            });
            entries.insert(old["runId"].to_string(), (head.to_owned(), at));
            events += count;
            bytes += line.len();
            lines.push_str(&line);
            lines.push('\n');
        }
        let data = packed(lines.as_bytes())?;
        let mut text = String::new();
        for line in index.lines() {
            let old: Value = parse(line.as_bytes())?;
            let Some((head, mut at)) = entries.remove(&old["runId"].to_string()) else { continue };
            at["length"] = data.len().into();
            text.push_str(&format!("{head},\"at\":{at}}}\n"));
        }
        Ok(Self { index: packed(text.as_bytes())?, data, events, bytes })
    }
}

fn manifests(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::io(format!("cannot list {}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_dir() {
            found.extend(manifests(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::io(format!("cannot read {}", path.display())))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    fs::write(path, content).map_err(Error::io(format!("cannot write {}", path.display())))
}

fn unpacked(path: &Path) -> Result<String, Error> {
    let bytes = zstd::decode_all(read(path)?.as_slice());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
    text.map_err(Error::io(format!("cannot unpack {}", path.display())))
}

fn packed(content: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::bulk::compress(content, 1).map_err(Error::io("cannot compress a segment"))
}

fn parse(text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(text).map_err(|error| Error::Io {
        doing: "the store holds no JSON".to_owned(),
        source: error.into(),
    })
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
