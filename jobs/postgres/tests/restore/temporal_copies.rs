//! Copies of Temporal's databases, small ones with the tables that matter.

use harness::postgres::Server;
use postgres::restore::{ExpectedTable, Prepare, RestoreOptions};
use postgres::temporal_schema::{NamespaceOutlook, Role, Settled};

use crate::fixture::{FIFTEEN, chain, dump, restore_from};

/// The tables of the main database that a restore looks at, as schema version 1.19 has them.
const MAIN: &str = "
CREATE TABLE namespaces (partition_id integer NOT NULL, id bytea NOT NULL, name varchar(255) UNIQUE NOT NULL, PRIMARY KEY (partition_id, id));
CREATE TABLE shards (shard_id integer PRIMARY KEY);
CREATE TABLE executions (shard_id integer PRIMARY KEY);
CREATE TABLE history_node (shard_id integer PRIMARY KEY);
CREATE TABLE current_executions (namespace_id bytea NOT NULL, workflow_id varchar(255) NOT NULL, state integer NOT NULL);
CREATE TABLE timer_tasks (shard_id integer NOT NULL, visibility_timestamp timestamp NOT NULL, task_id bigint NOT NULL, data bytea NOT NULL);
CREATE TABLE history_scheduled_tasks (shard_id integer NOT NULL, category_id integer NOT NULL, visibility_timestamp timestamp NOT NULL, data bytea NOT NULL);
CREATE TABLE transfer_tasks (shard_id integer NOT NULL, task_id bigint NOT NULL);
CREATE TABLE tasks (range_hash bigint NOT NULL);
CREATE TABLE cluster_membership (membership_partition integer NOT NULL, host_id bytea NOT NULL, PRIMARY KEY (membership_partition, host_id));
CREATE TABLE schema_version (version_partition integer NOT NULL, db_name varchar(255) NOT NULL, curr_version varchar(64), PRIMARY KEY (version_partition, db_name));
";

const VISIBILITY: &str = "
CREATE TABLE executions_visibility (namespace_id char(64) NOT NULL, run_id char(64) NOT NULL, PRIMARY KEY (namespace_id, run_id));
CREATE TABLE schema_version (version_partition integer NOT NULL, db_name varchar(255) NOT NULL, curr_version varchar(64), PRIMARY KEY (version_partition, db_name));
INSERT INTO schema_version VALUES (0, 'temporal_visibility', '1.14');
";

const NAMESPACE: &str = "32049b68-7872-4094-8e63-d0dd59896a83";

/// A stored `TimerTaskInfo`: fields 1 (namespace id) and 4 (task type).
fn timer(task_type: u8) -> String {
    let id: String = NAMESPACE.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("'\\x0a24{id}20{task_type:02x}'")
}

fn main_database(server: &Server, name: &str) {
    server.createdb(name).unwrap();
    let hex = NAMESPACE.replace('-', "");
    let due = "now() AT TIME ZONE 'UTC' - interval '1 minute'";
    let later = "now() AT TIME ZONE 'UTC' + interval '1 day'";
    let (user, activity, deletion) = (timer(14), timer(13), timer(16));
    server
        .psql(
            name,
            &format!(
                "{MAIN}
                INSERT INTO namespaces VALUES (54321, '\\x{hex}', 'default');
                INSERT INTO current_executions VALUES ('\\x{hex}', 'open', 2), ('\\x{hex}', 'closed', 3);
                INSERT INTO timer_tasks VALUES (1, {due}, 1, {user}), (1, {due}, 2, {deletion}), (2, {due}, 3, {deletion}),
                  (2, {due}, 4, {activity}), (2, {later}, 5, {deletion}), (2, {due}, 6, '\\xff');
                INSERT INTO transfer_tasks VALUES (1, 1), (1, 2);
                INSERT INTO tasks VALUES (1);
                INSERT INTO cluster_membership VALUES (0, '\\x01'), (0, '\\x02');
                INSERT INTO schema_version VALUES (0, '{name}', '1.19');"
            ),
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_main_database_is_settled_and_its_due_work_told() {
    let server = &*FIFTEEN;
    main_database(server, "temporal");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(server, 15, "temporal", &archive, &[]);
    let create = RestoreOptions { prepare: Prepare::Create, ..RestoreOptions::default() };
    let restored = restore_from(&archive, &server.url("temporal_copy"), &create, &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let temporal = restored.temporal.unwrap();
    assert_eq!(temporal.schema.role, Role::Main);
    let settled = Settled { members_removed: 2, renamed_from: Some("temporal".into()) };
    assert_eq!(temporal.settled, Some(settled));
    let members = "SELECT count(*) FROM cluster_membership";
    assert_eq!(server.psql("temporal_copy", members).unwrap(), "0");
    let version = "SELECT db_name, curr_version FROM schema_version";
    assert_eq!(server.psql("temporal_copy", version).unwrap(), "temporal_copy|1.19");

    let outlook = temporal.outlook.unwrap();
    let expected = NamespaceOutlook {
        id: NAMESPACE.into(),
        name: Some("default".into()),
        user_timers: 1,
        timeouts: 1,
        deletions: 2,
        open_workflows: 1,
        ..NamespaceOutlook::default()
    };
    assert_eq!(outlook.namespaces, [expected]);
    assert_eq!((outlook.later, outlook.queued, outlook.unreadable), (1, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_visibility_database_gets_its_own_name() {
    let server = &*FIFTEEN;
    server.createdb("temporal_visibility").unwrap();
    server.psql("temporal_visibility", VISIBILITY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(server, 15, "temporal_visibility", &archive, &[]);
    server.createdb("visibility_copy").unwrap();
    let restored =
        restore_from(&archive, &server.url("visibility_copy"), &RestoreOptions::default(), &[])
            .await
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let temporal = restored.temporal.unwrap();
    assert_eq!((temporal.schema.role, temporal.outlook), (Role::Visibility, None));
    let version = "SELECT db_name, curr_version FROM schema_version";
    assert_eq!(server.psql("visibility_copy", version).unwrap(), "visibility_copy|1.14");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_replaces_the_original_can_keep_its_state() {
    let server = &*FIFTEEN;
    main_database(server, "kept");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(server, 15, "kept", &archive, &[]);
    server.createdb("kept_copy").unwrap();
    let keep = RestoreOptions { keep_temporal_state: true, ..RestoreOptions::default() };
    let restored = restore_from(&archive, &server.url("kept_copy"), &keep, &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let temporal = restored.temporal.unwrap();
    assert_eq!(temporal.settled, None);
    assert!(temporal.outlook.is_some());
    let state = "SELECT count(*), (SELECT db_name FROM schema_version) FROM cluster_membership";
    assert_eq!(server.psql("kept_copy", state).unwrap(), "2|kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_rows_differ_cannot_join_the_live_ring_either() {
    let server = &*FIFTEEN;
    main_database(server, "differing");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(server, 15, "differing", &archive, &[]);
    server.createdb("differing_copy").unwrap();
    let expected = ExpectedTable { schema: "public".into(), name: "namespaces".into(), rows: 99 };
    let url = server.url("differing_copy");
    let error =
        restore_from(&archive, &url, &RestoreOptions::default(), &[expected]).await.unwrap_err();
    assert!(chain(&error).contains("public.namespaces got 1 rows of 99"), "{}", chain(&error));
    let members = "SELECT count(*) FROM cluster_membership";
    assert_eq!(server.psql("differing_copy", members).unwrap(), "0");
}
