package filestream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// stored answers for the worker's offset store.
type stored map[string]sdk.Offset

func (s stored) Offset(_ context.Context, partition map[string]any) (sdk.Offset, error) {
	return s[fmt.Sprint(partition)], nil
}

func (s stored) Offsets(ctx context.Context, partitions []map[string]any) ([]sdk.Offset, error) {
	out := make([]sdk.Offset, len(partitions))
	for i, p := range partitions {
		out[i], _ = s.Offset(ctx, p)
	}
	return out, nil
}

// commit stores the positions of a batch.
func (s stored) commit(t *testing.T, b *data.Batch) {
	t.Helper()
	for _, p := range b.Positions {
		partition, err := sdk.DecodeMap(p.Partition)
		if err != nil {
			t.Fatal(err)
		}
		offset, err := sdk.DecodeMap(p.Offset)
		if err != nil {
			t.Fatal(err)
		}
		s[fmt.Sprint(partition)] = offset
	}
}

func parse(t *testing.T, def sdk.ConfigDef, props map[string]string) sdk.Config {
	t.Helper()
	cfg, problems := def.Parse(props)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg
}

func openSource(t *testing.T, s stored, file, batchSize string) *sourceTask {
	t.Helper()
	cfg := parse(t, Source{}.ConfigDef(), map[string]string{"file": file, "topic": "lines", "batch.size": batchSize})
	task, err := Source{}.Open(t.Context(), cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return task.(*sourceTask)
}

func poll(t *testing.T, task *sourceTask, b *data.Batch) []string {
	t.Helper()
	*b = data.Batch{}
	if err := task.PollBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range b.Records {
		v, err := r.Value.Value()
		if err != nil {
			t.Fatal(err)
		}
		if r.Topic != "lines" || !r.Key.IsNull() || r.Key.Schema != nil || r.Value.Schema != data.StringSchema {
			t.Errorf("record is %+v", r)
		}
		out = append(out, v.(string))
	}
	return out
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestSourceFollowsAndResumes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in.txt")
	synctest.Test(t, func(t *testing.T) {
		s, b := stored{}, data.Batch{}
		task := openSource(t, s, file, "2")
		time.AfterFunc(1500*time.Millisecond, func() { appendFile(t, file, "one\r\ntwo\n\nhäl") })
		if got := poll(t, task, &b); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("lines are %q", got)
		}
		if b.Records[0].Position != data.NoPosition || b.Records[1].Position != 0 ||
			string(b.Positions[0].Offset) != `{"position":9}` ||
			string(b.Positions[0].Partition) != `{"filename":"`+file+`"}` {
			t.Errorf("positions are %+v %s", b.Records, b.Positions)
		}
		s.commit(t, &b)
		if got := poll(t, task, &b); !slices.Equal(got, []string{""}) {
			t.Errorf("lines are %q: the last one is not complete", got)
		}
		// The batch with the empty line was not committed: it comes again.
		if err := task.Close(); err != nil {
			t.Fatal(err)
		}
		task = openSource(t, s, file, "2000")
		defer task.Close()
		appendFile(t, file, "lo\rlast\r")
		if got := poll(t, task, &b); !slices.Equal(got, []string{"", "hällo"}) {
			t.Errorf("lines are %q", got)
		}
		s.commit(t, &b)
		appendFile(t, file, "\nnext\n")
		if got := poll(t, task, &b); !slices.Equal(got, []string{"last", "next"}) {
			t.Errorf("lines are %q: \\r\\n in two writes is one end", got)
		}
	})
}

func TestSourceStops(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in.txt")
	synctest.Test(t, func(t *testing.T) {
		task := openSource(t, stored{}, file, "2000")
		defer task.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(sdk.ErrStopping) })
		if err := task.PollBatch(ctx, &data.Batch{}); !errors.Is(err, sdk.ErrStopping) {
			t.Errorf("stopped poll returns %v", err)
		}
	})
}

func TestSourceBoundsBatches(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in.txt")
	appendFile(t, file, strings.Repeat(strings.Repeat("x", 999)+"\n", 1000))
	task := openSource(t, stored{}, file, "2000")
	defer task.Close()
	total := 0
	for total < 1000 {
		var b data.Batch
		n := len(poll(t, task, &b))
		if n > batchBytes/1000+2 {
			t.Fatalf("a batch has %d records of 1000 bytes", n)
		}
		total += n
	}
	if total != 1000 {
		t.Errorf("%d lines, want 1000", total)
	}
}

