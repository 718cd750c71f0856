#!/bin/sh
# Runs every fuzz test of the module for the time given, one after another.
# Inputs are made smaller for a short while only: coverage of code with goroutines
# differs from run to run, and minutes would pass with that.
set -eu
time=${1:-20s}
for pkg in $(go list ./...); do
	for test in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $test"
		go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" -fuzzminimizetime 10x "$pkg"
	done
done
