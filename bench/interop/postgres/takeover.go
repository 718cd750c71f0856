package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/bench/peers"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// The takeovers: Debezium runs on Kafka Connect, ends in an orderly way or is
// killed in the middle of something, and Millrace's worker of the same group
// goes on after changes that neither saw.
var takeovers = []struct {
	name string
	rows int  // that are there before
	kill bool // rather than stop
	// during is what happens once the rows are captured, "" for nothing.
	during string
	// until says of the stored offset whether it is time.
	until func(offset map[string]any, captured int64) bool
}{
	{"stopped", 100, false, "INSERT INTO t SELECT g, 'streamed' FROM generate_series(101, 200) g", func(_ map[string]any, n int64) bool { return n >= 200 }},
	{"stopped after the snapshot", 100, false, "", func(_ map[string]any, n int64) bool { return n >= 100 }},
	{"killed in a transaction", 100, true, "COPY t (id) FROM PROGRAM 'seq 101 150000'", func(o map[string]any, n int64) bool {
		return o["messageType"] == "INSERT" && n > 5000
	}},
	{"killed in a snapshot", 300_000, true, "", func(o map[string]any, n int64) bool {
		return o["snapshot"] != nil && o["last_snapshot_record"] == false && n > 5000
	}},
}

func takeOver(ctx context.Context, o options) (err error) {
	lib, err := filepath.Abs(filepath.Join(o.peers, "lib"))
	if err != nil {
		return err
	}
	db, err := pgtest.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	dir, err := os.MkdirTemp("", "millrace-takeover-postgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kafka, err := peers.StartKafka(ctx, lib, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Stop()) }()
	for i := range takeovers {
		t := &takeover{options: o, db: db, kafka: kafka.Addr, dir: filepath.Join(dir, strconv.Itoa(i)), number: i, prefix: "shop" + strconv.Itoa(i)}
		if err := errors.Join(os.Mkdir(t.dir, 0o755), t.run(ctx)); err != nil {
			return fmt.Errorf("%s: %w", takeovers[i].name, err)
		}
		fmt.Printf("ok takeover, %s: %s\n", takeovers[i].name, t.said)
	}
	return nil
}

// takeover is one of them.
type takeover struct {
	options options
	db      *pgtest.Server
	kafka   string
	dir     string
	number  int
	prefix  string
	data    *database
	admin   *kadm.Client
	said    string
}

func (t *takeover) topic() string { return t.prefix + ".public.t" }

func (t *takeover) run(ctx context.Context) error {
	what := takeovers[t.number]
	client, err := kgo.NewClient(kgo.SeedBrokers(t.kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	t.admin = kadm.NewClient(client)
	if t.data, err = openDatabase(ctx, t.db, t.prefix); err != nil {
		return err
	}
	defer t.data.close(ctx)
	if err := t.data.exec(ctx, "CREATE TABLE t (id int PRIMARY KEY, v text)", sprintf("INSERT INTO t SELECT g, 'read' FROM generate_series(1, %d) g", what.rows)); err != nil {
		return err
	}
	if err := t.debezium(ctx); err != nil {
		return err
	}
	before, err := t.captured(ctx)
	if err != nil {
		return err
	}
	stored, err := t.offset(ctx)
	if err != nil {
		return err
	}
	// What nobody sees happen.
	if err := t.data.exec(ctx, "UPDATE t SET v = 'alone' WHERE id = 1", "DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (-1, 'alone')"); err != nil {
		return err
	}
	return t.millrace(ctx, before, stored)
}

// debezium runs Debezium until it is time.
func (t *takeover) debezium(ctx context.Context) error {
	what := takeovers[t.number]
	plugins, err := filepath.Abs(filepath.Join(t.options.peers, "plugins"))
	if err != nil {
		return err
	}
	p, err := peers.StartConnect(ctx, filepath.Join(filepath.Dir(plugins), "lib"), t.dir, t.kafka,
		workerSettings("group"+t.prefix, map[string]string{"plugin.path": plugins, "offset.flush.interval.ms": "100"}))
	if err != nil {
		return err
	}
	end := p.Stop
	if what.kill {
		end = func() error { p.Kill(); return nil }
	}
	err = harness.Worker(p.Addr).Put(ctx, "orders", map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
		"database.hostname": t.db.Host, "database.port": strconv.Itoa(t.db.Port), "database.user": pgtest.User, "database.password": "none", "database.dbname": t.prefix,
		"topic.prefix": t.prefix, "slot.name": t.prefix, "table.include.list": "public.t", "publication.autocreate.mode": "filtered", "extended.headers.enabled": "false",
		"max.batch.size": "200", "max.queue.size": "400", "poll.interval.ms": "10",
	})
	if err == nil && what.during != "" {
		if err = t.await(ctx, func(n int64) bool { return n >= int64(what.rows) }); err == nil {
			err = t.data.exec(ctx, what.during)
		}
	}
	if err == nil {
		err = t.await(ctx, func(n int64) bool {
			o, err := t.offset(ctx)
			return err == nil && what.until(o, n)
		})
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, harness.Worker(p.Addr).Status(ctx, "orders"))
	}
	return errors.Join(err, end())
}

func (t *takeover) await(ctx context.Context, done func(captured int64) bool) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		n, err := t.captured(ctx)
		if err == nil && done(n) {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return errors.Join(err, fmt.Errorf("%d records after %s", n, patience))
		}
	}
}

