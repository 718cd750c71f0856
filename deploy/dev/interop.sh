#!/bin/sh
# Lets Confluent's Python client and its serializers talk to a server started
# from bin/millrace: Avro, JSON Schema and Protocol Buffers, written by them and
# read by Millrace's converters, and the reverse. Needs Python 3 with venv, and
# PyPI, from which the client is installed into .cache/interop.
set -eu

cd "$(dirname "$0")/../.."
bin=${1:-bin/millrace}
venv=.cache/interop
[ -x "$bin" ] || { echo "$bin is not there: run make build"; exit 1; }
if ! [ -x "$venv/bin/python" ]; then
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet 'confluent-kafka[avro,json,protobuf,schemaregistry]'
fi
dir=$(mktemp -d)
"$bin" server --data-dir "$dir" --kafka-addr 127.0.0.1:0 --connect-addr 127.0.0.1:0 --registry-addr 127.0.0.1:0 --log-level warn &
server=$!
trap 'kill $server 2>/dev/null; wait $server || true; rm -rf "$dir"' EXIT
for _ in $(seq 300); do
	[ -f "$dir/addresses.json" ] && break
	sleep 0.1
done
"$venv/bin/python" deploy/dev/interop_registry.py "$dir"
