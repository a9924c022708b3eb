#!/bin/sh
# Makes roles and databases in a fresh PostgreSQL, as its superuser; repeating is harmless.
# Needs OWNER_PASSWORD, LOADER_PASSWORD, DAGSTER_PASSWORD, and psql's usual variables for the server.
set -eu
sql=${SQL_FOLDER:-/sql}

run() { psql --set ON_ERROR_STOP=1 --quiet --no-psqlrc --username "${POSTGRES_USER:-postgres}" "$@"; }

run --dbname postgres --file "$sql/roles.sql"
run --dbname postgres --set owner="$OWNER_PASSWORD" --set loader="$LOADER_PASSWORD" \
    --set dagster="$DAGSTER_PASSWORD" <<'SQL'
ALTER ROLE import_owner PASSWORD :'owner';
ALTER ROLE import_loader PASSWORD :'loader';
ALTER ROLE import_dagster PASSWORD :'dagster';
SELECT 'CREATE DATABASE imports OWNER import_owner'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'imports') \gexec
SELECT 'CREATE DATABASE dagster OWNER import_dagster'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dagster') \gexec
SQL
run --dbname imports --file "$sql/database.sql"
