package filesink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

var schema = data.NewStructBuilder().Name("R").Field("id", data.Int64Schema).Field("who", data.OptionalStringSchema).MustBuild()

// record is record n of a partition, which goes by its name into a directory
// where a FieldPartitioner says so.
func record(t testing.TB, partition int32, n int64, who any) data.Record {
	t.Helper()
	v := data.NewStruct(schema)
	if err := errors.Join(v.Put("id", n), v.Put("who", who)); err != nil {
		t.Fatal(err)
	}
	r := sdktest.LogRecord(t, "t", partition, n, schema, v)
	r.Timestamp = 1_700_000_000_000 + n*60_000
	return r
}

func tp(partition int32) sdk.TopicPartition {
	return sdk.TopicPartition{Topic: "t", Partition: partition}
}

// lines returns what visible files hold, by their names, and fails the test if
// there is a hidden one unless they may be.
func lines(t testing.TB, dir string, hidden bool) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, relErr := filepath.Rel(dir, path)
		if d.Name()[0] != '.' {
			out[name] = string(b)
		} else if !hidden {
			t.Errorf("%s is left", name)
		}
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func config(dir string, more map[string]string) map[string]string {
	out := map[string]string{"name": "s", "connector.class": "DirectorySink", "topics": "t", "directory": dir, "rotate.max.records": "3"}
	maps.Copy(out, more)
	return out
}

func TestRotatesAndCommits(t *testing.T) {
	dir := t.TempDir()
	r := sdktest.StartSink(t, Connectors()[0], config(dir, nil))
	r.Assign(sdk.Offsets{tp(0): 0, tp(1): 100})
	for n := range int64(7) {
		r.MustPut(record(t, 0, n, "x"), record(t, 1, 100+2*n, nil)) // with gaps between
	}
	got := r.PreCommit(sdk.Offsets{tp(0): 7, tp(1): 113})
	if got[tp(0)] != 6 || got[tp(1)] != 111 {
		t.Errorf("offsets to commit are %v", got)
	}
	files := lines(t, dir, true)
	want := map[string]string{
		"t/partition=0/t+0+0000000000+0000000003.json": "{\"id\":0,\"who\":\"x\"}\n{\"id\":1,\"who\":\"x\"}\n{\"id\":2,\"who\":\"x\"}\n",
		"t/partition=0/t+0+0000000003+0000000006.json": "{\"id\":3,\"who\":\"x\"}\n{\"id\":4,\"who\":\"x\"}\n{\"id\":5,\"who\":\"x\"}\n",
		"t/partition=1/t+1+0000000100+0000000105.json": "{\"id\":100,\"who\":null}\n{\"id\":102,\"who\":null}\n{\"id\":104,\"who\":null}\n",
		"t/partition=1/t+1+0000000106+0000000111.json": "{\"id\":106,\"who\":null}\n{\"id\":108,\"who\":null}\n{\"id\":110,\"who\":null}\n",
	}
	if !maps.Equal(files, want) {
		t.Errorf("files are %q", files)
	}
	r.Revoke(false, tp(0))
	r.Close()
	if left := lines(t, dir, false); len(left) != 4 {
		t.Errorf("files are %q", left)
	}
}

func TestRotatesByTimeAndBytes(t *testing.T) {
	dir := t.TempDir()
	r := sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{"rotate.interval.ms": "20", "rotate.max.records": "1000"}))
	r.Assign(sdk.Offsets{tp(0): 0})
	r.MustPut(record(t, 0, 0, "x"))
	for deadline := time.Now().Add(10 * time.Second); len(lines(t, dir, true)) == 0; {
		if r.MustPut(); time.Now().After(deadline) {
			t.Fatal("the file is not ended")
		}
	}
	r.Close()
	dir = t.TempDir()
	r = sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{"rotate.max.bytes": "100", "rotate.max.records": "1000"}))
	r.Assign(sdk.Offsets{tp(0): 0})
	r.MustPut(record(t, 0, 0, strings.Repeat("x", 60)), record(t, 0, 1, strings.Repeat("x", 60)))
	if len(lines(t, dir, true)) != 1 {
		t.Errorf("files are %q", lines(t, dir, true))
	}
}

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		format, compression, extension string
		read                           func([]byte) string
	}{
		{"json", "gzip", ".json.gz", func(b []byte) string {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return err.Error()
			}
			b, err = io.ReadAll(z)
			return string(b) + fmt.Sprint(err)
		}},
		{"csv", "none", ".csv", func(b []byte) string { return string(b) }},
		{"string", "none", ".txt", func(b []byte) string { return string(b) }},
		{"avro", "zstd", ".avro", func(b []byte) string {
			r, err := read.Open(read.Avro, "", read.Options{}, bytes.NewReader(b))
			out := fmt.Sprint(err)
			for err == nil {
				var d data.Datum
				if d, err = r.Next(); err == nil {
					v, err := d.Value()
					out += data.Text(v) + fmt.Sprint(err)
				}
			}
			return out
		}},
		{"parquet", "lz4", ".lz4raw.parquet", func(b []byte) string {
			rows, err := parquet.Read[struct {
				ID  int64  `parquet:"id"`
				Who string `parquet:"who,optional"`
			}](bytes.NewReader(b), int64(len(b)))
			return fmt.Sprint(rows, err)
		}},
	} {
		dir := t.TempDir()
		r := sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{"format": tt.format, "compression": tt.compression}))
		r.Assign(sdk.Offsets{tp(0): 0})
		r.MustPut(record(t, 0, 0, `a,"b"`), record(t, 0, 1, nil), record(t, 0, 2, ""))
		want := map[string]string{
			"json": "{\"id\":0,\"who\":\"a,\\\"b\\\"\"}\n{\"id\":1,\"who\":null}\n{\"id\":2,\"who\":\"\"}\n<nil>", "csv": "id,who\n0,\"a,\"\"b\"\"\"\n1,\n2,\"\"\n",
			"string": "Struct{id=0,who=a,\"b\"}\nStruct{id=1}\nStruct{id=2,who=}\n", "avro": "<nil>Struct{id=0,who=a,\"b\"}<nil>Struct{id=1}<nil>Struct{id=2,who=}<nil>",
			"parquet": `[{0 a,"b"} {1 } {2 }] <nil>`,
		}[tt.format]
		got := lines(t, dir, true)["t/partition=0/t+0+0000000000+0000000003"+tt.extension]
		if text := tt.read([]byte(got)); text != want {
			t.Errorf("%s: %q, want %q", tt.format, text, want)
		}
	}
}

