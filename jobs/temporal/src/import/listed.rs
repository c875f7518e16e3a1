//! What visibility says of an imported run, held against what the archive does.

use serde_json::{Map, Value};

use crate::connect::Connection;
use crate::error::Error;
use crate::line::Head;
use crate::namespace::Namespace;
use crate::segment::{Relative, Summary};
use crate::visibility::Execution;

/// Members of a listed run that are not as they were archived, by their names in a line. The times
/// of start and of execution are not among them: they become the time of the import.
pub type Unlike = Vec<&'static str>;

impl Connection {
    /// Compares a listed run with an archived one.
    ///
    /// # Errors
    /// When what is listed cannot be read.
    pub fn unlike(
        &self,
        namespace: &Namespace,
        listed: &Execution,
        archived: &Summary,
    ) -> Result<Unlike, Error> {
        let found = Head::new(&self.inner.schema, namespace, listed)?.summary;
        let ids = |run: &Option<Relative>| {
            run.as_ref().map(|run| (run.workflow_id.clone(), run.run_id.clone()))
        };
        let sorted = |map: &Map<String, Value>| {
            let mut all: Vec<_> = map.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
            all.sort();
            all
        };
        let members = [
            ("workflowId", found.workflow_id == archived.workflow_id),
            ("type", found.type_name == archived.type_name),
            ("taskQueue", found.task_queue == archived.task_queue),
            ("status", found.status == archived.status),
            // Databases cut or round to microseconds.
            (
                "closeTime",
                (found.close_time - archived.close_time).abs().num_microseconds() <= Some(1),
            ),
            ("firstRunId", found.first_run_id == archived.first_run_id),
            ("parent", ids(&found.parent) == ids(&archived.parent)),
            ("root", ids(&found.root) == ids(&archived.root)),
            ("memo", sorted(&found.memo) == sorted(&archived.memo)),
            (
                "searchAttributes",
                sorted(&found.search_attributes) == sorted(&archived.search_attributes),
            ),
            ("historyLength", found.history_length == archived.history_length),
        ];
        Ok(members.into_iter().filter_map(|(name, same)| (!same).then_some(name)).collect())
    }
}
