// Command postgres measures change data capture from PostgreSQL and the way
// back, on one machine with the database on it: Millrace beside Debezium on
// Kafka Connect, under the same config and converter, and each beside what the
// database alone can do. Every figure counts rows at the far end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/bench/peers"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

type options struct {
	bin, peers, only, out string
	rows, large, turns    int
	rate                  int
	task                  bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/millrace", "the binary to measure")
	flag.StringVar(&o.peers, "peers", ".run/peers", "where bench/peers/fetch.sh put Kafka and Debezium; without them Millrace is measured alone")
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows changed in each measurement")
	flag.IntVar(&o.large, "large", 5_000_000, "rows of the one large transaction")
	flag.IntVar(&o.turns, "turns", 2, "how often each is measured")
	flag.IntVar(&o.rate, "rate", 1000, "transactions a second while latency is measured")
	flag.StringVar(&o.only, "only", "", "measure only these, separated by commas: stream, snapshot, task, large, latency, sink")
	flag.StringVar(&o.out, "out", "", "file for the JSON; by default one in bench/results that is named after the time")
	flag.BoolVar(&o.task, "task", false, "be the task that is measured by itself (the command starts itself so)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if o.task {
		err = beTask(ctx, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		stop()
		os.Exit(1)
	}
}

// subject is one of the two who capture.
type subject struct {
	name      string
	worker    harness.Worker
	bootstrap string
	pid       int
}

// bench is what a run has started.
type bench struct {
	options
	*harness.Comparison
	server   *pgtest.Server
	db       *pgx.Conn
	subjects []subject
	registry string
	names    int // of tables and connectors, so that none is used twice
	close    []func() error
}

func run(ctx context.Context, o options) (err error) {
	b := &bench{options: o, Comparison: &harness.Comparison{Report: harness.NewReport(), Subjects: []string{"millrace", "debezium", "server"}, Base: "debezium"}}
	defer func() {
		for _, f := range slices.Backward(b.close) {
			err = errors.Join(err, f())
		}
	}()
	if err := b.start(ctx); err != nil {
		return err
	}
	err = harness.Measure(ctx, o.only, o.turns, harness.Part{Name: "stream", Run: b.streams}, harness.Part{Name: "snapshot", Run: b.snapshots},
		harness.Part{Name: "task", Run: b.tasks}, harness.Part{Name: "large", Run: b.largeTransaction},
		harness.Part{Name: "latency", Run: b.latency}, harness.Part{Name: "sink", Run: b.sink})
	if err != nil {
		return err
	}
	return b.Publish("postgres", b.out)
}

// start starts the database, Millrace, and Debezium if it is at hand.
func (b *bench) start(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "millrace-bench-postgres-")
	if err != nil {
		return err
	}
	b.close = append(b.close, func() error { return os.RemoveAll(dir) })
	// What a server with little memory of its own would spend on checkpoints is
	// not what is measured.
	if b.server, err = pgtest.New("shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=1h", "logical_decoding_work_mem=64MB"); err != nil {
		return err
	}
	b.close = append(b.close, b.server.Close)
	if b.db, err = pgx.Connect(ctx, b.server.URL("postgres")); err != nil {
		return err
	}
	b.close = append(b.close, func() error { return b.db.Close(context.WithoutCancel(ctx)) })
	node, err := harness.StartNode(ctx, b.bin, filepath.Join(dir, "millrace"))
	if err != nil {
		return err
	}
	b.close = append(b.close, node.Stop)
	b.registry = node.Registry
	b.subjects = []subject{{"millrace", harness.Worker(node.Connect), node.Kafka, node.PID()}}
	lib, err := filepath.Abs(filepath.Join(b.peers, "lib"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(lib, ".complete")); err != nil {
		fmt.Fprintln(os.Stderr, "Debezium is not at hand (make peers brings it): Millrace is measured alone")
		return nil
	}
	kafka, err := peers.StartKafka(ctx, lib, dir)
	if err != nil {
		return err
	}
	b.close = append(b.close, kafka.Stop)
	worker, err := peers.StartConnect(ctx, lib, dir, kafka.Addr, map[string]string{
		"group.id": "bench", "config.storage.topic": "bench-configs", "offset.storage.topic": "bench-offsets", "status.storage.topic": "bench-status",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"plugin.path": filepath.Join(filepath.Dir(lib), "plugins"),
	})
	if err != nil {
		return err
	}
	b.close = append(b.close, worker.Stop)
	b.subjects = append(b.subjects, subject{"debezium", harness.Worker(worker.Addr), kafka.Addr, worker.PID()})
	return nil
}

// name makes a name that no table, slot or connector has yet.
func (b *bench) name() string {
	b.names++
	return fmt.Sprintf("bench%d", b.names)
}

func (b *bench) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := b.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%.200s: %w", sql, err)
		}
	}
	return nil
}
