package jdbc

import (
	"math"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func logical(t data.Type, name string, params ...string) *data.Schema {
	b := data.NewBuilder(t).Name(name).Optional()
	for i := 0; i < len(params); i += 2 {
		b.Param(params[i], params[i+1])
	}
	return b.MustBuild()
}

// typeCases are values of every kind of schema: what type of column is made
// for them, and what the column holds then.
func typeCases(t *testing.T) []struct {
	name         string
	schema       *data.Schema
	value        any
	column, text string
} {
	variable := data.NewStructBuilder().Name("io.debezium.data.VariableScaleDecimal").Field("scale", data.Int32Schema).Field("value", data.BytesSchema).MustBuild()
	vsd := data.NewStruct(variable)
	pt := data.NewStructBuilder().Name("io.debezium.data.geometry.Point").Field("x", data.Float64Schema).Field("y", data.Float64Schema).MustBuild()
	xy := data.NewStruct(pt)
	for _, err := range []error{vsd.Put("scale", int32(3)), vsd.Put("value", []byte{0xff, 0x85}), xy.Put("x", 1.5), xy.Put("y", -2.0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	dbz := func(ty data.Type, name string, params ...string) *data.Schema {
		return logical(ty, "io.debezium."+name, params...)
	}
	inner := data.NewStructBuilder().Field("a", data.Int32Schema).MustBuild()
	in := data.NewStruct(inner)
	if err := in.Put("a", int32(1)); err != nil {
		t.Fatal(err)
	}
	i32, i64, str := data.TypeInt32, data.TypeInt64, data.TypeString
	return []struct {
		name         string
		schema       *data.Schema
		value        any
		column, text string
	}{
		{"int8", data.OptionalInt8Schema, int8(-8), "smallint", "-8"},
		{"int16", data.OptionalInt16Schema, int16(16), "smallint", "16"},
		{"int32", data.OptionalInt32Schema, int32(math.MinInt32), "integer", "-2147483648"},
		{"int64", data.OptionalInt64Schema, int64(math.MaxInt64), "bigint", "9223372036854775807"},
		{"float32", data.OptionalFloat32Schema, float32(1.5e-7), "real", "1.5e-07"},
		{"float64", data.OptionalFloat64Schema, math.Inf(-1), "double precision", "-Infinity"},
		{"nan", data.OptionalFloat64Schema, math.NaN(), "double precision", "NaN"},
		{"boolean", data.OptionalBooleanSchema, true, "boolean", "t"},
		{"string", data.OptionalStringSchema, "tab\t quote\" back\\slash {é}", "text", "tab\t quote\" back\\slash {é}"},
		{"empty", data.OptionalStringSchema, "", "text", ""},
		{"bytes", data.OptionalBytesSchema, []byte{0, 255, '\\'}, "bytea", `\x00ff5c`},
		{"array", data.ArrayOf(data.OptionalInt32Schema).Optional().MustBuild(), []any{int32(1), nil, int32(3)}, "integer[]", "{1,NULL,3}"},
		{"texts", data.ArrayOf(data.OptionalStringSchema).Optional().MustBuild(), []any{`a"b`, "", "NULL", `c\`}, "text[]", `{"a\"b","","NULL","c\\"}`},
		{"nested", data.ArrayOf(data.ArrayOf(data.Int64Schema).MustBuild()).Optional().MustBuild(), []any{[]any{int64(1)}, []any{int64(2)}}, "bigint[]", "{{1},{2}}"},
		{"map", data.MapOf(data.StringSchema, data.Int32Schema).Optional().MustBuild(), data.Map{{Key: "k", Value: int32(1)}}, "jsonb", `{"k": 1}`},
		{"struct", data.AsOptional(inner), in, "jsonb", `{"a": 1}`},
		{"structs", data.ArrayOf(inner).Optional().MustBuild(), []any{in}, "jsonb", `[{"a": 1}]`},
		{"decimal", data.AsOptional(data.DecimalSchema(2)), data.NewDecimal(-1250, 2), "numeric", "-12.50"},
		{"precise", data.DecimalBuilder(2).Param(data.PrecisionParam, "10").Optional().MustBuild(), data.NewDecimal(5, 2), "numeric(10,2)", "0.05"},
		{"date", data.OptionalDateSchema, int32(-1), "date", "1969-12-31"},
		{"bc", data.OptionalDateSchema, int32(-735537), "date", "0045-03-03 BC"},
		{"time", data.OptionalTimeSchema, int32(3723004), "time without time zone", "01:02:03.004"},
		{"timestamp", data.OptionalTimestampSchema, int64(1700000000123), "timestamp without time zone", "2023-11-14 22:13:20.123"},
		{"z_date", dbz(i32, "time.Date"), int32(19000), "date", "2022-01-08"},
		{"z_infinity", dbz(i32, "time.Date"), int32(infiniteDays), "date", "infinity"},
		{"z_time", dbz(i32, "time.Time"), int32(86400000), "time without time zone", "24:00:00"},
		{"z_micro", dbz(i64, "time.MicroTime"), int64(3723000004), "time without time zone", "01:02:03.000004"},
		{"z_nano", dbz(i64, "time.NanoTime"), int64(3723000004999), "time without time zone", "01:02:03.000004"},
		{"z_ts", dbz(i64, "time.Timestamp"), int64(-1), "timestamp without time zone", "1969-12-31 23:59:59.999"},
		{"z_mts", dbz(i64, "time.MicroTimestamp"), int64(1700000000123456), "timestamp without time zone", "2023-11-14 22:13:20.123456"},
		{"z_mtsinf", dbz(i64, "time.MicroTimestamp"), int64(negativeInfiniteMicros), "timestamp without time zone", "-infinity"},
		{"z_nts", dbz(i64, "time.NanoTimestamp"), int64(1700000000123456789), "timestamp without time zone", "2023-11-14 22:13:20.123456"},
		{"z_zts", dbz(str, "time.ZonedTimestamp"), "2023-11-14T23:13:20.5+01:00", "timestamp with time zone", "2023-11-14 22:13:20.5+00"},
		{"z_ztsbc", dbz(str, "time.ZonedTimestamp"), "-0043-03-15T10:00:00Z", "timestamp with time zone", "0044-03-15 10:00:00+00 BC"},
		{"z_zt", dbz(str, "time.ZonedTime"), "10:20:30Z", "time with time zone", "10:20:30+00"},
		{"z_isod", dbz(str, "time.IsoDate"), "2023-11-14Z", "date", "2023-11-14"},
		{"z_isots", dbz(str, "time.IsoTimestamp"), "2023-11-14T22:13:20.5Z", "timestamp without time zone", "2023-11-14 22:13:20.5"},
		{"z_dur", dbz(i64, "time.MicroDuration"), int64(-90000001), "interval", "-00:01:30.000001"},
		{"z_iv", dbz(str, "time.Interval"), "P1Y2M3DT4H5M6.7S", "interval", "1 year 2 mons 3 days 04:05:06.7"},
		{"z_json", dbz(str, "data.Json"), `{"a": [1]}`, "jsonb", `{"a": [1]}`},
		{"z_uuid", dbz(str, "data.Uuid"), "0F5CC1B2-0000-4000-8000-000000000001", "uuid", "0f5cc1b2-0000-4000-8000-000000000001"},
		{"z_xml", dbz(str, "data.Xml"), "<a/>", "xml", "<a/>"},
		{"z_bits", dbz(data.TypeBytes, "data.Bits", "length", "5"), []byte{0x13}, "bit(5)", "10011"},
		{"z_nobits", dbz(data.TypeBytes, "data.Bits", "length", "5"), []byte{}, "bit(5)", "00000"},
		{"z_varbit", dbz(data.TypeBytes, "data.Bits", "length", "2147483647"), []byte{0x05}, "bit varying", "101"},
		{"z_vsd", data.AsOptional(variable), vsd, "numeric", "-0.123"},
		{"z_point", data.AsOptional(pt), xy, "point", "(1.5,-2)"},
		{"z_inet", logical(str, "x", sourceType+"type", "INET"), "10.0.0.1", "inet", "10.0.0.1"},
		{"z_varchar", logical(str, "x", sourceType+"type", "VARCHAR", sourceType+"length", "7"), "abc", "character varying(7)", "abc"},
	}
}

// Every kind of value arrives in the column that is made for it, by COPY and
// by arrays; and null does.
func TestTypes(t *testing.T) {
	for _, mode := range []string{"insert", "upsert"} {
		t.Run(mode, func(t *testing.T) {
			b := start(t, pg.Database(t), map[string]string{"auto.create": "true", "insert.mode": mode, "pk.mode": "record_value", "pk.fields": "id"})
			parts, nulls := []any{"id", data.Int32Schema, int32(1)}, []any{"id", data.Int32Schema, int32(2)}
			for _, c := range typeCases(t) {
				parts = append(parts, c.name, c.schema, c.value)
				nulls = append(nulls, c.name, c.schema, nil)
			}
			b.MustPut(b.rec(nil, st(t, parts...)), b.rec(nil, st(t, nulls...)))
			for _, c := range typeCases(t) {
				b.rows("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = '"+c.name+"'", c.column)
				b.rows("SET TimeZone = 'UTC'; SELECT "+quote(c.name)+" FROM t WHERE id = 1", strings.TrimSpace(c.text))
				b.rows("SELECT "+quote(c.name)+" IS NULL FROM t WHERE id = 2", "t")
			}
		})
	}
}

// Columns of other types take what their input reads.
func TestExistingColumns(t *testing.T) {
	db := pg.Database(t)
	pg.Exec(t, db, "CREATE TYPE mood AS ENUM ('ok', 'sad')", "CREATE TABLE t (id bigint PRIMARY KEY, m mood, j json, n inet, u uuid, c char(3), num numeric(5,1), tz timestamptz, g int GENERATED ALWAYS AS IDENTITY)")
	b := start(t, db, map[string]string{"insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id", "db.timezone": "Asia/Seoul"})
	s := data.StringSchema
	b.MustPut(b.rec(nil, st(t, "id", data.Int32Schema, int32(1), "m", s, "sad", "j", s, `{"a" :1}`, "n", s, "::1", "u", s, "0f5cc1b2-0000-4000-8000-000000000001",
		"c", s, "ab", "num", data.Float64Schema, 1.25, "tz", data.TimestampSchema, int64(0), "g", data.Int32Schema, int32(7))))
	b.rows("SET TimeZone = 'UTC'; SELECT * FROM t", `1|sad|{"a" :1}|::1|0f5cc1b2-0000-4000-8000-000000000001|ab |1.3|1970-01-01 00:00:00+00|7`)
}
