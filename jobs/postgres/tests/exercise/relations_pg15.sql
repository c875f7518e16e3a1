-- PostgreSQL 15 and later.
SET search_path = app;
CREATE TABLE nulls_equal (a integer, b integer, CONSTRAINT nulls_equal_u UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b));
CREATE UNIQUE INDEX nulls_equal_i ON nulls_equal (b) NULLS NOT DISTINCT;
CREATE VIEW invoker WITH (security_invoker = true, security_barrier = false) AS SELECT * FROM nulls_equal WITH CASCADED CHECK OPTION;
CREATE UNLOGGED SEQUENCE unlogged_seq;
CREATE UNLOGGED TABLE unlogged_identity (a integer GENERATED ALWAYS AS IDENTITY, b serial);
ALTER SEQUENCE unlogged_identity_a_seq SET LOGGED;
ALTER SEQUENCE unlogged_identity_b_seq SET LOGGED;
CREATE TABLE logged_identity (a integer GENERATED ALWAYS AS IDENTITY);
ALTER SEQUENCE logged_identity_a_seq SET UNLOGGED;
CREATE TABLE fk_set_columns (a integer, b integer, FOREIGN KEY (a, b) REFERENCES partitioned_key ON DELETE SET NULL (b));

-- Tablespaces and access methods.
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE relations_space LOCATION '';
CREATE TABLESPACE "Relations Space" LOCATION '';
CREATE TABLE in_space (a integer PRIMARY KEY USING INDEX TABLESPACE "Relations Space", b integer, CONSTRAINT in_space_u UNIQUE (b)) TABLESPACE relations_space;
CREATE INDEX in_space_i ON in_space (b, a) TABLESPACE "Relations Space";
CREATE MATERIALIZED VIEW mat_in_space TABLESPACE relations_space AS SELECT * FROM in_space;
CREATE TABLE partitioned_in_space (a integer) PARTITION BY LIST (a) TABLESPACE relations_space;
CREATE TABLE partitioned_in_space_1 PARTITION OF partitioned_in_space FOR VALUES IN (1);
CREATE TABLE partitioned_in_space_2 PARTITION OF partitioned_in_space FOR VALUES IN (2) TABLESPACE "Relations Space";
CREATE INDEX partitioned_in_space_i ON partitioned_in_space (a) TABLESPACE "Relations Space";
CREATE ACCESS METHOD relations_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE other_method (a integer) USING relations_heap;
CREATE MATERIALIZED VIEW mat_other_method USING relations_heap AS SELECT * FROM other_method;
