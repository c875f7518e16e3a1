//! Whether a restored Temporal makes sense, by what its databases say of themselves and of each
//! other.

use std::time::Instant;

use postgres::session::{Session, SessionOptions};
use postgres::temporal_schema::sanity::{self, Side};
use postgres::temporal_schema::{Role, TemporalSchema, recognise};
use vault::manifest::Manifest;

use super::compare::{broken, sound};
use super::histories::{self, Times};
use super::inspect::Restored;
use super::scratch::Scratch;
use super::{Gathered, TemporalServer, boot, complaint};
use crate::drill::{Check, CheckResult};
use crate::{Context, Error};

/// One of Temporal's databases among the copies.
pub(super) struct Copy<'a> {
    pub copy: &'a Restored,
    pub schema: TemporalSchema,
    pub time: chrono::DateTime<chrono::Utc>,
}

/// The copies that are Temporal's, of one role.
pub(super) fn find<'a>(
    restored: &'a [Restored],
    manifest: &Manifest,
    role: Role,
) -> Option<Copy<'a>> {
    restored.iter().find_map(|copy| {
        let schema = recognise(&copy.toc.entries).filter(|schema| schema.role == role)?;
        let archived = manifest.databases.iter().find(|database| database.name == copy.name)?;
        Some(Copy { copy, schema, time: archived.snapshot_time })
    })
}

/// Every check; none when the backup holds no Temporal.
pub(super) async fn sanity(restored: &[Restored], manifest: &Manifest) -> Vec<Check> {
    let main = find(restored, manifest, Role::Main);
    let visibility = find(restored, manifest, Role::Visibility);
    let mut checks = Vec::new();
    for copy in main.iter().chain(&visibility) {
        let mut session = match open(copy).await {
            Ok(session) => session,
            Err(check) => return vec![check],
        };
        checks.push(version(copy, &mut session).await);
        if copy.schema.role == Role::Main {
            checks.extend(of_main(copy, &mut session).await);
        }
        session.close().await;
    }
    const LISTED: &str = "Temporal: executions and their list";
    match (main, visibility) {
        (None, None) => {}
        (Some(main), Some(visibility)) => {
            checks.extend(listed(LISTED, &main, &visibility).await);
        }
        (Some(one), None) | (None, Some(one)) => {
            let why = "the backup holds one of Temporal's two databases alone";
            checks.push(Check::not_run(LISTED, why).about(&one.copy.name));
        }
    }
    checks
}

/// Starts a server on the copy and reads histories from it.
pub(super) async fn serve(
    context: &Context,
    server: &TemporalServer,
    restored: &[Restored],
    manifest: &Manifest,
    scratch: &mut Scratch,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    const BOOTED: &str = "Temporal: serves the copy";
    let main = find(restored, manifest, Role::Main);
    let visibility = find(restored, manifest, Role::Visibility);
    let (Some(main), Some(visibility)) = (main, visibility) else {
        let why = "the backup does not hold both of Temporal's databases";
        gathered.checks.push(Check::not_run(BOOTED, why));
        return Ok(());
    };
    context.progress.begin("starting Temporal");
    let began = Instant::now();
    let own = scratch.own();
    let booted = boot::boot(&server.binary, &main, &visibility, own, scratch.token()).await;
    gathered.spent("boot", began);
    let booted = match booted {
        Ok(booted) => booted,
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(error) => {
            gathered.checks.push(Check::not_run(BOOTED, complaint(&error)));
            return Ok(());
        }
    };
    let found = format!("it answered after {:.2} s", booted.seconds);
    let check = Check::new(BOOTED, CheckResult::Pass).expected("it answers on its own ports");
    gathered.checks.push(check.found(found));
    let tables = format!("emptied before it was started: {}", booted.frozen.join(", "));
    scratch.isolated("a frozen copy: no timer fires, nothing is deleted", tables);
    scratch.isolated(
        "no worker",
        "the server's own worker service is not started, and nobody knows its ports",
    );
    let reading = Instant::now();
    let outcome = ask(context, server, &booted, (&main, &visibility), scratch, gathered).await;
    gathered.spent("histories", reading);
    if !booted.stop().await {
        scratch.leftover();
    }
    outcome
}

