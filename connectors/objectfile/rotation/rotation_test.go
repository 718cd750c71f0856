package rotation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// play runs a state through steps and returns what it did: w is a record that
// was written, and the name of a reason that files were committed.
//
//	10 a      a record of time 10 ms into directory a
//	10 a!     the same without a value
//	10 a:2    the same with version 2 of the schema
//	@90       a put without records, 90 ms after midnight
func play(t *testing.T, cfg Config, script string) string {
	t.Helper()
	midnight := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	now := midnight
	s := New(cfg, now)
	var out []string
	rotate := func(r Reason) {
		if r != None {
			out = append(out, r.String())
			s.Rotated(now)
		}
	}
	for step := range strings.SplitSeq(script, ",") {
		var ms int64
		var dir string
		if step = strings.TrimSpace(step); step[0] == '@' {
			if _, err := fmt.Sscanf(step, "@%d", &ms); err != nil {
				t.Fatal(err)
			}
			now = midnight.Add(time.Duration(ms) * time.Millisecond)
			rotate(s.Due(now))
			continue
		}
		if _, err := fmt.Sscanf(step, "%d %s", &ms, &dir); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		in := Input{Millis: ms, Timed: true, Schema: versions[0]}
		if d, version, ok := strings.Cut(dir, ":"); ok {
			dir, in.Schema = d, versions[version[0]-'0']
		}
		in.Directory, in.Tombstone = strings.CutSuffix(dir, "!")
		if in.Tombstone {
			in.Directory, in.Schema = "tombstone", nil
		}
		r, err := s.Before(now, in)
		if err != nil {
			out = append(out, "refused")
			continue
		}
		rotate(r)
		if again, err := s.Before(now, in); again != None || err != nil {
			t.Fatalf("%s: after a rotation it asks for another: %v, %v", step, again, err)
		}
		out = append(out, "w")
		rotate(s.Wrote(in))
	}
	return strings.Join(out, " ")
}

// versions: 0 is without a version, 2 has a field more than 1, of which 3 is
// the same with a required field, 4 is no schema at all.
var versions = func() []*data.Schema {
	with := func(version int32, fields ...string) *data.Schema {
		b := data.NewStructBuilder().Name("r").Field("a", data.Int32Schema)
		for _, f := range fields {
			s := data.OptionalStringSchema
			if strings.HasPrefix(f, "must") {
				s = data.StringSchema
			}
			b.Field(f, s)
		}
		if version > 0 {
			b.Version(version)
		}
		return b.MustBuild()
	}
	return []*data.Schema{with(0), with(1), with(2, "b"), with(3, "must"), nil}
}()

