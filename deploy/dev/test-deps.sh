#!/bin/sh
# Finds the real servers and clients that the tests run against, and installs
# those that are missing where apt-get can. Tests never skip for want of one of
# these, so a missing one ends here with what to do.
set -eu

# The S3 server of the tests is a Go program, pinned in a module of its own.
# The tests build it the same way when it is not there.
root=$(cd "$(dirname "$0")/../.." && pwd)
s3server=$root/.cache/versitygw
if [ ! -x "$s3server" ] || [ "$root/bench/s3server/go.mod" -nt "$s3server" ]; then
	mkdir -p "$root/.cache"
	if ! GOFLAGS='' GOWORK=off go build -C "$root/bench/s3server" -o "$s3server.new" github.com/versity/versitygw/cmd/versitygw; then
		echo "The tests need the S3 server versitygw, which the Go module proxy has: see that go env GOPROXY can be reached, then run make test again."
		exit 1
	fi
	touch "$s3server.new"
	mv "$s3server.new" "$s3server"
fi

missing=
have_postgres() {
	command -v pg_ctl >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1
}
have_postgres || missing="$missing postgresql"
command -v kcat >/dev/null 2>&1 || missing="$missing kcat"
[ -z "$missing" ] && exit 0

echo "The tests need Debian packages that are not installed:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "This system has no apt-get. Install PostgreSQL 14 or later (server and pg_ctl) and kcat, then run make test again."
	exit 1
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "Run as root: apt-get install -y$missing"
		exit 1
	fi
	sudo=sudo
fi
$sudo apt-get update -q
# shellcheck disable=SC2086 # one word a package
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends $missing
