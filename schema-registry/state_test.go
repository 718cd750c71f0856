package registry

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace/millrace/schema-registry/store"
)

func testState() *state { return newState(slog.New(slog.DiscardHandler)) }

func schemaRecord(subject string, version, id int, text string, deleted bool) store.Change {
	return store.Change{Key: schemaKey(subject, version), Schema: &store.Schema{Subject: subject, Version: version, ID: id, Text: text, Deleted: deleted}}
}

func TestRecordsAsFound(t *testing.T) {
	through := func(subject string, v int) store.Change {
		return store.Change{Key: store.Key{Type: store.DeleteSubjectKey, Subject: subject}, Through: &store.Through{Subject: subject, Version: v}}
	}
	gone := func(subject string, v int) store.Change { return store.Change{Key: schemaKey(subject, v)} }
	for _, tt := range []struct {
		name    string
		records []store.Change
		want    string // versions as subject/version=id, with - before deleted ones
		maxID   int
	}{
		{"soft-deleted is the first that is left", []store.Change{schemaRecord("s", 2, 5, `"int"`, true)}, "-s/2=5 ", 5},
		{"deletion of versions that are not there", []store.Change{through("s", 3), schemaRecord("s", 4, 1, `"int"`, false)}, "s/4=1 ", 1},
		{"deletion up to a version", []store.Change{schemaRecord("s", 1, 1, `"int"`, false), schemaRecord("s", 3, 3, `"long"`, false), through("s", 2)}, "-s/1=1 s/3=3 ", 3},
		{"id 0 of old topics", []store.Change{schemaRecord("s", 1, 0, `"int"`, false)}, "s/1=0 ", 0},
		{"the last record counts", []store.Change{schemaRecord("s", 1, 1, `"int"`, false), schemaRecord("s", 1, 2, `"long"`, false)}, "s/1=2 ", 2},
		{"an id keeps its meaning", []store.Change{schemaRecord("s", 1, 1, `"int"`, false), schemaRecord("t", 1, 1, `"long"`, false)}, "s/1=1 ", 1},
		{"an id keeps its meaning at its place", []store.Change{schemaRecord("s", 1, 1, `"int"`, false), schemaRecord("s", 1, 1, `"long"`, false)}, "s/1=1 ", 1},
		{"a meaning nobody holds any more", []store.Change{schemaRecord("s", 1, 1, `"int"`, false), gone("s", 1), schemaRecord("t", 1, 1, `"long"`, false)}, "t/1=1 ", 1},
		{"tombstones of nothing", []store.Change{gone("s", 1), {Key: store.Key{Type: store.ConfigKey, Subject: "s"}}, {Key: store.Key{Type: store.ModeKey, Global: true}}}, "", 0},
		{"contexts apart", []store.Change{schemaRecord("s", 1, 1, `"int"`, false), schemaRecord(":.x:s", 1, 1, `"long"`, false)}, ":.x:s/1=1 s/1=1 ", 1},
		{"the default context by name", []store.Change{schemaRecord(":.:s", 1, 1, `"int"`, false)}, "s/1=1 ", 1},
		{"a reference before what it refers to", []store.Change{
			{Key: schemaKey("s", 1), Schema: &store.Schema{Subject: "s", Version: 1, ID: 2, Text: `"R"`, References: []store.Reference{{Name: "R", Subject: "r", Version: 1}}}},
			schemaRecord("r", 1, 1, `{"type":"record","name":"R","fields":[]}`, false)}, "r/1=1 s/1=2 ", 2},
		{"ids remembered", []store.Change{{Key: store.Key{Type: store.NoopKey}, MaxIDs: &store.MaxIDs{ByContext: map[string]int{".": 9}}}}, "", 9},
		{"soft-deleted ones cleared", []store.Change{schemaRecord("s", 1, 1, `"int"`, true), schemaRecord("s", 2, 2, `"long"`, false), {Key: store.Key{Type: store.ClearSubjectKey, Subject: "s"}}}, "s/2=2 ", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testState()
			for _, c := range tt.records {
				s.apply(c)
			}
			got := ""
			for _, n := range s.named(":*:") {
				for _, e := range s.subjects[n].versions {
					if e.Deleted {
						got += "-"
					}
					got += fmt.Sprintf("%s/%d=%d ", e.Subject, e.Version, e.ID)
				}
			}
			if got != tt.want || s.contexts[defaultContext].maxID != tt.maxID {
				t.Errorf("got %q, max id %d, want %q, %d", got, s.contexts[defaultContext].maxID, tt.want, tt.maxID)
			}
		})
	}
}

