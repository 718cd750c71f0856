// Package jdbc writes records to the tables of a PostgreSQL database: the JDBC
// sinks of Confluent and of Debezium, under their names and keys.
//
// A task writes each put in transactions that also store, in a table of the
// target, the offsets up to which they go. It starts from those offsets, so
// that every record is written once whatever is killed when.
package jdbc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connectors report.
const Version = "1.0.0"

// Connectors returns the sink under both vendors' names.
func Connectors() []sdk.Connector {
	return []sdk.Connector{
		{
			Name: "jdbc-sink", Version: Version,
			Classes: []string{
				"io.confluent.connect.jdbc.JdbcSinkConnector", "io.aiven.connect.jdbc.JdbcSinkConnector",
				"JdbcSinkConnector", "JdbcSink",
			},
			Documentation: "connectors/jdbc/README.md",
			Sink:          Sink{dialect: confluent},
		},
		{
			Name: "debezium-jdbc-sink", Version: Version,
			Classes:       []string{"io.debezium.connector.jdbc.JdbcSinkConnector", "DebeziumJdbcSink"},
			Documentation: "connectors/jdbc/README.md",
			Sink:          Sink{dialect: debezium},
		},
	}
}

// dialect is whose keys and habits a connector has.
type dialect int

const (
	confluent dialect = iota
	debezium
)

// Sink writes to tables.
type Sink struct{ dialect dialect }

// ConfigDef defines the keys of the dialect's connector.
func (s Sink) ConfigDef() sdk.ConfigDef { return slices.Clone(definitions[s.dialect]) }

var definitions = map[dialect]sdk.ConfigDef{confluent: confluentKeys(), debezium: debeziumKeys()}

// Validate checks the keys together. It does not connect: the target of a sink
// is often made after it.
func (s Sink) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newConfig(s.dialect, cfg)
	return problems
}

// Plan gives every task the connector's configuration: the group divides the
// partitions.
func (s Sink) Plan(_ context.Context, cfg sdk.Config, maxTasks int) ([]map[string]string, error) {
	out := make([]map[string]string, maxTasks)
	for i := range out {
		out[i] = cfg.Originals()
	}
	return out, nil
}

// Open connects to the database and makes the table of offsets.
func (s Sink) Open(ctx context.Context, cfg sdk.Config, control sdk.Control) (sdk.SinkTask, error) {
	c, err := s.config(cfg)
	if err != nil {
		return nil, err
	}
	t := &task{cfg: c, log: sdk.Logger(ctx), control: control, reader: reader{cfg: c, plans: map[planKey]*plan{}}, progress: map[sdk.TopicPartition]*progress{}}
	for _, p := range c.server.ignored {
		t.log.Warn("parameter of connection.url has no effect here", "parameter", p)
	}
	if err := t.attempt(ctx, func() error { return t.connectOnce(ctx) }); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (s Sink) config(cfg sdk.Config) (*config, error) {
	c, problems := newConfig(s.dialect, cfg)
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	if err := errors.Join(errs...); err != nil {
		return nil, sdk.Fatal(fmt.Errorf("configuration: %w", err))
	}
	return c, nil
}

// AlterSinkOffsets changes the offsets in the target too, which would win over
// the group's otherwise.
func (s Sink) AlterSinkOffsets(ctx context.Context, cfg sdk.Config, changes sdk.Offsets) (bool, error) {
	c, err := s.config(cfg)
	if err != nil || !c.once {
		return err == nil, err
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	defer closeConn(conn)
	if err := c.makeOffsets(ctx, conn); err != nil {
		return false, err
	}
	if err := c.alterOffsets(ctx, conn, changes); err != nil {
		return false, fmt.Errorf("change the offsets in %s: %w", c.offsets, err)
	}
	return true, nil
}
