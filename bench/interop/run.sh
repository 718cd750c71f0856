#!/usr/bin/env bash
# Runs other people's clients against Millrace's log, each doing what its users
# do: produce with every codec, consume, groups that rebalance, transactions,
# administration; then Kafka's own tools, its dump tool on Millrace's segments,
# and franz-go's own test suite; a Millrace worker that takes over from Kafka
# Connect on Apache Kafka, and workers of both in one group; a plugin in Python;
# and Debezium and Millrace capturing the same changes of PostgreSQL, compared
# field by field. Prints a line for each check.
#
#   bench/interop/run.sh [CLIENT...]     all, or some of: java java2 confluent
#                                        kafka-python aiokafka kafkajs sarama
#                                        kafka-go tools franz-go takeover mixed
#                                        pyplugin postgres
#
# Needs the registries of Maven, PyPI, npm and Go modules, and java 17, mvn,
# python3, node and npm. INTEROP_BOOTSTRAP=HOST:PORT runs the same against a
# broker that is up already (the dump tool is left out then).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/.run/interop
mkdir -p "$work"
for tool in java mvn python3 node npm go; do
  command -v "$tool" >/dev/null || { echo "interop: $tool is not installed" >&2; exit 1; }
done
clients=("$@")
[ $# -gt 0 ] || clients=(java java2 confluent kafka-python aiokafka kafkajs sarama kafka-go tools franz-go takeover mixed pyplugin postgres)

peers=$root/.run/peers/lib
[ -f "$peers/.complete" ] || "$root/bench/peers/fetch.sh" >/dev/null
log4j=$work/log4j2.yaml
printf 'Configuration:\n  Loggers:\n    Root: {level: OFF}\n' >"$log4j"

data=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  rm -rf "$data"
}
trap finish EXIT
bootstrap=${INTEROP_BOOTSTRAP:-}
if [ -z "$bootstrap" ]; then
  "$root/bin/millrace" server --roles broker --kafka-addr 127.0.0.1:0 --connect-addr 127.0.0.1:0 --data-dir "$data/node" --log-level warn &
  server=$!
  until [ -f "$data/node/addresses.json" ]; do
    kill -0 "$server" || { echo "interop: the server ended at start" >&2; exit 1; }
    sleep 0.05
  done
  bootstrap=$(sed -E 's/.*"kafka":"([^"]+)".*/\1/' "$data/node/addresses.json")
fi

python() {
  [ -f "$work/venv/.complete" ] || {
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" -q install -r "$here/python/requirements.txt"
    touch "$work/venv/.complete"
  }
  "$work/venv/bin/python" "$here/python/check.py" "$1" "$bootstrap"
}

