package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func TestPatterns(t *testing.T) {
	paris, err := ParseZone("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 3, 15, 4, 5, 67_800_000, paris) // in ISO week 1 of 2026
	newYear := time.Date(2027, 1, 1, 0, 0, 0, 0, paris)      // in ISO week 53 of 2026
	for _, tt := range []struct {
		pattern string
		at      time.Time
		want    string
	}{
		{"'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", at, "year=2026/month=01/day=03/hour=15"},
		{"YYYY", newYear, "2027"}, // the calendar's year, not the week's
		{"xxxx-ww", newYear, "2026-53"},
		{"yy-M-d", at, "26-1-3"},
		{"MMM MMMM E EEEE", at, "Jan January Sat Saturday"},
		{"h:mm a, K, k, kk", at, "3:04 PM, 3, 15, 15"},
		{"HH.mm.ss.SSS S SSSSS", at, "15.04.05.067 0 06700"},
		{"DDD e", at, "003 6"},
		{"Z ZZ ZZZ", at, "+0100 +01:00 Europe/Paris"},
		{"z", at, "CET"},
		{"''yyyy'' 'o''clock'", at, "'2026' o'clock"},
		{"kk", newYear, "24"},
		{"hh", newYear, "12"},
	} {
		p, err := compilePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got := p.format(tt.at); got != tt.want {
			t.Errorf("%s of %v is %q, want %q", tt.pattern, tt.at, got, tt.want)
		}
	}
	for _, pattern := range []string{"year=YYYY", "'year=YYYY", "yyyy-MM-ddTHH", "b"} {
		if _, err := compilePattern(pattern); err == nil {
			t.Errorf("%s: no error", pattern)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("'year'=YYYY/'month'=MM")
	f.Add("''SSSSSS")
	f.Fuzz(func(_ *testing.T, pattern string) {
		if p, err := compilePattern(pattern); err == nil && len(pattern) < 1000 {
			p.format(time.Unix(0, 0))
		}
	})
}

// timed is a partitioner by record time.
func timed(t *testing.T, c Config) *Partitioner {
	t.Helper()
	c.Delimiter, c.Locale = "/", "en"
	if c.Extractor == "" {
		c.Extractor = "Record"
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTimeDirectories(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		at     string
		want   string
	}{
		{"hourly", Config{Kind: Hourly, TimeZone: "UTC"}, "2026-01-03T15:59:59.999Z", "year=2026/month=01/day=03/hour=15"},
		{"daily in a zone", Config{Kind: Daily, TimeZone: "+02:00"}, "2026-01-03T22:00:00Z", "year=2026/month=01/day=04"},
		{"quarters of an hour", Config{Kind: TimeBased, TimeZone: "UTC", Duration: 15 * time.Minute, PathFormat: "HH'h'mm"}, "2026-01-03T15:44:59Z", "15h30"},
		{"trailing delimiter", Config{Kind: TimeBased, TimeZone: "UTC", Duration: time.Hour, PathFormat: "HH/"}, "2026-01-03T15:44:59Z", "15"},
		{"before the epoch", Config{Kind: TimeBased, TimeZone: "UTC", Duration: 24 * time.Hour, PathFormat: "YYYY-MM-dd"}, "1969-12-31T01:00:00Z", "1969-12-31"},
		// The clocks of Berlin go from 2:00 to 3:00 on 2026-03-29, back from 3:00
		// to 2:00 on 2026-10-25.
		{"spring, day of 23 hours", Config{Kind: Daily, TimeZone: "Europe/Berlin"}, "2026-03-29T21:59:59Z", "year=2026/month=03/day=29"},
		{"spring, next day", Config{Kind: Daily, TimeZone: "Europe/Berlin"}, "2026-03-29T22:00:00Z", "year=2026/month=03/day=30"},
		{"autumn, day of 25 hours", Config{Kind: Daily, TimeZone: "Europe/Berlin"}, "2026-10-25T22:59:59Z", "year=2026/month=10/day=25"},
		{"autumn, first 2 o'clock", Config{Kind: Hourly, TimeZone: "Europe/Berlin"}, "2026-10-25T00:30:00Z", "year=2026/month=10/day=25/hour=02"},
		{"autumn, second 2 o'clock", Config{Kind: Hourly, TimeZone: "Europe/Berlin"}, "2026-10-25T01:30:00Z", "year=2026/month=10/day=25/hour=02"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		got, err := timed(t, tt.config).Place(&data.Record{Timestamp: at.UnixMilli()}, time.Time{})
		if err != nil || got.Directory != tt.want || got.Millis != at.UnixMilli() {
			t.Errorf("%s: %+v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

var eventSchema = data.NewStructBuilder().Name("shop.Event").
	Field("n", data.Int32Schema).Field("s", data.OptionalStringSchema).Field("b", data.BooleanSchema).Field("f", data.Float64Schema).
	Field("in", data.NewStructBuilder().Name("Inner").Field("pad", data.StringSchema).Field("t", data.OptionalInt64Schema).Optional().MustBuild()).
	MustBuild()

func event(t *testing.T, s, inner any) *data.Record {
	t.Helper()
	v := data.NewStruct(eventSchema)
	for name, x := range map[string]any{"n": int32(-7), "s": s, "b": true, "f": 1.5} {
		if err := v.Put(name, x); err != nil {
			t.Fatal(err)
		}
	}
	if inner != nil {
		f, _ := eventSchema.Field("in")
		in := data.NewStruct(f.Schema)
		if err := errors.Join(in.Put("pad", "x"), in.Put("t", inner), v.Put("in", in)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := data.NewDatum(eventSchema, v)
	if err != nil {
		t.Fatal(err)
	}
	return &data.Record{Value: d, OriginalPartition: 3}
}

func TestFieldsAndSchemas(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		record *data.Record
		want   string // "" is an error
	}{
		{"default", Config{Kind: Default}, event(t, "x", nil), "partition=3"},
		{"two fields", Config{Kind: Field, Fields: []string{"n", "s"}}, event(t, "x", nil), "n=-7/s=x"},
		{"null", Config{Kind: Field, Fields: []string{"s"}}, event(t, nil, nil), "s=null"},
		{"not escaped", Config{Kind: Field, Fields: []string{"s"}}, event(t, "a/b", nil), "s=a/b"},
		{"nested", Config{Kind: Field, Fields: []string{"in.t", "b"}}, event(t, nil, int64(5)), "in.t=5/b=true"},
		{"nested in null", Config{Kind: Field, Fields: []string{"in.t"}}, event(t, nil, nil), "in.t=null"},
		{"missing", Config{Kind: Field, Fields: []string{"zz"}}, event(t, nil, nil), ""},
		{"of no struct", Config{Kind: Field, Fields: []string{"n.x"}}, event(t, nil, nil), ""},
		{"float", Config{Kind: Field, Fields: []string{"f"}}, event(t, nil, nil), ""},
		{"schema before", Config{Kind: Default, SchemaName: Prefix}, event(t, nil, nil), "schema_name=shop.Event/partition=3"},
		{"schema after", Config{Kind: Default, SchemaName: Suffix}, &data.Record{}, "partition=0/schema_name=null"},
		{"no struct", Config{Kind: Field, Fields: []string{"s"}}, &data.Record{}, ""},
	} {
		tt.config.Delimiter = "/"
		p, err := New(tt.config)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for range 2 { // the second finds the schema known
			got, err := p.Place(tt.record, time.Time{})
			if (err != nil) != (tt.want == "") || got.Directory != tt.want {
				t.Errorf("%s: %q, %v, want %q", tt.name, got.Directory, err, tt.want)
			}
		}
	}
}

func TestExtractors(t *testing.T) {
	now := time.UnixMilli(42)
	schemaless := func(v any) *data.Record {
		d, err := data.NewDatum(nil, map[string]any{"t": v})
		if err != nil {
			t.Fatal(err)
		}
		return &data.Record{Value: d, Timestamp: data.NoTimestamp}
	}
	for _, tt := range []struct {
		name, extractor, field string
		record                 *data.Record
		want                   int64 // -1 is an error
	}{
		{"wall clock", "Wallclock", "", schemaless(nil), 42},
		{"Java's name", extractorPrefix + "WallclockTimestampExtractor", "", schemaless(nil), 42},
		{"record without", "Record", "", schemaless(nil), -1},
		{"nested field", "RecordField", "in.t", event(t, nil, int64(1234)), 1234},
		{"field null", "RecordField", "in.t", event(t, nil, nil), -1},
		{"digits", "RecordField", "s", event(t, "-1700000000000", nil), -1700000000000},
		{"ISO with zone", "RecordField", "s", event(t, "2026-01-03T01:00:00.250+01:00", nil), 1767398400250},
		{"ISO date", "RecordField", "s", event(t, "2026-01-03", nil), 1767398400000},
		{"no time", "RecordField", "s", event(t, "soon", nil), -1},
		{"truth value", "RecordField", "b", event(t, nil, nil), -1},
		{"map number", "RecordField", "t", schemaless(7.0), 7},
		{"map text", "RecordField", "t", schemaless("1970-01-01T00:00:01Z"), 1000},
		{"map without", "RecordField", "u", schemaless(7), -1},
	} {
		p := timed(t, Config{Kind: TimeBased, TimeZone: "UTC", Duration: time.Hour, PathFormat: "YYYY", Extractor: tt.extractor, TimeField: tt.field})
		got, err := p.Place(tt.record, now)
		if (err != nil) != (tt.want == -1) || err == nil && got.Millis != tt.want {
			t.Errorf("%s: %d, %v, want %d", tt.name, got.Millis, err, tt.want)
		}
	}
}

func TestProblemsNameTheirKeys(t *testing.T) {
	good := Config{Kind: TimeBased, Delimiter: "/", TimeZone: "UTC", Locale: "en-US", Duration: time.Hour, PathFormat: "YYYY", Extractor: "Record"}
	for key, spoil := range map[string]func(*Config){
		"partitioner.class": func(c *Config) { c.Kind = "MyPartitioner" }, "timezone": func(c *Config) { c.TimeZone = "Mars/Olympus" },
		"locale": func(c *Config) { c.Locale, c.PathFormat = "fr", "MMM" }, "partition.duration.ms": func(c *Config) { c.Duration = 0 },
		"path.format": func(c *Config) { c.PathFormat = "" }, "timestamp.extractor": func(c *Config) { c.Extractor = "Mine" },
		"partition.field.name": func(c *Config) { c.Kind, c.Fields = Field, []string{"a..b"} },
		"timestamp.field":      func(c *Config) { c.Extractor, c.TimeField = "RecordField", ".x" },
	} {
		c := good
		spoil(&c)
		_, err := New(c)
		if p := (*Problem)(nil); !errors.As(err, &p) || p.Key != key {
			t.Errorf("%s: error is %v", key, err)
		}
	}
	french := good
	french.Locale = "fr"
	if _, err := New(french); err != nil {
		t.Errorf("a locale without words in the pattern: %v", err)
	}
}
