package postgres

import (
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// unlimited is the length of types that have no limit.
const unlimited = math.MaxInt32

// seconds is the room that a fraction of a second takes in a type's longest
// text. That of one digit is written with two.
func seconds(typmod int32) int {
	switch typmod {
	case -1:
		return 7
	case 0:
		return 0
	case 1:
		return 3
	}
	return int(typmod) + 1
}

// lengthOf returns what PostgreSQL's Java driver takes for the length of a
// column of a built-in type, and Debezium after it: digits, characters, bits,
// or the length of the longest text.
func lengthOf(name string, typmod int32) int {
	switch name {
	case "int2":
		return 5
	case "int4", "oid":
		return 10
	case "int8":
		return 19
	case "float4":
		return 8
	case "float8":
		return 17
	case "bool", "char":
		return 1
	case "numeric":
		if typmod < 0 {
			return 131089
		}
		return int((typmod - 4) >> 16 & 0xffff)
	case "bpchar", "varchar":
		if typmod < 0 {
			return unlimited
		}
		return int(typmod) - 4
	case "bit", "varbit":
		if typmod < 0 {
			return unlimited
		}
		return int(typmod)
	case "date":
		return 13
	case "interval":
		return 49
	case "time":
		return 8 + seconds(typmod)
	case "timetz":
		return 14 + seconds(typmod)
	case "timestamp":
		return 22 + seconds(typmod)
	case "timestamptz":
		return 28 + seconds(typmod)
	}
	return unlimited
}

// scaleOf is the scale that the driver sees.
func scaleOf(name string, typmod int32) int {
	switch name {
	case "float4":
		return 8
	case "float8":
		return 17
	case "numeric":
		if typmod < 0 {
			return 0
		}
		return int((typmod - 4) & 0xffff)
	case "time", "timetz", "timestamp", "timestamptz":
		if typmod < 0 {
			return 6
		}
		return int(typmod)
	case "interval":
		if typmod < 0 {
			return 6
		}
		return int(typmod & 0xffff)
	}
	return 0
}

// columnType is a column's type as the driver names and measures it.
type columnType struct {
	name          string
	length, scale int
	// text says that Debezium takes the column for one of text, which masks
	// are for.
	text bool
}

// columnTypeOf describes a type. Domains are named by their own name and
// measured by what they are over.
func columnTypeOf(oid uint32, typmod int32, types map[uint32]pgType) columnType {
	t := types[oid]
	out := columnType{name: t.name}
	for range maxDomains {
		if t.kind != 'd' {
			break
		}
		if typmod < 0 {
			typmod = t.typmod
		}
		t = types[t.base]
	}
	measured := t.name
	if t.elem != 0 {
		measured = types[t.elem].name
	}
	out.length, out.scale = lengthOf(measured, typmod), scaleOf(measured, typmod)
	switch t.name {
	case "text", "varchar", "bpchar", "name", "char":
		out.text = t.elem == 0
	}
	if t.kind == 'e' {
		out.text = true
	}
	return out
}

// params are what a mapper adds to the schema of a field.
func (m *mapper) params(column string, t columnType) []data.Param {
	if m == nil {
		return nil
	}
	switch m.kind {
	case mapMask, mapHash:
		return []data.Param{{Key: "masked", Value: "true"}}
	case mapTruncate:
		if t.length > m.limit {
			return []data.Param{{Key: "truncateLength", Value: strconv.Itoa(m.limit)}}
		}
	case mapPropagate:
		const prefix = "__debezium.source.column."
		return []data.Param{
			{Key: prefix + "type", Value: strings.ToUpper(t.name)}, {Key: prefix + "length", Value: strconv.Itoa(t.length)},
			{Key: prefix + "scale", Value: strconv.Itoa(t.scale)}, {Key: prefix + "name", Value: column},
		}
	}
	return nil
}

// values reports whether a mapper changes the values of a column, and not the
// schema alone.
func (m *mapper) values(t columnType) bool {
	if m == nil {
		return false
	}
	switch m.kind {
	case mapMask, mapHash:
		return t.text
	case mapTruncate:
		return t.length > m.limit
	}
	return false
}
