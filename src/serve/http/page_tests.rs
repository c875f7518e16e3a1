//! The page as it is rendered.

use std::sync::Arc;

use chrono::TimeDelta;
use jobs::overview::Overview;

use super::*;
use crate::serve::Task;
use crate::serve::view::{Counters, Reload, TaskView, Trouble};

fn view(now: DateTime<Utc>) -> View {
    let overview = Overview {
        now,
        backups: vec![],
        runs: vec![],
        unreadable: vec![],
        lease: None,
        histories_lease: None,
        store_bytes: Some(0),
    };
    View {
        store: "/backups/<script>alert(1)</script>".into(),
        catalogue: vault::Catalogue::new(Arc::new(vault::MemoryStore::new())),
        overview: Some(Arc::new(overview)),
        trouble: None,
        space: None,
        tasks: vec![TaskView {
            task: Task::Export,
            name: "export",
            schedule: Some(("0 2 * * *".into(), "UTC".into())),
            next: None,
            running: None,
            last: None,
            sources: vec!["temporal".into()],
            backups: vec![],
            record: None,
            counters: Counters::default(),
        }],
        reload: Reload { at: now, refused: None },
        overdue_after: TimeDelta::hours(26),
        stopping: false,
        token: None,
        browse: true,
    }
}

#[test]
fn a_store_without_backups_is_said_first_and_names_are_escaped() {
    let now = Utc::now();
    let page = page(&view(now), now, "n").into_string();
    assert!(page.contains("There is nothing to restore"));
    assert!(page.contains("<title>No backup · aidp-backup</title>"));
    assert!(!page.contains("<script>alert"));
    assert!(page.contains("&lt;script&gt;alert"));
}

#[test]
fn a_refused_configuration_is_shown_with_what_mends_it() {
    let now = Utc::now();
    let mut view = view(now);
    let trouble = Trouble { since: now, error: "line 3".into(), hint: Some("mend it".into()) };
    view.reload.refused = Some(trouble);
    let page = page(&view, now, "n").into_string();
    assert!(page.contains("refused") && page.contains("line 3") && page.contains("mend it"));
}
