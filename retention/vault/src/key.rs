//! Names of stored objects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Key of an object: segments joined by `/`, each of 1 to 200 characters of
/// `A-Z a-z 0-9 . _ - + =`, none of them `.` or `..`. No key may be the parent of another:
/// some servers hide `a/b/c` from listings while `a/b` exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// A text that is no valid [`Key`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is not a valid object key")]
pub struct KeyError(String);

impl Key {
    /// Checks and takes a key.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let segment_ok = |s: &str| {
            !s.is_empty()
                && s.len() <= 200
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+=".contains(&b))
        };
        if text.len() <= 900 && text.split('/').all(segment_ok) {
            Ok(Self(text))
        } else {
            Err(KeyError(text))
        }
    }

    /// Whether any key can begin with `prefix`.
    pub fn may_begin_with(prefix: &str) -> bool {
        let (folders, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let complete = name.is_empty() || name == "." || name == ".." || Self::new(name).is_ok();
        complete && (!prefix.contains('/') || Self::new(folders).is_ok())
    }

    /// A name of any bytes as one segment of a key: what is outside the alphabet, and `=`
    /// itself, becomes `=XX` in hexadecimal, and so does a dot in front, which would hide the
    /// file in a folder. Different names give different segments. Names that would grow past
    /// a segment's length are refused by [`Key::new`].
    pub fn escape_segment(name: &str) -> String {
        let mut segment = String::with_capacity(name.len());
        for (position, byte) in name.bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric()
                || b"_-+".contains(&byte)
                || (byte == b'.' && position > 0);
            if plain {
                segment.push(char::from(byte));
            } else {
                segment.push_str(&format!("={byte:02X}"));
            }
        }
        segment
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_the_store() {
        for text in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a\\b", "ä", "a\0"]
        {
            assert!(Key::new(text).is_err(), "{text:?}");
        }
        assert!(Key::new("a".repeat(201)).is_err());
        assert!(Key::new(["a"; 451].join("/")).is_err());
        assert!(Key::new("exports/20261123T020000Z-3fa9c1/app=20db/toc.dat").is_ok());
    }

    #[test]
    fn what_no_key_begins_with_is_known() {
        for prefix in ["", "a", "a/", "a/b", "a/.", "..", "exports/2026"] {
            assert!(Key::may_begin_with(prefix), "{prefix:?}");
        }
        for prefix in ["/", "/a", "a//", "../", "a/../b", "a b", "./a"] {
            assert!(!Key::may_begin_with(prefix), "{prefix:?}");
        }
    }

    #[test]
    fn any_name_becomes_a_segment_of_its_own() {
        assert_eq!(Key::escape_segment("temporal_visibility"), "temporal_visibility");
        assert_eq!(Key::escape_segment("my db/ä=."), "my=20db=2F=C3=A4=3D.");
        assert_eq!(Key::escape_segment(".."), "=2E.");
        assert_ne!(Key::escape_segment("a=20"), Key::escape_segment("a "));
        for name in ["..", ".", "a/b", "=", "é"] {
            assert!(Key::new(Key::escape_segment(name)).is_ok(), "{name:?}");
        }
    }
}
