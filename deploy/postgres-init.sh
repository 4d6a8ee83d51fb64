#!/bin/sh
# Run once by the image of PostgreSQL, in an empty data folder: a user who is no superuser and owns the database.
set -eu
url=${KNOWDEFEAT_DATABASE_URL_FILE:-/run/secrets/database_url}
password=$(sed -E 's|^[a-z]+://[^:]+:([^@]+)@.*$|\1|' "$url")
export password # every user of the machine reads arguments, and this one alone the environment
psql --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" <<'SQL'
\getenv password password
CREATE ROLE knowdefeat LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE knowdefeat OWNER knowdefeat;
SQL
