// Package postgres captures the changes of a PostgreSQL database: what its
// tables hold, then every insert, update, delete and truncate, as the events
// of Debezium's PostgreSQL connector.
//
// A task has one replication slot. It reads tables by COPY in the snapshot
// that the slot was made with, then the slot's stream, which pgoutput writes.
// The server forgets changes only when the offset behind them is stored.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// Connectors returns the change data capture source.
func Connectors() []sdk.Connector {
	return []sdk.Connector{{
		Name: "postgres-cdc", Version: Version,
		Classes: []string{
			"io.debezium.connector.postgresql.PostgresConnector", "PostgresConnector", "Postgres",
			"io.millrace.PostgresCdcSource", "PostgresCdcSource",
		},
		Documentation: "connectors/postgres/README.md",
		Source:        Source{},
	}}
}

// Source captures changes of a database.
type Source struct{}

// ConfigDef defines the keys of Debezium's connector.
func (Source) ConfigDef() sdk.ConfigDef { return slices.Clone(keys) }

var keys = configDef()

// Validate checks the keys together, and that the server takes the connection
// and can be captured from.
func (Source) Validate(ctx context.Context, cfg sdk.Config) []sdk.Problem {
	c, problems := newConfig(cfg)
	if len(problems) > 0 {
		return problems
	}
	ctx, cancel := context.WithTimeout(ctx, max(cfg.Millis("connection.validation.timeout.ms"), time.Second))
	defer cancel()
	conn, err := c.connect(ctx, false)
	if err != nil {
		return []sdk.Problem{{Key: "database.hostname", Text: err.Error()}}
	}
	defer closeConn(conn)
	problems, err = checkAll(ctx, conn, c)
	if err != nil {
		problems = append(problems, sdk.Problem{Key: "database.hostname", Text: err.Error()})
	}
	return problems
}

// ExactlyOnce says that a task continues right after the offset it starts
// from, in a snapshot as well.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// AlterOffsets checks offsets that somebody wants to store.
func (Source) AlterOffsets(_ context.Context, cfg sdk.Config, changes []sdk.Position) (bool, error) {
	for _, p := range changes {
		if s, _ := p.Partition["server"].(string); s == "" || len(p.Partition) != 1 && p.Partition["millrace"] == nil {
			return false, fmt.Errorf(`source partition %v: want {"server": %q}`, p.Partition, cfg.String("topic.prefix"))
		}
		if p.Partition["millrace"] == nil && p.Offset != nil && p.Offset.Int64("lsn") <= 0 {
			return false, errors.New(`an offset needs "lsn", a whole number above 0`)
		}
	}
	return true, nil
}

// Open checks the server and finds out where the task stands.
func (Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	c, problems := newConfig(cfg)
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
		}
		return nil, sdk.Fatal(errors.Join(errs...))
	}
	partition := map[string]any{"server": c.prefix}
	both, err := offsets.Offsets(ctx, []map[string]any{partition, listsPartition(c.prefix)})
	if err != nil {
		return nil, fmt.Errorf("read the stored offset: %w", err)
	}
	stored := both[0]
	t := &task{cfg: c, log: sdk.Logger(ctx), start: time.Now(), figures: newFigures(ctx)}
	t.notes = notifier{t: t}
	if t.lists, err = readLists(both[1]); err != nil {
		return nil, sdk.Fatal(err)
	}
	t.em = emitter{cfg: c, log: t.log, limit: batchBytes}
	if t.em.partition, err = sdk.EncodeMap(partition); err != nil {
		return nil, err
	}
	if c.headers {
		if t.em.context, err = contextHeaders(c.prefix); err != nil {
			return nil, err
		}
	}
	if stored != nil {
		t.pos, t.known = readPosition(stored), true
		t.stored.Store(uint64(t.pos.confirmable()))
	}
	if c.substitutePlugin != "" {
		t.log.Warn("pgoutput is used instead of the plugin asked for", "plugin", c.substitutePlugin)
	}
	err = t.openChannels(ctx)
	if err == nil {
		err = t.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(classify(err, c.restartWait), t.Close())
	}
	return t, nil
}
