-- PostgreSQL 18 and later.
SET search_path = app;
CREATE TABLE virtual_columns (a integer, v integer GENERATED ALWAYS AS (a * 2), s integer GENERATED ALWAYS AS (a * 3) STORED,
    w text GENERATED ALWAYS AS ('x' || 'y') VIRTUAL);
CREATE TABLE virtual_child (more integer) INHERITS (virtual_columns);
-- Named, uninherited, unvalidated and commented NOT NULL constraints.
CREATE TABLE not_nulls (
    a integer NOT NULL,
    b integer CONSTRAINT "My Not Null" NOT NULL,
    c integer CONSTRAINT not_nulls_c_only NOT NULL NO INHERIT,
    d integer NOT NULL,
    e integer,
    f integer
);
COMMENT ON CONSTRAINT not_nulls_d_not_null ON not_nulls IS 'commented';
COMMENT ON CONSTRAINT "My Not Null" ON not_nulls IS 'commented and named';
ALTER TABLE not_nulls ADD CONSTRAINT not_nulls_late NOT NULL e NOT VALID;
COMMENT ON CONSTRAINT not_nulls_late ON not_nulls IS 'not validated';
CREATE TABLE not_nulls_child () INHERITS (not_nulls);
CREATE TABLE not_nulls_child_own (CONSTRAINT childs_own NOT NULL f) INHERITS (not_nulls);
CREATE TABLE not_nulls_child_valid (CONSTRAINT not_nulls_late NOT NULL e) INHERITS (not_nulls);
CREATE TABLE not_nulls_child_local (a integer NOT NULL, f integer NOT NULL) INHERITS (not_nulls);
CREATE TABLE not_nulls_partitioned (a integer CONSTRAINT np_a NOT NULL, b integer) PARTITION BY LIST (a);
CREATE TABLE not_nulls_partition PARTITION OF not_nulls_partitioned FOR VALUES IN (1);
CREATE TABLE not_nulls_attached (b integer CONSTRAINT attached_b NOT NULL, a integer CONSTRAINT attached_a NOT NULL);
ALTER TABLE not_nulls_partitioned ATTACH PARTITION not_nulls_attached FOR VALUES IN (2);
CREATE TABLE not_nulls_late_partitioned (a integer, b integer) PARTITION BY LIST (a);
CREATE TABLE not_nulls_late_partition PARTITION OF not_nulls_late_partitioned FOR VALUES IN (1);
ALTER TABLE not_nulls_late_partitioned ADD CONSTRAINT late_b NOT NULL b NOT VALID;
-- Constraints that are not enforced.
CREATE TABLE not_enforced (a integer, b integer, CONSTRAINT soft CHECK (a > 0) NOT ENFORCED,
    FOREIGN KEY (b) REFERENCES parents NOT ENFORCED);
CREATE TABLE not_enforced_child () INHERITS (not_enforced);
-- Temporal keys.
CREATE TABLE temporal (id int4range, during daterange, v text, CONSTRAINT temporal_pk PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE temporal_unique (id int4range, during daterange, UNIQUE (id, during WITHOUT OVERLAPS));
CREATE TABLE temporal_reference (id int4range, during daterange, FOREIGN KEY (id, PERIOD during) REFERENCES temporal (id, PERIOD during));
-- Foreign keys of partitioned tables that are not validated.
CREATE TABLE fk_late (p integer, k integer) PARTITION BY LIST (k);
CREATE TABLE fk_late_1 PARTITION OF fk_late FOR VALUES IN (1);
ALTER TABLE fk_late ADD CONSTRAINT fk_late_p FOREIGN KEY (p) REFERENCES parents NOT VALID;
CREATE INDEX ON not_nulls USING gin ((ARRAY[a, b]));
