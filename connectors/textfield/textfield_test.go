package textfield

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func TestColumns(t *testing.T) {
	clf, err := CompileTime("clf")
	if err != nil {
		t.Fatal(err)
	}
	columns, err := ParseColumns([]string{"s", "b:boolean", "i:int32!", "l:long", "d:double", "n:decimal(2)", "day:date", "at:timestamp"}, clf)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := Struct("R", columns)
	if err != nil {
		t.Fatal(err)
	}
	w := data.NewRowWriter(schema)
	write := func(texts ...string) string {
		w.Reset(nil)
		w.BeginStruct()
		for i, text := range texts {
			if err := columns[i].Write(w, []byte(text)); err != nil {
				return err.Error()
			}
		}
		w.End()
		row, _, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		v, err := data.Datum{Schema: schema, State: data.Present, Row: row}.Value()
		if err != nil {
			t.Fatal(err)
		}
		return data.Text(v)
	}
	for _, tt := range []struct {
		texts []string
		want  string
	}{
		{[]string{"x", "TRUE", "-7", "9223372036854775807", "1e3", "12.5", "01/Jan/1970:23:00:00 +0000", "10/Oct/2000:13:55:36 -0700"},
			"Struct{s=x,b=true,i=-7,l=9223372036854775807,d=1000.0,n=12.50,day=0,at=971211336000}"},
		{[]string{"", "", "0", "", "", "", "", ""}, "Struct{s=,i=0}"},
		{[]string{"", "", ""}, "field i: a value is missing"},
		{[]string{"", "yes"}, `field b: "yes" is not true or false`},
		{[]string{"", "", "2147483648"}, `field i: "2147483648" is not a whole number of its size`},
		{[]string{"", "", "1", "9223372036854775808"}, `field l: "9223372036854775808" is not a whole number of its size`},
		{[]string{"", "", "1", "", "x"}, `field d: "x" is not a number`},
		{[]string{"", "", "1", "", "", "1.005"}, `field n: "1.005" is not a number with so many digits`},
		{[]string{"", "", "1", "", "", "", "31/Dec/1969:00:00:00 +0000", ""}, "Struct{s=,i=1,day=-1}"},
		{[]string{"", "", "1", "", "", "", "30/Feb/2000:00:00:00 +0000"}, `field day: "30/Feb/2000:00:00:00 +0000" is not a time in its format`},
	} {
		if got := write(tt.texts...); got != tt.want {
			t.Errorf("%q becomes %s, want %s", tt.texts, got, tt.want)
		}
	}
	for _, bad := range []string{"", ":int32", "a:blob", "a:decimal(x)", "a:decimal(2"} {
		if _, err := ParseColumns([]string{bad}, nil); err == nil {
			t.Errorf("%q is a column", bad)
		}
	}
	if _, err := ParseColumns([]string{"a", "a:int32"}, nil); err == nil {
		t.Error("a column is there twice")
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct{ pattern, text, want string }{
		{"", "2024-02-29", "2024-02-29T00:00:00Z"},
		{"", "2024-02-29T12:30", "2024-02-29T12:30:00Z"},
		{"", "2024-02-29 12:30:15,5", "2024-02-29T12:30:15.5Z"},
		{"", "2024-02-29T12:30:15.123456789+02:00", "2024-02-29T10:30:15.123Z"},
		{"", "1969-12-31T23:59:59-0100", "1970-01-01T00:59:59Z"},
		{"", "2023-02-29", ""}, {"", "2024-02-29T25:00:00", ""}, {"", "2024-02-29T12:30:15Zx", ""}, {"", "24-02-29", ""},
		{"clf", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z"},
		{"clf", "10/Oct/2000:13:55:36", ""},
		{"unix", "1704164645", "2024-01-02T03:04:05Z"}, {"unix", "1704164645.25", "2024-01-02T03:04:05.25Z"}, {"unix", "-1", "1969-12-31T23:59:59Z"}, {"unix", "1e9", ""},
		{"unix_ms", "1704164645678", "2024-01-02T03:04:05.678Z"},
		{"rfc1123", "Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02T03:04:05Z"},
		{"%m/%d/%y %I:%M:%S %p", "01/02/24 12:04:05 AM", "2024-01-02T00:04:05Z"}, {"%m/%d/%y %I:%M:%S %p", "01/02/69 03:04:05 pm", "1969-01-02T15:04:05Z"},
		{"%Y%m%d %H", "20240102 3", "2024-01-02T03:00:00Z"}, {"%Y-%j", "2024-060", "2024-02-29T00:00:00Z"}, {"%F %T.%f", "2024-01-02 03:04:05.25", "2024-01-02T03:04:05.25Z"},
		{"%d %B %Y %%", "2 january 2024 %", "2024-01-02T00:00:00Z"}, {"%Y", "99999", ""},
	} {
		p, err := CompileTime(tt.pattern)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		got := ""
		if ms, ok := p.Millis([]byte(tt.text)); ok {
			got = time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
		}
		if got != tt.want {
			t.Errorf("%q by %q is %q, want %q", tt.text, tt.pattern, got, tt.want)
		}
	}
	for _, bad := range []string{"yyyy-MM-dd", "%Q%", "%x"} {
		if _, err := CompileTime(bad); err == nil {
			t.Errorf("%q is a format", bad)
		}
	}
}

// TestTimesWithoutAYear holds that they are the latest that is not to come.
func TestTimesWithoutAYear(t *testing.T) {
	p, err := CompileTime("syslog")
	if err != nil {
		t.Fatal(err)
	}
	p.now = func() time.Time { return time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC) }
	for text, year := range map[string]int{"Jan  2 00:00:01": 2024, "Dec 31 23:59:59": 2023, "Feb 29 00:00:00": 0} {
		ms, ok := p.Millis([]byte(text))
		if got := time.UnixMilli(ms).UTC().Year(); ok != (year > 0) || ok && got != year {
			t.Errorf("%s is of %d, %v", text, got, ok)
		}
	}
}

// FuzzTime holds dates against those of the standard library.
func FuzzTime(f *testing.F) {
	f.Add(int64(1704164645678))
	p, err := CompileTime("%Y-%m-%d %H:%M:%S.%f %z")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ms int64) {
		if ms < -62_000_000_000_000 || ms > 253_000_000_000_000 {
			return
		}
		at := time.UnixMilli(ms).In(time.FixedZone("", int(ms%43200/60)*60))
		for _, c := range []struct {
			p      *TimePattern
			layout string
		}{{p, "2006-01-02 15:04:05.000 -0700"}, {nil, "2006-01-02T15:04:05.000Z07:00"}} {
			text := at.Format(c.layout)
			if got, ok := c.p.Millis([]byte(text)); !ok || got != ms {
				t.Errorf("%s is %d, %v, want %d", text, got, ok, ms)
			}
		}
	})
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Splitter
		in   string
		want []string
	}{
		{"plain", Splitter{Separator: ','}, "a,,b", []string{"a", "", "b"}},
		{"nothing", Splitter{Separator: ','}, "", []string{""}},
		{"quoted", Splitter{Separator: ',', Quote: '"'}, `"a,b","c ""d""",e"f`, []string{"a,b", `c "d"`, `e"f`}},
		{"escaped", Splitter{Separator: ',', Quote: '"', Escape: '\\'}, `"a\"b\\",c\n`, []string{`a"b\`, `c\n`}},
		{"leading blanks", Splitter{Separator: ',', Quote: '"', TrimLeading: true}, ` a,  "b" `, nil},
		{"leading blanks, well", Splitter{Separator: ',', Quote: '"', TrimLeading: true}, ` a ,  "b"`, []string{"a ", "b"}},
		{"tabs", Splitter{Separator: '\t', Escaped: true}, `a\tb\\` + "\t\\x", []string{"a\tb\\", `\x`}},
		{"without end", Splitter{Separator: ',', Quote: '"'}, `"a`, nil},
	} {
		values, _ := tt.s.Split([]byte(tt.in))
		var got []string
		for _, v := range values {
			got = append(got, string(v.Text))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
