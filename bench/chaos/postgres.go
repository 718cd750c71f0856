package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

const (
	// killsPerTable is how many kills the capture of one table has to endure:
	// some while it is read as a whole, the rest while its changes stream.
	killsPerTable = 10
	// capturedRows are in a table when its capture begins.
	capturedRows = 12_000
	// maxCaptureLife is the longest time between two kills: reading a table takes
	// about as long.
	maxCaptureLife = 500 * time.Millisecond
	// standstill is how long connections are frozen.
	standstill = 1500 * time.Millisecond
)

// Postgres captures tables that change, while the server, the worker and the
// process of the connector are killed and connections are cut and frozen. The
// topics, read committed, must tell each row once and each of its versions in
// order, and add up to the tables. It returns what was broken.
func Postgres(ctx context.Context, cfg Config) (err error) {
	server, err := pgtest.New("wal_sender_timeout=3s")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	p, err := startProxy(fmt.Sprintf("127.0.0.1:%d", server.Port))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	m, err := newMortal(cfg, "--roles", "broker,connect")
	if err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	c := &capture{mortal: m, server: server, proxy: p, done: map[string]int{}}
	defer func() {
		if err != nil {
			m.node.Kill()
			return
		}
		err = m.node.Stop()
	}()
	for left, n := cfg.Kills, 0; left > 0; n++ {
		kills := min(left, killsPerTable)
		left -= kills
		if err := c.table(ctx, "t"+strconv.Itoa(n), kills); err != nil {
			return fmt.Errorf("table %d: %w", n, err)
		}
	}
	m.cfg.Logf("struck %v", c.done)
	return nil
}

// capture is a server and the node that captures its tables.
type capture struct {
	*mortal
	server *pgtest.Server
	proxy  *proxy
	done   map[string]int // strikes by what was struck
}

// table captures one table from its beginning, under so many kills.
func (c *capture) table(ctx context.Context, table string, kills int) error {
	err := c.exec(ctx, "CREATE TABLE "+table+" (id bigint PRIMARY KEY, n int NOT NULL, v text)",
		fmt.Sprintf("INSERT INTO %s SELECT g, 0, repeat('x', 200) FROM generate_series(1, %d) g", table, capturedRows))
	if err != nil {
		return err
	}
	if err := c.create(ctx, table); err != nil {
		return err
	}
	stop := make(chan struct{})
	w := &tableWriter{c: c, table: table, rng: rand.New(rand.NewPCG(c.cfg.Seed, 7)), next: capturedRows + 1}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.run(gctx, stop) })
	struck := c.striking(gctx, kills)
	close(stop)
	if err := errors.Join(struck, g.Wait()); err != nil {
		return err
	}
	if err := c.verify(ctx, table); err != nil {
		return fmt.Errorf("%w; status %s", err, c.node.Status(context.WithoutCancel(ctx), table))
	}
	if err := c.node.DeleteConnector(ctx, table); err != nil {
		return err
	}
	return c.drop(ctx, table)
}

func (c *capture) create(ctx context.Context, table string) error {
	client, err := kgo.NewClient(clientOptions(c.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, "c.public."+table)
	if err = errors.Join(err, created.Err); err != nil {
		return err
	}
	return c.node.CreateConnector(ctx, table, map[string]string{
		"connector.class":   "io.debezium.connector.postgresql.PostgresConnector",
		"database.hostname": "127.0.0.1", "database.port": strconv.Itoa(c.proxy.port()), "database.user": pgtest.User, "database.password": "none",
		"database.dbname": "postgres", "database.sslmode": "disable", "topic.prefix": "c", "slot.name": table, "publication.name": table,
		"table.include.list": "public." + table, "publication.autocreate.mode": "filtered", "snapshot.max.threads": "2", "snapshot.max.threads.multiplier": "4",
		"exactly.once.support": "required", "errors.restart.delay.max.ms": "200", "retriable.restart.connector.wait.ms": "100",
		"slot.retry.delay.ms": "100", "slot.max.retries": "100", "status.update.interval.ms": "500",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	})
}

// drop removes what a table's capture had on the server, once nobody uses it.
func (c *capture) drop(ctx context.Context, table string) error {
	for {
		err := c.exec(ctx, "SELECT pg_drop_replication_slot('"+table+"')", "DROP PUBLICATION "+table, "DROP TABLE "+table)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55006" { // object_in_use
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond): // before it is tried again
		}
	}
}

// exec runs statements one after the other.
func (c *capture) exec(ctx context.Context, statements ...string) error {
	conn, err := pgconn.Connect(ctx, c.server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil {
			return fmt.Errorf("%.60s: %w", sql, err)
		}
	}
	return nil
}

// striking strikes what chance picks, as often as wanted, and leaves everything
// running.
func (c *capture) striking(ctx context.Context, kills int) error {
	for n := range kills {
		life := minLife + time.Duration(c.rng.Int64N(int64(maxCaptureLife-minLife)))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(life):
		}
		what, err := c.strike(ctx)
		if err != nil {
			return fmt.Errorf("strike %d, of %s: %w", n+1, what, err)
		}
		c.done[what]++
	}
	return nil
}

