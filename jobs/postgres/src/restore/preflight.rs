//! What the archive needs of the server, checked by name before anything is changed.

use std::collections::BTreeSet;

use pgarchive::{Entry, owner_statement};

use super::{RestoreOptions, sql};
use crate::Error;
use crate::quote::quote_literal;
use crate::session::Session;

/// Roles, extensions and tablespaces that the wanted entries name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Requirements {
    owners: BTreeSet<String>,
    grantees: BTreeSet<String>,
    /// Roles that neither `--no-owner` nor `--no-privileges` does without: of policies, user
    /// mappings and settings.
    others: BTreeSet<String>,
    extensions: BTreeSet<String>,
    tablespaces: BTreeSet<String>,
}

impl Requirements {
    pub(super) fn of<'a>(
        entries: impl Iterator<Item = &'a Entry>,
        options: &RestoreOptions,
    ) -> Self {
        let mut needed = Self::default();
        for entry in entries {
            if !options.no_owner && owner_statement(entry).is_some() {
                needed.owners.extend(entry.owner.clone());
            }
            match entry.desc.as_str() {
                "ACL" | "DEFAULT ACL" => needed.grantees.extend(sql::roles(&entry.defn)),
                "POLICY" | "USER MAPPING" | "DATABASE PROPERTIES" => {
                    needed.others.extend(sql::roles(&entry.defn));
                }
                "EXTENSION" => {
                    needed.extensions.insert(entry.tag.clone());
                }
                _ => {}
            }
            if !options.no_tablespaces {
                needed.tablespaces.extend(entry.tablespace.clone());
                if entry.desc == "DATABASE" {
                    needed.tablespaces.extend(sql::database_tablespace(&entry.defn));
                }
            }
        }
        needed.tablespaces.remove("");
        // Roles of the system itself come and go with versions, not with CREATE ROLE; they
        // are checked like any other.
        needed
    }

    /// All roles.
    pub(super) fn roles(self) -> BTreeSet<String> {
        self.owners.into_iter().chain(self.grantees).chain(self.others).collect()
    }

    /// # Errors
    /// [`Error::Refused`] names everything of one kind that is missing.
    pub(super) async fn check(&self, session: &mut Session) -> Result<(), Error> {
        self.check_roles(session).await?;
        let extensions = absent(
            session,
            "looking for extensions",
            &self.extensions,
            "SELECT name FROM pg_catalog.pg_available_extensions",
        )
        .await?;
        if !extensions.is_empty() {
            return Err(Error::Refused {
                what: format!("the server lacks {}", listed("extension", &extensions)),
                hint: "install the packages that bring them on the server's host; nothing was changed yet".to_owned(),
            });
        }
        let tablespaces = absent(
            session,
            "looking for tablespaces",
            &self.tablespaces,
            "SELECT spcname AS name FROM pg_catalog.pg_tablespace",
        )
        .await?;
        if !tablespaces.is_empty() {
            return Err(Error::Refused {
                what: format!("the server lacks {}", listed("tablespace", &tablespaces)),
                hint: "create them with CREATE TABLESPACE, or restore with --no-tablespaces; nothing was changed yet".to_owned(),
            });
        }
        Ok(())
    }

    async fn check_roles(&self, session: &mut Session) -> Result<(), Error> {
        let known = "SELECT rolname AS name FROM pg_catalog.pg_roles";
        let doing = "looking for roles";
        let owners = absent(session, doing, &self.owners, known).await?;
        let grantees = absent(session, doing, &self.grantees, known).await?;
        let others = absent(session, doing, &self.others, known).await?;
        let missing: BTreeSet<String> =
            owners.iter().chain(&grantees).chain(&others).cloned().collect();
        if !missing.is_empty() {
            let names: Vec<String> = missing.into_iter().collect();
            let without = match (owners.is_empty(), grantees.is_empty(), others.is_empty()) {
                (_, _, false) => "",
                (false, true, _) => ", or restore with --no-owner",
                (true, false, _) => ", or restore with --no-privileges",
                _ => ", or restore with --no-owner and --no-privileges",
            };
            return Err(Error::Refused {
                what: format!("the server lacks {}", listed("role", &names)),
                hint: format!("create them with CREATE ROLE{without}; nothing was changed yet"),
            });
        }
        // ALTER ... OWNER TO wants the right to become the new owner.
        let privilege = if session.server_version_num() >= 16_00_00 { "SET" } else { "MEMBER" };
        let list = literals(&self.owners);
        let rows = session
            .rows(
                doing,
                &format!(
                    "SELECT rolname AS name FROM pg_catalog.pg_roles \
                     WHERE rolname = ANY (ARRAY[{list}]::pg_catalog.text[]) \
                     AND NOT pg_catalog.pg_has_role(oid, '{privilege}') ORDER BY 1"
                ),
            )
            .await?;
        let foreign: Vec<String> =
            rows.iter().map(|row| row.get("name")).collect::<Result<_, _>>()?;
        if foreign.is_empty() {
            return Ok(());
        }
        Err(Error::Refused {
            what: format!(
                "role {:?} may not give objects to {}",
                session.role(),
                listed("role", &foreign)
            ),
            hint: "connect as a superuser or as a member of these roles, or restore with --no-owner; nothing was changed yet".to_owned(),
        })
    }
}

/// Those of `wanted` that the query `known` does not return.
async fn absent(
    session: &mut Session,
    doing: &str,
    wanted: &BTreeSet<String>,
    known: &str,
) -> Result<Vec<String>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let list = literals(wanted);
    let rows = session
        .rows(
            doing,
            &format!(
                "SELECT wanted FROM pg_catalog.unnest(ARRAY[{list}]::pg_catalog.text[]) AS wanted \
                 WHERE NOT EXISTS (SELECT FROM ({known}) AS known WHERE known.name = wanted) ORDER BY 1"
            ),
        )
        .await?;
    rows.iter().map(|row| row.get("wanted")).collect()
}

