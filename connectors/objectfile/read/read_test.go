package read

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hamba/avro/v2/ocf"

	"github.com/millrace/millrace/plugins/data"
)

const schemaText = `{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"n","type":["null","string"],"default":null}]}`

// container writes a file with a writer that is not ours.
func containerFile(t testing.TB, codec ocf.CodecName, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := ocf.NewEncoder(schemaText, &out, ocf.WithCodec(codec))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		v := map[string]any{"id": int64(i), "e": "B", "n": nil}
		if i%2 == 0 {
			v["n"] = "x"
		}
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func all(r Reader) (out []string, err error) {
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		v, err := d.Value()
		if err != nil {
			return out, err
		}
		out = append(out, data.Text(v))
	}
}

func TestContainersOfOthers(t *testing.T) {
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate, ocf.Snappy, ocf.ZStandard} {
		content := containerFile(t, codec, 1000)
		r, err := Open(Avro, "x.avro", Options{}, bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		got, err := all(r)
		if err != nil || len(got) != 1000 || got[3] != "Struct{id=3,e=B}" || got[4] != "Struct{id=4,e=B,n=x}" {
			t.Errorf("%s: %d records, %v, such as %q", codec, len(got), err, got[3:5])
		}
		for _, cut := range []int{0, 3, 50, len(content) - 5} {
			r, err := Open(Avro, "x.avro", Options{}, bytes.NewReader(content[:cut]))
			if err == nil {
				_, err = all(r)
			}
			if d := (*DataError)(nil); !errors.As(err, &d) {
				t.Errorf("%s, cut at %d: %v", codec, cut, err)
			}
		}
	}
}

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		name, content, separator string
		kind                     Kind
		want                     string
	}{
		{"JSON", "{\"a\":1}\n\"x\"\nnull\n", "", JSON, "[{a=1} x null]"},
		{"JSON without an end", "1\n2", "", JSON, "[1 2]"},
		{"bytes", "ab;c;;", ";", Bytes, "[YWI= Yw== ]"},
		{"longer separator", "a-b--c", "--", Bytes, "[YS1i Yw==]"},
		{"no separator", "a\nb", "", Bytes, "[YQpi]"},
		{"nothing", "", "\n", Bytes, "[]"},
	} {
		r, err := Open(tt.kind, "x", Options{Separator: tt.separator}, bytes.NewReader([]byte(tt.content)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := all(r)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %q, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

type broken struct{}

var errBroken = errors.New("connection broke")

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// TestConnectionsThatBreakAreNotBadData tells what may be read again from what
// is wrong for good.
func TestConnectionsThatBreakAreNotBadData(t *testing.T) {
	content := containerFile(t, ocf.Deflate, 1000)
	for _, name := range []string{"x.avro", "x.json", "x.json.gz"} {
		kind := JSON
		if name == "x.avro" {
			kind = Avro
		}
		var in io.Reader = broken{}
		if kind == Avro {
			in = io.MultiReader(bytes.NewReader(content[:len(content)/2]), broken{})
		}
		r, err := Open(kind, name, Options{Separator: "\n"}, in)
		if err == nil {
			_, err = all(r)
		}
		if d := (*DataError)(nil); !errors.Is(err, errBroken) || errors.As(err, &d) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzContainer(f *testing.F) {
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate, ocf.Snappy} {
		f.Add(containerFile(f, codec, 3))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := Open(Avro, "x.avro", Options{}, bytes.NewReader(content))
		for n := 0; err == nil && n < 100_000; n++ {
			_, err = r.Next()
		}
	})
}
