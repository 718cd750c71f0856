package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Offsets is the offset store: for each connector and source partition, where
// the source stood when everything before it was in the log.
//
// Kafka Connect looks partitions up by the bytes of the record's key, whose
// map order depends on the JVM. This store looks them up by content and
// writes back the key bytes it read, so that a set of topics can move between
// the two.
type Offsets struct {
	topic recordLog
	name  string // of the topic
	log   *slog.Logger

	mu    sync.Mutex // guards below
	byKey map[string]map[string]*sourceOffset
}

// sourceOffset is one partition's entry. A nil offset is a tombstone, kept
// for its raw key.
type sourceOffset struct {
	key       []byte // the record's key as it stands in the topic
	partition []byte // JSON object within it
	offset    []byte // JSON object
}

// OpenOffsets replays the offset topic.
//
// Tasks may write to it in transactions (Records), so only what is committed
// counts.
func OpenOffsets(ctx context.Context, cfg Config) (*Offsets, error) {
	cfg = cfg.withDefaults()
	cfg.ClientOpts = append(slices.Clone(cfg.ClientOpts), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	o := &Offsets{name: cfg.Topic, log: cfg.Logger, byKey: map[string]map[string]*sourceOffset{}}
	topic, err := openLog(ctx, cfg, o.apply)
	if err != nil {
		return nil, err
	}
	o.topic = topic
	return o, nil
}

// Close stops reading the topic. It may be called twice.
func (o *Offsets) Close() { o.topic.close() }

func (o *Offsets) apply(r *kgo.Record) {
	name, partition, err := parseOffsetKey(r.Key)
	if err != nil {
		o.log.Warn("offset record skipped", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "err", err)
		return
	}
	canon, err := canonical(partition)
	if err != nil {
		o.log.Warn("offset record skipped", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "err", err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byKey[name] == nil {
		o.byKey[name] = map[string]*sourceOffset{}
	}
	o.byKey[name][canon] = &sourceOffset{
		key: bytes.Clone(r.Key), partition: bytes.Clone(partition), offset: bytes.Clone(r.Value),
	}
}

// parseOffsetKey splits `["name",{partition}]`.
func parseOffsetKey(key []byte) (name string, partition []byte, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(key, &parts); err != nil {
		return "", nil, fmt.Errorf("key is not a JSON array: %w", err)
	}
	if len(parts) != 2 {
		return "", nil, fmt.Errorf("key has %d elements, want a name and a partition", len(parts))
	}
	if err := json.Unmarshal(parts[0], &name); err != nil {
		return "", nil, fmt.Errorf("key's first element is not a connector name: %w", err)
	}
	return name, parts[1], nil
}

// canonical renders a JSON object with its keys sorted and its numbers
// normalised, so that equal maps are equal strings whatever wrote them.
// Integers and fractions stay different: 1 is not 1.0, as in Connect, where
// one reads as int64 and the other as float64.
func canonical(object []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return "", fmt.Errorf("source partition is not a JSON object: %w", err)
	}
	if m == nil {
		return "null", nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		v, err := encode(normalNumber(m[k]))
		if err != nil {
			return "", err
		}
		name, err := encode(k)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s:%s,", name, v)
	}
	return b.String(), nil
}

func normalNumber(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	if strings.ContainsAny(n.String(), ".eE") {
		f, err := n.Float64()
		if err != nil {
			return v
		}
		return map[string]float64{"float": f}
	}
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return i
	}
	return v
}

// Entry is one source partition and its offset, both JSON objects.
type Entry struct {
	Partition []byte
	Offset    []byte // nil removes the entry when written
}

// Get returns the stored offset of each partition, nil where there is none, in
// the order asked. It first reads the topic to its end, and waits for
// transactions that are open there.
func (o *Offsets) Get(ctx context.Context, name string, partitions ...[]byte) ([][]byte, error) {
	if err := o.topic.readToEnd(ctx); err != nil {
		return nil, err
	}
	out := make([][]byte, len(partitions))
	for i, p := range partitions {
		canon, err := canonical(p)
		if err != nil {
			return nil, fmt.Errorf("offsets of connector %q: %w", name, err)
		}
		o.mu.Lock()
		if e := o.byKey[name][canon]; e != nil {
			out[i] = e.offset
		}
		o.mu.Unlock()
	}
	return out, nil
}

// List returns all stored offsets of a connector, ordered by partition. It
// first reads the topic as far as it is committed.
func (o *Offsets) List(ctx context.Context, name string) ([]Entry, error) {
	if err := o.topic.readCommitted(ctx); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Entry
	for _, e := range o.byKey[name] {
		if e.offset != nil {
			out = append(out, Entry{Partition: e.partition, Offset: e.offset})
		}
	}
	sort.Slice(out, func(i, j int) bool { return bytes.Compare(out[i].Partition, out[j].Partition) < 0 })
	return out, nil
}

// Put stores offsets and returns when the topic has acknowledged them. Each
// partition may appear once.
func (o *Offsets) Put(ctx context.Context, name string, entries []Entry) error {
	recs, err := o.Records(name, entries)
	if err != nil {
		return err
	}
	return o.topic.write(ctx, recs...)
}

// Records returns the records that Put would write, for a task that writes
// them together with those of its source, in one transaction. Their partition
// is left to a partitioner that goes by the hash of the key, as Kafka's does.
func (o *Offsets) Records(name string, entries []Entry) ([]*kgo.Record, error) {
	recs := make([]*kgo.Record, len(entries))
	for i, e := range entries {
		if err := checkOffset(e.Offset); err != nil {
			return nil, fmt.Errorf("offset of connector %q, source partition %s: %w", name, e.Partition, err)
		}
		key, err := o.key(name, e.Partition)
		if err != nil {
			return nil, err
		}
		recs[i] = &kgo.Record{Topic: o.name, Partition: unassigned, Key: key, Value: e.Offset}
	}
	return recs, nil
}

// unassigned is the partition of a record whose partition is chosen by its key.
const unassigned = -1

// key returns the record key that the topic already uses for the partition, or
// a new one.
func (o *Offsets) key(name string, partition []byte) ([]byte, error) {
	canon, err := canonical(partition)
	if err != nil {
		return nil, fmt.Errorf("offset of connector %q: %w", name, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.byKey[name][canon]; e != nil {
		return e.key, nil
	}
	quoted, err := encode(name)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "[%s,%s]", quoted, partition), nil
}

// checkOffset holds Connect's rule that an offset is a flat map of primitives:
// readers elsewhere could not take in anything else.
func checkOffset(offset []byte) error {
	if offset == nil {
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(offset, &m); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	for k, v := range m {
		if v[0] == '{' || v[0] == '[' {
			return fmt.Errorf("field %q is not a primitive; offsets may only hold strings, numbers, booleans and nulls", k)
		}
	}
	return nil
}
