package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

// comparison collects where two sides differ. Places that differ alike, whatever
// the number of the event, are one difference.
type comparison struct {
	scenario string
	events   int
	count    int // topics
	found    map[string]*difference
}

type difference struct {
	path, debezium, millrace string
	times                    int
	reason                   string // why it is meant
}

func (c *comparison) note(path string, a, b *node) {
	if strings.HasSuffix(c.scenario, asAvro) && strings.HasSuffix(path, ".parameters (order of members)") {
		return // the order means nothing, and the reader of Avro does not keep it
	}
	// Rows may differ in one place for several reasons.
	key := path + "\x00" + a.String() + "\x00" + b.String()
	d := c.found[key]
	if d == nil {
		d = &difference{path: path, debezium: a.String(), millrace: b.String(), reason: meant(c.scenario, path, a, b)}
		c.found[key] = d
	}
	d.times++
}

// streams compares the events of all topics.
func (c *comparison) streams(debezium, millrace map[string][]*kgo.Record) {
	names := maps.Clone(debezium)
	maps.Copy(names, millrace)
	for _, topic := range slices.Sorted(maps.Keys(names)) {
		a, b := debezium[topic], millrace[topic]
		c.count++
		if strings.Contains(topic, "heartbeat") || strings.HasPrefix(topic, "beat") {
			// How many there are is a matter of time.
			if n := min(len(a), len(b)); n > 0 {
				a, b = a[:1], b[:1]
			}
		}
		if len(a) != len(b) {
			c.note(topic+": events", &node{text: summaries(a)}, &node{text: summaries(b)})
		}
		for i := range min(len(a), len(b)) {
			c.event(topic, a[i], b[i])
		}
	}
}

// summaries is a short form of events, to see which is missing.
func summaries(records []*kgo.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", len(records))
	for _, r := range records {
		if len(r.Value) == 0 {
			b.WriteString(" tombstone")
			continue
		}
		n, err := parse(r.Value)
		if err != nil {
			return err.Error()
		}
		if p := n.at("payload"); p != nil {
			n = p
		}
		fmt.Fprintf(&b, " %s", n.at("op"))
		if id := n.at("id"); id != nil {
			fmt.Fprintf(&b, "%s%s", n.at("status"), id)
		}
	}
	return b.String()
}

func (c *comparison) event(topic string, a, b *kgo.Record) {
	c.events++
	report := func(path string, x, y *node) { c.note(topic+path, x, y) }
	pair := func(name string, x, y []byte) {
		m, err := parse(x)
		n, err2 := parse(y)
		if err != nil || err2 != nil {
			c.note(topic+" "+name+" is no JSON", &node{text: fmt.Sprintf("%.100q", x)}, &node{text: fmt.Sprintf("%.100q", y)})
			return
		}
		c.normalise(m)
		c.normalise(n)
		diff(" "+name, m, n, report)
	}
	pair("key", a.Key, b.Key)
	pair("value", a.Value, b.Value)
	if x, y := headerNames(a), headerNames(b); x != y {
		c.note(topic+" headers", &node{text: x}, &node{text: y})
		return
	}
	for i := range a.Headers {
		name := a.Headers[i].Key
		if strings.HasSuffix(name, "runId") {
			continue // of each start of a task
		}
		pair("header "+name, a.Headers[i].Value, b.Headers[i].Value)
	}
}

func headerNames(r *kgo.Record) string {
	var names []string
	for _, h := range r.Headers {
		names = append(names, h.Key)
	}
	return strings.Join(names, " ")
}

// normalise masks what two connectors cannot agree in.
func (c *comparison) normalise(n *node) {
	if p := n.at("payload"); p != nil {
		n = p
	}
	if tables := n.at("data_collections"); tables != nil {
		// Their order is that of a hash in Debezium.
		slices.SortFunc(tables.members, func(a, b *node) int {
			return strings.Compare(a.at("data_collection").String(), b.at("data_collection").String())
		})
	}
	source := n.at("source")
	if source == nil {
		if n.at("id") == nil { // a heartbeat
			n.at("ts_ms").mask("time")
		}
		return
	}
	for _, f := range []string{"ts_ms", "ts_us", "ts_ns"} {
		n.at(f).mask("time")
	}
	source.at("version").mask("version")
	source.at("xmin").mask("xmin")
	if op := n.at("op"); op != nil && op.text == `"r"` {
		for _, f := range []string{"ts_ms", "ts_us", "ts_ns", "lsn", "txId"} {
			source.at(f).mask(f)
		}
		if !strings.HasSuffix(c.scenario, "filtered") {
			// Without a list of tables Debezium reads them in the order of a
			// hash, and which row is the first or last depends on it.
			source.at("snapshot").mask("row")
		}
	}
	if s := source.at("sequence"); s != nil {
		// Where both say null or a number, the number is another before the
		// first commit that both have seen.
		s.text = regexp.MustCompile(`[0-9]+`).ReplaceAllString(s.text, "N")
	}
}

// offsets compares the fields of the stored offsets and their types. The values
// are those of the last record, whichever that is.
func (c *comparison) offsets(ctx context.Context, sides [2]side, name string) error {
	var forms [2]*node
	for i, s := range sides {
		var fields map[string]json.RawMessage
		for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			offsets, err := s.worker.Offsets(ctx, name)
			if err != nil {
				return err
			}
			// Millrace has partitions of its own beside the one of Debezium.
			offsets = slices.DeleteFunc(offsets, func(o harness.Offset) bool { return o.Partition["millrace"] != nil })
			if len(offsets) == 1 {
				if p := fmt.Sprint(offsets[0].Partition); p != "map[server:"+name+"]" {
					c.note("offset: partition", &node{text: p}, nil)
				}
				if fields = offsets[0].Offset; fields["snapshot"] == nil {
					break
				}
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s has stored no offset of the stream: %v", s.name, offsets)
			}
		}
		forms[i] = &node{object: true}
		for _, k := range slices.Sorted(maps.Keys(fields)) {
			kind := "text"
			switch v := string(fields[k]); {
			case v == "true" || v == "false":
				kind = "truth"
			case v == "null":
				kind = "null"
			case !strings.HasPrefix(v, `"`):
				kind = "number"
			}
			forms[i].names, forms[i].members = append(forms[i].names, k), append(forms[i].members, &node{text: kind})
		}
	}
	diff("offset", forms[0], forms[1], c.note)
	return nil
}

// report prints what was found and says whether the sides agree but for what is
// meant.
func (c *comparison) report(out io.Writer, verbose bool, took time.Duration) bool {
	meant, bad := 0, 0
	for _, d := range c.found {
		if d.reason != "" {
			meant++
		} else {
			bad++
		}
	}
	word := "ok"
	if bad > 0 {
		word = "FAIL"
	}
	fmt.Fprintf(out, "%s %s: %d events of %d topics, %d differences, %d more are meant; %.1f s\n", word, c.scenario, c.events, c.count, bad, meant, took.Seconds())
	for _, path := range slices.Sorted(maps.Keys(c.found)) {
		d := c.found[path]
		switch {
		case d.reason == "":
			fmt.Fprintf(out, "    %s (%d times)\n        debezium: %s\n        millrace: %s\n", d.path, d.times, d.debezium, d.millrace)
		case verbose:
			fmt.Fprintf(out, "    meant: %s: %s\n        debezium: %s\n        millrace: %s\n", d.path, d.reason, d.debezium, d.millrace)
		}
	}
	return bad == 0
}
