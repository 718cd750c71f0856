package postgres

import (
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// constant matches a default without functions: a number, a truth value or a
// text, with casts to types by name.
var constant = regexp.MustCompile(`^\(?-?(?:\d[\d.]*|true|false|'(?:[^']|'')*'|B'[01]*')\)?(?:::[a-zA-Z_"][\w ."]*(?:\([\d,]+\))?(?:\[\])*)*$`)

// moment, now and its like, are constants to look at, but not in what they mean.
var moment = regexp.MustCompile(`^'(?:now|today|tomorrow|yesterday)'`)

// function is a default that a function makes, as Debezium tells them.
var function = regexp.MustCompile(`^[(]?[A-Za-z0-9_.]+\(`)

// moments are functions without parentheses.
var moments = []string{"current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"}

func isConstant(expr string) bool { return constant.MatchString(expr) && !moment.MatchString(expr) }

func isFunction(expr string) bool {
	return function.MatchString(expr) || slices.Contains(moments, strings.ToLower(expr))
}

// made stand for the defaults that functions make, by type. Other types than
// these and enums have no defaults in their schemas.
var made = map[string]string{
	"bool": "f", "int2": "0", "int4": "0", "int8": "0", "float4": "0", "float8": "0", "numeric": "0",
	"text": "", "varchar": "", "bpchar": "", "xml": "", "json": "{}", "jsonb": "{}", "uuid": "00000000-0000-0000-0000-000000000000",
	"date": "1970-01-01", "time": "00:00:00", "timestamp": "1970-01-01 00:00:00", "timestamptz": "1970-01-01 00:00:00+00",
	"bit": "00", "varbit": "0", "interval": "00:00:00",
}

// defaultOf returns a column's default as a value: a constant's own, or what
// stands for that of a function. It is nil for those that cannot be told: of
// other expressions, and of the types that Debezium tells none of.
func defaultOf(c *codec, t pgType, k *catalogColumn) any {
	stand, known := made[t.name]
	if known = known && t.builtIn; !known && t.kind != 'e' || c.kind == kindVariableDecimal {
		return nil
	}
	text := k.defaultText
	switch {
	case k.literal:
	case k.function && known && t.name != "interval":
		text = stand
	default:
		return nil
	}
	schema, err := c.schema(false, nil)
	if err != nil {
		return nil
	}
	w := writer{RowWriter: data.NewRowWriter(schema)}
	w.Reset(nil)
	if err := w.text(c, []byte(text)); err != nil {
		return nil
	}
	row, _, err := w.Finish()
	if err != nil {
		return nil
	}
	v, err := data.Decode(schema, row)
	if err != nil {
		return nil
	}
	return v
}
