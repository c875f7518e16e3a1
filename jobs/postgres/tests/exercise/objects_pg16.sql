-- What PostgreSQL 16 brought.
SET search_path = obj;
CREATE SUBSCRIPTION parallel_one CONNECTION 'host=nowhere' PUBLICATION a
    WITH (connect = false, slot_name = NONE, streaming = parallel, password_required = false,
          run_as_owner = true, origin = none);
