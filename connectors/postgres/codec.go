package postgres

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// kind is how a column's text becomes a value.
type kind uint8

const (
	kindOmitted kind = iota // the type is unknown: no field
	kindBool
	kindInt16
	kindInt32
	kindInt64
	kindOID
	kindFloat32
	kindFloat64
	kindDecimal         // of a fixed scale
	kindVariableDecimal // numeric without one
	kindNumberDouble
	kindNumberText
	kindMoney
	kindMoneyDouble
	kindMoneyText
	kindText // as it is, whatever the schema's name
	kindEnum
	kindBytes
	kindBase64
	kindBase64URL
	kindHex
	kindRawBytes // bytes of the text of an unknown type
	kindRawBase64
	kindRawBase64URL
	kindRawHex
	kindBit
	kindBits
	kindDays
	kindISODate
	kindTimeMillis
	kindTimeMicros
	kindTimeNanos
	kindISOTime
	kindZonedTime
	kindMillis
	kindMicros
	kindNanos
	kindISOTimestamp
	kindZonedTimestamp
	kindMicroDuration
	kindISODuration
	kindHstoreJSON
	kindHstoreMap
	kindPoint
	kindGeometry
	kindGeography
	kindFloatVector
	kindDoubleVector
	kindSparseVector
	kindArray
	kindStructDate // and so on: see structured.go
	kindStructTime
	kindStructTimestamp
	kindStructZonedTime
	kindStructZonedTimestamp
	kindStructDuration
)

// codec is a column type with the modes of the configuration applied: the
// schema of its values and how its text is written as one. It is immutable.
type codec struct {
	kind   kind
	scale  int32    // kindDecimal, kindMoney: digits after the point
	digits int      // kindDecimal: precision; kindZonedTimestamp: digits of a second, -1 for six; kindBits: bits
	name   string   // of the schema
	labels []string // kindEnum
	elem   *codec   // kindArray
	boxes  bool     // kindArray: of boxes, which have commas themselves
	// placeholder stands for a value that the server did not send.
	placeholder string
}

// base is the Connect type of each kind that is not a struct, array or map.
var base = [...]data.Type{
	kindBool: data.TypeBoolean, kindInt16: data.TypeInt16, kindInt32: data.TypeInt32, kindInt64: data.TypeInt64,
	kindOID: data.TypeInt64, kindFloat32: data.TypeFloat32, kindFloat64: data.TypeFloat64,
	kindNumberDouble: data.TypeFloat64, kindNumberText: data.TypeString,
	kindMoneyDouble: data.TypeFloat64, kindMoneyText: data.TypeString, kindText: data.TypeString, kindEnum: data.TypeString,
	kindBytes: data.TypeBytes, kindBase64: data.TypeString, kindBase64URL: data.TypeString, kindHex: data.TypeString,
	kindRawBytes: data.TypeBytes, kindRawBase64: data.TypeString, kindRawBase64URL: data.TypeString, kindRawHex: data.TypeString, kindBit: data.TypeBoolean, kindBits: data.TypeBytes,
	kindDays: data.TypeInt32, kindISODate: data.TypeString,
	kindTimeMillis: data.TypeInt32, kindTimeMicros: data.TypeInt64, kindTimeNanos: data.TypeInt64,
	kindISOTime: data.TypeString, kindZonedTime: data.TypeString,
	kindMillis: data.TypeInt64, kindMicros: data.TypeInt64, kindNanos: data.TypeInt64,
	kindISOTimestamp: data.TypeString, kindZonedTimestamp: data.TypeString,
	kindMicroDuration: data.TypeInt64, kindISODuration: data.TypeString, kindHstoreJSON: data.TypeString,
}

const maxBits = 2147483647

// builder starts the schema of the codec's values.
func (c *codec) builder() *data.Builder {
	switch c.kind {
	case kindDecimal, kindMoney:
		b := data.DecimalBuilder(c.scale)
		if c.kind == kindDecimal {
			b.Param(data.PrecisionParam, strconv.Itoa(c.digits))
		}
		return b
	case kindVariableDecimal:
		return named(data.NewStructBuilder(), "io.debezium.data.VariableScaleDecimal").Doc("Variable scaled decimal").
			Field("scale", data.Int32Schema).Field("value", data.BytesSchema)
	case kindHstoreMap:
		return data.MapOf(data.StringSchema, data.OptionalStringSchema)
	case kindPoint:
		return named(data.NewStructBuilder(), "io.debezium.data.geometry.Point").Doc("Geometry (POINT)").
			Field("x", data.Float64Schema).Field("y", data.Float64Schema).
			Field("wkb", data.OptionalBytesSchema).Field("srid", data.OptionalInt32Schema)
	case kindGeometry:
		extensions := data.MapOf(data.StringSchema, data.StringSchema).Optional().MustBuild()
		return data.NewStructBuilder().Name("io.debezium.data.geometry.Geometry").Version(2).Doc("Geometry").
			Field("wkb", data.BytesSchema).Field("srid", data.OptionalInt32Schema).Field("extensions", extensions)
	case kindGeography:
		return named(data.NewStructBuilder(), "io.debezium.data.geometry.Geography").Doc("Geography").
			Field("wkb", data.BytesSchema).Field("srid", data.OptionalInt32Schema)
	case kindFloatVector:
		return named(data.ArrayOf(data.Float32Schema), "io.debezium.data.FloatVector")
	case kindDoubleVector:
		return named(data.ArrayOf(data.Float64Schema), "io.debezium.data.DoubleVector")
	case kindSparseVector:
		vector := data.MapOf(data.Int16Schema, data.Float64Schema).MustBuild()
		return named(data.NewStructBuilder(), "io.debezium.data.SparseDoubleVector").Doc("Sparse double vector").
			Field("dimensions", data.Int16Schema).Field("vector", vector)
	case kindArray:
		return data.ArrayOf(c.elem.builder().Optional().MustBuild())
	}
	if b := c.structuredBuilder(); b != nil {
		return b
	}
	b := data.NewBuilder(base[c.kind])
	if c.name != "" {
		named(b, c.name)
	}
	switch c.kind {
	case kindEnum:
		b.Param("allowed", strings.Join(c.labels, ","))
	case kindBits:
		b.Param("length", strconv.Itoa(c.digits))
	}
	return b
}

func named(b *data.Builder, name string) *data.Builder { return b.Name(name).Version(1) }

// mappable reports whether values are one text or byte string, which mappers
// change.
func (c *codec) mappable() bool {
	if int(c.kind) >= len(base) || c.kind == kindBits {
		return false
	}
	return base[c.kind] == data.TypeString || base[c.kind] == data.TypeBytes
}

// delimiter is what stands between the elements of an array.
func (c *codec) delimiter() byte {
	if c.boxes {
		return ';'
	}
	return ','
}

// schema builds the schema of a field. def is its default as a value, nil for
// none; params come after the codec's own.
func (c *codec) schema(optional bool, def any, params ...data.Param) (*data.Schema, error) {
	b := c.builder().Params(params...)
	if optional {
		b.Optional()
	}
	if def != nil {
		b.Default(def)
	}
	return b.Build()
}

// knows reports whether an enum has a label.
func (c *codec) knows(label []byte) bool {
	for _, l := range c.labels {
		if l == string(label) {
			return true
		}
	}
	return false
}
