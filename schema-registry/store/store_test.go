package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// TestMain fails if a test leaves goroutines of this package or of its client
// behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = leaked()
	}
	os.Exit(code)
}

func leaked() int {
	var stacks string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "schema-registry/store.(*Log)") && !strings.Contains(stacks, "franz-go") {
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", stacks)
	return 1
}

func ptr[T any](v T) *T { return &v }

// wire is each kind of record as Confluent's registry writes it.
var wire = []struct {
	name, key, value string
	change           Change
}{
	{"schema", `{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}`,
		`{"subject":"s","version":2,"id":7,"md5":"AAECAwQFBgcICQoLDA0ODw==","schemaType":"AVRO","references":[{"name":"n","subject":"t","version":1}],"schema":"\"int\"","deleted":false}`,
		Change{Key: Key{Type: SchemaKey, Subject: "s", Version: 2}, Schema: &Schema{Subject: "s", Version: 2, ID: 7,
			MD5: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Type: "AVRO",
			References: []Reference{{"n", "t", 1}}, Text: `"int"`}}},
	{"hard delete", `{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}`, ``, Change{Key: Key{Type: SchemaKey, Subject: "s", Version: 2}}},
	{"config", `{"keytype":"CONFIG","subject":"s","magic":0}`, `{"subject":"s","alias":"t","normalize":true,"compatibilityLevel":"FULL","later":1}`,
		Change{Key: Key{Type: ConfigKey, Subject: "s"}, Config: &Config{Subject: "s", Settings: Settings{Alias: ptr("t"), Normalize: ptr(true), Compatibility: ptr("FULL")},
			Others: map[string]json.RawMessage{"later": json.RawMessage(`1`)}}}},
	{"global config", `{"keytype":"CONFIG","subject":null,"magic":0}`, `{"compatibilityLevel":"NONE"}`,
		Change{Key: Key{Type: ConfigKey, Global: true}, Config: &Config{Settings: Settings{Compatibility: ptr("NONE")}}}},
	{"mode", `{"keytype":"MODE","subject":"s","magic":0}`, `{"subject":"s","mode":"READONLY"}`,
		Change{Key: Key{Type: ModeKey, Subject: "s"}, Mode: &Mode{"s", "READONLY"}}},
	{"delete subject", `{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}`, `{"subject":"s","version":3}`,
		Change{Key: Key{Type: DeleteSubjectKey, Subject: "s"}, Through: &Through{"s", 3}}},
	{"clear subject", `{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}`, `{"subject":"s"}`, Change{Key: Key{Type: ClearSubjectKey, Subject: "s"}}},
	{"context", `{"keytype":"CONTEXT","tenant":"default","context":".dev","magic":0}`, `{"context":".dev","tenant":"default"}`, Change{Key: Key{Type: ContextKey, Context: ".dev"}}},
	{"context gone", `{"keytype":"CONTEXT","tenant":"default","context":".dev","magic":0}`, ``, Change{Key: Key{Type: ContextKey, Context: ".dev"}, Gone: true}},
	{"noop", `{"keytype":"NOOP","magic":0}`, ``, Change{Key: Key{Type: NoopKey}}},
	{"noop with ids", `{"keytype":"NOOP","magic":0}`, `{"maxIds":{".":9}}`, Change{Key: Key{Type: NoopKey}, MaxIDs: &MaxIDs{map[string]int{".": 9}}}},
}

func TestRecords(t *testing.T) {
	for _, tt := range wire {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode([]byte(tt.key), []byte(tt.value), 0)
			if err != nil || !reflect.DeepEqual(got, tt.change) {
				t.Errorf("Decode: %+v, %v, want %+v", got, err, tt.change)
			}
			k, v, err := tt.change.Encode()
			if err != nil || string(k) != tt.key || string(v) != tt.value {
				t.Errorf("Encode: %s %s, %v", k, v, err)
			}
		})
	}
}

