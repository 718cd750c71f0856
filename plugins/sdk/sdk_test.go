package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func TestMapsKeepTheirText(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":1,"b":"x"}`, `{"lsn":9223372036854775807,"none":null,"ok":true}`, `{"f":1.5,"h":"<&>"}`,
	} {
		m, err := DecodeMap([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		back, err := EncodeMap(m)
		if err != nil || string(back) != text {
			t.Errorf("%s came back as %s, error %v", text, back, err)
		}
	}
	if m, err := DecodeMap([]byte(`{"n":12345678901234567890}`)); err != nil || m["n"] != 12345678901234567890.0 {
		t.Errorf("a number beyond 64 bits is read as %v, error %v", m, err)
	}
	for _, text := range []string{`[1]`, `{"a":1}{}`, `{`, `"x"`, `7`} {
		if m, err := DecodeMap([]byte(text)); err == nil {
			t.Errorf("%s was read as %v", text, m)
		}
	}
	if m, err := DecodeMap(nil); m != nil || err != nil {
		t.Errorf("nothing was read as %v, error %v", m, err)
	}
	if _, err := EncodeMap(map[string]any{"a": []int{1}}); err == nil || !strings.Contains(err.Error(), `"a" is a []int`) {
		t.Errorf("error is %v", err)
	}
}

func TestOffsetGetters(t *testing.T) {
	o := Offset{"i": int64(7), "n": 8, "f": 9.0, "frac": 9.5, "s": "x", "b": true, "huge": math.MaxFloat64}
	for name, want := range map[string]int64{"i": 7, "n": 8, "f": 9, "frac": 0, "s": 0, "none": 0, "huge": 0} {
		if got := o.Int64(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if o.String("s") != "x" || o.String("i") != "" || !o.Bool("b") || o.Bool("s") || Offset(nil).Int64("x") != 0 {
		t.Error("a getter returns something else")
	}
}

func TestRecordsBecomeData(t *testing.T) {
	s := data.NewStructBuilder().Field("id", data.NewBuilder(data.TypeInt64).MustBuild()).MustBuild()
	st := data.NewStruct(s)
	if err := st.Put("id", int64(5)); err != nil {
		t.Fatal(err)
	}
	b := &data.Batch{}
	for _, r := range []Record{
		{Topic: "t", Key: int64(1), Value: st, Headers: []Header{{Name: "h", Value: "v"}}, Timestamp: time.UnixMilli(123)},
		{Topic: "t", KeySchema: data.NewBuilder(data.TypeString).MustBuild(), Key: "k", TopicPartition: ToPartition(0),
			Partition: map[string]any{"p": 1}, Offset: Offset{"o": 2}},
		{Topic: "t", Partition: map[string]any{"p": 1}},
	} {
		if err := appendRecord(b, &r); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := b.Records[0], b.Records[1], b.Records[2]
	if first.Key.Schema != nil || first.Value.Schema != s || first.Timestamp != 123 || first.Partition != data.NoPartition ||
		first.Position != data.NoPosition || first.Headers[0].Name != "h" {
		t.Errorf("the first record is %+v", first)
	}
	if !second.Value.IsNull() || second.Value.Schema != nil || second.Partition != 0 || second.Timestamp != data.NoTimestamp ||
		string(b.Positions[second.Position].Offset) != `{"o":2}` {
		t.Errorf("the second record is %+v", second)
	}
	if p := b.Positions[third.Position]; p.Offset != nil || string(p.Partition) != `{"p":1}` {
		t.Errorf("the third record removes the offset by %+v", p)
	}
	for want, r := range map[string]Record{
		"without a topic":             {Value: 1},
		"partition -1 is negative":    {Topic: "t", TopicPartition: ToPartition(-1)},
		"value of a record to t":      {Topic: "t", ValueSchema: s, Value: "text"},
		"key of a record to t":        {Topic: "t", Key: make(chan int)},
		`header "h" of a record to t`: {Topic: "t", Headers: []Header{{Name: "h", Value: struct{}{}}}},
		"source partition":            {Topic: "t", Partition: map[string]any{"p": []int{}}},
		"source offset":               {Topic: "t", Partition: map[string]any{}, Offset: Offset{"o": struct{}{}}},
	} {
		if err := appendRecord(b, &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}

func TestErrorsKeepTheirClass(t *testing.T) {
	base := errors.New("base")
	if after, ok := retryable(fmt.Errorf("poll: %w", Retry(base, time.Second))); !ok || after != time.Second {
		t.Errorf("a wrapped retry is %v, %v", after, ok)
	}
	for _, err := range []error{base, Fatal(Retry(base, 0)), RecordError(1, base)} {
		if _, ok := retryable(err); ok {
			t.Errorf("%v is retried", err)
		}
	}
	if Retry(nil, 0) != nil || Fatal(nil) != nil || RecordError(0, nil) != nil {
		t.Error("no error becomes one")
	}
	if !errors.Is(Retry(base, 0), base) {
		t.Error("the cause is lost")
	}
}

func TestRetryWait(t *testing.T) {
	for _, tt := range []struct {
		failures    int
		asked, want time.Duration
	}{
		{1, 0, firstRetry}, {2, 0, 2 * firstRetry}, {5, 0, 16 * firstRetry}, {1000, 0, lastRetry}, {0, 0, firstRetry},
		{7, 3 * time.Second, 3 * time.Second},
	} {
		if got := retryWait(tt.failures, tt.asked); got != tt.want {
			t.Errorf("after %d failures that ask for %v: %v, want %v", tt.failures, tt.asked, got, tt.want)
		}
	}
}

type noSource struct{ def ConfigDef }

func (s noSource) ConfigDef() ConfigDef { return s.def }

func (noSource) Open(context.Context, Config, OffsetReader) (Task, error) {
	return UnimplementedTask{}, nil
}

func TestMistakesOfThePluginAreReported(t *testing.T) {
	good := Connector{Name: "a", Classes: []string{"A"}, Source: noSource{}}
	with := func(change func(*Connector)) Connector {
		c := good
		change(&c)
		return c
	}
	for want, list := range map[string][]Connector{
		"needs a connector":            {},
		"connector 1 has no name":      {with(func(c *Connector) { c.Name = "" })},
		"either a source or a sink":    {with(func(c *Connector) { c.Source = nil })},
		"answers to no class":          {with(func(c *Connector) { c.Classes = nil })},
		`class "A" belongs to a and b`: {good, with(func(c *Connector) { c.Name = "b" })},
		"unknown type":                 {with(func(c *Connector) { c.Source = noSource{ConfigDef{{Name: "x", Type: "duration"}}} })},
	} {
		if err := check(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
		if err := Run(list...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run says %v, want %q in it", err, want)
		}
	}
	if err := Run(good); !errors.Is(err, ErrNoWorker) {
		t.Errorf("started by hand it says %v", err)
	}
}

func TestCommonKeysNeedNoDefinition(t *testing.T) {
	c := Connector{Name: "a", Source: noSource{ConfigDef{{Name: "topics", Type: String, Default: "mine"}}}}
	cfg, err := c.parse(map[string]string{"name": "n", "tasks.max": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.String("name") != "n" || cfg.Int("tasks.max") != 3 || cfg.String("topics") != "mine" {
		t.Error("a common key is not there, or hides the connector's own")
	}
	if len(c.description().Config) != 1 {
		t.Error("the common keys are described as the connector's")
	}
}

func TestManifest(t *testing.T) {
	var b strings.Builder
	c := Connector{Name: "a", Version: "2", Classes: []string{"A"}, Source: noSource{}}
	if err := writeManifest(&b, []Connector{c}); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(b.String()), &m); err != nil || m["name"] != "a" || m["kind"] != "source" || m["protocol"] != 1.0 {
		t.Errorf("manifest is %s, error %v", b.String(), err)
	}
}

func FuzzDecodeMap(f *testing.F) {
	f.Add([]byte(`{"a":1.5,"b":[{"c":null}],"d":1e400}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := DecodeMap(text)
		if err != nil {
			return
		}
		for _, v := range m {
			switch v.(type) {
			case nil, bool, string, int64, float64, map[string]any, []any:
			default:
				t.Errorf("a value is a %T", v)
			}
		}
	})
}
