package spooldir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/pierrec/lz4/v4"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

func connector(t testing.TB, k kind) sdk.Connector {
	t.Helper()
	for _, c := range Connectors() {
		if c.Name == "spool-"+string(k) {
			return c
		}
	}
	t.Fatalf("there is no connector for %s", k)
	return sdk.Connector{}
}

// spool is a set of directories.
type spool struct {
	t      testing.TB
	dir    string
	config map[string]string
}

func newSpool(t testing.TB, config map[string]string) *spool {
	t.Helper()
	s := &spool{t: t, dir: t.TempDir()}
	for _, d := range []string{"in", "done", "bad"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.config = map[string]string{
		"topic": "t", "input.path": s.dir + "/in", "finished.path": s.dir + "/done", "error.path": s.dir + "/bad", "input.file.pattern": ".*", "empty.poll.wait.ms": "5",
	}
	for k, v := range config {
		s.config[k] = v
	}
	return s
}

// put makes a file appear whole.
func (s *spool) put(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "in", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// files lists a directory.
func (s *spool) files(dir string) (out []string) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, err := filepath.Rel(s.dir, path)
			out = append(out, rel)
			return err
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// settled waits until the files are where they are wanted.
func (s *spool) settled(want ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // a condition on the disk
		got := s.files("")
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("files are %q, want %q", got, want)
		}
	}
}

func values(records []sdktest.Record) (out []string) {
	for _, r := range records {
		v, err := r.Value.Value()
		if err != nil {
			v = err.Error()
		}
		k, err := r.Key.Value()
		if err != nil {
			k = err.Error()
		}
		text := data.Text(v)
		if k != nil {
			text = data.Text(k) + " " + text
		}
		out = append(out, text)
	}
	return out
}

const userSchema = `{"name":"User","type":"STRUCT","isOptional":false,"fieldSchemas":{"id":{"type":"INT64","isOptional":false},"name":{"type":"STRING","isOptional":true},` +
	`"at":{"name":"org.apache.kafka.connect.data.Timestamp","type":"INT64","version":1,"isOptional":true},` +
	`"price":{"name":"org.apache.kafka.connect.data.Decimal","type":"BYTES","version":1,"parameters":{"scale":"2"},"isOptional":true}}}`

const keySchema = `{"name":"UserKey","type":"STRUCT","isOptional":false,"fieldSchemas":{"id":{"type":"INT64","isOptional":false}}}`

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   kind
		config map[string]string
		file   string
		want   []string
	}{
		{"csv, generated", csvFiles, map[string]string{"schema.generation.enabled": "true", "csv.first.row.as.header": "true", "schema.generation.key.fields": "id"},
			"id,name\n1,x\n2,\"a \"\"b\"\"\nc\"\n", []string{"Struct{id=1} Struct{id=1,name=x}", "Struct{id=2} Struct{id=2,name=a \"b\"\nc}"}},
		{"csv, inferred", csvFiles, map[string]string{"schema.generation.enabled": "true", "schema.generation.types": "infer", "csv.separator.char": "59"},
			"1;1.5;true;007;2024-01-02;2024-01-02 03:04:05;x\n2;;FALSE;1;2024-01-03;;\n", []string{
				"Struct{column01=1,column02=1.5,column03=true,column04=007,column05=19724,column06=1704164645000,column07=x}",
				"Struct{column01=2,column03=false,column04=1,column05=19725,column07=}"}},
		{"csv, declared", csvFiles, map[string]string{"value.schema": userSchema, "key.schema": keySchema, "csv.first.row.as.header": "true", "csv.null.field.indicator": "EMPTY_SEPARATORS",
			"parser.timestamp.date.formats": "dd.MM.yyyy HH:mm"},
			"\xef\xbb\xbfPRICE, ID,extra,name,at\r\n1.5,7,?,,02.01.2024 03:04\r\n,8,?,\"\",\r\n", []string{"Struct{id=7} Struct{id=7,at=1704164640000,price=1.50}", "Struct{id=8} Struct{id=8,name=}"}},
		{"csv, by place", csvFiles, map[string]string{"value.schema": userSchema, "csv.skip.lines": "1", "csv.quote.char": "39"}, "junk\n1,'it\\'s',,2\n", []string{"Struct{id=1,name=it's,price=2.00}"}},
		{"csv of another charset", csvFiles, map[string]string{"schema.generation.enabled": "true", "csv.file.charset": "ISO-8859-1"}, "\xe4\n", []string{"Struct{column01=ä}"}},
		{"json, declared", jsonFiles, map[string]string{"value.schema": userSchema}, "{\"id\":1,\n \"name\":\"x\",\"more\":{}}\n{\"id\":2}", []string{"Struct{id=1,name=x}", "Struct{id=2}"}},
		{"json, inferred", jsonFiles, map[string]string{"schema.generation.enabled": "true"}, `{"b":1,"a":"x"} {"b":1.5,"c":null,"d":true}`, []string{"Struct{a=x,b=1.0}", "Struct{b=1.5,d=true}"}},
		{"json without schema", anyJSONFiles, nil, "{\"a\": [1,\n2]}\n\"x\" 3", []string{"{\"a\": [1,\n2]}", `"x"`, "3"}},
		{"lines", lineFiles, nil, "a\r\n\nlast", []string{"a", "", "last"}},
		{"nothing", csvFiles, map[string]string{"schema.generation.enabled": "true", "csv.first.row.as.header": "true"}, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpool(t, tt.config)
			s.put("f", tt.file)
			r := sdktest.StartSource(t, connector(t, tt.kind), s.config, nil)
			got := values(r.Take(len(tt.want)))
			if !slices.Equal(got, tt.want) {
				t.Errorf("records are %q, want %q", got, tt.want)
			}
			s.acknowledged(r, "done/f")
		})
	}
}