// Compaction drops all but the last record of a key. For what one registry
// writes, that leaves the same state.
func TestCompactionChangesNothing(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		full := testState()
		var log []store.Change
		write := func(c store.Change) {
			log = append(log, c)
			full.apply(c)
		}
		for range 60 {
			name := fmt.Sprintf("s%d", rng.IntN(3))
			sub := full.subjects[name]
			switch op := rng.IntN(6); {
			case op < 3 || sub == nil: // register
				text := fmt.Sprintf(`"t%d"`, rng.IntN(8))
				version, space := 1, full.contexts[defaultContext]
				if sub != nil {
					version = sub.versions[len(sub.versions)-1].Version + 1
				}
				id, ok := space.byHash[contentHash(text, nil, contract{})]
				if !ok {
					id = space.maxID + 1
				}
				write(schemaRecord(name, version, id, text, false))
			case op == 3: // delete a version, softly and then for good
				e := sub.versions[rng.IntN(len(sub.versions))]
				if e.Deleted {
					write(store.Change{Key: schemaKey(name, e.Version)})
					write(full.maxIDs())
				} else {
					write(store.Change{Key: schemaKey(name, e.Version), Schema: e.softDeleted()})
				}
			default: // delete the subject
				last := sub.versions[len(sub.versions)-1].Version
				write(store.Change{Key: store.Key{Type: store.DeleteSubjectKey, Subject: name}, Through: &store.Through{Subject: name, Version: last}})
			}
		}
		compacted := testState()
		last := map[store.Key]int{}
		for i, c := range log {
			last[c.Key] = i
		}
		from := rng.IntN(len(log)) // what is younger is not compacted yet
		for i, c := range log {
			if i >= from || last[c.Key] == i {
				compacted.apply(c)
			}
		}
		if got, want := outline(compacted), outline(full); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: compacted %v, in full %v", seed, got, want)
		}
	}
}

// outline is what clients can see of a state.
func outline(s *state) []string {
	var out []string
	for _, n := range s.named(":*:") {
		for _, e := range s.subjects[n].versions {
			out = append(out, fmt.Sprintf("%s/%d=%d %s %v", e.Subject, e.Version, e.ID, e.Text, e.Deleted))
		}
	}
	return append(out, fmt.Sprint(s.contexts[defaultContext].maxID, len(s.contexts[defaultContext].ids), len(s.contexts[defaultContext].byHash)))
}

func TestHash(t *testing.T) {
	// MD5 of the text alone, printed as a UUID.
	if got, want := contentHash(`"string"`, nil, contract{}).guid(), "095d71cf-1255-6b9d-5e33-0ad575b3df5d"; got != want {
		t.Errorf("guid %s, want %s", got, want)
	}
	refs := []Reference{{Name: "n", Subject: "s", Version: 1}}
	if contentHash("x", refs, contract{}) == contentHash("x", nil, contract{}) || contentHash("x", refs, contract{}) == contentHash("xns\x00\x00\x00\x02", nil, contract{}) {
		t.Error("references do not count")
	}
}

func TestSubjectNames(t *testing.T) {
	for _, tt := range []struct{ in, context, name, canonical string }{
		{"orders", ".", "orders", "orders"},
		{":.dev:orders", ".dev", "orders", ":.dev:orders"},
		{":.:orders", ".", "orders", "orders"},
		{":.dev:", ".dev", "", ":.dev:"},
		{"a:b", ".", "a:b", "a:b"},
		{":.broken", ".", ":.broken", ":.broken"},
		{":.dev:a:b", ".dev", "a:b", ":.dev:a:b"},
		{"", ".", "", ""},
	} {
		c, n := split(tt.in)
		if c != tt.context || n != tt.name || canonical(tt.in) != tt.canonical {
			t.Errorf("%q: %q, %q, %q", tt.in, c, n, canonical(tt.in))
		}
	}
}