func TestRecordsOfOtherRegistries(t *testing.T) {
	for _, tt := range []struct {
		name, key, value string
		offset           int64
		want             string // of the error, "" for none
	}{
		{"blanks and order", `{ "magic": 0, "version": 1, "subject": "s", "keytype": "SCHEMA" }`, `{"schema":"\"int\"","id":1,"x":[]}`, 0, ""},
		{"no subject member", `{"keytype":"CONFIG","magic":0}`, `{"compatibilityLevel":"FULL"}`, 0, ""},
		{"at its place", `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1,"seq":4,"node":1}`, `{"schema":"","id":1}`, 4, ""},
		{"not at its place", `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1,"seq":4,"node":1}`, `{"schema":"","id":1}`, 5, ErrUnknownKey.Error()},
		{"unknown", `{"keytype":"ASSOC","magic":0}`, `{}`, 0, ErrUnknownKey.Error()},
		{"key is no JSON", `SCHEMA`, `{}`, 0, "read key"},
		{"no version", `{"keytype":"SCHEMA","subject":"s"}`, `{}`, 0, "wants a subject and a version"},
		{"no subject", `{"keytype":"DELETE_SUBJECT"}`, `{}`, 0, "wants a subject"},
		{"value is no JSON", `{"keytype":"MODE","subject":"s"}`, `READONLY`, 0, "read value of a MODE record"},
		{"short md5", `{"keytype":"SCHEMA","subject":"s","version":1}`, `{"md5":"AAE="}`, 0, "md5 has 2 bytes"},
		{"negative id", `{"keytype":"SCHEMA","subject":"s","version":1}`, `{"id":-1}`, 0, "the id is -1"},
	} {
		_, err := Decode([]byte(tt.key), []byte(tt.value), tt.offset)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, tt := range wire {
		f.Add([]byte(tt.key), []byte(tt.value), int64(0))
	}
	f.Fuzz(func(t *testing.T, key, value []byte, offset int64) {
		c, err := Decode(key, value, offset)
		if err != nil {
			return
		}
		k, v, err := c.Encode()
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", c, err)
		}
		again, err := Decode(k, v, offset)
		if err != nil {
			t.Fatalf("%s %s cannot be read again: %v", k, v, err)
		}
		k2, v2, err := again.Encode()
		if err != nil || string(k) != string(k2) || string(v) != string(v2) {
			t.Fatalf("%s %s became %s %s: %v", k, v, k2, v2, err)
		}
	})
}

// follower collects what a log applies.
type follower struct {
	mu  sync.Mutex // guards below
	all []Change
}

func (f *follower) apply(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, c)
}

func (f *follower) versions() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []int
	for _, c := range f.all {
		if c.Schema != nil {
			out = append(out, c.Schema.Version)
		}
	}
	return out
}

func open(t *testing.T, c *brokertest.Cluster) (*Log, *follower) {
	t.Helper()
	f := &follower{}
	l, err := Open(t.Context(), Options{ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}, f.apply)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, f
}

func version(n int) Change {
	return Change{Key: Key{Type: SchemaKey, Subject: "s", Version: n}, Schema: &Schema{Subject: "s", Version: n, ID: n, Text: `"int"`}}
}

func TestAppendIsAppliedWhenItReturns(t *testing.T) {
	c := brokertest.Start(t)
	l, f := open(t, c)
	for n := 1; n <= 20; n += 2 {
		if err := l.Append(t.Context(), version(n), version(n+1)); err != nil {
			t.Fatal(err)
		}
		if got := f.versions(); len(got) != n+1 || got[n] != n+1 {
			t.Fatalf("after version %d: %v", n+1, got)
		}
	}
	other, g := open(t, c)
	if got := g.versions(); len(got) != 20 {
		t.Errorf("another follower was opened with %v", got)
	}
	if err := l.Append(t.Context(), version(21)); err != nil {
		t.Fatal(err)
	}
	if err := other.CatchUp(t.Context()); err != nil || len(g.versions()) != 21 {
		t.Errorf("the other one caught up with %v, %v", g.versions(), err)
	}
}

func TestForeignAndBrokenRecordsAreSkipped(t *testing.T) {
	c := brokertest.Start(t)
	l, f := open(t, c)
	client := c.Client(t)
	for _, kv := range [][2]string{{"no JSON", "x"}, {`{"keytype":"LATER"}`, `{}`}, {`{"keytype":"MODE","subject":"s"}`, "["}, {"", ""}} {
		r := &kgo.Record{Topic: "_schemas", Key: []byte(kv[0]), Value: []byte(kv[1])}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Logf("the broker does not take %q: %v", kv, err)
		}
	}
	if err := l.Append(t.Context(), version(1)); err != nil {
		t.Fatal(err)
	}
	if got := f.versions(); len(got) != 1 {
		t.Errorf("versions %v", got)
	}
}

