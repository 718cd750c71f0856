package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace/millrace/connectors/postgres/channel"
	"github.com/millrace/millrace/plugins/sdk"
)

// signal is a request to the connector, by a row of the signal table, a record
// of a topic or a line of a file.
type signal struct {
	id, kind string
	data     json.RawMessage
}

// signalData is what comes with a signal, in Debezium's words.
type signalData struct {
	Type        string          `json:"type"`
	Collections []string        `json:"data-collections"`
	Condition   json.RawMessage `json:"additional-condition"`
	Conditions  []struct {
		Collection string `json:"data-collection"`
		Filter     string `json:"filter"`
	} `json:"additional-conditions"`
	Surrogate string `json:"surrogate-key"`
	Message   string `json:"message"`
}

// maxSignals bounds the signals of one transaction, and of those that wait.
const maxSignals = 1024

var errSignal = errors.New("the signal has no effect")

// effect is what a signal does, once the transaction that brought it is behind.
type effect func() error

// effects finds out what signals ask for. What needs the server is done before
// the position moves past the signals: if it fails, they come again.
func (t *task) effects(ctx context.Context, signals []signal) ([]effect, error) {
	var out []effect
	for _, s := range signals {
		e, err := t.effect(ctx, s)
		if err == nil {
			out = append(out, func() error { return t.tolerate(s, e()) })
		} else if err = t.tolerate(s, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tolerate logs that a signal asks for nothing sensible: it must not stop the
// stream.
func (t *task) tolerate(s signal, err error) error {
	if errors.Is(err, errSignal) {
		t.log.Warn("signal is ignored", "id", s.id, "type", s.kind, "err", err)
		return nil
	}
	return err
}

func (t *task) effect(ctx context.Context, s signal) (effect, error) {
	var d signalData
	if len(s.data) > 0 {
		if err := json.Unmarshal(s.data, &d); err != nil {
			return nil, fmt.Errorf("%w: its data: %v", errSignal, err)
		}
	}
	kind := strings.ToLower(d.Type)
	switch s.kind {
	case "execute-snapshot":
		return t.execute(ctx, s.id, kind, &d)
	case "stop-snapshot":
		matches, err := matcher(d.Collections)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errSignal, err)
		}
		return func() error { return t.inc.stop(matches) }, nil
	case "pause-snapshot":
		return func() error { return t.inc.pause(true) }, nil
	case "resume-snapshot":
		return func() error { return t.inc.pause(false) }, nil
	case "log":
		return func() error {
			t.log.Info("signal", "id", s.id, "message", strings.Replace(d.Message, "{}", string(t.pos.appendJSON([]byte{'{'})), 1))
			return nil
		}, nil
	case "snapshot-window-open", "snapshot-window-close":
		return func() error { return nil }, nil // of a Debezium that was here before
	}
	return nil, fmt.Errorf("%w: of its types there are execute-snapshot, stop-snapshot, pause-snapshot, resume-snapshot and log", errSignal)
}

// openChannels begins to read signals that come by topics and files.
func (t *task) openChannels(ctx context.Context) error {
	c := t.cfg.channels
	if c.Topic == nil && c.File == "" {
		return nil
	}
	if c.Log = t.log; c.Topic != nil {
		if c.Topic.Brokers = sdk.Brokers(ctx); len(c.Topic.Brokers) == 0 && c.Topic.Consumer["bootstrap.servers"] == "" {
			return sdk.Fatal(errors.New("signal.kafka.bootstrap.servers is not set, and the worker does not tell its brokers: name those that have the topic of signals"))
		}
	}
	var err error
	if t.asks, err = channel.Open(ctx, c, t.pos.signals); err == nil {
		t.pos.signals = t.asks.Place()
	}
	return err
}

// answer acts on signals that came by topics and files, between two transactions
// of the stream. What they do is stored with how far they were read. They wait
// while a transaction that was cut off is still to come again, and snapshots
// until the stream has passed what the last one shows.
func (t *task) answer(ctx context.Context) error {
	if t.asks == nil || t.dec.resume != nil {
		return nil
	}
	for t.phase == phaseStreaming {
		s, ok := t.asks.Next()
		if !ok {
			break
		}
		if s.Type == "execute-snapshot" && t.dec.visible != nil {
			t.asks.Defer()
			return t.inc.nudge(ctx) // an idle server would never get there
		}
		effects, err := t.effects(ctx, []signal{{s.ID, s.Type, s.Data}})
		if err != nil {
			return err
		}
		t.asks.Done()
		t.pos.signals, t.dirty, t.dec.asked = t.asks.Place(), true, true
		for _, e := range effects {
			if err := e(); err != nil {
				return err
			}
		}
	}
	if now := t.asks.Place(); now != t.pos.signals { // what was not for us, and a file that is empty again
		t.pos.signals, t.dirty = now, true
	}
	return nil
}

// signalsStored says that what signals did is stored.
func (t *task) signalsStored(ctx context.Context, p channel.Place) {
	if t.asks == nil {
		return
	}
	if err := t.asks.Stored(ctx, p); err != nil {
		t.log.Warn("the group of the topic of signals was not told", "err", err)
	}
}

// matcher matches names of tables by patterns; without any it matches all.
func matcher(patterns []string) (func(string) bool, error) {
	if len(patterns) == 0 {
		return func(string) bool { return true }, nil
	}
	var list []*regexp.Regexp
	for _, p := range patterns {
		re, err := compilePattern(p)
		if err != nil {
			return nil, err
		}
		list = append(list, re)
	}
	return func(name string) bool { return matchesAny(list, name) }, nil
}

// execute reads tables again.
func (t *task) execute(ctx context.Context, id, kind string, d *signalData) (effect, error) {
	if len(d.Collections) == 0 {
		return nil, fmt.Errorf("%w: data-collections names no table", errSignal)
	}
	matches, err := matcher(d.Collections)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errSignal, err)
	}
	all, err := t.cat.tables(ctx, t.cfg, t.viaRoot)
	if err != nil {
		return nil, err
	}
	var tables []incrementalTable
	for _, c := range all {
		name := c.schema + "." + c.name
		if !matches(name) || name == t.cfg.signalTable {
			continue
		}
		n := incrementalTable{ID: name}
		if n.Condition, err = d.condition(name); err != nil {
			return nil, err
		}
		if d.Surrogate != "" {
			n.Surrogate = &d.Surrogate
		}
		tables = append(tables, n)
	}
	switch {
	case len(tables) == 0:
		return nil, fmt.Errorf("%w: data-collections %q match no captured table", errSignal, d.Collections)
	case kind == "" || kind == "incremental":
		return func() error { return t.inc.add(tables, id) }, nil
	case kind == "blocking":
		return func() error { return t.block(tables) }, nil
	}
	return nil, fmt.Errorf("%w: type %q is neither incremental nor blocking", errSignal, kind)
}