fn literals(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", ")
}

/// `role "a"`, or `roles "a", "b"`.
fn listed(kind: &str, names: &[String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("{kind}{plural} {}", names.join(", "))
}

/// Refuses an archive of a newer server, whose statements the target may not know.
///
/// # Errors
/// [`Error::Refused`].
pub(super) fn check_version(
    archived: &str,
    target: &str,
    options: &RestoreOptions,
) -> Result<(), Error> {
    let major = |version: &str| -> Option<u32> {
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    match (major(archived), major(target)) {
        (Some(from), Some(to)) if from > to && !options.unsafe_older_server => {
            Err(Error::Refused {
                what: format!(
                    "the archive comes from PostgreSQL {archived}, and the target is the older {target}"
                ),
                hint: "restore into a server of the same or a newer major version, or try with --unsafe-older-server".to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Refuses a target that holds anything a user made. Extensions and their members do not
/// count: providers put them into every new database, and an archive creates them only if
/// they are not there.
///
/// # Errors
/// [`Error::Refused`] names the first objects found.
pub(super) async fn check_empty(session: &mut Session) -> Result<(), Error> {
    const SHOWN: usize = 5;
    let rows = session
        .rows("looking for objects in the target", &format!("{OBJECTS} LIMIT {}", SHOWN + 1))
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut names = rows
        .iter()
        .take(SHOWN)
        .map(|row| Ok(format!("{} {}", row.get::<String>("type")?, row.get::<String>("identity")?)))
        .collect::<Result<Vec<String>, Error>>()?;
    if rows.len() > SHOWN {
        names.push("and more".to_owned());
    }
    Err(Error::Refused {
        what: format!("database {:?} is not empty: it holds {}", session.database(), names.join(", ")),
        hint: "restore into a new database with --create, or add --clean to drop first what the archive will restore".to_owned(),
    })
}

/// Objects that neither `initdb` nor an extension made, nor the server for another object.
const OBJECTS: &str = "\
WITH user_made AS (
  SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass AS class, oid FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_(toast|temp)'
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_(toast|temp)'
  UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid FROM pg_catalog.pg_proc
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid FROM pg_catalog.pg_type AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace WHERE n.nspname !~ '^pg_(toast|temp)'
  UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid FROM pg_catalog.pg_operator
  UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid FROM pg_catalog.pg_opclass
  UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid FROM pg_catalog.pg_opfamily
  UNION ALL SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, oid FROM pg_catalog.pg_am
  UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, oid FROM pg_catalog.pg_cast
  UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid FROM pg_catalog.pg_language
  UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid FROM pg_catalog.pg_conversion
  UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid FROM pg_catalog.pg_collation
  UNION ALL SELECT 'pg_catalog.pg_transform'::pg_catalog.regclass, oid FROM pg_catalog.pg_transform
  UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_config
  UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_dict
  UNION ALL SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_parser
  UNION ALL SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_template
  UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid FROM pg_catalog.pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid FROM pg_catalog.pg_foreign_server
  UNION ALL SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid FROM pg_catalog.pg_event_trigger
  UNION ALL SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid FROM pg_catalog.pg_publication
  UNION ALL SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass, oid FROM pg_catalog.pg_largeobject_metadata
)
SELECT i.type, i.identity
FROM user_made AS o, LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) AS i
WHERE (o.oid >= 16384 OR o.class = 'pg_catalog.pg_largeobject'::pg_catalog.regclass)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
    WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i'))
ORDER BY i.type = 'schema' DESC, i.type = 'table' DESC, i.type, i.identity";

#[cfg(test)]
mod tests {
    use super::*;
    use pgarchive::Section;

    #[test]
    fn an_older_target_is_refused_unless_told() {
        let careful = RestoreOptions::default();
        check_version("17.11 (Debian 17.11-1)", "17.2", &careful).unwrap();
        check_version("15.18", "18.6", &careful).unwrap();
        let refused = check_version("18.6", "17.11", &careful).unwrap_err();
        assert!(refused.hint().unwrap().contains("--unsafe-older-server"));
        let bold = RestoreOptions { unsafe_older_server: true, ..RestoreOptions::default() };
        check_version("18.6", "17.11", &bold).unwrap();
    }

    #[test]
    fn requirements_follow_the_options() {
        let table = Entry {
            owner: Some("boss".into()),
            namespace: Some("s".into()),
            drop_stmt: "DROP TABLE s.t;\n".into(),
            tablespace: Some("fast".into()),
            ..Entry::new(1, "TABLE", "t", Section::PreData)
        };
        let grant = Entry {
            owner: Some("boss".into()),
            defn: "GRANT SELECT ON TABLE s.t TO reader;\n".into(),
            ..Entry::new(2, "ACL", "TABLE t", Section::None)
        };
        let all = Requirements::of([&table, &grant].into_iter(), &RestoreOptions::default());
        assert_eq!(all.owners, BTreeSet::from(["boss".to_owned()]));
        assert_eq!(all.grantees, BTreeSet::from(["reader".to_owned()]));
        assert_eq!(all.tablespaces, BTreeSet::from(["fast".to_owned()]));
        let bare =
            RestoreOptions { no_owner: true, no_tablespaces: true, ..RestoreOptions::default() };
        assert_eq!(Requirements::of([&table].into_iter(), &bare), Requirements::default());
    }
}
