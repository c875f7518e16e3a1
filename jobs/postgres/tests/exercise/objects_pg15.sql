-- What PostgreSQL 15 brought.
SET search_path = obj;
CREATE TABLE filtered (id integer PRIMARY KEY, "B c" text, d boolean);
CREATE PUBLICATION with_filter FOR TABLE filtered ("B c", id) WHERE (id > 7 AND "B c" <> 'it''s');
CREATE PUBLICATION with_true FOR TABLE filtered WHERE (true) WITH (publish = 'insert');
CREATE PUBLICATION of_schemas FOR TABLES IN SCHEMA obj, "Odd Schema";
CREATE PUBLICATION of_both FOR TABLES IN SCHEMA "Odd Schema", TABLE obj.published;
CREATE SUBSCRIPTION two_phase CONNECTION 'host=nowhere' PUBLICATION a
    WITH (connect = false, slot_name = NONE, two_phase = true, disable_on_error = true);
