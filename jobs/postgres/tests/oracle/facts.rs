//! Facts of relations in the catalogs that `pg_dump` does not show.

/// Queries whose rows, in any order, are the same for a database and its copy.
pub const FACTS: [&str; 6] = [
    "SELECT c.oid::regclass, c.relkind, c.relpersistence, c.relispartition, c.relispopulated, \
            am.amname, s.spcname, c.reloptions, c.relreplident, c.relrowsecurity \
     FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam \
     LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
     WHERE c.oid >= 16384 AND c.relnamespace <> 'pg_toast'::regnamespace",
    "SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, \
            attislocal, attinhcount, attstorage, attidentity, attgenerated, attoptions, \
            attcollation::regcollation \
     FROM pg_attribute JOIN pg_class c ON c.oid = attrelid \
     WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped \
       AND c.relnamespace <> 'pg_toast'::regnamespace",
    "SELECT conrelid::regclass, conname, contype, conislocal, coninhcount, convalidated, \
            connoinherit, condeferrable, condeferred, pg_get_constraintdef(oid) \
     FROM pg_constraint WHERE oid >= 16384 AND conrelid <> 0",
    "SELECT tgrelid::regclass, tgname, tgenabled, tgparentid <> 0, pg_get_triggerdef(oid) \
     FROM pg_trigger WHERE tgconstrrelid = 0 AND tgname !~ 'ConstraintTrigger'",
    "SELECT inhrelid::regclass, inhparent::regclass, inhseqno FROM pg_inherits",
    "SELECT indexrelid::regclass, indisvalid, indisclustered, indisreplident, indisprimary, \
            pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid >= 16384 \
     AND indrelid NOT IN (SELECT oid FROM pg_class WHERE relkind = 't')",
];
