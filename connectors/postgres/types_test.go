package postgres

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

var update = flag.Bool("update", false, "write the golden files")

// typeColumns is a column of every type, with values that are easy to get
// wrong.
var typeColumns = []struct {
	name, definition string
	values           []string
}{
	{"bool", "boolean", []string{"true", "false"}},
	{"i2", "smallint", []string{"-32768", "32767"}},
	{"i4", "integer", []string{"-2147483648", "2147483647"}},
	{"i8", "bigint", []string{"-9223372036854775808", "9223372036854775807"}},
	{"oid", "oid", []string{"4294967295", "0"}},
	{"f4", "real", []string{"'NaN'", "'-Infinity'", "3.4e38"}},
	{"f8", "double precision", []string{"'NaN'", "'Infinity'", "0.1", "-1e-300", "-0.0"}},
	{"num", "numeric(12,2)", []string{"1234567.891", "-0.01", "9999999999.99"}},
	{"num_big", "numeric(38,10)", []string{"1234567890123456789012345678.0123456789", "-1"}},
	{"num_neg", "numeric(5,-2)", []string{"12345", "0"}},
	{"num_any", "numeric", []string{"1.500", "1e30", "-0.000000000000000000000000001", "100"}},
	{"money", "money", []string{"1234.5", "-5"}},
	{"txt", "text", []string{"'a\nb\tc\\d'", "'häßlich'", "''"}},
	{"vc", "varchar(5)", []string{"'ab'"}},
	{"ch", "char(5)", []string{"'ab'"}},
	{"nm", "name", []string{"'n'"}},
	{"bin", "bytea", []string{`'\x00ff10'`, `'\x'`}},
	{"d", "date", []string{"'2017-09-15'", "'0044-03-15 BC'", "'20000-01-01'", "'infinity'", "'-infinity'"}},
	{"t", "time", []string{"'04:05:11.789123'", "'24:00:00'"}},
	{"t3", "time(3)", []string{"'04:05:11.789'"}},
	{"tz", "timetz", []string{"'04:05:11.789+02'", "'01:00:00+01:02:03'", "'23:59:59-10'"}},
	{"ts", "timestamp", []string{"'2016-06-20 13:37:03.123456'", "'1969-12-31 23:59:59.999999'", "'infinity'", "'-infinity'", "'0044-03-15 00:00 BC'"}},
	{"ts3", "timestamp(3)", []string{"'1969-12-31 23:59:59.999'"}},
	{"tstz", "timestamptz", []string{"'2016-06-20 13:37:03.1+02'", "'infinity'", "'294247-01-01 23:59:59.999999+00'", "'0044-03-15 00:00+00 BC'"}},
	{"tstz3", "timestamptz(3)", []string{"'2016-06-20 13:37:03.1+00'"}},
	{"tstz0", "timestamptz(0)", []string{"'2016-06-20 13:37:03+00'"}},
	{"iv", "interval", []string{"'1 year 2 months 3 days 4:05:06.78'", "'-1 mon -3 days 00:00:01'", "'-00:00:01.5'", "'0'"}},
	{"bit1", "bit(1)", []string{"B'1'"}},
	{"bit12", "bit(12)", []string{"B'000000000101'", "B'100000000000'", "B'000000000000'"}},
	{"vbit", "varbit", []string{"B'1000000001'", "B''"}},
	{"uid", "uuid", []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"}},
	{"js", "json", []string{`'{"a": [1,  2]}'`}},
	{"jsb", "jsonb", []string{`'{"b":1,"a":null}'`}},
	{"xm", "xml", []string{"'<a>b</a>'"}},
	{"mood", "mood", []string{"'sad'", "'very, happy'"}},
	{"dom", "price", []string{"12.345"}},
	{"dom2", "price2", []string{"12.345"}},
	{"ai", "integer[]", []string{"'{1,NULL,-3}'", "'{}'", "'[0:1]={7,8}'", "'{{1,2},{3,4}}'"}},
	{"at", "text[]", []string{`'{"a b","q\"uo\\te",NULL,"NULL","",x}'`}},
	{"an", "numeric(6,2)[]", []string{"'{1.5,NULL}'"}},
	{"au", "uuid[]", []string{"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"}},
	{"ats", "timestamp[]", []string{`'{"2016-06-20 13:37:03.1"}'`}},
	{"am", "mood[]", []string{`'{sad,"very, happy"}'`}},
	{"ab", "bytea[]", []string{`'{"\\x00ff"}'`}},
	{"hs", "hstore", []string{`'a=>1, "b \"q\""=>NULL, "ü"=>"x"'`, "''"}},
	{"ip", "inet", []string{"'10.0.0.1'", "'10.0.0.0/8'", "'::1'"}},
	{"cid", "cidr", []string{"'10.0.0.0/8'"}},
	{"mac", "macaddr", []string{"'08:00:2b:01:02:03'"}},
	{"r4", "int4range", []string{"'(1,5]'"}},
	{"rts", "tstzrange", []string{"'[2016-01-01 00:00+02,)'"}},
	{"tsv", "tsvector", []string{"'a b'"}},
	{"pt", "point", []string{"'(1.5,-2)'"}},
	{"ci", "citext", []string{"'MiXed'"}},
	{"lt", "ltree", []string{"'a.b.c'"}},
	{"num_int", "numeric(5)", []string{"12345", "-1"}},
	{"onechar", `"char"`, []string{"'x'"}},
	{"d_edge", "date", []string{"'5874897-12-31'", "'4713-01-01 BC'", "'1582-10-10'"}},
	{"t0", "time(0)", []string{"'04:05:11'"}},
	{"t6", "time(6)", []string{"'04:05:11.78'"}},
	{"ts0", "timestamp(0)", []string{"'1969-12-31 23:59:59'"}},
	{"ts6", "timestamp(6)", []string{"'2016-06-20 13:37:03.12'"}},
	{"ts_edge", "timestamp", []string{"'294246-12-31 23:59:59.999999'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'"}},
	{"ts3_edge", "timestamp(3)", []string{"'294276-12-31 23:59:59.999'", "'infinity'", "'-infinity'"}},
	{"tstz6", "timestamptz(6)", []string{"'2016-06-20 13:37:03.1+00'"}},
	{"tz_edge", "timetz", []string{"'24:00:00+00'", "'24:00:00+02'"}},
	{"vbit1", "varbit(1)", []string{"B'1'"}},
	{"vbit20", "varbit(20)", []string{"B'1000000001'"}},
	{"dom_txt", "email", []string{"'a@b'"}},
	{"mac8", "macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}},
	{"r8", "int8range", []string{"'(1,5]'"}},
	{"rn", "numrange", []string{"'(1.5,5]'"}},
	{"rd", "daterange", []string{"'(2016-01-01,2016-02-01]'"}},
	{"rt", "tsrange", []string{"'[2016-01-01 00:00,)'"}},
	{"isbn", "isbn", []string{"'978-0-393-04002-9'"}},
	{"ai2", "smallint[]", []string{"'{1,NULL,-3}'"}},
	{"ai8", "bigint[]", []string{"'{1,NULL,-3}'"}},
	{"af4", "real[]", []string{"'{1.5,NULL}'"}},
	{"af8", "double precision[]", []string{"'{1.5,NULL,NaN}'"}},
	{"abool", "boolean[]", []string{"'{t,f,NULL}'"}},
	{"avc", "varchar(5)[]", []string{`'{ab,c}'`}},
	{"ach", "char(3)[]", []string{`'{ab,c}'`}},
	{"an_any", "numeric[]", []string{"'{1.5,100}'"}},
	{"ad", "date[]", []string{`'{2016-06-20,infinity}'`}},
	{"atm", "time[]", []string{`'{13:37:03.1}'`}},
	{"atz", "timetz[]", []string{`'{13:37:03.1+01}'`}},
	{"atstz", "timestamptz[]", []string{`'{"2016-06-20 13:37:03.1+00"}'`}},
	{"aj", "json[]", []string{`array['{"a":1}'::json]`}},
	{"ajb", "jsonb[]", []string{`array['{"a":1}'::jsonb]`}},
	{"aip", "inet[]", []string{`'{10.0.0.1,10.0.0.0/8}'`}},
	{"ar4", "int4range[]", []string{`'{"[1,5)"}'`}},
	{"aci", "citext[]", []string{`'{Ab}'`}},
	{"alt", "ltree[]", []string{`'{a.b}'`}},
	{"aoid", "oid[]", []string{`'{1,2}'`}},
	// No mapping: left out unless unknown types are asked for.
	{"bx", "box", []string{"'(1,1),(0,0)'"}},
	{"plsn", "pg_lsn", []string{"'16/B374D848'"}},
	{"comp", "pair", []string{"row(1,'x')"}},
	{"mr", "int4multirange", []string{"'{[1,5)}'"}},
	{"abx", "box[]", []string{"'{(1,1),(0,0)}'"}},
	// Never.
	{"amoney", "money[]", []string{"'{1}'"}},
	{"aiv", "interval[]", []string{"'{1 day}'"}},
	{"apt", "point[]", []string{`'{"(1,2)"}'`}},
}

var typeModes = map[string]map[string]string{
	"default":    {},
	"double":     {"decimal.handling.mode": "double", "time.precision.mode": "connect", "binary.handling.mode": "base64", "hstore.handling.mode": "map", "interval.handling.mode": "string"},
	"string":     {"decimal.handling.mode": "string", "time.precision.mode": "isostring", "binary.handling.mode": "hex", "include.unknown.datatypes": "true"},
	"nanos":      {"time.precision.mode": "nanoseconds", "binary.handling.mode": "base64-url-safe", "field.name.adjustment.mode": "avro"},
	"micros":     {"time.precision.mode": "adaptive_time_microseconds", "include.unknown.datatypes": "true"},
	"structured": {"time.precision.mode": "structured"},
	"text":       {"time.precision.mode": "microseconds", "millrace.unknown.as.text": "true", "money.fraction.digits": "4"},
}

// TestTypes checks the schema and values of every type in every mode, as read
// by the snapshot and from the stream, against golden files.
func TestTypes(t *testing.T) {
	for name, props := range typeModes {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, shared(t), props, "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION isn",
				"CREATE TYPE mood AS ENUM ('sad', 'very, happy')", "CREATE DOMAIN price AS numeric(8,2)", "CREATE DOMAIN price2 AS price",
				"CREATE DOMAIN email AS text CHECK (value LIKE '%@%')", "CREATE TYPE pair AS (a int, b text)")
			rows := 0
			var columns []string
			for _, c := range typeColumns {
				columns = append(columns, c.name+" "+c.definition)
				rows = max(rows, len(c.values))
			}
			w.exec("CREATE TABLE types (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")", "ALTER TABLE types REPLICA IDENTITY FULL")
			insert := func(from int) {
				for i := range rows {
					values := []string{fmt.Sprint(from + i)}
					for _, c := range typeColumns {
						v := "NULL"
						if i < len(c.values) {
							v = c.values[i]
						}
						values = append(values, v)
					}
					w.exec("INSERT INTO types VALUES (" + strings.Join(values, ", ") + ")")
				}
			}
			insert(0)
			read := w.events(rows)
			insert(100)
			streamed := w.events(rows)
			var golden strings.Builder
			golden.WriteString(schemaText(t, read[0].record.Value.Schema))
			for i := range rows {
				a, b := string(open(t, read[i]).After), string(open(t, streamed[i]).After)
				if strings.Replace(b, fmt.Sprintf(`"id":%d`, 100+i), fmt.Sprintf(`"id":%d`, i), 1) != a {
					t.Errorf("row %d is by snapshot\n%s\nand by stream\n%s", i, a, b)
				}
				golden.WriteString("\n" + indent(t, a))
			}
			if !read[0].record.Value.Schema.Equal(streamed[0].record.Value.Schema) {
				t.Error("snapshot and stream have different schemas")
			}
			compareGolden(t, filepath.Join("testdata", "types_"+name+".txt"), golden.String())
		})
	}
}

func indent(t *testing.T, text string) string {
	t.Helper()
	// Members in their order, one a line.
	var b strings.Builder
	dec := json.NewDecoder(strings.NewReader(text))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		key, err := dec.Token()
		var v json.RawMessage
		if err == nil {
			err = dec.Decode(&v)
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s: %s\n", key, v)
	}
	return b.String()
}

// schemaText lists the fields of an envelope's row.
func schemaText(t *testing.T, envelope *data.Schema) string {
	t.Helper()
	after, ok := envelope.Field("after")
	if !ok {
		t.Fatal("the envelope has no after")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", envelope.Name(), after.Schema.Name())
	for _, f := range after.Schema.Fields() {
		fmt.Fprintf(&b, "%s %s\n", f.Name, data.AppendJSONSchema(nil, f.Schema, data.JSONOptions{}))
	}
	return b.String()
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gl, wl := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gl), len(wl)) {
		var g, x string
		if i < len(gl) {
			g = gl[i]
		}
		if i < len(wl) {
			x = wl[i]
		}
		if g != x {
			t.Fatalf("%s: line %d is\n%s\nwant\n%s", path, i+1, g, x)
		}
	}
}
