package converter

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func avroValue(t testing.TB, r Registry, props ...string) Converter {
	t.Helper()
	return make1(t, "io.confluent.connect.avro.AvroConverter", Value, r, append([]string{"schema.registry.url", "http://r"}, props...)...)
}

func TestAvroBytes(t *testing.T) {
	qty := data.NewStructBuilder().Name("q.Q").
		Field("qty", data.NewBuilder(data.TypeInt32).Optional().Default(int32(0)).MustBuild()).MustBuild()
	five := data.NewStruct(qty)
	if err := five.Put("qty", int32(5)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		s     *data.Schema
		v     any
		props []string
		want  string
	}{
		{"record", point, newPoint(t, 1, "a", data.NewDecimal(57, 2)), nil, "0000000001" + "0202026102" + "0239"},
		{"null field", point, newPoint(t, 1, nil, data.NewDecimal(57, 2)), nil, "0000000001" + "0200020239"},
		{"value", qty, five, nil, "0000000001" + "000a"},
		{"null becomes the default", qty, data.NewStruct(qty), nil, "0000000001" + "0000"},
		{"null stays", qty, data.NewStruct(qty), []string{"ignore.default.for.nullables", "true"}, "0000000001" + "02"},
		{"bytes", data.BytesSchema, []byte{0xde, 0xad}, nil, "0000000001" + "dead"},
		{"optional bytes", data.OptionalBytesSchema, []byte{0xde, 0xad}, nil, "0000000001" + "0204dead"},
		{"string", data.StringSchema, "hi", nil, "0000000001" + "046869"},
		{"array", data.ArrayOf(data.Int32Schema).MustBuild(), []any{int32(1), int32(2)}, nil, "0000000001" + "04020400"},
		{"no metadata passes too", data.Int8Schema, int8(1), []string{"connect.meta.data", "false"}, "0000000001" + "02"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry()
			c := avroValue(t, r, tt.props...)
			d := datum(t, tt.s, tt.v)
			for range 2 {
				got, _ := write(t, c, d)
				if hex.EncodeToString([]byte(got)) != tt.want {
					t.Fatalf("bytes are %x, want %s", got, tt.want)
				}
			}
			if r.calls != 1 {
				t.Errorf("the registry was asked %d times", r.calls)
			}
			raw, _ := hex.DecodeString(tt.want)
			back, err := c.ToConnect(t.Context(), "t", raw)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := write(t, avroValue(t, r, tt.props...), back)
			if tt.s.Name() == "" && again[5:] != string(raw[5:]) {
				t.Errorf("read and written again it is %x", again)
			}
		})
	}
}

func TestAvroTombstone(t *testing.T) {
	r := newRegistry()
	c := avroValue(t, r)
	for _, d := range []data.Datum{{}, datum(t, data.OptionalStringSchema, nil), {Schema: point, State: data.Null}} {
		if _, null := write(t, c, d); !null {
			t.Errorf("%+v is written as bytes", d)
		}
	}
	if r.calls != 0 {
		t.Errorf("a null asked the registry %d times", r.calls)
	}
	if d, err := c.ToConnect(t.Context(), "t", nil); err != nil || d.State != data.NullNoSchema {
		t.Errorf("nil reads as %+v, %v", d, err)
	}
}

func TestAvroEnum(t *testing.T) {
	text := `{"type":"record","name":"R","fields":[{"name":"s","type":{"type":"enum","name":"Suit","symbols":["A","B"]}},{"name":"n","type":["int","null"]}]}`
	r := newRegistry()
	id, err := r.Register(t.Context(), "t-value", text, kindAvro, false)
	if err != nil || id != 1 {
		t.Fatal(id, err)
	}
	c := avroValue(t, r, "enhanced.avro.schema.support", "true", "auto.register.schemas", "false", "use.latest.version", "true")
	raw := []byte{0, 0, 0, 0, 1, 2, 0, 14}
	d, err := c.ToConnect(t.Context(), "t", raw)
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Value()
	if err != nil {
		t.Fatal(err)
	}
	if s, _, _ := v.(*data.Struct).Text("s"); s != "B" {
		t.Errorf("the symbol reads as %q", s)
	}
	if version, ok := d.Schema.Version(); !ok || version != 1 {
		t.Errorf("the schema's version is %d, %v, want that of the subject", version, ok)
	}
	got, _ := write(t, c, d)
	if got != string(raw) {
		t.Errorf("written again it is %x, want %x", got, raw)
	}
	if _, err := c.ToConnect(t.Context(), "t", []byte{0, 0, 0, 0, 1, 8, 0, 14}); !asClass[*RecordError](err) {
		t.Errorf("a symbol out of range: %v", err)
	}
}