// acknowledged acknowledges what comes until the files are where they are
// wanted: the end of a file may come after its last record.
func (s *spool) acknowledged(r *sdktest.SourceRun, want ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if more := r.TakeFor(10 * time.Millisecond); len(more) > 0 {
			s.t.Fatalf("records %q come as well", values(more))
		}
		r.Acknowledge()
		if slices.Equal(s.files(""), want) {
			return
		}
	}
	s.t.Fatalf("files are %q, want %q", s.files(""), want)
}

func TestContainers(t *testing.T) {
	schema := data.NewStructBuilder().Name("R").Field("id", data.Int64Schema).Field("at", data.TimestampSchema).MustBuild()
	var want []string
	for k, f := range map[kind]format.Format{avroFiles: format.Avro{Codec: "deflate", Level: -1}, parquetFiles: format.Parquet{Codec: "snappy"}} {
		var file bytes.Buffer
		w, err := f.Open(&file, schema)
		if err != nil {
			t.Fatal(err)
		}
		want = nil
		for i := range int64(50) {
			v := data.NewStruct(schema)
			if err := errors.Join(v.Put("id", i), v.Put("at", 1000*i)); err != nil {
				t.Fatal(err)
			}
			d, err := data.NewDatum(schema, v)
			if err := errors.Join(err, w.Prepare(d), w.Append()); err != nil {
				t.Fatal(err)
			}
			want = append(want, data.Text(v))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s := newSpool(t, map[string]string{"timestamp.mode": "FIELD", "timestamp.field": "at", "batch.size": "20"})
		s.put("f."+string(k), file.String())
		r := sdktest.StartSource(t, connector(t, k), s.config, nil)
		records := r.Take(50)
		if got := values(records); !slices.Equal(got, want) || records[7].Timestamp != 7000 {
			t.Errorf("%s: records are %q at %d", k, got, records[7].Timestamp)
		}
		s.acknowledged(r, "done/f."+string(k))
	}
}

// TestMovedWhenStored holds that a file stays until its last offset is stored,
// and that one which was stored and not moved is moved, and not read again.
func TestMovedWhenStored(t *testing.T) {
	s := newSpool(t, nil)
	s.put("a.txt", "1\n2\n3\n")
	stored := sdktest.Offsets{}
	r := sdktest.StartSource(t, connector(t, lineFiles), s.config, nil)
	records := r.Take(3)
	if more := r.TakeFor(50 * time.Millisecond); len(more) > 0 || !slices.Equal(s.files(""), []string{"in/a.txt"}) {
		t.Fatalf("%d records come again; files are %q", len(more), s.files(""))
	}
	r.Close() // a crash, after everything was stored
	stored.Apply(records)
	if !strings.Contains(fmt.Sprint(stored), `"done":true`) {
		t.Fatalf("the offset is %v", stored)
	}
	r = sdktest.StartSource(t, connector(t, lineFiles), s.config, stored)
	s.settled("done/a.txt")
	// Another file of the name is another file.
	s.put("a.txt", "4\n")
	if got := values(r.Take(1)); got[0] != "4" {
		t.Errorf("records are %q", got)
	}
	s.acknowledged(r, "done/a.1.txt", "done/a.txt")
}

func TestResumesWithinAFile(t *testing.T) {
	s := newSpool(t, map[string]string{"batch.size": "2", "schema.generation.enabled": "true", "csv.first.row.as.header": "true"})
	s.put("a.csv", "x\n1\n2\n3\n4\n5\n")
	r := sdktest.StartSource(t, connector(t, csvFiles), s.config, nil)
	stored := sdktest.Offsets{}
	stored.Apply(r.Take(4))
	r.Close()
	r = sdktest.StartSource(t, connector(t, csvFiles), s.config, stored)
	if got := values(r.Take(1)); got[0] != "Struct{x=5}" {
		t.Errorf("after a restart comes %q", got)
	}
	r.Close()
	// The offsets of the Java connector have a number alone.
	r = sdktest.StartSource(t, connector(t, csvFiles), s.config, sdktest.Offsets{`{"fileName":"a.csv"}`: `{"offset":3}`})
	if got := values(r.Take(2)); got[0] != "Struct{x=4}" {
		t.Errorf("from an offset of Java on comes %q", got)
	}
}

func TestBadFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		kind    kind
		config  map[string]string
		content string
		good    int
		err     string
	}{
		"width":      {csvFiles, map[string]string{"schema.generation.enabled": "true"}, "a,b\nc\n", 1, "a record has 1 values where 2 are expected"},
		"type":       {csvFiles, map[string]string{"value.schema": userSchema}, "1,a,,\nx,b,,\n", 1, `field id: "x" is not a whole number`},
		"quote":      {csvFiles, map[string]string{"schema.generation.enabled": "true"}, "a\n\"b\nc\n", 1, "a quoted value does not end"},
		"header":     {csvFiles, map[string]string{"value.schema": userSchema, "csv.first.row.as.header": "true"}, "name\nx\n", 0, `no column "id"`},
		"json":       {jsonFiles, map[string]string{"value.schema": userSchema}, `{"id":1}{"id":"x"}`, 1, "id: JSON text where the schema is int64"},
		"mixed":      {jsonFiles, map[string]string{"schema.generation.enabled": "true"}, `{"id":1}{"id":"x"}`, 0, "a number in one object and text in another"},
		"nested":     {jsonFiles, map[string]string{"schema.generation.enabled": "true"}, `{"id":{}}`, 0, "set value.schema"},
		"avro":       {avroFiles, nil, "Obj\x02", 0, "no Avro object container"},
		"parquet":    {parquetFiles, nil, "PAR1 and no more PAR1", 0, "parquet"},
		"unfinished": {anyJSONFiles, nil, `1 {"a"`, 1, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpool(t, tt.config)
			s.put("f", tt.content)
			r := sdktest.StartSource(t, connector(t, tt.kind), s.config, nil)
			if err := r.Fail(); !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.err)) || !strings.Contains(err.Error(), "halt.on.error") {
				t.Errorf("the task fails with %v", err)
			}
			r.Close()
			s.config["halt.on.error"] = "false"
			s.put("g", "")
			r = sdktest.StartSource(t, connector(t, tt.kind), s.config, nil)
			r.Take(tt.good)
			if tt.kind == avroFiles || tt.kind == parquetFiles { // of which nothing is no file either
				s.acknowledged(r, "bad/f", "bad/g")
				return
			}
			s.acknowledged(r, "bad/f", "done/g")
		})
	}
}

