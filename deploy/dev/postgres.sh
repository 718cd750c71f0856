#!/usr/bin/env bash
# Fetches a PostgreSQL of another version than the system's, for tests: the
# server, initdb and pg_ctl, as Maven's central repository has them. Prints the
# directory with the programs; the tests take it as PGTEST_BIN.
#
#   deploy/dev/postgres.sh VERSION      such as 17.5.0
set -euo pipefail
version=${1:?the version, such as 17.5.0}
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$root/.cache/postgres/$version
for tool in mvn unzip tar xz; do
  command -v "$tool" >/dev/null || { echo "postgres.sh: $tool is not installed" >&2; exit 1; }
done
[ -x "$dir/bin/postgres" ] || {
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  artifact=embedded-postgres-binaries-linux-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64v8/')
  mvn -q -B dependency:copy -DoutputDirectory="$tmp" -Dartifact="io.zonky.test.postgres:$artifact:$version" >&2
  unzip -q "$tmp/$artifact-$version.jar" '*.txz' -d "$tmp"
  mkdir -p "$tmp/pg" "$(dirname "$dir")"
  tar -xJf "$tmp"/*.txz -C "$tmp/pg"
  chmod -R a+rX "$tmp/pg"
  rm -rf "$dir"
  mv "$tmp/pg" "$dir"
}
echo "$dir/bin"