func TestAvroLatestVersion(t *testing.T) {
	r := newRegistry()
	latest := `{"type":"record","name":"Point","namespace":"p","fields":[{"name":"extra","type":"string","default":"e"},{"name":"name","type":["null","string"]},{"name":"id","type":"long"}]}`
	if _, err := r.Register(t.Context(), "t-value", latest, kindAvro, false); err != nil {
		t.Fatal(err)
	}
	d := datum(t, point, newPoint(t, 3, "x", nil))
	c := avroValue(t, r, "auto.register.schemas", "false", "use.latest.version", "true", "latest.cache.ttl.sec", "60")
	now := time.Unix(0, 0)
	c.(*avroConverter).now = func() time.Time { return now }
	if got, _ := write(t, c, d); hex.EncodeToString([]byte(got)) != "0000000001"+"0265"+"020278"+"06" {
		t.Errorf("bytes are %x", got)
	}
	second := `{"type":"record","name":"Point","namespace":"p","fields":[{"name":"id","type":"int"}]}`
	if _, err := r.Register(t.Context(), "t-value", second, kindAvro, false); err != nil {
		t.Fatal(err)
	}
	if got, _ := write(t, c, d); got[4] != 1 {
		t.Errorf("within the time to live id %d is used", got[4])
	}
	now = now.Add(61 * time.Second)
	if got, _ := write(t, c, d); hex.EncodeToString([]byte(got)) != "0000000002"+"06" {
		t.Errorf("afterwards the bytes are %x", got)
	}
	// Registering comes before the latest version, as in Confluent's.
	c = avroValue(t, r, "use.latest.version", "true")
	if got, _ := write(t, c, d); got[4] != 3 {
		t.Errorf("with auto.register id %d is used", got[4])
	}
	c = avroValue(t, r, "auto.register.schemas", "false", "use.schema.id", "2")
	if got, _ := write(t, c, d); hex.EncodeToString([]byte(got)) != "0000000002"+"06" {
		t.Errorf("with use.schema.id the bytes are %x", got)
	}
	bad := `{"type":"record","name":"Point","namespace":"p","fields":[{"name":"missing","type":"int"}]}`
	if _, err := r.Register(t.Context(), "t-value", bad, kindAvro, false); err != nil {
		t.Fatal(err)
	}
	c = avroValue(t, r, "auto.register.schemas", "false", "use.latest.version", "true")
	if _, _, err := c.FromConnect(t.Context(), "t", d, nil); !asClass[*RecordError](err) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a latest version that does not fit: %v", err)
	}
}

// Fields of one type in another order have the same wire form; by name they
// must not be mixed up.
func TestAvroLatestVersionSameWire(t *testing.T) {
	s := data.NewStructBuilder().Name("n.AB").Field("a", data.Int32Schema).Field("b", data.Int32Schema).MustBuild()
	v := data.NewStruct(s)
	if err := errors.Join(v.Put("a", int32(1)), v.Put("b", int32(2))); err != nil {
		t.Fatal(err)
	}
	r := newRegistry()
	text := `{"type":"record","name":"AB","namespace":"n","fields":[{"name":"b","type":"int"},{"name":"a","type":"int"}]}`
	if _, err := r.Register(t.Context(), "t-value", text, kindAvro, false); err != nil {
		t.Fatal(err)
	}
	c := avroValue(t, r, "auto.register.schemas", "false", "use.latest.version", "true")
	if got, _ := write(t, c, datum(t, s, v)); got[5:] != "\x04\x02" {
		t.Errorf("fields are %x, want 0402", got[5:])
	}
}

