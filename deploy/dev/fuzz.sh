#!/bin/sh
# Runs every fuzz test of the module for the time given, one after another.
set -eu
time=${1:-20s}
for pkg in $(go list ./...); do
	for test in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $test"
		go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" "$pkg"
	done
done
