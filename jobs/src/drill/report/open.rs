//! What was open in a backup of Temporal, read from its archive without restoring it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use pgarchive::{Compression, CopyFormat, Field, Fields, Toc, decode_stream};
use postgres::temporal_schema::{Role, TemporalSchema, activity, recognise};
use vault::manifest::{Database, Manifest};

use super::{Again, MovedRun};
use crate::restore::open;
use crate::{Context, Error, source};

/// `temporal.api.enums.v1.WorkflowExecutionStatus`.
const RUNNING: i64 = 1;

/// What was open.
pub(super) struct Open {
    /// The main database's snapshot.
    pub as_of: DateTime<Utc>,
    /// Runs by run id.
    pub runs: BTreeMap<String, Run>,
    pub activities: Vec<Again>,
    /// Names by id.
    pub namespaces: BTreeMap<String, String>,
}

/// An open run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub namespace: String,
    pub workflow_id: String,
    pub run_id: String,
    pub type_name: String,
    pub events: Option<u64>,
    /// The live server has no more of it.
    pub unchanged: bool,
}

impl Run {
    pub fn entry(&self) -> MovedRun {
        MovedRun {
            namespace: self.namespace.clone(),
            workflow_id: self.workflow_id.clone(),
            run_id: self.run_id.clone(),
            type_name: self.type_name.clone(),
            status: None,
            close_time: None,
            events_before: self.events,
            events_now: None,
            archived: false,
        }
    }
}

/// Reads it.
pub(super) async fn read(context: &Context, manifest: &Manifest) -> Result<Open, Error> {
    let mut parts = BTreeMap::new();
    for database in &manifest.databases {
        if database.format == "plain" {
            continue;
        }
        let (_, toc) = open(context, manifest, database).await?;
        if let Some(schema) = recognise(&toc.entries) {
            let name = match schema.role {
                Role::Main => "main",
                Role::Visibility => "visibility",
            };
            parts.insert(name, Part { context, manifest, database, toc, schema });
        }
    }
    let (Some(main), Some(visibility)) = (parts.remove("main"), parts.remove("visibility")) else {
        return Err(Error::Refused {
            what: format!("backup {} does not hold both of Temporal's databases", manifest.id),
            hint: "name a backup of temporal and temporal_visibility, in the directory format"
                .into(),
        });
    };

    let mut namespaces = BTreeMap::new();
    main.each("namespaces", ["id", "name"], |[id, name]| {
        namespaces.insert(id.uuid(), name.text());
    })
    .await?;
    let mut runs = BTreeMap::new();
    let columns = ["namespace_id", "workflow_id", "run_id", "workflow_type_name", "status"];
    visibility
        .each("executions_visibility", columns, |[namespace, workflow, run, kind, status]| {
            if status.number() != Some(RUNNING) {
                return;
            }
            let id = namespace.text().trim().to_owned();
            // The server's own are none of the operator's.
            let Some(namespace) = namespaces.get(&id).filter(|name| *name != "temporal-system")
            else {
                return;
            };
            let run_id = run.text().trim().to_owned();
            runs.insert(
                run_id.clone(),
                Run {
                    namespace: namespace.clone(),
                    workflow_id: workflow.text(),
                    run_id,
                    type_name: kind.text(),
                    events: None,
                    unchanged: false,
                },
            );
        })
        .await?;
    main.each("executions", ["run_id", "next_event_id"], |[run, next]| {
        if let Some(run) = runs.get_mut(&run.uuid()) {
            run.events = next.number().and_then(|next| u64::try_from(next - 1).ok());
        }
    })
    .await?;
    let mut activities = Vec::new();
    main.each("activity_info_maps", ["run_id", "data"], |[run, data]| {
        let Some(run) = runs.get(&run.uuid()) else { return };
        if let Some((activity_id, activity_type)) = activity(&data.bytes()) {
            activities.push(Again {
                namespace: run.namespace.clone(),
                workflow_id: run.workflow_id.clone(),
                run_id: run.run_id.clone(),
                activity_id,
                activity_type,
                moved: false,
            });
        }
    })
    .await?;
    namespaces.retain(|_, name| name != "temporal-system");
    Ok(Open { as_of: main.database.snapshot_time, runs, activities, namespaces })
}

