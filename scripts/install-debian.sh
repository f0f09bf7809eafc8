#!/usr/bin/env bash
# Installs what `npm run test:full` and the benchmarks need besides the npm registry: PostgreSQL 15's programs, drivers
# of other languages, and the peers of the proxy's benchmark, all from Debian's packages. Quick where they are there
# already. No service of these packages runs afterwards, unless it was installed before.
# Go is not installed, because Debian's is too old for the driver (test/drivers/go/go.mod says what it needs).
set -euo pipefail

packages=(
  postgresql-15 postgresql-client-15 # psql, pgbench, pg_dump, pg_basebackup, pg_recvlogical, …
  pgbouncer haproxy                  # npm run bench:proxy
  python3-psycopg python3-asyncpg
  libpostgresql-jdbc-java
  redis-server                       # test/receiver/redis-store.full-test.ts
  kcat                               # reads back what the Kafka sink has produced
  zsh fish                           # test/cli/completion.full-test.ts
  chromium                           # test/http/console-browser.full-test.ts
  fonts-liberation                   # what it writes with
)
# Runs a single .java file, so the compiler has to be there too. Any from 17 on will do.
java --list-modules 2>/dev/null | grep '^jdk\.compiler' >/dev/null || packages+=(default-jdk-headless)

# Fetches Kafka's broker and what reads from it (scripts/install-kafka.mjs).
command -v mvn >/dev/null || packages+=(maven)

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  sudo=''
  [ "$(id -u)" = 0 ] || sudo=sudo
  # Debian's packages start their services unless this program forbids it; a cluster would be one more.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"' EXIT
  fi
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  if [ -d /run/systemd/system ]; then
    for package in "${missing[@]}"; do
      case $package in
        postgresql-15) $sudo systemctl disable --quiet --now postgresql ;;
        pgbouncer | haproxy | redis-server) $sudo systemctl disable --quiet --now "$package" ;;
      esac
    done
  fi
fi

# Where Go's own installer puts it, for a PATH that has not been told.
PATH="$PATH:/usr/local/go/bin"
go_needed=$(sed -n 's/^go //p' "$(dirname "$0")/../test/drivers/go/go.mod")
go_there=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//' || true)
if [ "$(printf '%s\n%s\n' "$go_needed" "${go_there:-0}" | sort -V | head -n 1)" != "$go_needed" ]; then
  echo "npm run test:full needs Go $go_needed or newer on PATH (found: ${go_there:-none}): https://go.dev/dl/" >&2
  exit 1
fi
