-- Every class of object that is no relation, for PostgreSQL 13 and later. Roles objects_owner,
-- objects_reader and "Objects Odd" exist. Tables are here only where another class needs one.

CREATE SCHEMA obj AUTHORIZATION objects_owner;
CREATE SCHEMA "Odd Schema";
COMMENT ON SCHEMA obj IS 'it''s a schema \ with a backslash';
GRANT USAGE ON SCHEMA obj TO objects_reader WITH GRANT OPTION;
GRANT USAGE, CREATE ON SCHEMA "Odd Schema" TO "Objects Odd";
SET ROLE objects_reader;
GRANT USAGE ON SCHEMA obj TO "Objects Odd";
RESET ROLE;
SET search_path = obj;

-- Extensions: changed grants of members, and comments.
CREATE EXTENSION hstore SCHEMA public;
CREATE EXTENSION citext;
COMMENT ON EXTENSION hstore IS 'keys and values';
REVOKE EXECUTE ON FUNCTION public.skeys(public.hstore) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.skeys(public.hstore) TO objects_reader;

-- Enum, composite, domain, range and shell types.
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
ALTER TYPE mood ADD VALUE 'so so' BEFORE 'it''s ok';
ALTER TYPE mood OWNER TO objects_owner;
COMMENT ON TYPE mood IS 'how it goes';
REVOKE USAGE ON TYPE mood FROM PUBLIC;
GRANT USAGE ON TYPE mood TO objects_reader;
CREATE TYPE no_labels AS ENUM ();
CREATE TYPE address AS (street text COLLATE "C", "Number" integer, gone integer, moods mood[]);
ALTER TYPE address DROP ATTRIBUTE gone;
COMMENT ON TYPE address IS 'where';
COMMENT ON COLUMN address."Number" IS 'of the house';
COMMENT ON COLUMN address.moods IS 'of those who live there';
CREATE TYPE nothing AS ();
CREATE TYPE never_filled;
CREATE FUNCTION is_even(i integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT i % 2 = 0';
CREATE DOMAIN even AS integer DEFAULT 2 CONSTRAINT is_even CHECK (obj.is_even(VALUE)) NOT NULL;
CREATE DOMAIN word AS text COLLATE "C" DEFAULT 'it''s' CHECK (VALUE <> '') CHECK (length(VALUE) < 9);
CREATE DOMAIN "Odd Domain" AS even[];
ALTER DOMAIN word ADD CONSTRAINT lower_case CHECK (VALUE = lower(VALUE)) NOT VALID;
COMMENT ON DOMAIN even IS 'no odd ones';
COMMENT ON CONSTRAINT is_even ON DOMAIN even IS 'says the function';
COMMENT ON CONSTRAINT lower_case ON DOMAIN word IS 'some day';
REVOKE ALL ON TYPE even FROM PUBLIC;
CREATE FUNCTION time_diff(a time, b time) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT
    AS 'SELECT EXTRACT(EPOCH FROM (a - b))';
CREATE TYPE time_range AS RANGE (subtype = time, subtype_diff = time_diff);
CREATE TYPE c_range AS RANGE (subtype = text, collation = "C");
CREATE TABLE uses_range (r time_range, m mood, a address);

-- A base type with its functions: a loop through the shell.
CREATE TYPE base_type;
CREATE FUNCTION base_in(cstring) RETURNS base_type LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION base_out(base_type) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE base_type (INPUT = base_in, OUTPUT = base_out, INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4, STORAGE = extended, CATEGORY = 'S', PREFERRED = true, DEFAULT = 'it''s',
    DELIMITER = ';', COLLATABLE = true);
COMMENT ON TYPE base_type IS 'text by another name';
ALTER TYPE base_type OWNER TO objects_owner;
CREATE TYPE small_type;
CREATE FUNCTION small_in(cstring) RETURNS small_type LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION small_out(small_type) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE FUNCTION small_receive(internal) RETURNS small_type LANGUAGE internal IMMUTABLE STRICT AS 'int4recv';
CREATE FUNCTION small_send(small_type) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'int4send';
CREATE TYPE small_type (INPUT = small_in, OUTPUT = small_out, RECEIVE = small_receive,
    SEND = small_send, LIKE = integer);

-- Functions with every attribute.
CREATE FUNCTION plain() RETURNS integer LANGUAGE sql AS $$SELECT 1$$;
CREATE FUNCTION "Odd Function"("Argument" integer DEFAULT 7, VARIADIC rest text[] DEFAULT '{}')
    RETURNS TABLE ("Column" integer, other text) LANGUAGE plpgsql
    STABLE STRICT SECURITY DEFINER LEAKPROOF PARALLEL RESTRICTED COST 17 ROWS 33
    SET search_path = obj, "Odd Schema", pg_temp
    SET work_mem = '8MB'
    SET "app.setting" = 'it''s, so'
    AS $body$ BEGIN RETURN QUERY SELECT 1, $$dollar$$; END $body$;
COMMENT ON FUNCTION "Odd Function"(integer, text[]) IS 'everything at once';
ALTER FUNCTION "Odd Function"(integer, text[]) OWNER TO objects_owner;
CREATE FUNCTION out_arguments(IN a integer, OUT b integer, INOUT c text) RETURNS SETOF record
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT a, c';
CREATE FUNCTION polymorphic(anyelement, anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION returns_mood(mood) RETURNS SETOF mood LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION of_table(uses_range) RETURNS SETOF uses_range LANGUAGE sql AS 'SELECT $1.*';
CREATE FUNCTION window_function() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE STRICT
    AS 'window_row_number';
CREATE FUNCTION supported(integer) RETURNS integer LANGUAGE internal IMMUTABLE STRICT
    SUPPORT generate_series_int4_support AS 'int4up';
CREATE PROCEDURE act(a integer, INOUT b integer) LANGUAGE plpgsql AS 'BEGIN b := a; END';
COMMENT ON PROCEDURE act(integer, integer) IS 'acts';
REVOKE ALL ON PROCEDURE act(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE act(integer, integer) TO objects_reader;
GRANT EXECUTE ON FUNCTION plain() TO objects_reader WITH GRANT OPTION;
SET ROLE objects_reader;
GRANT EXECUTE ON FUNCTION plain() TO "Objects Odd";
RESET ROLE;
CREATE FUNCTION needs_extension(public.hstore) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
ALTER FUNCTION needs_extension(public.hstore) DEPENDS ON EXTENSION hstore;

-- Aggregates.
CREATE FUNCTION add_up(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE FUNCTION take_off(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
CREATE FUNCTION identity(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION identity_extra(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE AGGREGATE total(integer) (SFUNC = add_up, STYPE = bigint, SSPACE = 8, INITCOND = '0',
    FINALFUNC = identity, FINALFUNC_MODIFY = READ_WRITE, COMBINEFUNC = int8pl,
    MSFUNC = add_up, MINVFUNC = take_off, MSTYPE = bigint, MSSPACE = 8, MINITCOND = '0',
    MFINALFUNC = identity_extra, MFINALFUNC_EXTRA, PARALLEL = safe);
COMMENT ON AGGREGATE total(integer) IS 'a sum';
ALTER AGGREGATE total(integer) OWNER TO objects_owner;
REVOKE ALL ON FUNCTION total(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION total(integer) TO objects_reader;
CREATE FUNCTION count_one(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 + 1';
CREATE AGGREGATE how_many(*) (SFUNC = count_one, STYPE = bigint, INITCOND = '0');
REVOKE ALL ON FUNCTION how_many() FROM PUBLIC;
CREATE AGGREGATE largest(integer) (SFUNC = int4larger, STYPE = integer, SORTOP = >);
CREATE AGGREGATE percentile(double precision ORDER BY anyelement) (SFUNC = ordered_set_transition,
    STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE AGGREGATE hypothetical(VARIADIC "any" ORDER BY VARIADIC "any") (
    SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final,
    FINALFUNC_EXTRA, HYPOTHETICAL);

-- Casts and transforms.
CREATE FUNCTION mood_number(mood) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT length($1::text)';
CREATE CAST (mood AS integer) WITH FUNCTION mood_number(mood) AS ASSIGNMENT;
CREATE CAST (base_type AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (mood AS json) WITH INOUT;
COMMENT ON CAST (mood AS integer) IS 'its length';
CREATE FUNCTION from_sql(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'prsd_lextype';
CREATE TRANSFORM FOR mood LANGUAGE sql (FROM SQL WITH FUNCTION from_sql(internal));
COMMENT ON TRANSFORM FOR mood LANGUAGE sql IS 'nobody uses it';

-- A language of one's own.
CREATE TRUSTED LANGUAGE own_language HANDLER plpgsql_call_handler
    INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;
COMMENT ON LANGUAGE own_language IS 'plpgsql by another name';
REVOKE ALL ON LANGUAGE own_language FROM PUBLIC;
GRANT USAGE ON LANGUAGE own_language TO objects_reader;
CREATE FUNCTION in_own_language() RETURNS void LANGUAGE own_language AS 'BEGIN END';
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO objects_owner;

-- Operators, operator classes and families.
CREATE FUNCTION mood_less(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text < $2::text';
CREATE FUNCTION mood_more(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text > $2::text';
CREATE FUNCTION mood_not_less(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text >= $2::text';
CREATE OPERATOR <<< (FUNCTION = mood_less, LEFTARG = mood, RIGHTARG = mood, COMMUTATOR = >>>,
    NEGATOR = >>=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR >>> (FUNCTION = mood_more, LEFTARG = mood, RIGHTARG = mood, COMMUTATOR = <<<);
CREATE OPERATOR >>= (FUNCTION = mood_not_less, LEFTARG = mood, RIGHTARG = mood, NEGATOR = <<<);
CREATE FUNCTION mood_same(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2::text';
CREATE OPERATOR === (FUNCTION = mood_same, LEFTARG = mood, RIGHTARG = mood, COMMUTATOR = ===, MERGES, HASHES);
CREATE OPERATOR @#@ (FUNCTION = int4up, RIGHTARG = integer);
COMMENT ON OPERATOR <<< (mood, mood) IS 'sadder than';
COMMENT ON OPERATOR @#@ (NONE, integer) IS 'does nothing';
CREATE FUNCTION mood_compare(mood, mood) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT bttextcmp($1::text, $2::text)';
CREATE OPERATOR FAMILY mood_family USING btree;
COMMENT ON OPERATOR FAMILY mood_family USING btree IS 'of moods';
CREATE OPERATOR CLASS mood_class FOR TYPE mood USING btree FAMILY mood_family AS
    OPERATOR 1 <<<, OPERATOR 3 ===, OPERATOR 5 >>>, FUNCTION 1 mood_compare(mood, mood);
COMMENT ON OPERATOR CLASS mood_class USING btree IS 'by letters';
CREATE FUNCTION mood_hash(mood) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT hashtext($1::text)';
CREATE OPERATOR CLASS base_class DEFAULT FOR TYPE base_type USING hash AS STORAGE base_type;
CREATE FUNCTION cross_less(mood, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text < $2';
CREATE OPERATOR <<< (FUNCTION = cross_less, LEFTARG = mood, RIGHTARG = text);
CREATE FUNCTION cross_compare(mood, text) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT bttextcmp($1::text, $2)';
ALTER OPERATOR FAMILY mood_family USING btree ADD
    OPERATOR 1 <<< (mood, text), FUNCTION 1 (mood, text) cross_compare(mood, text);
CREATE TYPE mood_range AS RANGE (subtype = mood, subtype_opclass = mood_class);
CREATE ACCESS METHOD own_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE ACCESS METHOD own_btree TYPE INDEX HANDLER bthandler;
COMMENT ON ACCESS METHOD own_heap IS 'heap by another name';

-- Collations, conversions, text search.
CREATE COLLATION plain_c FROM "C";
CREATE COLLATION "Odd" (LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
COMMENT ON COLLATION plain_c IS 'bytes';
ALTER COLLATION "Odd" OWNER TO objects_owner;
CREATE CONVERSION own_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE DEFAULT CONVERSION own_default FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
COMMENT ON CONVERSION own_conversion IS 'as ever';
CREATE TEXT SEARCH PARSER own_parser (START = prsd_start, GETTOKEN = prsd_nexttoken,
    END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE own_template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY own_dictionary (TEMPLATE = own_template, accept = 'false', stopwords = 'english');
CREATE TEXT SEARCH CONFIGURATION own_configuration (PARSER = own_parser);
ALTER TEXT SEARCH CONFIGURATION own_configuration ADD MAPPING FOR asciiword, word
    WITH own_dictionary, pg_catalog.english_stem;
COMMENT ON TEXT SEARCH PARSER own_parser IS 'a parser';
COMMENT ON TEXT SEARCH TEMPLATE own_template IS 'a template';
COMMENT ON TEXT SEARCH DICTIONARY own_dictionary IS 'a dictionary';
COMMENT ON TEXT SEARCH CONFIGURATION own_configuration IS 'a configuration';
ALTER TEXT SEARCH CONFIGURATION own_configuration OWNER TO objects_owner;

-- Foreign data.
CREATE FOREIGN DATA WRAPPER own_wrapper VALIDATOR postgresql_fdw_validator;
CREATE FOREIGN DATA WRAPPER "Bare" OPTIONS (host 'it''s', "Port" '1');
COMMENT ON FOREIGN DATA WRAPPER own_wrapper IS 'leads nowhere';
GRANT USAGE ON FOREIGN DATA WRAPPER own_wrapper TO objects_reader;
CREATE SERVER "Far" TYPE 'a type' VERSION '1.2' FOREIGN DATA WRAPPER own_wrapper
    OPTIONS (host 'localhost', dbname 'x');
ALTER SERVER "Far" OWNER TO objects_owner;
COMMENT ON SERVER "Far" IS 'away';
GRANT USAGE ON FOREIGN SERVER "Far" TO objects_reader;
CREATE USER MAPPING FOR PUBLIC SERVER "Far" OPTIONS (user 'all');
CREATE USER MAPPING FOR objects_reader SERVER "Far" OPTIONS (user 'x', password 'it''s');
CREATE USER MAPPING FOR "Objects Odd" SERVER "Far";

-- Publications and subscriptions.
CREATE TABLE published (id integer PRIMARY KEY, t text);
CREATE PUBLICATION some_tables FOR TABLE published WITH (publish = 'insert, truncate');
CREATE PUBLICATION all_tables FOR ALL TABLES WITH (publish_via_partition_root = true);
CREATE PUBLICATION "Nothing Yet";
COMMENT ON PUBLICATION some_tables IS 'one, in fact';
ALTER PUBLICATION some_tables OWNER TO objects_owner;
CREATE SUBSCRIPTION own_subscription CONNECTION 'host=nowhere dbname=''it\''s''' PUBLICATION a, "B c"
    WITH (connect = false, slot_name = NONE, synchronous_commit = local);
CREATE SUBSCRIPTION with_slot CONNECTION 'host=nowhere' PUBLICATION a
    WITH (connect = false, slot_name = 'a_slot');
ALTER SUBSCRIPTION with_slot SET (slot_name = NONE);
COMMENT ON SUBSCRIPTION own_subscription IS 'never enabled';

-- Event triggers.
CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER own_event ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')
    EXECUTE FUNCTION on_event();
CREATE EVENT TRIGGER disabled_event ON sql_drop EXECUTE FUNCTION on_event();
ALTER EVENT TRIGGER disabled_event DISABLE;
CREATE EVENT TRIGGER always_event ON ddl_command_start EXECUTE FUNCTION on_event();
ALTER EVENT TRIGGER always_event ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER own_event IS 'does nothing';

-- Default privileges.
ALTER DEFAULT PRIVILEGES FOR ROLE objects_owner IN SCHEMA obj GRANT SELECT ON TABLES TO objects_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE objects_owner IN SCHEMA obj
    GRANT USAGE ON SEQUENCES TO "Objects Odd" WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE objects_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE objects_owner GRANT ALL ON TYPES TO objects_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE "Objects Odd" GRANT USAGE ON SCHEMAS TO objects_reader;

-- Large objects.
SELECT lo_from_bytea(70001, '\x00ff10');
SELECT lo_create(70002);
SELECT lo_from_bytea(70003, 'text');
ALTER LARGE OBJECT 70002 OWNER TO objects_owner;
COMMENT ON LARGE OBJECT 70001 IS 'it''s large';
GRANT SELECT ON LARGE OBJECT 70001 TO objects_reader;
GRANT ALL ON LARGE OBJECT 70002 TO objects_reader WITH GRANT OPTION;

-- What initdb made, changed: grants on pg_catalog, and public.
GRANT SELECT ON pg_catalog.pg_authid TO objects_reader;
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO objects_reader;
GRANT SELECT (rolname) ON pg_catalog.pg_authid TO "Objects Odd";
COMMENT ON SCHEMA public IS 'changed';
GRANT CREATE ON SCHEMA public TO objects_reader;

-- The database.
COMMENT ON DATABASE objects IS 'it''s a database';
ALTER DATABASE objects SET work_mem = '16MB';
ALTER DATABASE objects SET search_path = obj, "$user", public;
ALTER ROLE objects_reader IN DATABASE objects SET statement_timeout = '1min';
ALTER DATABASE objects CONNECTION LIMIT 77;
REVOKE CONNECT ON DATABASE objects FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE objects TO objects_reader;
