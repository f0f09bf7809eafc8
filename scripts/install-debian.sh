#!/usr/bin/env bash
# Installs what `npm run test:full` and the benchmarks need from Debian's packages: psql, pg_recvlogical and pgbench of
# PostgreSQL 15. Does nothing where they are there already.
set -euo pipefail
if command -v psql >/dev/null && [ -x /usr/lib/postgresql/15/bin/pg_recvlogical ]; then exit 0; fi
sudo=''
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 postgresql-client-15
