-- A database that has every class of object that an ordinary application uses, and rows that
-- are hard to carry.
CREATE EXTENSION btree_gin;
CREATE SCHEMA "Odd Schema";
CREATE SCHEMA app AUTHORIZATION app_owner;
COMMENT ON SCHEMA app IS 'it''s the app''s; with a \ in it';

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s fine');
CREATE DOMAIN app.positive AS integer CONSTRAINT above CHECK (VALUE > 0);
CREATE TYPE app.pair AS (a integer, b text);
CREATE TYPE app.span AS RANGE (subtype = float8, subtype_diff = float8mi);

CREATE SEQUENCE app.numbers START 5 INCREMENT 3;
SELECT nextval('app.numbers'), nextval('app.numbers');

CREATE FUNCTION app.double(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $f$ SELECT x * 2; $f$;
CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.stamped := NEW.stamped + 1;  -- a ; and a 'quote'
  RETURN NEW;
END $$;
CREATE PROCEDURE app.nothing(IN x integer) LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE app.total(integer) (sfunc = int4pl, stype = integer, initcond = '0');

CREATE TABLE app.people (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL DEFAULT 'nobody',
  mood app.mood,
  rank app.positive,
  twice bigint GENERATED ALWAYS AS (length(name) * 2) STORED,
  extra jsonb,
  picture bytea,
  stamped integer DEFAULT 0,
  CONSTRAINT named CHECK (name <> '')
);
INSERT INTO app.people (name, mood, rank, extra, picture)
SELECT E'name\t' || i || E'\\.\n\\N', 'ok', i, jsonb_build_object('i', i), decode(md5(i::text), 'hex')
FROM generate_series(1, 5000) AS i;
INSERT INTO app.people (name, mood, rank, extra, picture) VALUES
  (E'\\.', 'it''s fine', NULL, NULL, ''), ('ünïcode ☃', NULL, 1, 'null', NULL);
CREATE INDEX people_name ON app.people (name);
CREATE INDEX people_extra ON app.people USING gin (extra, rank);
CREATE UNIQUE INDEX people_double ON app.people (app.double(id::integer)) WHERE id > 0;
CREATE STATISTICS app.related (dependencies) ON name, mood FROM app.people;
CREATE TRIGGER stamp BEFORE UPDATE ON app.people FOR EACH ROW EXECUTE FUNCTION app.stamp();
ALTER TABLE app.people DISABLE TRIGGER stamp;
COMMENT ON COLUMN app.people.name IS 'how they are called';

CREATE TABLE app.orders (
  id integer PRIMARY KEY,
  person bigint REFERENCES app.people (id) ON DELETE CASCADE DEFERRABLE,
  parent integer REFERENCES app.orders (id),
  tags text[]
);
INSERT INTO app.orders SELECT i, i, nullif(i - 1, 0), ARRAY['a,b', NULL, '{}'] FROM generate_series(1, 2000) AS i;

CREATE TABLE "Odd Schema"."Table ""x"";" ("Column ;" text, "to" integer);
INSERT INTO "Odd Schema"."Table ""x"";" VALUES ('', NULL), (NULL, 1);
CREATE TABLE public.empty_table (a integer);
CREATE TABLE public.no_columns ();
INSERT INTO public.no_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE public.volatile_data (a integer);
INSERT INTO public.volatile_data VALUES (1);

CREATE TABLE app.events (at date NOT NULL, id integer, body text) PARTITION BY RANGE (at);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.events_2026 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
  PARTITION BY HASH (id);
CREATE TABLE app.events_2026_0 PARTITION OF app.events_2026 FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE app.events_2026_1 PARTITION OF app.events_2026 FOR VALUES WITH (modulus 2, remainder 1);
ALTER TABLE app.events ADD PRIMARY KEY (at, id);
CREATE INDEX events_body ON app.events (body);
INSERT INTO app.events SELECT DATE '2025-06-01' + i, i, repeat('x', i % 50) FROM generate_series(1, 500) AS i;
CREATE TABLE app.base (a integer);
CREATE TABLE app.derived (b integer) INHERITS (app.base);
INSERT INTO app.derived VALUES (1, 2);

CREATE VIEW app.moody AS SELECT id, name FROM app.people WHERE mood IS NOT NULL;
CREATE MATERIALIZED VIEW app.counts AS SELECT mood, count(*) AS n FROM app.people GROUP BY mood;
CREATE MATERIALIZED VIEW app.over_counts AS SELECT sum(n) AS n FROM app.counts;
CREATE UNIQUE INDEX counts_mood ON app.counts (mood);
CREATE RULE ignore AS ON DELETE TO public.empty_table DO INSTEAD NOTHING;

ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.orders FOR SELECT TO app_reader, "Odd; Role" USING (person > 0);

GRANT USAGE ON SCHEMA app TO app_reader;
GRANT SELECT ON app.people TO app_reader WITH GRANT OPTION;
GRANT UPDATE (name) ON app.people TO "Odd; Role";
REVOKE ALL ON FUNCTION app.double(integer) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON TABLES TO app_reader;
ALTER TABLE app.people OWNER TO app_owner;
ALTER FUNCTION app.double(integer) OWNER TO app_owner;
ALTER TYPE app.mood OWNER TO app_owner;

SELECT lo_from_bytea(100001, decode(repeat('00ff5c', 200000), 'hex')), lo_from_bytea(100002, ''),
  lo_from_bytea(100003, 'small');
ALTER LARGE OBJECT 100001 OWNER TO app_owner;
GRANT SELECT ON LARGE OBJECT 100003 TO app_reader;
COMMENT ON LARGE OBJECT 100001 IS 'large';

CREATE PUBLICATION news FOR TABLE app.people;
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('app.forbidden', true) = 'on' THEN RAISE EXCEPTION 'no more definitions'; END IF;
END $$;
CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION app.watch();
COMMENT ON EVENT TRIGGER watch IS 'last of all';
REFRESH MATERIALIZED VIEW app.counts;
REFRESH MATERIALIZED VIEW app.over_counts;