js() {
  mkdir -p "$work/js"
  cp "$here"/js/* "$work/js/"
  [ -d "$work/js/node_modules" ] || (cd "$work/js" && npm install --silent --no-audit --no-fund >/dev/null)
  node "$work/js/check.mjs" "$bootstrap"
}

java_old() {
  [ -d "$work/java2" ] || mvn -q -B -f "$here/java/pom-2.xml" dependency:copy-dependencies -DoutputDirectory="$work/java2"
  java -cp "$work/java2/*" "$here/java/Check.java" "$bootstrap"
}

goclients() {
  (cd "$here/goclients" && go build -o "$work/goclients" .)
  "$work/goclients" "$1" "$bootstrap"
}

kafka() { java -Dlog4j2.configurationFile="$log4j" -cp "$peers/*" "$@"; }

# tool NAME PATTERN COMMAND...: the command's output must match the pattern.
tool() {
  local name=$1 pattern=$2 out
  shift 2
  if out=$("$@" 2>&1) && grep -qE "$pattern" <<<"$out"; then echo "ok $name"; else
    echo "FAIL $name: no line matches $pattern"
    sed 's/^/    /' <<<"$out" >&2
    return 1
  fi
}

tools() {
  local t="tools-$RANDOM$RANDOM" bad=0 b=(--bootstrap-server "$bootstrap")
  tool "TopicCommand --create" "Created topic" kafka org.apache.kafka.tools.TopicCommand "${b[@]}" --create --topic "$t" --partitions 2 --config segment.bytes=1048576 || bad=1
  tool "TopicCommand --describe" "PartitionCount: 2" kafka org.apache.kafka.tools.TopicCommand "${b[@]}" --describe --topic "$t" || bad=1
  tool "ProducerPerformance" "50000 records sent" kafka org.apache.kafka.tools.ProducerPerformance --topic "$t" --num-records 50000 --record-size 100 --throughput -1 --producer-props "bootstrap.servers=$bootstrap" acks=all compression.type=lz4 || bad=1
  tool "ProducerPerformance, transactional" "20000 records sent" kafka org.apache.kafka.tools.ProducerPerformance --topic "$t" --num-records 20000 --record-size 100 --throughput -1 --transactional-id "perf-$t" --transaction-duration-ms 50 --producer-props "bootstrap.servers=$bootstrap" || bad=1
  tool "ConsumerPerformance" "^[0-9]{4}-" kafka org.apache.kafka.tools.ConsumerPerformance "${b[@]}" --topic "$t" --messages 50000 --group "perf-$t" --timeout 30000 || bad=1
  tool "EndToEndLatency" "99th" kafka org.apache.kafka.tools.EndToEndLatency "${b[@]}" --topic "e2e-$t" --num-records 1000 --producer-acks all --record-size 100 || bad=1
  tool "ConsumerGroupCommand --describe" "perf-$t" kafka org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "${b[@]}" --describe --group "perf-$t" || bad=1
  tool "ConsumerGroupCommand --reset-offsets" "$t +0 +0" kafka org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "${b[@]}" --reset-offsets --to-earliest --execute --group "perf-$t" --topic "$t" || bad=1
  tool "ConfigCommand --describe" "retention.ms" kafka kafka.admin.ConfigCommand "${b[@]}" --describe --all --topic "$t" || bad=1
  tool "ConfigCommand --alter" "Completed updating" kafka kafka.admin.ConfigCommand "${b[@]}" --alter --topic "$t" --add-config retention.ms=1000000 || bad=1
  tool "GetOffsetShell" "$t:0:[0-9]+" kafka org.apache.kafka.tools.GetOffsetShell "${b[@]}" --topic "$t" || bad=1
  tool "LogDirsCommand" "logDirs" kafka org.apache.kafka.tools.LogDirsCommand "${b[@]}" --describe || bad=1
  tool "TransactionsCommand list" "perf-$t" kafka org.apache.kafka.tools.TransactionsCommand "${b[@]}" list || bad=1
  tool "TransactionsCommand describe-producers" "ProducerId" kafka org.apache.kafka.tools.TransactionsCommand "${b[@]}" describe-producers --topic "$t" --partition 0 || bad=1
  tool "BrokerApiVersionsCommand" "Produce\(0\)" kafka org.apache.kafka.tools.BrokerApiVersionsCommand "${b[@]}" || bad=1
  [ -z "$server" ] || dump "$t" || bad=1
  return $bad
}

# dump reads Millrace's files with Kafka's dump tool, which checks every batch's
# checksum and that the indexes agree with the log.
dump() {
  local f bad=0 n=0
  for f in "$data"/node/broker/logs/"$1"-*/*.log "$data"/node/broker/logs/__consumer_offsets-*/*.log "$data"/node/broker/logs/__transaction_state-*/*.log; do
    [ -s "$f" ] || continue
    n=$((n + 1))
    local out
    out=$(kafka org.apache.kafka.tools.DumpLogSegments --deep-iteration --files "$f" 2>&1) || bad=1
    if grep -qiE 'isvalid: false|exception|corrupt|Found .* (invalid|trailing)' <<<"$out"; then bad=1; fi
    [ $bad = 0 ] || { echo "FAIL DumpLogSegments $(basename "$(dirname "$f")")/$(basename "$f")"; grep -iE 'isvalid: false|exception|corrupt|Found' <<<"$out" | head -5 >&2; return 1; }
  done
  for f in "$data"/node/broker/logs/"$1"-*/*.{index,timeindex,txnindex,snapshot}; do
    [ -s "$f" ] || continue
    n=$((n + 1))
    local out
    out=$(kafka org.apache.kafka.tools.DumpLogSegments --files "$f" 2>&1) || bad=1
    if grep -qiE 'mismatch|exception|out of order|not found' <<<"$out"; then bad=1; fi
    [ $bad = 0 ] || { echo "FAIL DumpLogSegments $(basename "$(dirname "$f")")/$(basename "$f")"; head -5 <<<"$out" >&2; return 1; }
  done
  echo "ok DumpLogSegments: $n files"
}

# franz-go's own tests, from the module that Millrace is built with.
franz() {
  (cd "$root" && KGO_SEEDS=$bootstrap KGO_TEST_RF=1 KGO_TEST_RECORDS=${KGO_TEST_RECORDS:-50000} KGO_LOG_LEVEL=none \
    go test -json -count=1 -timeout 15m github.com/twmb/franz-go/pkg/kgo 2>/dev/null) >"$work/franz-go.json" || true
  python3 - "$work/franz-go.json" <<'PY'
import json, sys
verdicts, why = {}, {}
for line in open(sys.argv[1]):
    e = json.loads(line)
    name = e.get("Test")
    if name and e["Action"] in ("pass", "fail", "skip"):
        verdicts[name] = e["Action"]
    elif name and e["Action"] == "output":
        why.setdefault(name, []).append(e["Output"].strip())
tops = {n: v for n, v in verdicts.items() if "/" not in n}
bad = not tops
for n, v in sorted(verdicts.items()):
    if v == "fail":
        bad = True
        print(f"FAIL {n}: " + " ".join(why.get(n, []))[-400:])
    elif v == "skip":
        print(f"skip {n}: " + " ".join(w for w in why.get(n, []) if ".go:" in w)[:200])
print(f"{'FAIL' if bad else 'ok'} {sum(v == 'pass' for v in tops.values())} of {len(tops)} tests pass")
sys.exit(bad)
PY
}

# Kafka Connect on Apache Kafka, whose connectors a Millrace worker takes over.
takeover() { (cd "$root" && go run ./bench/interop/takeover); }

# Workers of both in one group.
mixed() { (cd "$root" && go run ./bench/interop/mixed); }

# The example plugin in Python.
pyplugin() {
  local example=$root/plugins/examples/python
  [ -f "$work/pyplugin/venv/.complete" ] || {
    mkdir -p "$work/pyplugin"
    python3 -m venv "$work/pyplugin/venv"
    "$work/pyplugin/venv/bin/pip" -q install -r "$example/requirements.txt"
    touch "$work/pyplugin/venv/.complete"
  }
  mkdir -p "$work/pyplugin/bin"
  printf '#!/bin/sh\nexec %s %s\n' "$work/pyplugin/venv/bin/python" "$example/counter.py" >"$work/pyplugin/bin/counter"
  chmod +x "$work/pyplugin/bin/counter"
  (cd "$root" && go run ./bench/interop/pyplugin -plugin "$work/pyplugin/bin/counter")
}

# Debezium on Kafka Connect, whose events Millrace's are compared with.
postgres() { (cd "$root" && go run ./bench/interop/postgres); }

failed=()
for client in "${clients[@]}"; do
  echo "== $client"
  errors=$work/$client.stderr
  case $client in
    java) command=(kafka "$here/java/Check.java" "$bootstrap" modern) ;;
    java2) command=(java_old) ;;
    confluent | kafka-python | aiokafka) command=(python "$client") ;;
    kafkajs) command=(js) ;;
    sarama | kafka-go) command=(goclients "$client") ;;
    tools) command=(tools) ;;
    franz-go) command=(franz) ;;
    takeover | mixed | pyplugin | postgres) command=("$client") ;;
    *) echo "interop: no client $client; see the head of run.sh" >&2; exit 2 ;;
  esac
  began=$SECONDS
  if "${command[@]}" 2>"$errors"; then echo "   $((SECONDS - began)) s"; else
    failed+=("$client")
    echo "   failed; standard error in $errors"
  fi
done
[ ${#failed[@]} -eq 0 ] || { echo "interop: failed: ${failed[*]}"; exit 1; }
echo "interop: every check of ${#clients[@]} clients passed"
