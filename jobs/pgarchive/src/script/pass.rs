//! The order of a serial restore (`_tocEntryRestorePass` in `pg_backup_archiver.c`).

use crate::{Entry, Section};

/// Which of three walks through the table of contents an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Everything that comes first.
    Main,
    /// Privileges: after all objects, which may need rights that are revoked here.
    Acl,
    /// What must see the final privileges, or would disturb the rest.
    PostAcl,
}

impl Pass {
    pub(super) const ALL: [Self; 3] = [Self::Main, Self::Acl, Self::PostAcl];

    pub(super) fn of(entry: &Entry) -> Self {
        match entry.desc.as_str() {
            "ACL" | "ACL LANGUAGE" | "DEFAULT ACL" => Self::Acl,
            "EVENT TRIGGER" | "MATERIALIZED VIEW DATA" => Self::PostAcl,
            // They follow what they are about.
            "COMMENT" | "SECURITY LABEL" if entry.tag.starts_with("EVENT TRIGGER ") => {
                Self::PostAcl
            }
            // Some of them are about materialized views, and they stay together.
            "STATISTICS DATA" if entry.section == Section::PostData => Self::PostAcl,
            _ => Self::Main,
        }
    }
}
