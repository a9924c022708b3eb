-- The roles of the pipeline. Run once a server by a superuser; repeating is harmless.
-- Passwords are not set here:  ALTER ROLE import_owner PASSWORD '…';
--
-- import_owner    owns the ledger and the dataset tables; `import-pipeline migrate` runs as it
-- import_loader   the pipeline itself: reads and writes rows, makes tables in schema `staging` only
-- import_dagster  owns Dagster's own database
--
-- Readers of workspaces are roles of your own:  CREATE ROLE acme_analyst LOGIN PASSWORD '…';
-- then  import-pipeline readers add acme_analyst acme.  None may be a member of the roles above.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['import_owner', 'import_loader', 'import_dagster'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role_name);
        END IF;
    END LOOP;
END
$$;
-- Dagster writes the session's clock and reads it as UTC.
ALTER ROLE import_dagster SET timezone TO 'UTC';
