//! Whether the parts of a directory archive fit each other.
//!
//! No content is read here but the lists of large objects: a whole archive is checked by its
//! table of contents and a listing of its files.

mod chunks;
mod order;
mod problem;

use std::collections::{BTreeMap, BTreeSet};

pub use self::problem::Problem;
use crate::large_objects::{LARGE_OBJECTS, large_object_list, large_objects};
use crate::{Compression, Entry, Error, SourceFile, TOC_FILE, Toc};

/// Entries that `pg_restore` needs whatever the archive holds.
const ALWAYS: [&str; 3] = ["ENCODING", "STDSTRINGS", "SEARCHPATH"];

/// A check under way.
///
/// ```
/// # fn check(toc: &pgarchive::Toc, files: &[pgarchive::SourceFile]) -> Vec<pgarchive::check::Problem> {
/// let mut check = pgarchive::check::Check::new(toc, files);
/// for list in check.large_object_lists() {
///     // Read the file and hand it in.
/// #   let content = b"";
///     check.large_objects(&list, content);
/// }
/// check.finish()
/// # }
/// ```
#[derive(Debug)]
pub struct Check<'a> {
    toc: &'a Toc,
    /// Every file of the archive.
    files: BTreeMap<&'a str, u64>,
    /// Names, without suffix, that something in the archive refers to.
    claimed: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    /// Begins to check `toc` against the files that lie beside it. The listing may, but need
    /// not, include `toc.dat` itself.
    pub fn new(toc: &'a Toc, files: &'a [SourceFile]) -> Self {
        let mut check = Self {
            toc,
            files: files.iter().map(|file| (file.name.as_str(), file.size)).collect(),
            claimed: BTreeSet::from([TOC_FILE.to_owned()]),
            problems: Vec::new(),
        };
        for desc in ALWAYS {
            if !toc.entries.iter().any(|entry| entry.desc == desc) {
                check.problems.push(Problem::NoEntry { class: desc });
            }
        }
        check.problems.extend(order::check(toc));
        check.problems.extend(chunks::check(toc));
        for entry in &toc.entries {
            check.entry(entry);
        }
        check
    }

    /// The lists of large objects whose content is to be handed to
    /// [`large_objects`](Self::large_objects): stored names, suffix included.
    pub fn large_object_lists(&self) -> Vec<String> {
        let version = self.toc.header.version;
        self.toc
            .entries
            .iter()
            .filter_map(|entry| large_object_list(version, entry))
            .filter_map(|name| self.stored(name).into_iter().next())
            .collect()
    }

    /// Checks that the files named in a list of large objects are there. `content` is the whole
    /// list, decompressed if it was compressed.
    pub fn large_objects(&mut self, list: &str, content: &[u8]) {
        for object in large_objects(content) {
            match object {
                Ok(object) => {
                    let owner = || format!("large object {}", object.oid);
                    self.claim(object.file_name, Content::LargeObject, owner);
                }
                Err(Error::LargeObjectLine { line }) => {
                    self.problems.push(Problem::ListDamaged { list: list.to_owned(), line });
                }
                Err(_) => {}
            }
        }
    }

    /// Everything that does not fit. An archive without a problem that
    /// [is damage](Problem::is_damage) is sound.
    pub fn finish(mut self) -> Vec<Problem> {
        for name in self.files.keys() {
            if !self.claimed.contains(*name) && !self.claimed.contains(Compression::of_file(name).0)
            {
                self.problems.push(Problem::StrayFile { file: (*name).to_owned() });
            }
        }
        self.problems
    }

    fn entry(&mut self, entry: &Entry) {
        let list = large_object_list(self.toc.header.version, entry);
        match list.or(entry.file_name.as_deref()) {
            Some(name) if entry.had_dumper => {
                let content = if list.is_some() { Content::List } else { Content::Rows };
                self.claim(name, content, || label(entry));
            }
            Some(name) => self
                .problems
                .push(Problem::FileWithoutData { entry: label(entry), file: name.to_owned() }),
            None if entry.had_dumper => {
                self.problems.push(Problem::DataWithoutFile { entry: label(entry) });
            }
            None => {}
        }
    }

    /// Notes that `owner` has its content in the file `name`.
    fn claim(&mut self, name: &str, content: Content, owner: impl Fn() -> String) {
        let plain = !name.is_empty()
            && !name.contains(['/', '\\', '\0'])
            && !name.starts_with('.')
            && name != TOC_FILE;
        if !plain {
            let (entry, file) = (owner(), name.to_owned());
            self.problems.push(Problem::UnsafeName { entry, file });
            return;
        }
        if !self.claimed.insert(name.to_owned()) {
            let (entry, file) = (owner(), name.to_owned());
            self.problems.push(Problem::SharedFile { entry, file });
            return;
        }
        let stored = self.stored(name);
        match stored.as_slice() {
            [] => {
                let (entry, file) = (owner(), name.to_owned());
                self.problems.push(Problem::MissingFile { entry, file });
            }
            [one] => {
                let empty = self.files.get(one.as_str()) == Some(&0);
                if empty && !content.may_be_empty(Compression::of_file(one).1) {
                    self.problems.push(Problem::EmptyFile { file: one.clone() });
                }
            }
            _ => self.problems.push(Problem::SeveralFiles { files: stored }),
        }
    }

    /// The files that `name` is stored as, in the order in which `pg_restore` looks for them.
    fn stored(&self, name: &str) -> Vec<String> {
        Compression::ALL
            .into_iter()
            .map(|compression| format!("{name}{}", compression.suffix()))
            .filter(|stored| self.files.contains_key(stored.as_str()))
            .collect()
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Rows, which have at least an end marker or trailer.
    Rows,
    /// A list of large objects.
    List,
    /// A large object.
    LargeObject,
}

impl Content {
    /// Whether a file without bytes can be as it was written. gzip has at least a header;
    /// `pg_dump` begins an lz4 or zstd frame with the first byte.
    fn may_be_empty(self, compression: Compression) -> bool {
        match self {
            Self::Rows => false,
            Self::List | Self::LargeObject => compression != Compression::Gzip,
        }
    }
}

/// An entry as messages name it.
fn label(entry: &Entry) -> String {
    let Entry { dump_id, desc, tag, .. } = entry;
    match &entry.namespace {
        Some(schema) if entry.desc != LARGE_OBJECTS => format!("{dump_id} {desc} {schema}.{tag}"),
        _ => format!("{dump_id} {desc} {tag}"),
    }
}
