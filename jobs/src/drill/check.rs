//! Checks as drills make them.

use super::{Check, CheckResult};

/// Names that one check lists; the last entry says how many more there are.
const NAMES: usize = 50;

impl Check {
    /// A required check with this result and nothing said about it yet.
    #[must_use]
    pub fn new(name: impl Into<String>, result: CheckResult) -> Self {
        Self {
            name: name.into(),
            of: None,
            result,
            required: true,
            expected: None,
            found: None,
            names: Vec::new(),
        }
    }

    /// Passed when nothing differs; `differing` names what does, `expected` says what should be.
    #[must_use]
    pub fn of_differences(
        name: impl Into<String>,
        expected: impl Into<String>,
        differing: Vec<String>,
    ) -> Self {
        let found = match differing.len() {
            0 => return Self::new(name, CheckResult::Pass).expected(expected),
            1 => "1 differs".to_owned(),
            count => format!("{count} differ"),
        };
        Self::new(name, CheckResult::Fail).expected(expected).found(found).names(differing)
    }

    /// Not run, for this reason.
    #[must_use]
    pub fn not_run(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(name, CheckResult::NotRun).found(why)
    }

    /// About one database or namespace.
    #[must_use]
    pub fn about(mut self, of: impl Into<String>) -> Self {
        self.of = Some(of.into());
        self
    }

    /// The drill is a pass without it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// What was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What was found.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// What differs, by name; very many are cut.
    #[must_use]
    pub fn names(mut self, mut names: Vec<String>) -> Self {
        let more = names.len().saturating_sub(NAMES);
        if more > 0 {
            names.truncate(NAMES);
            names.push(format!("and {more} more"));
        }
        self.names = names;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_names_are_cut_and_counted() {
        let names = (0..60).map(|number| format!("t{number}")).collect();
        let check = Check::of_differences("rows", "as in the manifest", names);
        assert_eq!(check.result, CheckResult::Fail);
        assert_eq!(check.found.as_deref(), Some("60 differ"));
        assert_eq!(check.names.len(), 51);
        assert_eq!(check.names.last().map(String::as_str), Some("and 10 more"));
    }
}
