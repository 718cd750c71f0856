package postgres

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/postgres/channel"
	"github.com/millrace/millrace/plugins/sdk"
)

// config is a checked configuration in the form the task uses.
type config struct {
	host, user, password, dbname string
	port                         int
	ssl                          map[string]string // libpq's names
	driver                       map[string]string // more of libpq's names
	applicationName              string
	keepAlive                    bool
	statements                   []string
	queryTimeout                 time.Duration

	slot, publication string
	autocreate        string
	viaRoot, failover bool
	dropSlot          bool
	streamOptions     [][2]string
	slotRetries       int
	maxRetries        int    // -1 is without end
	threads           int    // connections that read tables
	multiplier        int    // pieces of a table for each of them
	rangeBlocks       uint32 // the least that a table is cut into
	slotDelay         time.Duration
	slotTimeout       time.Duration
	statusInterval    time.Duration
	manualFlush       bool
	mismatch          string
	restartWait       time.Duration

	schemas, tables, columns nameFilter
	messages                 nameFilter // prefixes of logical decoding messages
	mappings                 []mapping
	identities               []identityRule
	keys                     []keyColumns
	skipUnchanged            bool
	skipped                  string // operation letters
	publishExplicit          bool   // skipped.operations narrows what a new publication publishes
	tombstones               bool

	modes
	failConversions           bool
	schemaAdjust, fieldAdjust string

	prefix           string
	naming           naming
	headers          bool // context headers on records of rows
	heartbeatTopic   string
	heartbeat        time.Duration
	heartbeatQuery   string
	transactionTopic string
	transactions     bool
	xminEvery        time.Duration // 0 is never
	reselect         bool          // unchanged values are read from the table
	reselector       *reselector   // nil for none
	onFailure        string        // fail, warn, skip, ignore: about events that cannot be made
	mostTables       int           // that may be captured, 0 for any
	failOnTables     bool          // if there are more
	streaming        string        // off, on, parallel: large transactions before they commit
	spoolDir         string        // "" for the system's
	spoolLimit       int64         // bytes of transactions under way, 0 for any
	walWarning       int64         // bytes that the slot may keep before a warning

	filters     lists  // that say what is captured
	readAdded   bool   // tables added to the lists are read
	signalTable string // schema.table, "" for none
	channels    channel.Config
	chunkSize   int // rows of a chunk of an incremental snapshot
	notifySink  bool
	notifyLog   bool
	notifyTopic string

	snapshot         string // initial, initial_only, always, no_data, when_needed
	readAgain        bool   // tables are read at each start, without streaming
	readOnGap        bool   // tables are read when the slot does not have the position
	order            string
	readOnly         bool
	snapshotTables   []*regexp.Regexp
	overrides        map[string]string
	lockTables       bool
	lockTimeout      time.Duration
	isolation        string
	snapshotDelay    time.Duration
	streamingDelay   time.Duration
	substitutePlugin string // the plugin asked for instead of pgoutput
}

// checkSnapshotMode accepts the modes, old names among them.
func checkSnapshotMode(v any) error {
	s, _ := v.(string)
	if snapshotMode(s) == "" {
		return errors.New(noCustom)
	}
	return nil
}

func snapshotMode(s string) string {
	switch s = strings.ToLower(s); s {
	case "exported":
		return "initial"
	case "never", "schema_only":
		return "no_data"
	case "initial", "initial_only", "always", "no_data", "when_needed", "configuration_based":
		return s
	}
	return ""
}

// parser collects the problems of keys while their values are converted.
type parser struct {
	cfg      sdk.Config
	problems []sdk.Problem
}