/// One of the two databases in the backup.
struct Part<'a> {
    context: &'a Context,
    manifest: &'a Manifest,
    database: &'a Database,
    toc: Toc,
    schema: TemporalSchema,
}

/// A value in either form of COPY.
struct Value {
    format: CopyFormat,
    field: Field,
}

impl Value {
    /// Of a `bytea`.
    fn bytes(&self) -> Vec<u8> {
        let bytes = self.field.clone().unwrap_or_default();
        match (self.format, bytes.strip_prefix(b"\\x")) {
            (CopyFormat::Text, Some(digits)) => {
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                crate::drill::key::decode(digits).unwrap_or_default()
            }
            _ => bytes,
        }
    }

    /// A UUID kept as `bytea`.
    fn uuid(&self) -> String {
        let hex = vault::hex::encode(&self.bytes());
        let part = |range| hex.get(range).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.field.as_deref().unwrap_or_default()).into_owned()
    }

    /// An integer of four or eight bytes.
    fn number(&self) -> Option<i64> {
        let bytes = self.field.as_deref()?;
        match self.format {
            CopyFormat::Text => std::str::from_utf8(bytes).ok()?.parse().ok(),
            CopyFormat::Binary => match bytes.len() {
                4 => bytes.try_into().ok().map(i32::from_be_bytes).map(i64::from),
                8 => bytes.try_into().ok().map(i64::from_be_bytes),
                _ => None,
            },
        }
    }
}

impl Part<'_> {
    /// Hands these columns of every row of a table to `take`.
    async fn each<const N: usize>(
        &self,
        table: &str,
        columns: [&str; N],
        mut take: impl FnMut([Value; N]),
    ) -> Result<(), Error> {
        let missing = |what: &str| Error::Refused {
            what: format!("database {:?} of the backup has no {what}", self.database.name),
            hint: "this version of Temporal's schema is not known; update this program".into(),
        };
        let schema = self.schema.schema.as_str();
        let of_table = |entry: &&pgarchive::Entry| {
            entry.desc == "TABLE DATA"
                && entry.tag == table
                && entry.namespace.as_deref() == Some(schema)
        };
        let entry = self.toc.entries.iter().find(of_table).ok_or_else(|| missing(table))?;
        let list = entry.copy_stmt.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let names: Vec<&str> = list.map_or_else(Vec::new, |(list, _)| {
            list.split(',').map(|name| name.trim().trim_matches('"')).collect()
        });
        let mut places = Vec::with_capacity(N);
        for column in columns {
            let place = names.iter().position(|name| *name == column);
            places.push(place.ok_or_else(|| missing(&format!("{table}.{column}")))?);
        }
        let tables = self.database.tables.iter();
        let stored = tables.clone().find(|t| t.name == table && t.schema == schema);
        let stored = stored.ok_or_else(|| missing(table))?;
        let format = if stored.data == "binary" { CopyFormat::Binary } else { CopyFormat::Text };
        for chunk in &stored.chunks {
            self.context.go_on()?;
            let key = format!("{}{}", self.database.location, chunk.file);
            let object = self.manifest.objects.iter().find(|object| object.key.as_str() == key);
            let object = object.ok_or_else(|| missing(&key))?;
            let failed = |error| source::error(object, error);
            let store = self.context.catalogue.store().as_ref();
            let stream = source::open(store, object).await.map_err(failed)?;
            let (_, compression) = Compression::of_file(&chunk.file);
            let mut stream = decode_stream(compression, stream);
            let mut fields = Fields::new(format);
            while let Some(piece) = stream.try_next().await.map_err(failed)? {
                let fed = fields.feed(&piece, |row| {
                    let mut row: Vec<Option<Field>> = row.into_iter().map(Some).collect();
                    let values = std::array::from_fn(|at| {
                        let place = places.get(at).copied().unwrap_or(usize::MAX);
                        let field = row.get_mut(place).and_then(Option::take).flatten();
                        Value { format, field }
                    });
                    take(values);
                });
                fed.map_err(|error| failed(error.into()))?;
            }
        }
        Ok(())
    }
}