func TestWrittenWhileRead(t *testing.T) {
	s := newSpool(t, map[string]string{"batch.size": "1"})
	s.put("a", "1\n2\n")
	c := connector(t, lineFiles)
	cfg, problems := c.Source.ConfigDef().Parse(s.config)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	opened, err := c.Source.Open(t.Context(), cfg, noOffsets{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	task := opened.(*task)
	if err := task.PollBatch(t.Context(), &data.Batch{}); err != nil {
		t.Fatal(err)
	}
	s.put("a", "1\n2\n3\n")
	for err == nil {
		err = task.PollBatch(t.Context(), &data.Batch{})
	}
	if !strings.Contains(err.Error(), "written to while it was read") {
		t.Errorf("the error is %v", err)
	}
}

func TestOrderTasksAndPolicies(t *testing.T) {
	s := newSpool(t, map[string]string{"files.sort.attributes": "LengthDesc, NameAsc", "input.path.walk.recursively": "true", "cleanup.policy": "MOVEBYDATE", "cleanup.policy.maintain.relative.path": "true"})
	s.put("b", "b\n")
	s.put("sub/a", "a\n")
	s.put("c", "cc\n")
	s.put("d.PROCESSING", "no\n")
	for _, name := range []string{"b", "sub/a", "c"} {
		if err := os.Chtimes(filepath.Join(s.dir, "in", name), time.Time{}, time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	r := sdktest.StartSource(t, connector(t, lineFiles), s.config, nil)
	records := r.Take(3)
	if got := values(records); !slices.Equal(got, []string{"cc", "b", "a"}) {
		t.Errorf("the order is %q", got)
	}
	if text := records[2].Text(); !strings.Contains(text, "file.relative.path=sub/a") || !strings.Contains(text, "file.length=2") || !strings.Contains(text, "file.offset=0") {
		t.Errorf("record is %s", text)
	}
	s.acknowledged(r, "done/2024-01-02/b", "done/2024-01-02/c", "done/2024-01-02/sub/a", "in/d.PROCESSING")

	for policy, left := range map[string][]string{"NONE": {"in/a"}, "DELETE": nil} {
		s := newSpool(t, map[string]string{"cleanup.policy": policy})
		s.put("a", "1\n")
		r := sdktest.StartSource(t, connector(t, lineFiles), s.config, nil)
		r.Take(1)
		s.acknowledged(r, left...)
		if more := r.TakeFor(30 * time.Millisecond); len(more) > 0 {
			t.Errorf("%s: %d records come again", policy, len(more))
		}
	}
	cfg, _ := Source{kind: lineFiles}.ConfigDef().Parse(s.config)
	plans, err := Source{kind: lineFiles}.Plan(t.Context(), cfg, 3)
	if err != nil || len(plans) != 3 || plans[2]["task.index"] != "2" || plans[2]["task.count"] != "3" {
		t.Errorf("plans are %v, %v", plans, err)
	}
	if hashOf("abc") != 96354 {
		t.Errorf("hash is %d", hashOf("abc"))
	}
}

func TestCompressedByName(t *testing.T) {
	s := newSpool(t, nil)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte("x\ny\n"))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	s.put("a.txt.gz", b.String())
	b.Reset()
	l := lz4.NewWriter(&b)
	_, err = l.Write([]byte("z\n"))
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	s.put("b.txt.lz4", b.String())
	r := sdktest.StartSource(t, connector(t, lineFiles), s.config, nil)
	if got := values(r.Take(3)); !slices.Equal(got, []string{"x", "y", "z"}) {
		t.Errorf("records are %q", got)
	}
	s.put("c.txt.xz", "\xfd7zXZ\x00")
	if err := r.Fail(); !strings.Contains(err.Error(), "files ending in .xz are not read") {
		t.Errorf("the task fails with %v", err)
	}
}

func TestConformance(t *testing.T) {
	for _, c := range Connectors() {
		if err := c.Source.ConfigDef().Check(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	s := newSpool(t, map[string]string{"schema.generation.enabled": "true", "csv.first.row.as.header": "true", "name": "s", "connector.class": "SpoolDirCsvSource", "batch.size": "7", "cleanup.policy": "NONE"})
	var text strings.Builder
	text.WriteString("n,name\n")
	for i := range 30 {
		fmt.Fprintf(&text, "%d,row %d\n", i, i)
	}
	s.put("a.csv", text.String())
	with := func(key, value string) map[string]string {
		out := map[string]string{}
		for k, v := range s.config {
			out[k] = v
		}
		out[key] = value
		return out
	}
	sdktest.TestSource(t, sdktest.Source{
		Connector: connector(t, csvFiles),
		Config:    func(testing.TB) map[string]string { return s.config },
		Records:   30,
		BadConfigs: map[string]map[string]string{
			"no schema": with("schema.generation.enabled", "false"), "no such expression": with("input.file.pattern", "(?=x)"), "no such charset": with("csv.file.charset", "x"),
			"no such format": with("parser.timestamp.date.formats", "QQ"), "no schema's JSON": with("value.schema", "{"), "bad files where they would be found again": with("error.path", s.dir+"/in"),
			"a field for no mode": with("timestamp.field", "x"),
		},
		Text: func(r sdktest.Record) string { return r.Text() },
	})
}

type noOffsets struct{}

func (noOffsets) Offset(context.Context, map[string]any) (sdk.Offset, error) { return nil, nil }
func (noOffsets) Offsets(_ context.Context, p []map[string]any) ([]sdk.Offset, error) {
	return make([]sdk.Offset, len(p)), nil
}
