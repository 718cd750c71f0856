// Command postgres lets Debezium on Kafka Connect and Millrace capture the same
// changes of one PostgreSQL under the same configs, and compares what they
// write field by field: topics, keys, values, their schemas, headers, and the
// offsets they store. Some configs are played once more with Millrace writing
// Avro, which a reader of its own (avro.go) turns into Debezium's JSON. Then Debezium is stopped and Millrace goes on in its
// place.
//
// Only what cannot agree is left out of the comparison: the time at which an
// event was made, the version of the connector, and of rows that were read
// from tables what says when that was. Differences that are meant are listed,
// with the reason, in differences.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/bench/peers"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// options are the command's flags.
type options struct {
	bin, peers string
	only       *regexp.Regexp
	parallel   int
	verbose    bool
}

func main() {
	var o options
	only := flag.String("run", ".", "regular expression of the scenarios to run; takeover is one")
	flag.StringVar(&o.bin, "bin", "bin/millrace", "the binary to run")
	flag.StringVar(&o.peers, "peers", ".run/peers", "where bench/peers/fetch.sh put Kafka and Debezium")
	flag.IntVar(&o.parallel, "parallel", 2, "scenarios at once")
	flag.BoolVar(&o.verbose, "v", false, "print differences that are meant, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Println("FAIL", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	var chosen []scenario
	for _, s := range scenarios() {
		if o.only.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	var err error
	if len(chosen) > 0 {
		err = compareAll(ctx, o, chosen)
	}
	if o.only.MatchString("takeover") {
		if e := takeOver(ctx, o); e != nil {
			err = errors.Join(err, fmt.Errorf("takeover: %w", e))
		}
	}
	return err
}

func compareAll(ctx context.Context, o options, chosen []scenario) error {
	b, err := startBench(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(b.runAll(ctx, o, chosen), b.stop())
}

// side is one of the two who capture.
type side struct {
	name      string
	worker    harness.Worker
	bootstrap string
	registry  string // HOST:PORT, "" without one
}

// bench is the database and the two sides.
type bench struct {
	db    *pgtest.Server
	sides [2]side // Debezium, Millrace
	close []func() error
}

func startBench(ctx context.Context, o options) (_ *bench, err error) {
	b := &bench{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	lib, err := filepath.Abs(filepath.Join(o.peers, "lib"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "millrace-interop-postgres-")
	if err != nil {
		return nil, err
	}
	b.close = append(b.close, func() error { return os.RemoveAll(dir) })
	if b.db, err = pgtest.New("max_replication_slots=300", "max_wal_senders=100", "max_connections=300"); err != nil {
		return nil, err
	}
	b.close = append(b.close, b.db.Close)
	kafka, err := peers.StartKafka(ctx, lib, dir)
	if err != nil {
		return nil, err
	}
	b.close = append(b.close, kafka.Stop)
	worker, err := startDebezium(ctx, o, dir, kafka.Addr, "interop")
	if err != nil {
		return nil, err
	}
	b.close = append(b.close, worker.Stop)
	node, err := harness.StartNode(ctx, o.bin, filepath.Join(dir, "millrace"))
	if err != nil {
		return nil, err
	}
	b.close = append(b.close, node.Stop)
	b.sides = [2]side{
		{"debezium", harness.Worker(worker.Addr), kafka.Addr, ""},
		{"millrace", harness.Worker(node.Connect), node.Kafka, node.Registry},
	}
	return b, nil
}

func (b *bench) stop() error {
	var err error
	for i := len(b.close) - 1; i >= 0; i-- {
		err = errors.Join(err, b.close[i]())
	}
	return err
}

// startDebezium starts Kafka Connect with Debezium's plugin.
func startDebezium(ctx context.Context, o options, dir, bootstrap, group string) (*peers.Process, error) {
	plugins, err := filepath.Abs(filepath.Join(o.peers, "plugins"))
	if err != nil {
		return nil, err
	}
	return peers.StartConnect(ctx, filepath.Join(filepath.Dir(plugins), "lib"), dir, bootstrap, workerSettings(group, map[string]string{"plugin.path": plugins}))
}

// workerSettings are what the two workers of a group share, and more.
func workerSettings(group string, more map[string]string) map[string]string {
	s := map[string]string{
		"group.id": group, "config.storage.topic": group + "-configs", "offset.storage.topic": group + "-offsets", "status.storage.topic": group + "-status",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"header.converter": "org.apache.kafka.connect.json.JsonConverter",
	}
	for k, v := range more {
		s[k] = v
	}
	return s
}

func (b *bench) runAll(ctx context.Context, o options, chosen []scenario) error {
	var mu sync.Mutex // guards below, and standard output
	var failed []string
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.parallel)
	for i, s := range chosen {
		g.Go(func() error {
			var out strings.Builder
			ok, err := b.play(ctx, &out, o, s, fmt.Sprintf("s%02d", i))
			mu.Lock()
			defer mu.Unlock()
			fmt.Print(out.String())
			if err != nil {
				fmt.Printf("FAIL %s: %v\n", s.name, err)
			}
			if err != nil || !ok {
				failed = append(failed, s.name)
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	if len(failed) > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d scenarios differ: %s", len(failed), len(chosen), strings.Join(failed, " ")))
	}
	return err
}