// captured is how many records the topic has.
func (t *takeover) captured(ctx context.Context) (int64, error) {
	offsets, err := t.admin.ListEndOffsets(ctx, t.topic())
	if err != nil {
		return 0, err
	}
	o, ok := offsets.Lookup(t.topic(), 0)
	if !ok || o.Err != nil {
		return 0, nil
	}
	return o.Offset, nil
}

// offset is the last one that a worker stored.
func (t *takeover) offset(ctx context.Context) (map[string]any, error) {
	records, err := t.read(ctx, "group"+t.prefix+"-offsets")
	if err != nil {
		return nil, err
	}
	var last []byte
	for _, r := range records {
		if strings.Contains(string(r.Key), `"orders"`) {
			last = r.Value
		}
	}
	if last == nil {
		return nil, nil
	}
	var out map[string]any
	dec := json.NewDecoder(strings.NewReader(string(last)))
	dec.UseNumber()
	return out, dec.Decode(&out)
}

// read reads a topic to its present end, each partition in order.
func (t *takeover) read(ctx context.Context, topic string) ([]*kgo.Record, error) {
	ends, err := t.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(t.kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var out []*kgo.Record
	for next := make(map[int32]int64); ; {
		done := true
		ends.Each(func(o kadm.ListedOffset) { done = done && next[o.Partition] >= o.Offset })
		if done {
			return out, nil
		}
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if next[r.Partition] = r.Offset + 1; !r.Attrs.IsControl() {
				out = append(out, r)
			}
		})
	}
}

// millrace goes on in Debezium's place until it has written what happened
// alone, and looks at what it wrote.
func (t *takeover) millrace(ctx context.Context, before int64, stored map[string]any) (err error) {
	var section strings.Builder
	section.WriteString("connect:\n")
	for _, k := range slices.Sorted(maps.Keys(workerSettings("group"+t.prefix, nil))) {
		fmt.Fprintf(&section, "  %s: %q\n", k, workerSettings("group"+t.prefix, nil)[k])
	}
	config := filepath.Join(t.dir, "millrace.yaml")
	if err := os.WriteFile(config, []byte(section.String()), 0o600); err != nil {
		return err
	}
	node, err := harness.StartNode(ctx, t.options.bin, filepath.Join(t.dir, "millrace"), "--config", config, "--roles", "connect", "--bootstrap-servers", t.kafka)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	var events []event
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		if events, err = t.events(ctx); err != nil {
			return err
		}
		if t.complete(events, before, stored) {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("Millrace did not get to the last change within %s: %d records of Debezium's, %d in all: %s", patience, before, len(events), harness.Worker(node.Connect).Status(ctx, "orders"))
		}
	}
	return t.judge(events[:before], events[before:], stored)
}

