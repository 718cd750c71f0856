#!/usr/bin/env bash
# A scratch PostgreSQL for trying out change data capture: logical decoding on,
# loopback only, port 5433, no password, data in .run/pg beside the Makefile.
# Usage: postgres.sh start|stop|psql [ARGUMENTS OF psql]
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$PWD/.run/pg
port=5433
bin=$(dirname "$(command -v pg_ctl || ls -1d /usr/lib/postgresql/*/bin/pg_ctl 2>/dev/null | sort -V | tail -n 1 || true)")
if [ ! -x "$bin/pg_ctl" ]; then
	echo "PostgreSQL is not installed. On Debian: apt-get install postgresql" >&2
	exit 1
fi
bin=$(dirname "$(readlink -f "$bin/pg_ctl")")

# PostgreSQL refuses to run as root.
as() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
	else
		"$@"
	fi
}

case ${1:-} in
start)
	if [ ! -f "$dir/data/PG_VERSION" ]; then
		mkdir -p "$dir"
		if [ "$(id -u)" -eq 0 ]; then chown postgres "$dir"; fi
		as "$bin/initdb" -D "$dir/data" -U postgres --auth=trust > "$dir/../initdb.log"
	fi
	as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/server.log" \
		-o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c wal_level=logical" start > /dev/null
	echo "PostgreSQL ready: postgresql://postgres@127.0.0.1:$port/postgres"
	;;
stop)
	as "$bin/pg_ctl" -D "$dir/data" -w -m fast stop > /dev/null
	echo "PostgreSQL stopped"
	;;
psql)
	shift
	exec "$bin/psql" -h 127.0.0.1 -p $port -U postgres -q "$@"
	;;
*)
	echo "usage: $0 start|stop|psql [ARGUMENTS]" >&2
	exit 2
	;;
esac
