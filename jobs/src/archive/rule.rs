//! Which namespaces are archived, and what of each.

use std::fmt;

use chrono::TimeDelta;
use temporal::query;

use crate::Error;

/// A name in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// What is archived of the namespaces that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRule {
    /// Which namespaces.
    pub pattern: Pattern,
    /// A visibility query that restricts it; empty for all.
    pub query: String,
    /// Statuses as visibility names them, in order; none means all.
    pub statuses: Vec<String>,
    /// Whether the scheduler's own runs count.
    pub scheduler_runs: bool,
    /// How long archived histories are kept after they closed; `None` is for ever.
    pub keep: Option<TimeDelta>,
}

impl Pattern {
    /// A pattern; `None` when the text is empty.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The name, when it stands for one alone.
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    /// Whether it stands for `name`.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NamespaceRule {
    /// The restriction as one visibility query; empty for none. It is part of a window's
    /// manifest: windows of another restriction do not count as covered.
    pub fn filter(&self) -> Result<String, Error> {
        let statuses: Vec<&str> = self.statuses.iter().map(String::as_str).collect();
        query::restriction(&self.query, &statuses, self.scheduler_runs).map_err(Error::temporal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, matching, others) in [
            ("*", vec!["", "default"], vec![]),
            ("aidp-*", vec!["aidp-", "aidp-dev"], vec!["aidp", "x-aidp-dev"]),
            ("*-prod*", vec!["a-prod", "a-prod-eu"], vec!["prod"]),
            ("a*b*c", vec!["abc", "axbxc", "abbcc"], vec!["acb", "abcx"]),
            ("ab*ba", vec!["abba", "abxba"], vec!["aba"]),
            ("default", vec!["default"], vec!["default2", "defaul"]),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert!(matching.iter().all(|name| pattern.matches(name)), "{pattern}");
            assert!(!others.iter().any(|name| pattern.matches(name)), "{pattern}");
        }
        assert!(Pattern::new("").is_none());
    }
}
