package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// capture reads all topics of one connector as they come.
type capture struct {
	client *kgo.Client
	name   *regexp.Regexp
	beats  bool        // heartbeats never end
	avro   *avroReader // of what comes, nil for JSON
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards below
	records map[string][]*kgo.Record
	read    int64 // records, with those that end transactions
	marks   map[int]bool
	last    time.Time
}

// startCapture reads the topics whose name has the prefix in it, as heartbeats
// have it at the end.
func startCapture(ctx context.Context, s side, prefix string, beats bool, avro *avroReader) (*capture, error) {
	name := regexp.MustCompile(`^(.*[._])?` + prefix + `([._-].*)?$`)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap), kgo.ConsumeRegex(), kgo.ConsumeTopics(name.String()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(300*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &capture{client: client, name: name, beats: beats, avro: avro, cancel: cancel, done: make(chan struct{}), records: make(map[string][]*kgo.Record), marks: make(map[int]bool), last: time.Now()}
	go c.run(ctx)
	return c, nil
}

func (c *capture) run(ctx context.Context) {
	defer close(c.done)
	for ctx.Err() == nil {
		fetches := c.client.PollFetches(ctx)
		c.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			c.last = time.Now()
			if c.read++; r.Attrs.IsControl() {
				return
			}
			if c.avro != nil {
				r.Key, r.Value = c.asJSON(r.Key), c.asJSON(r.Value)
			}
			c.records[r.Topic] = append(c.records[r.Topic], r)
			if n, ok := mark(r.Value); ok {
				c.marks[n] = true
			}
		})
		c.mu.Unlock()
	}
}

// asJSON is what a record in Avro would be in JSON; of one that cannot be read
// it says why, which nothing is equal to.
func (c *capture) asJSON(raw []byte) []byte {
	out, err := c.avro.json(raw)
	if err != nil {
		return []byte(quoted("it cannot be read: " + err.Error()))
	}
	return out
}

// mark reads the number of a mark.
func mark(value []byte) (int, bool) {
	if !bytes.Contains(value, []byte(`"millrace_end"`)) {
		return 0, false
	}
	n, err := parse(value)
	if err != nil {
		return 0, false
	}
	if p := n.at("payload"); p != nil {
		n = p
	}
	id := n.at("after", "id")
	if id == nil || n.at("source", "table") == nil || n.at("source", "table").text != `"millrace_end"` {
		return 0, false
	}
	i, err := strconv.Atoi(id.text)
	return i, err == nil
}

func (c *capture) marked(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marks[n]
}

// settle waits until all that the topics hold has come, and nothing more for a
// while: records of other topics may be written after the mark.
func (c *capture) settle(ctx context.Context) error {
	admin := kadm.NewClient(c.client)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		listed, err := admin.ListTopics(ctx)
		if err != nil {
			return err
		}
		var mine []string
		for name := range listed {
			if c.name.MatchString(name) {
				mine = append(mine, name)
			}
		}
		ends, err := admin.ListEndOffsets(ctx, mine...)
		if err != nil {
			return err
		}
		want := int64(0)
		ends.Each(func(o kadm.ListedOffset) { want += max(o.Offset, 0) })
		c.mu.Lock()
		have := c.read
		quiet := time.Since(c.last) > 500*time.Millisecond
		c.mu.Unlock()
		if have >= want && (quiet || c.beats) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d records were read", have, want)
		}
	}
}

func (c *capture) topics() map[string][]*kgo.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string][]*kgo.Record, len(c.records))
	for k, v := range c.records {
		out[k] = append([]*kgo.Record(nil), v...)
	}
	return out
}

func (c *capture) stop() {
	c.cancel()
	<-c.done
	c.client.Close()
}
