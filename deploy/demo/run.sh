#!/usr/bin/env bash
# The main job in front of your eyes: starts a server with its defaults, has a
# program write a log file, and shows the records that the connectors make of
# it. State goes to .run/ beside the Makefile. Ctrl-C ends everything.
set -euo pipefail
cd "$(dirname "$0")/../.."
millrace=${1:-bin/millrace}
mkdir -p .run
server= writer=
stop() {
	trap - EXIT INT TERM
	[ -n "$writer" ] && kill "$writer" 2>/dev/null || true
	if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
		echo; echo "stopping the server"
		wait "$server" || true
	fi
}
trap stop EXIT INT TERM

rm -f .run/data/addresses.json
"$millrace" server --data-dir .run/data --log-level warn &
server=$!
until [ -f .run/data/addresses.json ]; do
	kill -0 "$server" 2>/dev/null || { echo "the server did not start; its reason stands above"; exit 1; }
	sleep 0.1
done
echo "server ready: Kafka 127.0.0.1:9092, Connect REST http://127.0.0.1:8083, schema registry http://127.0.0.1:8081"

# Some program that logs, for the connectors to have something to read.
(
	n=0
	while :; do
		n=$((n + 1))
		printf '%s order %d was shipped\n' "$(date -u +%FT%TZ)" "$n" >> .run/app.log
		sleep 0.2
	done
) &
writer=$!

for connector in deploy/demo/app-log.json deploy/demo/app-log-file.json; do
	sed "s|@DIR@|$PWD/.run|" "$connector" | "$millrace" connector create -f - > /dev/null
done
echo "connectors app-log (tails .run/app.log into topic app-log) and app-log-file (topic into .run/out.txt) created"
echo
echo "the first ten records of topic app-log:"
"$millrace" consume app-log --from-beginning --count 10
echo
"$millrace" connector list
echo
cat <<TXT
The server keeps running; Ctrl-C ends it. In another terminal:
  tail -f .run/out.txt                               what the sink writes
  bin/millrace consume app-log                       what is in the topic, or: kcat -b 127.0.0.1:9092 -C -t app-log
  bin/millrace connector status app-log              how the connector is
  curl -s http://127.0.0.1:8083/connectors           Kafka Connect's REST API
TXT
wait "$server"
