package jdbc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// config is a checked configuration in the form the task uses.
type config struct {
	dialect  dialect
	name     string // the connector's
	server   *server
	attempts int
	backoff  time.Duration // between attempts to connect
	retries  int
	delay    time.Duration // before a repetition

	mode     string // insert, upsert, update
	batch    int
	deletes  bool
	truncate bool
	key      string // pk.mode
	fields   []string
	table    string // format
	kinds    []string
	include  []string
	exclude  []string
	fold     bool // names to lower case
	create   bool
	evolve   bool
	defaults bool // a null of a field with a default is the default
	zone     *time.Location
	dates    *time.Location
	postgis  string
	every    bool                     // writes of one key are all done
	stamps   map[string]time.Duration // fields that are timestamps, and what they count

	once    bool
	offsets string // the table of offsets, quoted
}

// parser collects the problems of keys.
type parser struct {
	cfg      sdk.Config
	problems []sdk.Problem
}

func (p *parser) bad(key string, err error) {
	if err != nil {
		p.problems = append(p.problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
	}
}

func (p *parser) lower(key string) string { return strings.ToLower(p.cfg.String(key)) }

func (p *parser) zone(key string) *time.Location {
	z, err := time.LoadLocation(p.cfg.String(key))
	if err != nil {
		p.bad(key, fmt.Errorf("%q is not a time zone, such as UTC or Europe/Paris", p.cfg.String(key)))
		return time.UTC
	}
	return z
}

// newConfig converts a configuration whose keys each passed their own rules,
// and reports what else is wrong with it.
func newConfig(d dialect, cfg sdk.Config) (*config, []sdk.Problem) {
	p := &parser{cfg: cfg}
	c := &config{
		dialect: d, name: cfg.String("name"), mode: p.lower("insert.mode"), batch: cfg.Int("batch.size"), deletes: cfg.Bool("delete.enabled"),
		once: cfg.Bool("millrace.exactly.once"), offsets: quoteTable(splitTable(cfg.String("millrace.offset.table"))), dates: time.UTC, postgis: "public",
		kinds: []string{"TABLE", "PARTITIONED TABLE", "VIEW"},
	}
	var err error
	if c.server, err = parseURL(cfg.String("connection.url")); err != nil {
		p.bad("connection.url", err)
		c.server = &server{}
	}
	keyMode, keyFields := "pk.mode", "pk.fields"
	if d == confluent {
		c.confluent(p)
	} else {
		keyMode, keyFields = "primary.key.mode", "primary.key.fields"
		c.debezium(p)
	}
	if pw := cfg.String("connection.password"); pw != "" {
		c.server.password = pw
	}
	c.key, c.fields = p.lower(keyMode), cfg.List(keyFields)
	if c.table == "" {
		p.bad("table.name.format", errors.New("a table is needed"))
	}
	c.together(p, keyMode, keyFields)
	return c, p.problems
}

func (c *config) confluent(p *parser) {
	cfg := p.cfg
	if u := cfg.String("connection.user"); u != "" {
		c.server.user = u
	}
	c.attempts, c.backoff = cfg.Int("connection.attempts"), cfg.Millis("connection.backoff.ms")
	c.retries, c.delay = cfg.Int("max.retries"), cfg.Millis("retry.backoff.ms")
	c.table, c.include = cfg.String("table.name.format"), cfg.List("fields.whitelist")
	c.create, c.evolve = cfg.Bool("auto.create"), cfg.Bool("auto.evolve")
	c.fold, c.defaults = p.lower("quote.sql.identifiers") == "never", cfg.Bool("replace.null.with.default")
	c.zone = p.zone("db.timezone")
	c.stamps = map[string]time.Duration{}
	for _, f := range cfg.List("timestamp.fields.list") {
		c.stamps[f] = time.Microsecond
		if p.lower("timestamp.precision.mode") == "nanoseconds" {
			c.stamps[f] = time.Nanosecond
		}
	}
	if p.lower("date.timezone") == "db_timezone" {
		c.dates = c.zone
	}
	c.kinds = nil
	for _, k := range cfg.List("table.types") {
		k = strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(k)), "_", " ")
		if !slices.Contains([]string{"TABLE", "PARTITIONED TABLE", "VIEW"}, k) {
			p.bad("table.types", fmt.Errorf("%q is none of TABLE, PARTITIONED TABLE, VIEW", k))
		}
		c.kinds = append(c.kinds, k)
	}
	// What is left of connection.* is meant for the driver.
	for k, v := range cfg.WithPrefix("connection.") {
		if slices.Contains([]string{"url", "user", "password"}, k) {
			continue
		}
		if _, err := c.server.parameter(k, v); err != nil {
			p.bad("connection."+k, err)
		}
	}
}

