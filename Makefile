# Every target is a line that can be typed by hand.

GO      ?= go
BIN     ?= bin
VERSION ?= 0.1.0-dev
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build run demo test test-deps test-postgres race fuzz bench bench-log bench-connect bench-postgres peers interop chaos lint fmt generate clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## build bin/millrace
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN)/millrace ./cmd/millrace

run: build ## build, start a server and show records moving through it; Ctrl-C ends it
	deploy/demo/run.sh $(BIN)/millrace

test: test-deps ## run all tests, against a real PostgreSQL, kcat and S3 server (installs or builds them where it can)
	cd plugins/examples/ticker && $(GO) vet ./...
	$(GO) test -shuffle=on -timeout 10m ./...

test-deps: ## find or install what the tests need
	deploy/dev/test-deps.sh

test-postgres: ## run the tests of change data capture against PostgreSQL 16 and 17 (needs Maven and its registry)
	PGTEST_BIN=$$(deploy/dev/postgres.sh 16.9.0) $(GO) test -count=1 ./connectors/postgres/...
	PGTEST_BIN=$$(deploy/dev/postgres.sh 17.5.0) $(GO) test -count=1 ./connectors/postgres/...

race: test-deps ## run all tests under the race detector
	$(GO) test -race -shuffle=on -timeout 15m ./...

fuzz: ## run every fuzz test for a short while
	deploy/dev/fuzz.sh 20s

bench: build ## measure, print tables, write bench/results/*.json
	$(GO) run ./bench/all
	$(GO) run ./bench/registry

bench-connect: build ## measure the Connect runtime: throughput, first record, memory, starts, rebalances
	$(GO) run ./bench/connect

bench-files: ## measure the log tail and the directory sink, print the table
	$(GO) run ./bench/files

bench-log: build ## measure the log beside Apache Kafka (make peers brings it), print the table
	$(GO) run ./bench/log

bench-postgres: build ## measure change data capture beside Debezium (make peers brings it) and the server, print the table
	$(GO) run ./bench/postgres

peers: ## fetch Apache Kafka, Kafka Connect and Debezium to measure and test beside (needs Maven and its registry, Java 17)
	bench/peers/fetch.sh

interop: build ## run other people's clients and tools against the log and the registry (needs Maven, PyPI, npm)
	deploy/dev/interop.sh
	bench/interop/run.sh

chaos: ## kill real processes 200 times under load and look for what was lost or doubled
	$(GO) test ./bench/chaos -count=1 -v -timeout 60m -kills 200

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -s -l $$(git ls-files '*.go'))" || { gofmt -s -l $$(git ls-files '*.go'); echo 'run make fmt'; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fmt: ## format the source
	gofmt -s -w $$(git ls-files '*.go')

generate: ## regenerate the gRPC code of the plugin contract
	$(GO) generate ./plugins/proto

clean: ## remove what was built and the demo's data
	rm -rf $(BIN) .run
