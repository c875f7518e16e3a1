-- PostgreSQL 14 and later.
SET search_path = app;
CREATE TABLE compressed (a text COMPRESSION pglz, b text, c text);
CREATE STATISTICS stats_expression ON (lower(b)), (a || 'x'), a FROM compressed;
CREATE TABLE detached_function (a integer, b integer);
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM app.detached_function; END;
ALTER TABLE detached_function ALTER COLUMN b SET DEFAULT counted();
CREATE VIEW uses_counted AS SELECT counted() AS c;
-- A function that needs a primary key, and so must wait until after the data.
CREATE FUNCTION grouped_by_key() RETURNS SETOF text LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT p.code FROM app.parents p GROUP BY p.id; END;
CREATE INDEX compressed_lower ON compressed (lower(b)) INCLUDE (c);
CREATE TABLE ranged_partition (r int4multirange, k integer) PARTITION BY LIST (k);
