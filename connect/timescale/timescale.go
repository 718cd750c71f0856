// Package timescale tells which table the rows of a TimescaleDB chunk belong
// to, as the database's catalog has it.
//
// A Catalog is made by New, which connects to nothing. It connects for the
// moment when it meets a chunk that it does not know, and keeps what it read.
package timescale

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Table is a table's name.
type Table struct{ Schema, Name string }

// Owner is what a chunk belongs to. Aggregate is the continuous aggregate whose
// rows the hypertable holds, the zero Table for an ordinary hypertable.
type Owner struct{ Hypertable, Aggregate Table }

// Config says how the database is reached.
type Config struct {
	Host           string
	Port           int
	User, Password string
	Database       string
	// SSL are libpq's settings of TLS: sslmode, sslcert, sslkey, sslrootcert.
	SSL map[string]string
}

const (
	// readTimeout bounds one reading of the catalog, connecting included.
	readTimeout = 15 * time.Second
	// settle is the wait before a chunk that is not there is looked for once
	// more: its events may come before others see it.
	settle = 100 * time.Millisecond
	// unknownFor is how long a chunk that was not found is not looked for again.
	unknownFor = 10 * time.Second
	// maxUnknown bounds how many such chunks are remembered.
	maxUnknown = 10_000
)

// Catalog is what is known of chunks. It belongs to one goroutine at a time.
type Catalog struct {
	cfg     *pgconn.Config
	now     func() time.Time
	owners  map[Table]Owner
	unknown map[Table]time.Time // when it was looked for
}

// New returns a catalog that knows nothing yet. The password is in no error.
func New(c Config) (*Catalog, error) {
	if c.Host == "" || c.User == "" || c.Database == "" {
		return nil, errors.New("database.hostname, database.user and database.dbname have to be set: the transform asks TimescaleDB's catalog by itself")
	}
	settings := url.Values{"connect_timeout": {"10"}}
	for k, v := range c.SSL {
		if v != "" {
			settings.Set(k, v)
		}
	}
	address := url.URL{Scheme: "postgres", User: url.User(c.User), Host: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), Path: "/" + c.Database, RawQuery: settings.Encode()}
	cfg, err := pgconn.ParseConfig(address.String())
	if err != nil {
		return nil, fmt.Errorf("connection to TimescaleDB: %w", err)
	}
	cfg.Password = c.Password
	cfg.RuntimeParams["application_name"] = "millrace timescaledb transform"
	return &Catalog{cfg: cfg, now: time.Now, owners: map[Table]Owner{}, unknown: map[Table]time.Time{}}, nil
}

// Owner returns what a chunk belongs to; ok is false if the catalog does not
// have it. It blocks while the catalog is read, which takes some seconds at
// most. Chunks that were dropped since they were met are still known.
func (c *Catalog) Owner(chunk Table) (o Owner, ok bool, err error) {
	if o, ok = c.owners[chunk]; ok {
		return o, true, nil
	}
	if at, known := c.unknown[chunk]; known && c.now().Sub(at) < unknownFor {
		return o, false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, c.cfg)
	if err != nil {
		return o, false, fmt.Errorf("connect to TimescaleDB: %w", err)
	}
	// What becomes of the connection afterwards is the server's affair.
	defer func() { _ = conn.Close(ctx) }()
	for try := range 2 {
		if try > 0 {
			select {
			case <-ctx.Done():
				return o, false, context.Cause(ctx)
			case <-time.After(settle):
			}
		}
		if err := c.read(ctx, conn); err != nil {
			return o, false, fmt.Errorf("read TimescaleDB's catalog: %w", err)
		}
		if o, ok = c.owners[chunk]; ok {
			return o, true, nil
		}
	}
	if len(c.unknown) >= maxUnknown {
		clear(c.unknown)
	}
	c.unknown[chunk] = c.now()
	return o, false, nil
}

const chunksSQL = `SELECT c.schema_name, c.table_name, h.schema_name, h.table_name, coalesce(a.user_view_schema, ''), coalesce(a.user_view_name, '')
FROM _timescaledb_catalog.chunk c JOIN _timescaledb_catalog.hypertable h ON h.id = c.hypertable_id
LEFT JOIN _timescaledb_catalog.continuous_agg a ON a.mat_hypertable_id = h.id`

// read takes in all chunks that there are.
func (c *Catalog) read(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, chunksSQL).ReadAll()
	if err != nil || len(results) != 1 {
		return errors.Join(err)
	}
	for _, r := range results[0].Rows {
		chunk := Table{string(r[0]), string(r[1])}
		c.owners[chunk] = Owner{Table{string(r[2]), string(r[3])}, Table{string(r[4]), string(r[5])}}
		delete(c.unknown, chunk)
	}
	return nil
}
