package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

var (
	serverOnce sync.Once
	server     *pgtest.Server
	serverErr  error
	slotNames  atomic.Int64
)

// shared returns the server that most tests share, each with a database and a
// slot of its own.
func shared(tb testing.TB) *pgtest.Server {
	tb.Helper()
	serverOnce.Do(func() {
		server, serverErr = pgtest.New("wal_sender_timeout=3s", "max_replication_slots=200", "max_wal_senders=50")
	})
	if serverErr != nil {
		tb.Fatal(serverErr)
	}
	return server
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 && leaked() {
		code = 1
	}
	os.Exit(code)
}

// leaked waits for goroutines of the tests to end and reports those that stay.
func leaked() bool {
	buf := make([]byte, 1<<20)
	for try := 0; ; try++ {
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		bad := slices.DeleteFunc(stacks[1:], func(s string) bool { return !strings.Contains(s, "millrace") })
		if len(bad) == 0 {
			return false
		}
		if try == 100 {
			fmt.Fprintln(os.Stderr, "goroutines left:\n"+strings.Join(bad, "\n\n"))
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// worker plays the worker of one connector: it keeps the stored offset over
// the restarts of the task.
type worker struct {
	tb     testing.TB
	server *pgtest.Server
	db     string
	props  map[string]string
	stored sdk.Offset

	lists sdk.Offset // stored under the other source partition

	task         *task
	pending      sdk.Offset // of the last batch, not stored yet
	pendingLists sdk.Offset
}

// newWorker makes a database with the statements run in it.
func newWorker(tb testing.TB, s *pgtest.Server, props map[string]string, statements ...string) *worker {
	tb.Helper()
	db := s.Database(tb)
	w := &worker{tb: tb, server: s, db: db}
	if len(statements) > 0 {
		s.Exec(tb, db, statements...)
	}
	w.props = map[string]string{
		"name": "test", "connector.class": "PostgresConnector",
		"database.hostname": s.Host, "database.port": strconv.Itoa(s.Port), "database.user": pgtest.User, "database.password": "unused",
		"database.dbname": db, "database.sslmode": "disable", "topic.prefix": "shop",
		"slot.name": fmt.Sprintf("slot_%d", slotNames.Add(1)), "retriable.restart.connector.wait.ms": "50", "slot.retry.delay.ms": "50",
	}
	for k, v := range props {
		w.props[k] = v
	}
	tb.Cleanup(w.stop)
	return w
}

func (w *worker) exec(statements ...string) []string {
	w.tb.Helper()
	return w.server.Exec(w.tb, w.db, statements...)
}

// Offset and Offsets make the worker its own offset reader.
func (w *worker) Offset(_ context.Context, partition map[string]any) (sdk.Offset, error) {
	if partition["millrace"] != nil {
		return w.lists, nil
	}
	return w.stored, nil
}

func (w *worker) Offsets(ctx context.Context, partitions []map[string]any) (out []sdk.Offset, err error) {
	for _, p := range partitions {
		o, err := w.Offset(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// note takes the positions of a batch, to be stored with its records.
func (w *worker) note(b *data.Batch) {
	w.tb.Helper()
	for _, p := range b.Positions {
		partition, err := sdk.DecodeMap(p.Partition)
		offset, err2 := sdk.DecodeMap(p.Offset)
		if err := errors.Join(err, err2); err != nil {
			w.tb.Fatal(err)
		}
		if partition["millrace"] != nil {
			w.pendingLists = offset
		} else {
			w.pending = offset
		}
	}
}

func (w *worker) config() sdk.Config {
	w.tb.Helper()
	cfg, problems := Source{}.ConfigDef().Parse(w.props)
	if len(problems) > 0 {
		w.tb.Fatal(problems)
	}
	return cfg
}

func (w *worker) open() error {
	w.tb.Helper()
	task, err := Source{}.Open(w.tb.Context(), w.config(), w)
	if err != nil {
		return err
	}
	w.task = asTask(task)
	return nil
}

func asTask(t sdk.Task) *task { return t.(*task) }

// run starts the task if it does not run.
func (w *worker) run() *task {
	w.tb.Helper()
	if w.task == nil {
		if err := w.open(); err != nil {
			w.tb.Fatal(err)
		}
	}
	return w.task
}

// stop closes the task. What was not stored comes again.
func (w *worker) stop() {
	if w.task == nil {
		return
	}
	if err := w.task.Close(); err != nil {
		w.tb.Error(err)
	}
	w.task, w.pending, w.pendingLists = nil, nil, nil
}

// store stores the offset of the last batch and tells the task.
func (w *worker) store() {
	w.tb.Helper()
	if w.pendingLists != nil {
		w.lists, w.pendingLists = w.pendingLists, nil
	}
	if w.pending == nil {
		return
	}
	w.stored = w.pending
	w.pending = nil
	p := sdk.Position{Partition: map[string]any{"server": w.props["topic.prefix"]}, Offset: w.stored}
	if err := w.task.Committed(w.tb.Context(), []sdk.Position{p}); err != nil {
		w.tb.Fatal(err)
	}
}

// poll polls once.
func (w *worker) poll(b *data.Batch) error {
	w.tb.Helper()
	*b = data.Batch{Records: b.Records[:0], Positions: b.Positions[:0]}
	ctx, cancel := context.WithTimeout(w.tb.Context(), 20*time.Second)
	defer cancel()
	if err := w.run().PollBatch(ctx, b); err != nil {
		return err
	}
	w.note(b)
	return nil
}

// event is a record as text.
type event struct {
	topic, key, value string
	headers           []string
	record            data.Record
}

// events polls until there are n records and stores their offset.
func (w *worker) events(n int) []event {
	w.tb.Helper()
	var out []event
	var b data.Batch
	for len(out) < n {
		if err := w.poll(&b); err != nil {
			w.tb.Fatalf("after %d of %d events: %v", len(out), n, err)
		}
		for i := range b.Records {
			out = append(out, asEvent(w.tb, &b.Records[i]))
		}
	}
	w.store()
	if len(out) > n {
		w.tb.Fatalf("%d events, want %d: %v", len(out), n, out)
	}
	return out
}

func asEvent(tb testing.TB, r *data.Record) event {
	tb.Helper()
	e := event{topic: r.Topic, key: text(tb, r.Key), value: text(tb, r.Value), record: *r}
	for _, h := range r.Headers {
		e.headers = append(e.headers, h.Name+"="+text(tb, h.Value))
	}
	return e
}

// text writes a datum as the JSON converter does.
func text(tb testing.TB, d data.Datum) string {
	tb.Helper()
	if d.IsNull() {
		return "null"
	}
	out, err := data.AppendJSON(nil, d.Schema, d.Row, data.JSONOptions{KeepNulls: true})
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}
