#!/bin/sh
# Run once, by the image, when its data directory is empty: the database, its owner, and the narrow role that ingress reads as.
# `naru migrate` makes the tables, and gives that role its rights.
set -eu
SECRETS=${SECRETS:-/run/secrets}
export SECRETS

psql -X -q -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set owner_password `cat "$SECRETS/naru_password"`
\set reader_password `cat "$SECRETS/naru_ingress_password"`
CREATE ROLE naru LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 120 PASSWORD :'owner_password';
CREATE ROLE naru_ingress LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 70 PASSWORD :'reader_password';
CREATE DATABASE naru OWNER naru ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
REVOKE ALL ON DATABASE naru FROM PUBLIC;
GRANT CONNECT ON DATABASE naru TO naru_ingress;
SQL