async fn ask(
    context: &Context,
    server: &TemporalServer,
    booted: &boot::Booted,
    (main, visibility): (&Copy<'_>, &Copy<'_>),
    scratch: &mut Scratch,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    const RING: &str = "Temporal: a ring of its own";
    let cluster = match booted.connection.cluster().await {
        Ok(cluster) => cluster,
        Err(error) => {
            gathered.checks.push(Check::not_run(RING, crate::chain(&error)));
            return Ok(());
        }
    };
    gathered.versions.insert("Temporal server".into(), cluster.version.clone());
    let own =
        |member: &String| booted.ports.iter().any(|port| *member == format!("127.0.0.1:{port}"));
    let members = cluster.rings.iter().flat_map(|ring| &ring.members).chain(&cluster.reachable);
    let mut strangers: Vec<String> = members.filter(|member| !own(member)).cloned().collect();
    strangers.sort_unstable();
    strangers.dedup();
    let crowded = cluster.rings.iter().any(|ring| ring.members.len() != 1);
    if !strangers.is_empty() || crowded || cluster.rings.is_empty() {
        let check =
            Check::new(RING, CheckResult::Fail).found("it is not alone; it was stopped at once");
        gathered.checks.push(check.names(strangers));
        return Ok(());
    }
    let rings: Vec<String> = cluster
        .rings
        .iter()
        .map(|ring| format!("{} {}", ring.role, ring.members.join(" ")))
        .collect();
    let proof = format!("DescribeCluster names one member per ring: {}", rings.join(", "));
    scratch.isolated("a ring of its own", proof.clone());
    gathered
        .checks
        .push(Check::new(RING, CheckResult::Pass).expected("one member per ring").found(proof));
    context.progress.begin("reading histories");
    let times = Times::new(main.time, visibility.time);
    let compared = histories::compare(context, &booted.connection, server.sample, times).await;
    let (checks, read) = compared?;
    gathered.checks.extend(checks);
    gathered.measures.counts.insert("histories".into(), read);
    Ok(())
}

async fn open(copy: &Copy<'_>) -> Result<Session, Check> {
    let opened = Session::open(&copy.copy.info, &SessionOptions::default()).await;
    opened.map_err(|error| broken("Temporal: schema version", &copy.copy.name, &error))
}

async fn version(copy: &Copy<'_>, session: &mut Session) -> Check {
    const NAME: &str = "Temporal: schema version";
    let name = &copy.copy.name;
    match sanity::schema_versions(session, &copy.schema).await {
        Err(error) => broken(NAME, name, &error),
        Ok(versions) => {
            let own = versions.iter().find(|(database, _)| database == name);
            let own = own.or(versions.first().filter(|_| versions.len() == 1));
            match own {
                Some((_, version)) if !version.is_empty() => Check::new(NAME, CheckResult::Pass)
                    .expected("one version of this database")
                    .found(version)
                    .about(name),
                _ => {
                    sound(NAME, "one version of this database", name, vec![format!("{versions:?}")])
                }
            }
        }
    }
}

async fn of_main(copy: &Copy<'_>, session: &mut Session) -> Vec<Check> {
    let name = &copy.copy.name;
    let schema = &copy.schema;
    let mut checks = Vec::new();
    const CLUSTER: &str = "Temporal: cluster and shards";
    let shards = sanity::shards(session, schema).await;
    let clusters = sanity::clusters(session, schema).await;
    checks.push(match (shards, clusters) {
        (Ok(shards), Ok(clusters)) => {
            let wanted = clusters.first().map_or(0, |cluster| cluster.shards);
            let mut wrong = Vec::new();
            if clusters.is_empty() {
                wrong.push("no cluster is named".to_owned());
            }
            let all = 1..=i32::try_from(wanted).unwrap_or(i32::MAX);
            let missing = all.filter(|shard| shards.binary_search(shard).is_err());
            wrong.extend(missing.take(100).map(|shard| format!("shard {shard}: no row")));
            let more =
                shards.iter().filter(|shard| i64::from(**shard) > wanted as i64 || **shard < 1);
            wrong.extend(more.map(|shard| format!("shard {shard}: not one of {wanted}")));
            let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            let expected =
                format!("cluster {}, one row for each of {wanted} shards", names.join(", "));
            sound(CLUSTER, &expected, name, wrong)
        }
        (Err(error), _) | (_, Err(error)) => broken(CLUSTER, name, &error),
    });
    for (what, expected, found) in [
        (
            "Temporal: current executions",
            "each has its execution",
            sanity::current_without_execution(session, schema).await,
        ),
        (
            "Temporal: beginnings of histories",
            "each current execution has its history from event 1",
            sanity::without_history(session, schema).await,
        ),
    ] {
        checks.push(match found {
            Ok(wrong) => sound(what, expected, name, wrong),
            Err(error) => broken(what, name, &error),
        });
    }
    checks
}

async fn listed(name: &str, main: &Copy<'_>, visibility: &Copy<'_>) -> Vec<Check> {
    let of = &visibility.copy.name;
    let (mut one, mut other) = match (open(main).await, open(visibility).await) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(check), _) | (_, Err(check)) => return vec![check],
    };
    let found = sanity::listed(
        Side { session: &mut one, temporal: &main.schema, time: main.time },
        Side { session: &mut other, temporal: &visibility.schema, time: visibility.time },
    )
    .await;
    one.close().await;
    other.close().await;
    match found {
        Err(error) => vec![broken(name, of, &error)],
        Ok(found) => {
            let expected = format!("{} executions, each listed with its status", found.runs);
            let mut checks = vec![sound(name, &expected, of, found.damaged)];
            if !found.skewed.is_empty() {
                let skew = (visibility.time - main.time).num_milliseconds();
                let check = Check::new("Temporal: skew of the two snapshots", CheckResult::Pass);
                checks.push(
                    check
                        .expected("differences that the time between the snapshots explains")
                        .found(format!(
                            "{} in {skew} ms; they heal by themselves",
                            found.skewed.len()
                        ))
                        .names(found.skewed)
                        .about(of)
                        .optional(),
                );
            }
            checks
        }
    }
}