func TestAlterOffsets(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change sdk.Position
		want   string
	}{
		{"fine", sdk.Position{Partition: map[string]any{"filename": "f"}, Offset: sdk.Offset{"position": int64(3)}}, ""},
		{"removal", sdk.Position{Partition: map[string]any{"other": "f"}}, ""},
		{"partition", sdk.Position{Partition: map[string]any{"file": "f"}, Offset: sdk.Offset{"position": int64(3)}}, "filename"},
		{"no position", sdk.Position{Partition: map[string]any{"filename": "f"}, Offset: sdk.Offset{"pos": int64(3)}}, "position"},
		{"text", sdk.Position{Partition: map[string]any{"filename": "f"}, Offset: sdk.Offset{"position": "3"}}, "whole number"},
		{"negative", sdk.Position{Partition: map[string]any{"filename": "f"}, Offset: sdk.Offset{"position": int64(-1)}}, "negative"},
	} {
		ok, err := Source{}.AlterOffsets(t.Context(), sdk.Config{}, []sdk.Position{tt.change})
		if (err == nil) != (tt.want == "") || ok != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
	}
}

func TestStandardStreamsAreRefused(t *testing.T) {
	for _, def := range []sdk.ConfigDef{Source{}.ConfigDef(), Sink{}.ConfigDef()} {
		if err := def.Check(); err != nil {
			t.Error(err)
		}
		_, problems := def.Parse(map[string]string{"file": "", "topic": "t"})
		if len(problems) != 1 || !strings.Contains(problems[0].Text, "process of its own") {
			t.Errorf("an empty file gives %v", problems)
		}
	}
}

func TestSinkWritesText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.txt")
	appendFile(t, file, "before\n")
	cfg := parse(t, Sink{}.ConfigDef(), map[string]string{"file": file})
	task, err := Sink{}.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	schema := data.NewStructBuilder().Field("a", data.Int32Schema).Field("b", data.OptionalStringSchema).MustBuild()
	st := data.NewStruct(schema)
	if err := errors.Join(st.Put("a", int32(1)), st.Put("b", "x")); err != nil {
		t.Fatal(err)
	}
	var b data.Batch
	for _, v := range []struct {
		schema *data.Schema
		value  any
	}{{data.StringSchema, "text"}, {data.Float64Schema, 1e10}, {schema, st}, {nil, nil}, {nil, map[string]any{"k": true}}} {
		d, err := data.NewDatum(v.schema, v.value)
		if err != nil {
			t.Fatal(err)
		}
		b.Records = append(b.Records, data.Record{Value: d})
	}
	if err := task.Put(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	offsets := sdk.Offsets{{Topic: "t", Partition: 0}: 5}
	got, err := task.(sdk.PreCommitter).PreCommit(t.Context(), offsets)
	if err != nil || got[sdk.TopicPartition{Topic: "t", Partition: 0}] != 5 {
		t.Fatalf("PreCommit returns %v, %v", got, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\ntext\n1.0E10\nStruct{a=1,b=x}\nnull\n{k=true}\n"; string(text) != want {
		t.Errorf("file holds %q, want %q", text, want)
	}
}

func TestSinkBadRecordKeepsThoseBefore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.txt")
	task, err := Sink{}.Open(t.Context(), parse(t, Sink{}.ConfigDef(), map[string]string{"file": file}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	good, _ := data.NewDatum(data.StringSchema, "good")
	bad := data.Datum{Schema: data.StringSchema, State: data.Present, Row: []byte{0x7f}}
	err = task.Put(t.Context(), &data.Batch{Records: []data.Record{{Value: good}, {Value: bad}}})
	var e *sdk.Error
	if !errors.As(err, &e) || e.Index != 1 {
		t.Fatalf("error is %v, want one about record 1", err)
	}
	if _, err := task.(sdk.PreCommitter).PreCommit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); string(text) != "good\n" {
		t.Errorf("file holds %q", text)
	}
}

func TestSinkMissingDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no", "out.txt")
	_, err := Sink{}.Open(t.Context(), parse(t, Sink{}.ConfigDef(), map[string]string{"file": file}), nil)
	if err == nil || !strings.Contains(err.Error(), "does not exist on this worker") {
		t.Errorf("error is %v", err)
	}
}

func FuzzCutLine(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\rd\r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, scanned := b, 0
		for {
			line, size := cutLine(rest, scanned)
			if size == 0 {
				break
			}
			if strings.ContainsAny(string(line), "\r\n") || size <= len(line) || size > len(line)+2 {
				t.Fatalf("line %q of size %d in %q", line, size, b)
			}
			rest = rest[size:]
		}
		if i := strings.IndexAny(string(rest), "\r\n"); i >= 0 && i+1 < len(rest) {
			t.Fatalf("%q is left of %q", rest, b)
		}
	})
}