func TestAvroSubjects(t *testing.T) {
	for _, tt := range []struct {
		strategy string
		s        *data.Schema
		want     string
	}{
		{"io.confluent.kafka.serializers.subject.TopicNameStrategy", point, "t-value"},
		{"AssociatedNameStrategy", data.StringSchema, "t-value"},
		{"io.confluent.kafka.serializers.subject.RecordNameStrategy", point, "p.Point"},
		{"TopicRecordNameStrategy", point, "t-p.Point"},
		{"RecordNameStrategy", data.StringSchema, ""},
		{"RecordNameStrategy", data.AsOptional(point), ""},
	} {
		r := newRegistry()
		c := avroValue(t, r, "value.subject.name.strategy", tt.strategy)
		var v any = "x"
		if tt.s.Type() == data.TypeStruct {
			v = newPoint(t, 1, nil, nil)
		}
		_, _, err := c.FromConnect(t.Context(), "t", datum(t, tt.s, v), nil)
		switch {
		case tt.want == "":
			if !asClass[*RecordError](err) {
				t.Errorf("%s of %v: %v", tt.strategy, tt.s.Type(), err)
			}
		case err != nil || len(r.subjects[tt.want]) != 1:
			t.Errorf("%s: subjects are %v, %v, want %s", tt.strategy, r.subjects, err, tt.want)
		}
	}
	r := newRegistry()
	key := make1(t, "Avro", Key, r, "schema.registry.url", "http://r")
	if _, _, err := key.FromConnect(t.Context(), "t", datum(t, data.StringSchema, "k"), nil); err != nil || len(r.subjects["t-key"]) != 1 {
		t.Errorf("a key's subjects are %v, %v", r.subjects, err)
	}
}

func TestAvroSchemaless(t *testing.T) {
	r := newRegistry()
	c := avroValue(t, r)
	v := map[string]any{"a": []any{int64(1), 1.5, true, nil, "x", []byte{1}}, "b": map[string]any{}}
	got, _ := write(t, c, datum(t, nil, v))
	if r.texts[0] != anythingText {
		t.Errorf("registered %s", r.texts[0])
	}
	d, err := c.ToConnect(t.Context(), "t", []byte(got))
	if err != nil || d.Schema != nil {
		t.Fatalf("%+v, %v", d, err)
	}
	if back, err := d.Value(); err != nil || !data.EqualValues(back, v) {
		t.Errorf("came back as %v, %v", back, err)
	}
	// long 1: six nulls before and after but for the branch and the number
	if got, _ := write(t, c, datum(t, nil, int64(1))); hex.EncodeToString([]byte(got[5:])) != "00000000000202000000" {
		t.Errorf("1 is %x", got[5:])
	}
}

func TestAvroErrorClasses(t *testing.T) {
	d := datum(t, data.StringSchema, "x")
	for _, tt := range []struct {
		err  error
		is   func(error) bool
		name string
	}{
		{&TransientError{errors.New("connection refused")}, asClass[*TransientError], "transient"},
		{&FatalError{errors.New("401")}, asClass[*FatalError], "fatal"},
		{errors.New("incompatible"), asClass[*RecordError], "record"},
	} {
		r := newRegistry()
		r.err = tt.err
		c := avroValue(t, r)
		_, _, err := c.FromConnect(t.Context(), "t", d, nil)
		if !tt.is(err) || !strings.Contains(err.Error(), `subject "t-value"`) {
			t.Errorf("%s, writing: %v", tt.name, err)
		}
		if _, err := c.ToConnect(t.Context(), "t", []byte{0, 0, 0, 0, 9, 0}); !tt.is(err) {
			t.Errorf("%s, reading: %v", tt.name, err)
		}
		r.err = nil // it was not remembered
		if _, _, err := c.FromConnect(t.Context(), "t", d, nil); err != nil {
			t.Errorf("%s, afterwards: %v", tt.name, err)
		}
	}
	r := newRegistry()
	c := avroValue(t, r, "auto.register.schemas", "false")
	if _, _, err := c.FromConnect(t.Context(), "t", d, nil); !asClass[*RecordError](err) || !strings.Contains(err.Error(), "40403") {
		t.Errorf("a schema that is not registered: %v", err)
	}
	for _, raw := range []string{"", "\x00\x00\x00\x00", "{}", "\x01\x00\x00\x00\x01x"} {
		if _, err := c.ToConnect(t.Context(), "t", []byte(raw)); !asClass[*RecordError](err) || !strings.Contains(err.Error(), "magic byte") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
