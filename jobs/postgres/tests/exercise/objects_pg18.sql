-- What PostgreSQL 18 brought.
SET search_path = obj;
CREATE PUBLICATION with_generated FOR TABLE published WITH (publish_generated_columns = stored);
ALTER DEFAULT PRIVILEGES FOR ROLE objects_owner GRANT SELECT ON LARGE OBJECTS TO objects_reader;
