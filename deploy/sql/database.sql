-- What the roles may do in the pipeline's database. Run once, by a superuser, inside a database
-- that import_owner owns (CREATE DATABASE imports OWNER import_owner); repeating is harmless.
-- `import-pipeline migrate` then makes the tables.
CREATE SCHEMA IF NOT EXISTS imports AUTHORIZATION import_owner;
CREATE SCHEMA IF NOT EXISTS staging AUTHORIZATION import_owner;

-- Nobody makes tables beside the datasets' (PostgreSQL 15 and newer begin like this).
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO import_owner;
GRANT USAGE ON SCHEMA imports, public TO import_loader;
GRANT USAGE, CREATE ON SCHEMA staging TO import_loader;

-- Tables that migrations make later, in these schemas only; an older version of this file said in all.
ALTER DEFAULT PRIVILEGES FOR ROLE import_owner REVOKE ALL ON TABLES FROM import_loader;
ALTER DEFAULT PRIVILEGES FOR ROLE import_owner REVOKE ALL ON SEQUENCES FROM import_loader;
ALTER DEFAULT PRIVILEGES FOR ROLE import_owner IN SCHEMA imports, public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO import_loader;
ALTER DEFAULT PRIVILEGES FOR ROLE import_owner IN SCHEMA imports, public
    GRANT USAGE, SELECT ON SEQUENCES TO import_loader;