func (c *capture) strike(ctx context.Context) (what string, err error) {
	switch c.rng.IntN(6) {
	case 0:
		if err := c.server.Kill(); err != nil {
			return "server", err
		}
		return "server", c.server.Restart()
	case 1:
		c.node.Kill()
		return "node", c.start(ctx)
	case 2:
		c.node.Kill()
		if err := c.server.Kill(); err != nil {
			return "server and node", err
		}
		return "server and node", errors.Join(c.server.Restart(), c.start(ctx))
	case 3:
		children, err := harness.Children(c.node.PID())
		for _, pid := range children {
			if e := syscall.Kill(pid, syscall.SIGKILL); e != nil && !errors.Is(e, syscall.ESRCH) {
				err = errors.Join(err, e)
			}
		}
		return "task", err
	case 4:
		c.proxy.cut()
		return "connections", nil
	}
	thaw := c.proxy.freeze()
	defer thaw()
	select {
	case <-ctx.Done():
	case <-time.After(standstill):
	}
	return "connections frozen", nil
}

// tableWriter changes rows of a table, each change counting the row's version
// up.
type tableWriter struct {
	c     *capture
	table string
	rng   *rand.Rand
	next  int // id of a row to insert
}

// run writes transactions until it is stopped, through restarts of the server.
func (w *tableWriter) run(ctx context.Context, stop <-chan struct{}) error {
	var conn *pgconn.PgConn
	defer func() {
		if conn != nil {
			conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for !stopped(stop) && ctx.Err() == nil {
		if conn == nil {
			c, err := pgconn.Connect(ctx, w.c.server.URL("postgres"))
			if err != nil {
				time.Sleep(20 * time.Millisecond) // the server is down; the load's own clock
				continue
			}
			conn = c
		}
		if _, err := conn.Exec(ctx, w.transaction()).ReadAll(); err != nil {
			var pg *pgconn.PgError
			if errors.As(err, &pg) && !strings.HasPrefix(pg.Code, "57") {
				return fmt.Errorf("write: %w", err)
			}
			conn.Close(ctx)
			conn = nil
		}
		time.Sleep(time.Millisecond) // the load's own clock
	}
	return ctx.Err()
}

func (w *tableWriter) transaction() string {
	var b strings.Builder
	b.WriteString("BEGIN; ")
	for range 1 + w.rng.IntN(8) {
		id := 1 + w.rng.IntN(w.next)
		switch w.rng.IntN(8) {
		case 0:
			fmt.Fprintf(&b, "DELETE FROM %s WHERE id = %d; ", w.table, id)
		case 1:
			// Not known to be committed: another try may meet the row.
			fmt.Fprintf(&b, "INSERT INTO %s VALUES (%d, 0, 'new') ON CONFLICT DO NOTHING; ", w.table, w.next)
			w.next++
		case 2:
			fmt.Fprintf(&b, "UPDATE %s SET id = id + 10000000, n = 0 WHERE id = %d; ", w.table, id)
		default:
			fmt.Fprintf(&b, "UPDATE %s SET n = n + 1, v = v || '.' WHERE id BETWEEN %d AND %d; ", w.table, id, id+w.rng.IntN(20))
		}
	}
	b.WriteString([]string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[w.rng.IntN(4)])
	return b.String()
}

// verify waits until the topic tells the table, and holds that it tells no more.
func (c *capture) verify(ctx context.Context, table string) error {
	ctx, stop := context.WithTimeoutCause(ctx, settleTimeout, errors.New("the topic did not come to tell the table"))
	defer stop()
	want, err := c.rows(ctx, table)
	if err != nil {
		return err
	}
	for {
		records, err := readAll(ctx, c.addr, "c.public."+table, kgo.ReadCommitted())
		if err != nil {
			return err
		}
		told, err := tell(records[0])
		if err != nil {
			return fmt.Errorf("%d records: %w", len(records[0]), err)
		}
		difference := told.differs(want)
		if difference == "" {
			c.cfg.Logf("%s: %d rows, %d records, %d rows were changed before they were read", table, len(want), len(records[0]), told.late)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records: %s: %w", len(records[0]), difference, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond): // before it is read anew
		}
	}
}

// rows reads a table: versions and values by id.
func (c *capture) rows(ctx context.Context, table string) (map[int64]version, error) {
	conn, err := pgconn.Connect(ctx, c.server.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, "SELECT id, n, v FROM "+table).ReadAll()
	if err != nil {
		return nil, err
	}
	out := map[int64]version{}
	for _, r := range results[0].Rows {
		id, err := strconv.ParseInt(string(r[0]), 10, 64)
		n, err2 := strconv.Atoi(string(r[1]))
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		out[id] = version{n, string(r[2])}
	}
	return out, nil
}