func TestPartitionsByFieldAndTime(t *testing.T) {
	dir := t.TempDir()
	r := sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{
		"partitioner.class": "FieldPartitioner", "partition.field.name": "who", "errors.tolerance": "all",
	}))
	r.Assign(sdk.Offsets{tp(0): 0})
	r.MustPut(record(t, 0, 0, "a"), record(t, 0, 1, "../../../etc"), record(t, 0, 2, "b"), record(t, 0, 3, "a"))
	want := []string{"t/who=a/t+0+0000000000+0000000004.json", "t/who=b/t+0+0000000002+0000000004.json"}
	if got := slices.Sorted(maps.Keys(lines(t, dir, true))); !slices.Equal(got, want) {
		t.Errorf("files are %q", got)
	}
	if errant := r.Events().Errant[tp(0)]; !slices.Equal(errant, []int64{1}) {
		t.Errorf("records set aside are %v", errant)
	}
	r.Close()
	dir = t.TempDir()
	r = sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{"partitioner.class": "HourlyPartitioner"}))
	r.Assign(sdk.Offsets{tp(0): 0})
	r.MustPut(record(t, 0, 0, "a"), record(t, 0, 1, "b"), record(t, 0, 50, "b"))
	if got := slices.Sorted(maps.Keys(lines(t, dir, true))); len(got) != 2 || !strings.HasPrefix(got[0], "t/year=2023/month=11/day=14/hour=22/") {
		t.Errorf("files are %q", got)
	}
}

// fullDisk is a disk that is full for some time.
type fullDisk struct {
	disk
	at   string // what fails: create, write, sync, rename or syncDir
	left *int   // how often
}

func (d fullDisk) fails(op string) error {
	if d.at != op || *d.left == 0 {
		return nil
	}
	*d.left--
	return &os.PathError{Op: op, Path: "file", Err: syscall.ENOSPC}
}

func (d fullDisk) create(path string) (file, error) {
	if err := d.fails("create"); err != nil {
		return nil, err
	}
	f, err := d.disk.create(path)
	return fullFile{f, d}, err
}

func (d fullDisk) rename(from, to string) error {
	if err := d.fails("rename"); err != nil {
		return err
	}
	return d.disk.rename(from, to)
}

func (d fullDisk) syncDir(path string) error {
	if err := d.fails("syncDir"); err != nil {
		return err
	}
	return d.disk.syncDir(path)
}

type fullFile struct {
	file
	disk fullDisk
}

func (f fullFile) Write(p []byte) (int, error) {
	if err := f.disk.fails("write"); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

func (f fullFile) Sync() error {
	if err := f.disk.fails("sync"); err != nil {
		return err
	}
	return f.file.Sync()
}

// TestFullDisk fails each step of a rotation, in two directories, twice. The
// records are read again, and each is in one file in the end.
func TestFullDisk(t *testing.T) {
	for _, at := range []string{"create", "write", "sync", "rename", "syncDir"} {
		t.Run(at, func(t *testing.T) {
			dir, left := t.TempDir(), 2
			c := Connectors()[0]
			c.Sink = Sink{fs: fullDisk{at: at, left: &left}}
			r := sdktest.StartSink(t, c, config(dir, map[string]string{"partitioner.class": "FieldPartitioner", "partition.field.name": "who", "rotate.max.records": "4", "retry.backoff.ms": "1"}))
			r.Assign(sdk.Offsets{tp(0): 0})
			next, failures := int64(0), 0
			for tries := 0; next < 8; tries++ {
				if tries > 100 {
					t.Fatalf("%s: no end after %d failures", at, failures)
				}
				_, err := r.Put(record(t, 0, next, []string{"a", "b"}[next%2]))
				if err == nil {
					if rewound, ok := r.Events().Rewind[tp(0)]; ok && next > rewound && failures > 0 {
						delete(r.Events().Rewind, tp(0))
						next = rewound
						continue
					}
					next++
					continue
				}
				if failures++; !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), dir) {
					t.Fatalf("%s: the error is %v", at, err)
				}
				if e := (*sdk.Error)(nil); !errors.As(err, &e) || !e.SafeToRetry() {
					t.Fatalf("%s: the error is not transient: %v", at, err)
				}
			}
			if got := r.PreCommit(sdk.Offsets{tp(0): 8})[tp(0)]; got != 8 || failures != 2 {
				t.Errorf("%s: after %d failures %d is committed", at, failures, got)
			}
			checkOnce(t, dir, 8)
			r.Close()
		})
	}
}