func TestRotation(t *testing.T) {
	const forever = 1000
	for _, tt := range []struct {
		name string
		cfg  Config
		in   string
		want string
	}{
		{"size counts over all directories", Config{FlushSize: 3}, "1 a, 1 b, 1 a, 1 a", "w w w size w"},
		{"interval from the first record", Config{FlushSize: forever, Interval: 10 * time.Millisecond}, "5 a, 14 a, 15 a, 24 a, 26 a", "w w interval w w interval w"},
		{"late records do not rotate", Config{FlushSize: forever, Interval: 10 * time.Millisecond}, "50 a, 1 a, 59 a, 60 a", "w w w interval w"},
		{"an idle partition stays open", Config{FlushSize: forever, Interval: 10 * time.Millisecond}, "5 a, @90000", "w"},
		{"another directory", Config{FlushSize: forever, Interval: time.Hour, OnPartitionChange: true}, "1 a, 1 a, 2 b, 1 a", "w w partition w partition w"},
		{"another directory, switched off", Config{FlushSize: forever, Interval: time.Hour}, "1 a, 2 b, 1 a", "w w w"},
		{"another directory needs the interval", Config{FlushSize: forever, OnPartitionChange: true}, "1 a, 2 b", "w w"},
		{"null values are no change", Config{FlushSize: forever, Interval: time.Hour, OnPartitionChange: true}, "1 a, 1 a!, 1 a, 2 b", "w w w partition w"},
		{"schedule", Config{FlushSize: forever, Schedule: 100 * time.Millisecond, Zone: time.UTC}, "1 a, @99, 1 a, @100, @250, 1 a, @299, @300", "w w schedule w schedule"},
		{"schedule before a record", Config{FlushSize: forever, Schedule: 100 * time.Millisecond, Zone: time.UTC}, "1 a, @50, 1 a, 1 a", "w w w"},
		{"schedule with nothing open moves on", Config{FlushSize: forever, Schedule: 100 * time.Millisecond, Zone: time.UTC}, "@150, 1 a, @199, @200", "w schedule"},
		{"too many files", Config{FlushSize: forever, MaxFiles: 2}, "1 a, 1 b, 1 a, 1 c", "w w w files w"},

		{"NONE, any change", Config{FlushSize: forever}, "1 a:1, 1 a:2, 1 a:2, 1 a:1", "w schema w w schema w"},
		{"NONE, one per directory", Config{FlushSize: forever}, "1 a:1, 1 b:2, 1 a:1", "w w w"},
		{"NONE, with and without", Config{FlushSize: forever}, "1 a:1, 1 a:4, 1 a:4", "w schema w w"},
		{"BACKWARD, older fits", Config{FlushSize: forever, Compatibility: Backward}, "1 a:1, 1 a:2, 1 a:1, 1 a:2", "w schema w w w"},
		{"BACKWARD, a required field is missing", Config{FlushSize: forever, Compatibility: Backward}, "1 a:3, 1 a:1", "w schema w"},
		{"FORWARD, newer fits", Config{FlushSize: forever, Compatibility: Forward}, "1 a:1, 1 a:2, 1 a:1", "w w w"},
		{"FORWARD, older does not", Config{FlushSize: forever, Compatibility: Forward}, "1 a:2, 1 a:1", "w schema w"},
		{"FULL is as BACKWARD", Config{FlushSize: forever, Compatibility: Full}, "1 a:1, 1 a:2, 1 a:1", "w schema w w"},
		{"no version", Config{FlushSize: forever, Compatibility: Backward}, "1 a:1, 1 a:0", "w refused"},
		{"BACKWARD, with and without", Config{FlushSize: forever, Compatibility: Backward}, "1 a:1, 1 a:4", "w refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := play(t, tt.cfg, tt.in); got != tt.want {
				t.Errorf("%s\n gives %q\n want  %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestSchedule(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		interval time.Duration
		now      string
		want     string
	}{
		{"quarters of a day", 6 * time.Hour, "2026-01-03T07:30:00+01:00", "2026-01-03T12:00:00+01:00"},
		{"the last of the day is cut off", 7 * time.Hour, "2026-01-03T22:00:00+01:00", "2026-01-04T00:00:00+01:00"},
		{"on the hour", time.Hour, "2026-01-03T22:00:00+01:00", "2026-01-03T23:00:00+01:00"},
		{"a day of 23 hours", 24 * time.Hour, "2026-03-29T12:00:00+02:00", "2026-03-30T00:00:00+02:00"},
		{"a day of 25 hours", 24 * time.Hour, "2026-10-25T12:00:00+01:00", "2026-10-25T23:00:00+01:00"},
		{"its last hour", 24 * time.Hour, "2026-10-25T23:30:00+01:00", "2026-10-26T00:00:00+01:00"},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		got := New(Config{FlushSize: 1, Schedule: tt.interval, Zone: berlin}, now).NextDue()
		if got.In(berlin).Format(time.RFC3339) != tt.want {
			t.Errorf("%s: next is %s, want %s", tt.name, got.In(berlin).Format(time.RFC3339), tt.want)
		}
	}
}

func TestProjects(t *testing.T) {
	of := func(s *data.Schema) *data.Schema { return data.NewStructBuilder().Name("r").Field("x", s).MustBuild() }
	enum := func(symbols ...string) *data.Schema {
		b := data.NewBuilder(data.TypeString).Param(enumParam, "E")
		for _, s := range symbols {
			b.Param(enumParam+"."+s, s)
		}
		return b.MustBuild()
	}
	for _, tt := range []struct {
		name     string
		from, to *data.Schema
		want     bool
	}{
		{"wider number", data.Int8Schema, data.Float64Schema, true},
		{"narrower number", data.Int64Schema, data.Int32Schema, false},
		{"another type", data.StringSchema, data.BytesSchema, false},
		{"optional in required", data.OptionalStringSchema, data.StringSchema, false},
		{"required in optional", data.StringSchema, data.OptionalStringSchema, true},
		{"fewer symbols", enum("A"), enum("A", "B"), true},
		{"more symbols", enum("A", "B"), enum("A"), false},
		{"another name", data.TimestampSchema, data.Int64Schema, false},
		{"docs do not count", data.NewBuilder(data.TypeInt32).Param("connect.record.doc", "x").MustBuild(), data.Int32Schema, true},
		{"parameters do", data.NewBuilder(data.TypeInt32).Param("unit", "m").MustBuild(), data.Int32Schema, false},
		{"elements", data.ArrayOf(data.Int8Schema).MustBuild(), data.ArrayOf(data.Int16Schema).MustBuild(), true},
	} {
		if got := projects(of(tt.from), of(tt.to), true); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