func (p *parser) bad(key string, err error) {
	if err != nil {
		p.problems = append(p.problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
	}
}

// raw is a list as it was written, with its escapes.
func (p *parser) raw(name string, aliases ...string) string {
	for _, n := range append([]string{name}, aliases...) {
		if v, ok := p.cfg.Original(n); ok {
			return v
		}
	}
	return ""
}

func (p *parser) patterns(name string, aliases ...string) []*regexp.Regexp {
	out, err := compilePatterns(p.raw(name, aliases...))
	p.bad(name, err)
	return out
}

func (p *parser) filter(what string) nameFilter {
	f := nameFilter{
		include: p.patterns(what+".include.list", what+".whitelist"),
		exclude: p.patterns(what+".exclude.list", what+".blacklist"),
	}
	if len(f.include) > 0 && len(f.exclude) > 0 {
		p.bad(what+".exclude.list", fmt.Errorf("%s.include.list is set as well: use one of the two", what))
	}
	return f
}

// newConfig converts a configuration whose keys each passed their own rules,
// and reports what else is wrong with it.
func newConfig(cfg sdk.Config) (*config, []sdk.Problem) {
	p := &parser{cfg: cfg}
	lower := func(name string) string { return strings.ToLower(cfg.String(name)) }
	c := &config{
		host: cfg.String("database.hostname"), port: cfg.Int("database.port"), user: cfg.String("database.user"),
		password: cfg.String("database.password"), dbname: cfg.String("database.dbname"),
		keepAlive: cfg.Bool("database.tcpKeepAlive"), queryTimeout: cfg.Millis("database.query.timeout.ms"),
		statements: splitStatements(cfg.String("database.initial.statements")),

		slot: cfg.String("slot.name"), publication: cfg.String("publication.name"), autocreate: lower("publication.autocreate.mode"),
		viaRoot: cfg.Bool("publish.via.partition.root"), failover: cfg.Bool("slot.failover"), dropSlot: cfg.Bool("slot.drop.on.stop"),
		maxRetries: cfg.Int("errors.max.retries"), threads: max(cfg.Int("snapshot.max.threads"), 1),
		multiplier: max(cfg.Int("snapshot.max.threads.multiplier"), 1), rangeBlocks: minRangeBlocks,
		slotRetries: cfg.Int("slot.max.retries"), slotDelay: cfg.Millis("slot.retry.delay.ms"),
		slotTimeout:    time.Duration(cfg.Int("create.slot.command.timeout")) * time.Second,
		statusInterval: cfg.Millis("status.update.interval.ms"), mismatch: lower("offset.mismatch.strategy"),
		manualFlush: lower("lsn.flush.mode") == "manual" || !cfg.Bool("flush.lsn.source"),
		restartWait: cfg.Millis("retriable.restart.connector.wait.ms"),

		schemas: p.filter("schema"), tables: p.filter("table"), columns: p.filter("column"),
		messages: p.filter("message.prefix"), mappings: p.mappings(),
		xminEvery: cfg.Millis("xmin.fetch.interval.ms"), reselect: lower("millrace.toast") == "reselect",
		streaming: lower("millrace.streaming"), spoolDir: cfg.String("millrace.spool.dir"), spoolLimit: cfg.Int64("millrace.spool.max.bytes"),
		walWarning:    cfg.Int64("millrace.wal.warning.bytes"),
		skipUnchanged: cfg.Bool("skip.messages.without.change"), tombstones: cfg.Bool("tombstones.on.delete"),

		onFailure: lower("event.processing.failure.handling.mode"), mostTables: cfg.Int("guardrail.collections.max"),
		failOnTables:    lower("guardrail.collections.limit.action") == "fail",
		failConversions: lower("event.converting.failure.handling.mode") == "fail",
		schemaAdjust:    lower("schema.name.adjustment.mode"), fieldAdjust: lower("field.name.adjustment.mode"),
		prefix: cfg.String("topic.prefix"), naming: newNaming(p), headers: cfg.Bool("extended.headers.enabled"),
		heartbeat: cfg.Millis("heartbeat.interval.ms"), heartbeatQuery: cfg.String("heartbeat.action.query"),
		transactions: cfg.Bool("provide.transaction.metadata"),

		snapshot: snapshotMode(cfg.String("snapshot.mode")), snapshotTables: p.patterns("snapshot.include.collection.list"),
		lockTables: lower("snapshot.locking.mode") == "shared", lockTimeout: cfg.Millis("snapshot.lock.timeout.ms"),
		isolation:     lower("snapshot.isolation.mode"),
		snapshotDelay: cfg.Millis("snapshot.delay.ms"), streamingDelay: cfg.Millis("streaming.delay.ms"),
	}
	c.modes = modes{
		decimal: lower("decimal.handling.mode"), time: lower("time.precision.mode"), binary: lower("binary.handling.mode"),
		hstore: lower("hstore.handling.mode"), interval: lower("interval.handling.mode"),
		moneyDigits: int32(cfg.Int("money.fraction.digits")), unknown: cfg.Bool("include.unknown.datatypes"), unknownText: cfg.Bool("millrace.unknown.as.text"),
	}
	c.signals(p)
	c.processors(p)
	c.converters(p)
	if cfg.Bool("slot.seek.to.known.offset.on.start") && !cfg.Given("offset.mismatch.strategy") {
		c.mismatch = "trust_offset"
	}
	c.configured(p)
	c.names(p)
	c.lists(p)
	c.connection(p)
	return c, p.problems
}

func (c *config) names(p *parser) {
	c.transactionTopic = topicName(c.prefix + c.naming.delimiter + p.cfg.String("topic.transaction"))
	if c.heartbeatTopic = p.cfg.String("topic.heartbeat.name"); c.heartbeatTopic == "" {
		c.heartbeatTopic = p.cfg.String("topic.heartbeat.prefix") + c.naming.delimiter + c.prefix
	}
	c.heartbeatTopic = topicName(c.heartbeatTopic)
	if plugin := strings.ToLower(p.cfg.String("plugin.name")); plugin != "pgoutput" {
		c.substitutePlugin = plugin
	}
	c.placeholder = p.cfg.String("unavailable.value.placeholder")
	if digits, ok := strings.CutPrefix(c.placeholder, "hex:"); ok {
		b, err := hex.DecodeString(digits)
		p.bad("unavailable.value.placeholder", err)
		c.placeholder = string(b)
	}
}

func (c *config) lists(p *parser) {
	var err error
	c.keys, err = parseKeyColumns(p.cfg.String("message.key.columns"))
	p.bad("message.key.columns", err)
	c.identities, err = parseIdentities(p.raw("replica.identity.autoset.values"))
	p.bad("replica.identity.autoset.values", err)
	ops := p.cfg.List("skipped.operations")
	c.publishExplicit = p.cfg.Given("skipped.operations")
	if !slices.Contains(ops, "none") {
		c.skipped = strings.Join(ops, "")
	}
	c.overrides = make(map[string]string)
	const overrides = "snapshot.select.statement.overrides"
	for _, table := range p.cfg.List(overrides) {
		sql, ok := p.cfg.Original(overrides + "." + table)
		if !ok || strings.TrimSpace(sql) == "" {
			p.bad(overrides, fmt.Errorf("%s is listed, but %s.%s is not set", table, overrides, table))
		}
		c.overrides[table] = strings.TrimSuffix(strings.TrimSpace(sql), ";")
	}
	for option := range strings.SplitSeq(p.cfg.String("slot.stream.params"), ";") {
		if option = strings.TrimSpace(option); option == "" {
			continue
		}
		k, v, ok := strings.Cut(option, "=")
		switch k = strings.TrimSpace(k); {
		case !ok || !regexp.MustCompile(`^[a-z_]+$`).MatchString(k):
			p.bad("slot.stream.params", fmt.Errorf("%q is not of the form name=value", option))
		case slices.Contains([]string{"proto_version", "publication_names", "binary", "streaming", "two_phase", "messages"}, k):
			p.bad("slot.stream.params", fmt.Errorf("%s is decided by the connector", k))
		default:
			c.streamOptions = append(c.streamOptions, [2]string{k, strings.TrimSpace(v)})
		}
	}
}

func (c *config) connection(p *parser) {
	c.applicationName = p.cfg.String("database.ApplicationName")
	c.driver = make(map[string]string)
	for key, name := range map[string]string{"options": "options", "currentSchema": "search_path"} {
		if v := p.cfg.String("database." + key); v != "" {
			c.driver[name] = v
		}
	}
	if n := p.cfg.Int("database.connectTimeout"); n > 0 {
		c.driver["connect_timeout"] = strconv.Itoa(n)
	}
	switch server := strings.ToLower(p.cfg.String("database.targetServerType")); server {
	case "primary", "master":
		c.driver["target_session_attrs"] = "primary"
	case "secondary", "slave":
		c.driver["target_session_attrs"] = "standby"
	case "prefersecondary", "preferslave":
		c.driver["target_session_attrs"] = "prefer-standby"
	}
	c.ssl = map[string]string{"sslmode": strings.ToLower(p.cfg.String("database.sslmode"))}
	if f, ok := p.cfg.Original("database.sslfactory"); ok && strings.HasSuffix(f, "NonValidatingFactory") {
		c.ssl["sslmode"] = "require"
	}
	for _, k := range []string{"sslcert", "sslkey", "sslrootcert", "sslpassword"} {
		if v := p.cfg.String("database." + k); v != "" {
			c.ssl[k] = v
		}
	}
}

// splitStatements splits at semicolons; two of them are one in a statement.
func splitStatements(text string) []string {
	var out []string
	const mark = "\x00"
	for s := range strings.SplitSeq(strings.ReplaceAll(text, ";;", mark), ";") {
		if s = strings.TrimSpace(strings.ReplaceAll(s, mark, ";")); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// captures reports whether a table's changes are wanted.
func (c *config) captures(schema, table string) bool {
	return !system(schema) && c.schemas.takes(schema) && c.tables.takes(schema+"."+table)
}

// drops reports whether events of an operation are left out.
func (c *config) drops(op byte) bool { return strings.IndexByte(c.skipped, op) >= 0 }

// configured reads what snapshot.mode=configuration_based means, in terms of
// the other modes.
func (c *config) configured(p *parser) {
	c.order, c.readOnly = strings.ToLower(p.cfg.String("snapshot.tables.order.by.row.count")), p.cfg.Bool("read.only")
	if c.snapshot != "configuration_based" {
		return
	}
	const prefix = "snapshot.mode.configuration.based."
	read, stream := p.cfg.Bool(prefix+"snapshot.data"), p.cfg.Bool(prefix+"start.stream")
	c.readOnGap = p.cfg.Bool(prefix + "snapshot.on.data.error")
	switch {
	case read && stream:
		c.snapshot = "always"
	case read:
		c.snapshot, c.readAgain = "initial_only", true
	case stream:
		c.snapshot = "no_data"
	default:
		p.bad("snapshot.mode", fmt.Errorf("with configuration_based, %ssnapshot.data or %sstart.stream has to be true: there is nothing to do", prefix, prefix))
	}
}