// Compaction may leave an end that no record is at. Then a record is written
// to read, and the ids that the last of its key held are not lost by that.
func TestEndWithoutRecord(t *testing.T) {
	l, f := open(t, brokertest.Start(t))
	ids := Change{Key: Key{Type: NoopKey}, MaxIDs: &MaxIDs{map[string]int{".": 9}}}
	if err := l.Append(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if err := l.await(ctx, 2, func() (int64, error) { return l.probe(ctx) }); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) != 2 || !reflect.DeepEqual(f.all[1].MaxIDs, ids.MaxIDs) {
		t.Errorf("applied %+v", f.all)
	}
}

func TestTopicsThatWillNotDo(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		partitions int32
		policy     string
	}{
		{"two partitions", "2 partitions", 2, "compact"},
		{"deleted with time", "cleanup.policy", 1, "delete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := brokertest.Start(t)
			c.CreateTopic(t, "_schemas", tt.partitions, "cleanup.policy", tt.policy)
			_, err := Open(t.Context(), Options{ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}, func(Change) {})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOpenGivesUp(t *testing.T) {
	c := brokertest.Start(t)
	c.Stop(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	_, err := Open(ctx, Options{InitTimeout: 200 * time.Millisecond, ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}, func(Change) {})
	if err == nil || ctx.Err() != nil {
		t.Errorf("Open without a broker: %v", err)
	}
}

// A write whose outcome is not known when its caller gives up is read, and
// done with, before the next.
func TestWriteGivenUpComesBeforeTheNext(t *testing.T) {
	c := brokertest.Start(t)
	f := &follower{}
	l, err := Open(t.Context(), Options{Timeout: 300 * time.Millisecond, ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}, f.apply)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	c.Kill(t)
	if err := l.Append(t.Context(), version(1)); err == nil {
		t.Fatal("a write without a broker was acknowledged")
	}
	if err := l.Append(t.Context(), version(2)); err == nil {
		t.Fatal("a write without a broker was acknowledged")
	}
	c.Resume(t)
	deadline := time.Now().Add(30 * time.Second)
	for err = l.Append(t.Context(), version(3)); err != nil; err = l.Append(t.Context(), version(3)) {
		if time.Now().After(deadline) {
			t.Fatalf("no write gets through: %v", err)
		}
	}
	got := f.versions()
	if got[0] == 2 || got[len(got)-1] != 3 {
		t.Errorf("versions %v: 2 must not have been written before 1 was done with", got)
	}
}

// What a writer appends after another has taken over counts for nobody, and its
// writer learns so.
func TestDeposedWriter(t *testing.T) {
	c := brokertest.Start(t)
	a, fa := open(t, c)
	b, fb := open(t, c)
	if err := a.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(t.Context(), version(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fb.versions(); len(got) != 1 {
		t.Errorf("the new writer begins with %v", got)
	}
	if err := b.Append(t.Context(), version(2)); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(t.Context(), version(3)); !errors.Is(err, ErrDeposed) {
		t.Errorf("the old writer: %v, want ErrDeposed", err)
	}
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, fc := open(t, c)
	for name, f := range map[string]*follower{"the old writer": fa, "the new one": fb, "a later one": fc} {
		if got := f.versions(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("%s has the versions %v", name, got)
		}
	}
	if void := b.Void(); len(void) != 1 || void[0] != version(3).Key || b.Void() != nil {
		t.Errorf("void keys %v", void)
	}
	if err := a.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(t.Context(), version(4)); err != nil {
		t.Errorf("having taken over again: %v", err)
	}
}

// Records of other registries have no header, and count whoever leads.
func TestRecordsWithoutReignCount(t *testing.T) {
	c := brokertest.Start(t)
	l, f := open(t, c)
	if err := l.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	k, v, err := version(1).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Client(t).ProduceSync(t.Context(), &kgo.Record{Topic: "_schemas", Key: k, Value: v}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := l.CatchUp(t.Context()); err != nil || len(f.versions()) != 1 {
		t.Errorf("versions %v, %v", f.versions(), err)
	}
}