func TestTransitiveHistories(t *testing.T) {
	const (
		k  = `{"type":"record","name":"R","fields":[{"name":"k","type":"string"}]}`
		kv = `{"type":"record","name":"R","fields":[{"name":"k","type":"string"},{"name":"v","type":"int"}]}`
		kd = `{"type":"record","name":"R","fields":[{"name":"k","type":"string"},{"name":"v","type":"int","default":5}]}`
	)
	for _, tt := range []struct {
		history []string
		text    string
		level   Level
		want    bool
	}{
		{[]string{k, kd}, kv, Backward, true},
		{[]string{k, kd}, kv, BackwardTransitive, false},
		{[]string{kv, kd}, k, Forward, true},
		{[]string{kv, kd}, k, ForwardTransitive, false},
		{[]string{kv, kd}, k, Full, true},
		{[]string{kv, kd}, k, FullTransitive, false},
		{[]string{k}, `"int"`, Full, false},
		{[]string{k}, `"int"`, None, true},
		{nil, `"int"`, FullTransitive, true},
	} {
		r, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range tt.history {
			r.apply(schemaRecord("s", i+1, i+1, text, false))
		}
		c, err := r.read("s", Draft{Text: tt.text}, false, strictness{isNew: true})
		if err != nil {
			t.Fatal(err)
		}
		messages, err := r.check(c, r.versions("s", false), settings{level: tt.level})
		if err != nil || (len(messages) == 0) != tt.want {
			t.Errorf("%s after %d versions: %q, %v, want compatible: %v", tt.level, len(tt.history), messages, err, tt.want)
		}
	}
}

func TestStoredSchemaThatBreaksTheRules(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	const legacy = `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}`
	r.apply(schemaRecord("s", 1, 1, legacy, false))
	c, err := r.read("s", Draft{Text: legacy}, false, strictness{})
	if err != nil || r.lookup("s", c, false) == nil {
		t.Errorf("it is not found: %v", err)
	}
	c, err = r.read("s", Draft{Text: `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`}, false, strictness{isNew: true})
	if err != nil {
		t.Fatal(err)
	}
	if messages, err := r.check(c, r.versions("s", false), settings{level: Full}); err != nil || messages != nil {
		t.Errorf("it does not compare: %q, %v", messages, err)
	}
}

// What stands is written anew where a record that did not count would be kept
// in its stead.
func TestRestore(t *testing.T) {
	s := testState()
	level := "FULL"
	s.apply(schemaRecord("s", 1, 7, `"int"`, false))
	s.apply(store.Change{Key: store.Key{Type: store.ConfigKey, Subject: "s"}, Config: &store.Config{Subject: "s", Settings: store.Settings{Compatibility: &level}}})
	s.apply(store.Change{Key: store.Key{Type: store.ModeKey, Global: true}, Mode: &store.Mode{Mode: "READONLY"}})
	keys := []store.Key{
		schemaKey("s", 1), schemaKey("s", 2), {Type: store.ConfigKey, Subject: "s"}, {Type: store.ConfigKey, Subject: "t"},
		{Type: store.ModeKey, Global: true}, {Type: store.ContextKey, Context: ".none"}, {Type: store.DeleteSubjectKey, Subject: "s"}, {Type: store.NoopKey},
	}
	changes := s.restore(keys)
	if len(changes) != len(keys)-1 {
		t.Fatalf("%d changes for %d keys", len(changes), len(keys))
	}
	before := outline(s)
	for _, c := range changes {
		k, v, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		read, err := store.Decode(k, v, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.apply(read)
	}
	if after := outline(s); !slices.Equal(before, after) {
		t.Errorf("the state was %v, and is %v", before, after)
	}
	if changes[0].Schema == nil || changes[1].Schema != nil || changes[2].Config == nil || changes[3].Config != nil || changes[4].Mode == nil || !changes[5].Gone {
		t.Errorf("changes %+v", changes)
	}
}
