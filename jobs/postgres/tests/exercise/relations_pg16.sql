-- PostgreSQL 16 and later.
SET search_path = app;
CREATE TABLE storage_inline (a text STORAGE EXTERNAL, b text STORAGE MAIN);
CREATE TABLE child_generated (gen integer GENERATED ALWAYS AS (5 + 5) STORED) INHERITS (base);
