#!/bin/sh
# Run once by the image of PostgreSQL, in an empty data folder: a user who is no superuser and owns the database.
set -eu
password=$(sed -E 's|^[a-z]+://[^:]+:([^@]+)@.*$|\1|' /run/secrets/database_url)
psql --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --set=password="$password" <<'SQL'
CREATE ROLE knowdefeat LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE knowdefeat OWNER knowdefeat;
SQL
