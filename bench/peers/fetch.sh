#!/usr/bin/env bash
# Fetches the released programs that Millrace is compared with: Apache Kafka,
# Kafka Connect and Debezium's PostgreSQL connector. Needs Maven and its
# central repository, and Java 17 to run them afterwards.
#
#   bench/peers/fetch.sh [DIR]      into DIR, by default .run/peers
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../../.run/peers}
for tool in mvn java tar; do
  command -v "$tool" >/dev/null || { echo "fetch.sh: $tool is not installed: install maven and a Java 17 runtime" >&2; exit 1; }
done
debezium=3.6.0.Final
mkdir -p "$dir/plugins"
dir=$(cd "$dir" && pwd)
[ -f "$dir/lib/.complete" ] || {
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/lib"
  touch "$dir/lib/.complete"
}
[ -d "$dir/plugins/debezium-connector-postgres" ] || {
  mvn -q -B dependency:copy -DoutputDirectory="$dir" \
    -Dartifact=io.debezium:debezium-connector-postgres:$debezium:tar.gz:plugin
  tar -xzf "$dir/debezium-connector-postgres-$debezium-plugin.tar.gz" -C "$dir/plugins"
}
echo "$dir"