// condition is the additional condition for a table, nil for none.
func (d *signalData) condition(table string) (*string, error) {
	for _, c := range d.Conditions {
		re, err := compilePattern(c.Collection)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errSignal, err)
		}
		if re.MatchString(table) && strings.TrimSpace(c.Filter) != "" {
			return &c.Filter, nil
		}
	}
	var old string // its form before 2.0: one for all
	if len(d.Condition) > 0 && json.Unmarshal(d.Condition, &old) == nil && strings.TrimSpace(old) != "" {
		return &old, nil
	}
	return nil, nil
}

// signalReader finds signals among the rows of the stream.
type signalReader struct {
	relation uint32 // of the signal table, 0 before it was described
	found    []signal
}

// see looks at a message. Signals are rows of id, type and data, in this order.
func (r *signalReader) see(m *message) {
	if m.kind != msgInsert || m.relID != r.relation || r.relation == 0 || len(m.new) < 3 || len(r.found) >= maxSignals {
		return
	}
	s := signal{id: string(m.new[0].text), kind: string(m.new[1].text)}
	if m.new[2].kind == valueText {
		s.data = append(s.data, m.new[2].text...)
	}
	r.found = append(r.found, s)
}

// take returns what was found since.
func (r *signalReader) take() []signal {
	found := r.found
	r.found = nil
	return found
}
