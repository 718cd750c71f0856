#!/usr/bin/env bash
# Tables of one PostgreSQL -> topics of Avro -> the same tables in another one:
# the walk-through of docs/postgres-to-postgres.md, against a server that runs.
#
#   deploy/demo/copy-tables.sh SOURCE TARGET     URIs, as in postgresql://postgres@127.0.0.1:5433/shop
#
# The source needs wal_level=logical. Makes two tables there and changes them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
connect=${CONNECT:-http://127.0.0.1:8083}
registry=${REGISTRY:-http://127.0.0.1:8081}
if [ $# -ne 2 ]; then
	sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
source=$1 target=$2

ask() { psql -X -q -v ON_ERROR_STOP=1 -At "$1" -c "$2"; }

# create NAME URI posts a connector for a database.
create() {
	if ! [[ $2 =~ ^postgres(ql)?://([^:@/]+)(:([^@/]*))?@([^:/]+):([0-9]+)/([^?]+) ]]; then
		echo "$2 is not of the form postgresql://USER[:PASSWORD]@HOST:PORT/DATABASE" >&2
		exit 2
	fi
	local m=("${BASH_REMATCH[@]}")
	sed -e "s|@USER@|${m[2]}|; s|@PASSWORD@|${m[4]}|; s|@HOST@|${m[5]}|; s|@PORT@|${m[6]}|; s|@DB@|${m[7]}|; s|@REGISTRY@|$registry|" "$here/$1.json" |
		curl -fsS -X POST -H 'Content-Type: application/json' --data @- "$connect/connectors" > /dev/null
	echo "connector $1 created"
}

# same waits until both databases say the same of both tables.
same() {
	local query='SELECT * FROM customers ORDER BY id; SELECT * FROM orders ORDER BY id' here there
	here=$(ask "$source" "$query")
	for _ in $(seq 1 240); do
		if there=$(ask "$target" "$query" 2> /dev/null) && [ "$here" = "$there" ]; then
			echo "$1: both have the same $(wc -l <<< "$here") rows"
			return
		fi
		sleep 0.25
	done
	echo "$1: the tables differ; the connectors:" >&2
	curl -sS "$connect/connectors?expand=status" >&2
	exit 1
}

ask "$source" "
	CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, since date);
	CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, amount numeric(10,2), placed timestamptz, note text);
	INSERT INTO customers SELECT i, 'customer ' || i, date '2020-01-01' + i FROM generate_series(1, 200) i;
	INSERT INTO orders SELECT i, 1 + i % 200, i / 7.0, timestamptz '2024-01-01 12:00+00' + i * interval '1 min', NULL FROM generate_series(1, 5000) i"
create shop-capture "$source"
create shop-copy "$target"
same "what was there"

ask "$source" "
	BEGIN;
	UPDATE orders SET amount = amount + 1, note = 'dearer' WHERE id % 10 = 0;
	DELETE FROM orders WHERE id % 100 = 7;
	UPDATE customers SET id = id + 1000 WHERE id <= 5;
	COMMIT;
	INSERT INTO orders SELECT i, 1, 0, now(), 'late' FROM generate_series(5001, 6000) i"
same "after changes"

ask "$source" "ALTER TABLE customers ADD COLUMN email text; UPDATE customers SET email = name || '@shop.example' WHERE id > 100"
same "after a new column"