// complete reports whether Millrace has written what happened alone.
func (t *takeover) complete(events []event, before int64, stored map[string]any) bool {
	ours := events[before:]
	if cut(stored) { // the rows may come in any order
		return len(ours) >= takeovers[t.number].rows
	}
	return len(ours) > 0 && ours[len(ours)-1].id == -1
}

// cut reports whether an offset is of the middle of a snapshot.
func cut(stored map[string]any) bool {
	return stored["snapshot"] != nil && stored["last_snapshot_record"] == false
}

// event is what the judgement needs of a record.
type event struct {
	op  string
	id  int
	lsn string
}

func (t *takeover) events(ctx context.Context) ([]event, error) {
	records, err := t.read(ctx, t.topic())
	if err != nil {
		return nil, err
	}
	out := make([]event, 0, len(records))
	for _, r := range records {
		var e struct {
			Payload struct {
				Op            string
				Before, After struct{ ID int }
				Source        struct{ LSN json.Number }
			}
		}
		if len(r.Value) > 0 {
			if err := json.Unmarshal(r.Value, &e); err != nil {
				return nil, err
			}
		}
		id := e.Payload.After.ID
		if e.Payload.Op == "d" {
			id = e.Payload.Before.ID
		}
		out = append(out, event{e.Payload.Op, id, string(e.Payload.Source.LSN)})
	}
	return out, nil
}

// judge holds what Millrace wrote against what Debezium had written and stored:
// it begins right behind the stored offset, and from there each change comes
// once and in order. A snapshot that was cut off is read again.
func (t *takeover) judge(debezium, millrace []event, stored map[string]any) error {
	what := takeovers[t.number]
	t.said = fmt.Sprintf("%d events of Debezium's, %d of Millrace's", len(debezium), len(millrace))
	n := len(millrace) - 4 // an update, a delete and its tombstone, an insert
	if n < 0 {
		return fmt.Errorf("Millrace wrote %v only", millrace)
	}
	alone := []event{{op: "u", id: 1}, {op: "d", id: 2}, {}, {op: "c", id: -1}}
	if cut(stored) {
		// The tables were read anew, and show what happened meanwhile.
		if n = len(millrace); n != what.rows {
			return fmt.Errorf("%d rows were read, want %d", n, what.rows)
		}
		seen := make(map[int]bool)
		for i, e := range millrace {
			if e.op != "r" || seen[e.id] || e.id == 2 {
				return fmt.Errorf("row %d is %v", i, e)
			}
			seen[e.id] = true
		}
		return nil
	}
	for i, e := range millrace[n:] {
		if e.op != alone[i].op || e.id != alone[i].id {
			return fmt.Errorf("what happened meanwhile became %v, want %v", millrace[n:], alone)
		}
	}
	last := 0
	for _, e := range debezium {
		last = max(last, e.id)
	}
	if n == 0 {
		if what.kill && last < 150_000 {
			return fmt.Errorf("Debezium got to %d, and Millrace did not go on from there", last)
		}
		return nil
	}
	return t.right(debezium, millrace[:n], stored)
}

// right checks that the first event is the one behind the stored offset.
func (t *takeover) right(debezium, millrace []event, stored map[string]any) error {
	// Until Debezium 3.7 the offset does not tell how many of the rows at its
	// position were written: all but the first come again rather than none.
	count := 1
	if n, ok := stored["lsn_events_processed"].(json.Number); ok {
		var err error
		if count, err = strconv.Atoi(n.String()); err != nil {
			return fmt.Errorf("stored offset %v: %w", stored, err)
		}
	}
	at := -1
	for _, e := range debezium {
		if e.lsn == fmt.Sprint(stored["lsn"]) {
			if count--; count == 0 {
				at = e.id
			}
		}
	}
	if at < 0 {
		return fmt.Errorf("stored offset %v is of no event", stored)
	}
	for i, e := range millrace {
		if e.op != "c" || e.id != at+1+i {
			return fmt.Errorf("event %d is %v, want %d: the stored offset is behind row %d", i, e, at+1+i, at)
		}
	}
	t.said += fmt.Sprintf("; the stored offset was behind row %d of a transaction of 149900, Debezium had written up to %d, and Millrace began with %d", at, debezium[len(debezium)-1].id, millrace[0].id)
	return nil
}
