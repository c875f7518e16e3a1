-- What PostgreSQL 14 brought.
SET search_path = obj;
CREATE TYPE named_range AS RANGE (subtype = integer, multirange_type_name = "Odd Multirange");
CREATE FUNCTION sql_body(a integer DEFAULT 3) RETURNS integer LANGUAGE sql
    RETURN a + obj.plain();
CREATE FUNCTION sql_block(t text) RETURNS SETOF text LANGUAGE sql
    BEGIN ATOMIC SELECT p.t FROM obj.published p WHERE p.t = sql_block.t; SELECT 'x'::text AS x; END;
CREATE PROCEDURE sql_procedure() LANGUAGE sql
    BEGIN ATOMIC INSERT INTO obj.published VALUES (1, 'x'); END;
-- A function that needs a primary key can only come after it.
CREATE FUNCTION needs_key() RETURNS SETOF text LANGUAGE sql
    BEGIN ATOMIC SELECT p.t FROM obj.published p GROUP BY p.id; END;
COMMENT ON FUNCTION needs_key() IS 'postponed';
CREATE FUNCTION subscript(internal) RETURNS internal LANGUAGE internal IMMUTABLE STRICT
    AS 'raw_array_subscript_handler';
CREATE TYPE listed;
CREATE FUNCTION listed_in(cstring) RETURNS listed LANGUAGE internal IMMUTABLE STRICT AS 'namein';
CREATE FUNCTION listed_out(listed) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'nameout';
CREATE TYPE listed (INPUT = listed_in, OUTPUT = listed_out, INTERNALLENGTH = 64,
    ALIGNMENT = char, SUBSCRIPT = raw_array_subscript_handler, ELEMENT = "char");
CREATE SUBSCRIPTION streaming CONNECTION 'host=nowhere' PUBLICATION a
    WITH (connect = false, slot_name = NONE, binary = true, streaming = true);