// checkOnce holds that each record is in one line of one file.
func checkOnce(t testing.TB, dir string, n int) {
	t.Helper()
	seen := make(map[string]int)
	for _, content := range lines(t, dir, true) {
		for line := range strings.Lines(content) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, `{"id":`), ",")
			seen[id]++
		}
	}
	for i := range n {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("record %d is in %d files", i, seen[fmt.Sprint(i)])
		}
	}
	if len(seen) != n {
		t.Errorf("%d records are in files, want %d", len(seen), n)
	}
}

// TestCrashes stops tasks at random, some after files were ended whose offset
// is not stored, and writes with other bounds in the next life. Each record is
// in one file in the end.
func TestCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	committed, life := int64(0), 0
	const total = 400
	for committed < total {
		life++
		bounds := []string{"5", "7", "13"}[rnd.IntN(3)]
		r := sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{
			"partitioner.class": "FieldPartitioner", "partition.field.name": "who", "rotate.max.records": bounds, "fsync": "never",
		}))
		r.Assign(sdk.Offsets{tp(0): committed})
		next := committed
		for range 1 + rnd.IntN(12) {
			var batch []data.Record
			for range 1 + rnd.IntN(9) {
				if next < total {
					batch = append(batch, record(t, 0, next, fmt.Sprint(next*7%3)))
					next++
				}
			}
			r.MustPut(batch...)
			if rnd.IntN(3) == 0 {
				committed = max(committed, r.PreCommit(sdk.Offsets{tp(0): next})[tp(0)])
			}
		}
		if next == total { // the last ones need a reason to be ended
			r.MustPut(record(t, 0, total+1000, "x"), record(t, 0, total+2000, "x"))
			r.Close()
			r = sdktest.StartSink(t, Connectors()[0], config(dir, map[string]string{"partitioner.class": "FieldPartitioner", "partition.field.name": "who", "rotate.max.records": "1", "fsync": "never"}))
			r.Assign(sdk.Offsets{tp(0): committed})
			for n := committed; n < total; n++ {
				r.MustPut(record(t, 0, n, fmt.Sprint(n*7%3)))
			}
			committed = total
		}
		r.Close()
		if life > 10000 {
			t.Fatalf("seed %d: no end", seed)
		}
	}
	ids := make(map[string]int)
	for name, content := range lines(t, dir, false) {
		for line := range strings.Lines(content) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, `{"id":`), ",")
			if ids[id]++; ids[id] > 1 {
				t.Errorf("seed %d: record %s is in %s as well", seed, id, name)
			}
		}
	}
	for i := range total {
		if ids[fmt.Sprint(i)] == 0 {
			t.Fatalf("seed %d: record %d is nowhere", seed, i)
		}
	}
}

func TestConformance(t *testing.T) {
	var records []data.Record
	var want []string
	for n := range int64(30) {
		records = append(records, record(t, 0, n, "x"))
		want = append(want, fmt.Sprintf(`{"id":%d,"who":"x"}`, n))
	}
	dir := t.TempDir()
	sdktest.TestSink(t, sdktest.Sink{
		Connector: Connectors()[0],
		Config: func(tb testing.TB) map[string]string {
			return config(tb.TempDir(), map[string]string{"rotate.max.records": "1"})
		},
		Records: records,
		Read: func(tb testing.TB, config map[string]string) (out []string) {
			files := lines(tb, config["directory"], true)
			for _, name := range slices.Sorted(maps.Keys(files)) {
				for line := range strings.Lines(files[name]) {
					out = append(out, strings.TrimSuffix(line, "\n"))
				}
			}
			return out
		},
		Want: want,
		BadConfigs: map[string]map[string]string{
			"no directory": config(filepath.Join(dir, "none"), nil), "no such partitioner": config(dir, map[string]string{"partitioner.class": "x"}),
			"a codec that Avro has not": config(dir, map[string]string{"format": "avro", "compression": "lz4"}), "a name": config(dir, map[string]string{"file": "x"}), "keep.days": config(dir, map[string]string{"keep.days": "7"}), "keep.files": config(dir, map[string]string{"keep.files": "7"}),
			"fsync": config(dir, map[string]string{"fsync": "always"}), "no fields": config(dir, map[string]string{"partitioner.class": "FieldPartitioner"}),
		},
	})
}
