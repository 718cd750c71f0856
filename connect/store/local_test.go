package store

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// testdata/java.offsets was written by a JVM, as Kafka Connect writes it.
func TestJavaOffsetFile(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "java.offsets"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := parseJavaMap(raw)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[string(e.key)] = string(e.value)
	}
	want := map[string]string{
		`["src",{"filename":"f0"}]`: `{"position":0}`, `["src",{"filename":"f1"}]`: `{"position":1}`, `["src",{"filename":"f2"}]`: `{"position":2}`,
		`["gone",{"a":1}]`: "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	again, err := parseJavaMap(appendJavaMap(nil, entries))
	if err != nil || !reflect.DeepEqual(again, entries) {
		t.Errorf("written and read again %v, %v", again, err)
	}
	if len(appendJavaMap(nil, entries)) != len(raw) {
		t.Errorf("%d bytes, the JVM wrote %d", len(appendJavaMap(nil, entries)), len(raw))
	}
	if empty, err := parseJavaMap(appendJavaMap(nil, nil)); err != nil || len(empty) != 0 {
		t.Errorf("the empty map reads as %v, %v", empty, err)
	}
}

func FuzzJavaMap(f *testing.F) {
	f.Add(appendJavaMap(nil, []javaEntry{{[]byte("k"), []byte("v")}, {[]byte("l"), nil}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseJavaMap(b)
		if err != nil {
			return
		}
		if again, err := parseJavaMap(appendJavaMap(nil, entries)); err != nil || len(again) != len(entries) {
			t.Errorf("%d entries read as %d again, %v", len(entries), len(again), err)
		}
	})
}

// Offsets survive in the file, with the key's bytes as they were read.
func TestOffsetsInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connect.offsets")
	raw, err := os.ReadFile(filepath.Join("testdata", "java.offsets"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Local: true, File: path}
	o, err := OpenOffsets(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Put(t.Context(), "src", []Entry{{Partition: []byte(`{"filename":"f0"}`), Offset: []byte(`{"position":9}`)}, {Partition: []byte(`{"filename":"f1"}`)}}); err != nil {
		t.Fatal(err)
	}
	o.Close()
	o, err = OpenOffsets(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := o.Get(t.Context(), "src", []byte(`{"filename":"f0"}`), []byte(`{"filename":"f1"}`), []byte(`{"filename":"f2"}`))
	if err != nil || string(got[0]) != `{"position":9}` || got[1] != nil || string(got[2]) != `{"position":2}` {
		t.Errorf("offsets %s, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffsets(t.Context(), cfg); !errors.Is(err, errNotJavaMap) {
		t.Errorf("another file: %v", err)
	}
}

func TestConfigsInThisProcess(t *testing.T) {
	var events []Event
	c, err := OpenConfigs(t.Context(), Config{Local: true}, func(e Event) { events = append(events, e) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.PutConnector(t.Context(), "c", map[string]string{"name": "c"}, ""); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Snapshot().Connector("c"); !ok || len(events) != 1 || events[0].Kind != EventConfig {
		t.Errorf("connector there: %v, events %v", ok, events)
	}
}