func (c *config) debezium(p *parser) {
	cfg := p.cfg
	if u := cfg.String("connection.username"); u != "" {
		c.server.user = u
	}
	c.attempts, c.backoff = 3, 10*time.Second
	c.retries, c.delay = cfg.Int("flush.max.retries"), cfg.Millis("flush.retry.delay.ms")
	c.table, c.include, c.exclude = cfg.String("collection.name.format"), cfg.List("field.include.list"), cfg.List("field.exclude.list")
	c.create = p.lower("schema.evolution") == "basic"
	c.evolve = c.create
	c.fold, c.truncate = !cfg.Bool("quote.identifiers"), cfg.Bool("truncate.enabled")
	c.every = p.lower("keyed.message.batch.mode") == "passthrough"
	c.zone, c.postgis = p.zone("use.time.zone"), cfg.String("dialect.postgres.postgis.schema")
	if len(c.include) > 0 && len(c.exclude) > 0 {
		p.bad("field.exclude.list", errors.New("field.include.list is set as well: use one of the two"))
	}
}

// together checks keys that depend on each other.
func (c *config) together(p *parser, keyMode, keyFields string) {
	if c.mode != "insert" && c.key == "none" {
		p.bad(keyMode, fmt.Errorf("insert.mode %s needs key columns: use record_key, record_value or kafka", c.mode))
	}
	if c.deletes && c.key != "record_key" && (c.dialect == confluent || c.key != "record_value") {
		p.bad("delete.enabled", fmt.Errorf("deleting needs %s record_key, and it is %s", keyMode, c.key))
	}
	if n := len(c.fields); c.key == "kafka" && n != 0 && n != 3 {
		p.bad(keyFields, errors.New("with the key mode kafka there are three: for topic, partition and offset"))
	}
	if c.key == "record_header" && len(c.fields) == 0 {
		p.bad(keyFields, errors.New("the headers that are the key must be named"))
	}
	if c.key == "kafka" && len(c.fields) == 0 {
		c.fields = []string{"__connect_topic", "__connect_partition", "__connect_offset"}
	}
	if c.name == "" && c.once {
		p.bad("name", errors.New("the connector's name is what its stored offsets are found by"))
	}
}

// takes reports whether a field of the value is written.
func (c *config) takes(topic, field string) bool {
	in := func(names []string) bool {
		return slices.Contains(names, field) || c.dialect == debezium && slices.Contains(names, topic+":"+field)
	}
	return (len(c.include) == 0 || in(c.include)) && !in(c.exclude)
}

// column returns the name of a field's column.
func (c *config) column(field string) string {
	if c.fold {
		return strings.ToLower(field)
	}
	return field
}

// splitTable splits a name at its first dot into schema, which may be "", and
// table.
func splitTable(name string) (schema, table string) {
	if s, t, ok := strings.Cut(name, "."); ok {
		return s, t
	}
	return "", name
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteTable(schema, table string) string {
	if schema == "" {
		return quote(table)
	}
	return quote(schema) + "." + quote(table)
}
