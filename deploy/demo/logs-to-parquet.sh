#!/usr/bin/env bash
# Logs of a web server -> topic of Avro -> Parquet files by hour in an S3 store:
# the walk-through of docs/logs-to-parquet.md, against a server that runs.
#
#   S3=http://127.0.0.1:9000 BUCKET=lake deploy/demo/logs-to-parquet.sh [DIRECTORY OF THE LOGS]
#
# The server must have credentials for the store: AWS_ACCESS_KEY_ID and
# AWS_SECRET_ACCESS_KEY in its environment.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
connect=${CONNECT:-http://127.0.0.1:8083}
registry=${REGISTRY:-http://127.0.0.1:8081}
store=${S3:?say where the S3 store is, as in S3=http://127.0.0.1:9000}
bucket=${BUCKET:-lake}
logs=${1:-$(mktemp -d)}

# requests FROM TO prints lines as nginx writes them, two a second from ten on.
requests() {
	awk -v from="$1" -v to="$2" 'BEGIN {
		split("GET GET GET POST", method); split("/ /basket /order /img/lamp.png", path); split("200 200 200 304 404", status)
		for (i = from; i < to; i++) {
			s = i * 2
			printf "203.0.113.%d - - [10/Oct/2023:%02d:%02d:%02d +0000] \"%s %s?n=%d HTTP/1.1\" %s %d \"https://shop.example/\" \"Mozilla/5.0\"\n",
				i % 250, 10 + s / 3600, s / 60 % 60, s % 60, method[i % 4 + 1], path[i % 4 + 1], i, status[i % 5 + 1], 100 + i % 1000
		}
	}'
}

create() {
	sed -e "s|@DIR@|$logs|; s|@REGISTRY@|$registry|; s|@BUCKET@|$bucket|; s|@S3@|$store|" "$here/$1.json" |
		curl -fsS -X POST -H 'Content-Type: application/json' --data @- "$connect/connectors" > /dev/null
	echo "connector $1 created"
}

requests 0 1200 > "$logs/access.log"
create access-logs
until curl -fs "$registry/subjects/access-value/versions/1" > /dev/null; do sleep 0.1; done
echo "the lines have a schema: $registry/subjects/access-value/versions/1"
create access-lake

# The log is rotated as logrotate does, twice, while it is being read.
mv "$logs/access.log" "$logs/access.log.1"
{ requests 1200 2000; echo 'this is not what nginx writes'; } > "$logs/access.log"
sleep 1
cp "$logs/access.log" "$logs/access.log.0" && : > "$logs/access.log"
gzip "$logs/access.log.1"
requests 2000 3000 >> "$logs/access.log"

# The sink has committed all 3000 lines when its offset is beyond them.
for _ in $(seq 1 240); do
	offset=$(curl -fsS "$connect/connectors/access-lake/offsets" | sed -n 's/.*"kafka_offset":\([0-9]*\).*/\1/p')
	if [ "${offset:-0}" -ge 3000 ]; then
		echo "3000 requests are in s3://$bucket/topics/access/, in a directory for each hour"
		echo "lines that are none:"
		curl -fsS "${connect%/}/metrics" | grep 'event="parse_failures"'
		exit 0
	fi
	sleep 0.5
done
echo "the lines did not arrive; the connectors:" >&2
curl -sS "$connect/connectors?expand=status" >&2
exit 1
