#!/bin/sh
# Finds the real servers and clients that the tests run against, and installs
# those that are missing where apt-get can. Tests never skip for want of one of
# these, so a missing one ends here with what to do.
set -eu

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
