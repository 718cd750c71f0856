package channel

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

func reader(t *testing.T, cfg Config, place Place) *Reader {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	r, err := Open(t.Context(), cfg, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// take returns the ids of the signals that there are now.
func take(t *testing.T, r *Reader) string {
	t.Helper()
	var ids []string
	for {
		s, ok := r.Next()
		if !ok {
			return strings.Join(ids, " ")
		}
		ids = append(ids, s.ID)
		r.Done()
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, id, kind, data, err string }{
		{`{"id":"a","type":"log","data":{"message":"m"}}`, "a", "log", `{"message":"m"}`, ""},
		{`{"id":7,"type":"log","data":"{\"message\":\"m\"}"}`, "7", "log", `{"message":"m"}`, ""},
		{`{"type":"pause-snapshot","data":null}`, "", "pause-snapshot", "", ""},
		{`{"type":"pause-snapshot"}`, "", "pause-snapshot", "", ""},
		{`{"id":"a"}`, "", "", "", "no type"},
		{`[1]`, "", "", "", "cannot unmarshal"},
		{`{"type":`, "", "", "", "unexpected end"},
		{`{"type":"` + strings.Repeat("x", maxSignal) + `"}`, "", "", "", "more than"},
	} {
		s, err := parse([]byte(tt.text))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("parse(%.40s): %v, want %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || s.ID != tt.id || s.Type != tt.kind || string(s.Data) != tt.data {
			t.Errorf("parse(%s) = %q %q %q, %v", tt.text, s.ID, s.Type, s.Data, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"a","type":"log","data":{"message":"m"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parse(text); err == nil && s.Type == "" {
			t.Errorf("parse(%q) has no type", text)
		}
	})
}

func line(id string) string { return `{"id":"` + id + `","type":"log"}` + "\n" }

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signals")
	cfg := Config{File: path}
	r := reader(t, cfg, Place{})
	want(t, "no file", take(t, r), "")
	write(t, path, line("a")+"\nnonsense\n"+line("b")+`{"id":"c",`)
	want(t, "half a line", take(t, r), "a b")
	write(t, path, `"type":"log"}`)
	want(t, "a line without end", take(t, r), "")
	want(t, "a line that nobody goes on with", take(t, r), "c")

	// Nothing was stored: another reader begins anew, and one that knows the
	// place does not.
	anew := reader(t, cfg, Place{})
	want(t, "before anything is stored", take(t, anew)+" "+take(t, anew), "a b c")
	place := r.Place()
	after := reader(t, cfg, place)
	want(t, "what was acted on", take(t, after), "")

	// It is emptied when all of it is stored.
	if err := after.Stored(t.Context(), Place{Bytes: 3, Sum: "x"}); err != nil {
		t.Fatal(err)
	}
	write(t, path, "\n"+line("d"))
	want(t, "appended", take(t, after), "d")
	if st, err := os.Stat(path); err != nil || st.Size() == 0 {
		t.Fatalf("emptied before it was stored: %v, %v", st, err)
	}
	if err := after.Stored(t.Context(), after.Place()); err != nil {
		t.Fatal(err)
	}
	want(t, "no more", take(t, after), "")
	if st, err := os.Stat(path); err != nil || st.Size() != 0 {
		t.Fatalf("not emptied: %v, %v", st, err)
	}
	if p := after.Place(); p != (Place{}) {
		t.Errorf("place is %+v", p)
	}

	// A file that is another one is read from its start.
	write(t, path, line("e"))
	want(t, "another file", take(t, reader(t, cfg, place)), "e")
	if err := os.WriteFile(path, []byte(strings.Repeat(line("x"), maxFile/20)), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, "a file that is too large", take(t, after), "")
}

func TestTopic(t *testing.T) {
	b := brokertest.Start(t)
	client := b.Client(t, kgo.DefaultProduceTopic("s"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "s"); err != nil {
		t.Fatal(err)
	}
	send := func(key string, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if err := client.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key), Value: []byte(line(id))}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Fetching goes on in the background: wait reads until n have come.
	wait := func(r *Reader, n int) string {
		t.Helper()
		var ids []string
		for len(ids) < n && t.Context().Err() == nil {
			if got := take(t, r); got != "" {
				ids = append(ids, strings.Fields(got)...)
			}
		}
		return strings.Join(ids, " ")
	}
	committed := func() int64 {
		t.Helper()
		offsets, err := admin.FetchOffsets(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		o, ok := offsets.Lookup("s", 0)
		if !ok {
			return -1
		}
		return o.At
	}
	cfg := Config{Topic: &Topic{Name: "s", Key: "me", Group: "g", Brokers: []string{b.Addr()}}}
	send("me", "a")
	send("you", "b")
	send("me", "c", "d")
	r := reader(t, cfg, Place{})
	want(t, "from the start", wait(r, 3), "a c d")
	if got := committed(); got != -1 {
		t.Errorf("group stands at %d before anything is stored", got)
	}
	if err := r.Stored(t.Context(), Place{Topic: "s", Next: 3}); err != nil {
		t.Fatal(err)
	}
	if got := committed(); got != 3 {
		t.Errorf("group stands at %d, want 3", got)
	}
	want(t, "from where the group is", wait(reader(t, cfg, Place{}), 1), "d")
	want(t, "from where the group is, with the place of another topic", wait(reader(t, cfg, Place{Topic: "old", Next: 4}), 1), "d")
	want(t, "from a place", wait(reader(t, cfg, Place{Topic: "s", Next: 1}), 2), "c d")

	latest := cfg
	latest.Topic = &Topic{Name: "s", Key: "me", Group: "other", Brokers: []string{"127.0.0.1:1"},
		Consumer: map[string]string{"bootstrap.servers": b.Addr(), "auto.offset.reset": "latest", "group.id": "fresh", "isolation.level": "read_committed"}}
	l := reader(t, latest, Place{})
	for id := ""; id == ""; id = take(t, l) { // it has to look before it knows the end
		send("me", "e")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nobody := cfg
	nobody.Log, nobody.Topic = slog.New(slog.DiscardHandler), &Topic{Name: "s", Brokers: []string{"127.0.0.1:1"}}
	if _, err := Open(ctx, nobody, Place{}); err == nil {
		t.Error("opened without brokers")
	}
}
