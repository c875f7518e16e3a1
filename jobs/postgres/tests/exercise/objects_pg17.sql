-- What PostgreSQL 17 brought.
SET search_path = obj;
CREATE COLLATION built_in (provider = builtin, locale = 'C.UTF-8');
CREATE TABLE maintained (id integer);
GRANT MAINTAIN ON maintained TO objects_reader;
GRANT ALL ON maintained TO "Objects Odd";
CREATE DOMAIN named_not_null AS integer CONSTRAINT must_be NOT NULL;
COMMENT ON CONSTRAINT must_be ON DOMAIN named_not_null IS 'there';
CREATE SUBSCRIPTION failing_over CONNECTION 'host=nowhere' PUBLICATION a
    WITH (connect = false, slot_name = NONE, failover = true);
CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION on_event();
ALTER EVENT TRIGGER at_login DISABLE;
