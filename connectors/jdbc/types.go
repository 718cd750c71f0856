package jdbc

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// named are the types of columns that are created for schemas by their name.
var named = map[string]string{
	data.DecimalName: "numeric", data.DateName: "date", data.TimeName: "time", data.TimestampName: "timestamp",

	"io.debezium.time.Date": "date", "io.debezium.time.Time": "time", "io.debezium.time.MicroTime": "time",
	"io.debezium.time.NanoTime": "time", "io.debezium.time.ZonedTime": "timetz", "io.debezium.time.Timestamp": "timestamp",
	"io.debezium.time.MicroTimestamp": "timestamp", "io.debezium.time.NanoTimestamp": "timestamp",
	"io.debezium.time.ZonedTimestamp": "timestamptz", "io.debezium.time.IsoDate": "date", "io.debezium.time.IsoTime": "time",
	"io.debezium.time.IsoTimestamp": "timestamp", "io.debezium.time.Interval": "interval",
	"io.debezium.time.MicroDuration": "interval", "io.debezium.time.NanoDuration": "interval", "io.debezium.time.Year": "int",

	"io.debezium.data.Json": "jsonb", "io.debezium.data.Uuid": "uuid", "io.debezium.data.Xml": "xml",
	"io.debezium.data.Tsvector": "tsvector", "io.debezium.data.Ltree": "ltree",
	"io.debezium.data.VariableScaleDecimal": "numeric", "io.debezium.data.geometry.Point": "point",
	"io.debezium.data.FloatVector": "vector", "io.debezium.data.DoubleVector": "vector", "io.debezium.data.FloatHalfVector": "halfvec",
}

// plain are the types of columns that are created for the other schemas.
var plain = map[data.Type]string{
	data.TypeInt8: "smallint", data.TypeInt16: "smallint", data.TypeInt32: "int", data.TypeInt64: "bigint",
	data.TypeFloat32: "real", data.TypeFloat64: "double precision", data.TypeBoolean: "boolean", data.TypeString: "text",
	data.TypeBytes: "bytea", data.TypeStruct: "jsonb", data.TypeMap: "jsonb",
}

// refined are types of source columns that a column is created with when a
// schema has them in its parameters.
var refined = map[string]bool{
	"MONEY": true, "INET": true, "CIDR": true, "MACADDR": true, "MACADDR8": true, "CITEXT": true, "LTREE": true, "JSON": true, "JSONB": true,
	"XML": true, "UUID": true, "INT4RANGE": true, "INT8RANGE": true, "NUMRANGE": true, "TSRANGE": true, "TSTZRANGE": true,
	"DATERANGE": true, "TSVECTOR": true, "TEXT": true, "HSTORE": true, "INTERVAL": true,
}

// sized are those that take the length of the source column.
var sized = map[string]string{"VARCHAR": "varchar", "BPCHAR": "char", "CHAR": "char", "BIT": "bit", "VARBIT": "varbit"}

const sourceType = "__debezium.source.column."

var digits = regexp.MustCompile(`^[0-9]{1,9}$`)

// columnType is the type of a column that is created for a schema.
func (c *config) columnType(s *data.Schema) string {
	if t, ok := s.Param(sourceType + "type"); ok {
		if refined[t] {
			return strings.ToLower(t)
		}
		if length, ok := s.Param(sourceType + "length"); ok && sized[t] != "" && digits.MatchString(length) && length != "0" && len(length) < 9 {
			return sized[t] + "(" + length + ")"
		}
	}
	switch name := s.Name(); {
	case name == data.DecimalName:
		return numeric(s)
	case name == "io.debezium.data.Bits":
		if n, ok := s.Param("length"); ok && digits.MatchString(n) && len(n) < 8 {
			return "bit(" + n + ")"
		}
		return "varbit"
	case name == "io.debezium.data.geometry.Geometry", name == "io.debezium.data.geometry.Geography":
		return quote(c.postgis) + "." + strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	case named[name] != "":
		return named[name]
	}
	if s.Type() == data.TypeArray {
		elem := s.ValueSchema()
		for elem.Type() == data.TypeArray && named[elem.Name()] == "" {
			elem = elem.ValueSchema()
		}
		if (elem.Type() == data.TypeStruct || elem.Type() == data.TypeMap) && named[elem.Name()] == "" {
			return "jsonb"
		}
		return c.columnType(elem) + "[]"
	}
	return plain[s.Type()]
}

// numeric has the precision and scale that the schema names, where PostgreSQL
// takes them.
func numeric(s *data.Schema) string {
	scale, _ := s.Scale()
	text, ok := s.Param(data.PrecisionParam)
	precision, err := strconv.Atoi(text)
	if !ok || err != nil || precision < 1 || precision > 1000 || scale < 0 || int(scale) > precision {
		return "numeric"
	}
	return fmt.Sprintf("numeric(%d,%d)", precision, scale)
}
