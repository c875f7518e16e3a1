//! Telling index lines that cannot match from those that may, before they are parsed.

use memchr::memmem::Finder;

use super::RawEntry;

/// Texts that the index line of every wanted run holds. Passing it is necessary, not enough: the
/// same text may stand in another member, so what passes is parsed and looked at.
#[derive(Debug, Clone, Default)]
pub struct Prefilter {
    needles: Vec<Finder<'static>>,
}

impl Prefilter {
    /// Lets everything pass.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs of this workflow id.
    #[must_use]
    pub fn workflow_id(self, id: &str) -> Self {
        self.member("workflowId", id, true)
    }

    /// Runs whose workflow id begins so.
    #[must_use]
    pub fn workflow_id_prefix(self, prefix: &str) -> Self {
        self.member("workflowId", prefix, false)
    }

    /// The run of this id.
    #[must_use]
    pub fn run_id(self, id: &str) -> Self {
        self.member("runId", id, true)
    }

    /// Runs of this workflow type.
    #[must_use]
    pub fn type_name(self, name: &str) -> Self {
        self.member("type", name, true)
    }

    /// Runs of this status, `WORKFLOW_EXECUTION_STATUS_…`.
    #[must_use]
    pub fn status(self, status: &str) -> Self {
        self.member("status", status, true)
    }

    /// Runs that have this search attribute, whatever its value.
    #[must_use]
    pub fn search_attribute(mut self, name: &str) -> Self {
        self.needles.push(Finder::new(&format!("{}:{{", quoted(name))).into_owned());
        self
    }

    fn member(mut self, member: &str, value: &str, whole: bool) -> Self {
        let mut needle = format!("\"{member}\":{}", quoted(value));
        if !whole {
            needle.pop();
        }
        self.needles.push(Finder::new(&needle).into_owned());
        self
    }

    /// Whether the run may be wanted.
    pub fn passes(&self, entry: &RawEntry) -> bool {
        self.needles.iter().all(|needle| needle.find(entry.bytes()).is_some())
    }
}

/// As the index spells it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
