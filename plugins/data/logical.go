package data

import (
	"fmt"
	"strconv"
	"strings"
)

// The names of Connect's logical types (org.apache.kafka.connect.data), all at
// version 1.
const (
	DecimalName   = "org.apache.kafka.connect.data.Decimal"
	DateName      = "org.apache.kafka.connect.data.Date"
	TimeName      = "org.apache.kafka.connect.data.Time"
	TimestampName = "org.apache.kafka.connect.data.Timestamp"
)

// The parameters that change what a schema means on the wire.
const (
	// ScaleParam holds a Decimal's scale; it is required there.
	ScaleParam = "scale"
	// PrecisionParam holds a Decimal's precision, by Confluent's convention.
	PrecisionParam = "connect.decimal.precision"
	// FixedSizeParam makes Bytes a fixed of that many bytes in Avro.
	FixedSizeParam = "connect.fixed.size"
	// UnionName is the name of a Struct that stands for an Avro union: one
	// optional field per branch, of which exactly one is set.
	UnionName = "io.confluent.connect.avro.Union"
)

// logicalBase is the type that each logical type is stored as.
var logicalBase = map[string]Type{
	DecimalName: TypeBytes, DateName: TypeInt32, TimeName: TypeInt32, TimestampName: TypeInt64,
}

// IsLogical reports whether the schema is one of Connect's four logical types,
// which is decided by name.
func (s *Schema) IsLogical() bool {
	return strings.HasPrefix(s.name, "org.apache.kafka.connect.data.") && logicalBase[s.name] != 0
}

// Scale returns a Decimal schema's scale, and false for other schemas.
func (s *Schema) Scale() (int32, bool) {
	if s.name != DecimalName {
		return 0, false
	}
	n, err := decimalScale(s)
	return n, err == nil
}

func decimalScale(s *Schema) (int32, error) {
	text, ok := s.Param(ScaleParam)
	if !ok {
		return 0, schemaErrorf("decimal without a %q parameter", ScaleParam)
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, schemaErrorf("decimal scale %q is not an integer", text)
	}
	return int32(n), nil
}

func isFixed(s *Schema) bool {
	if s.typ != TypeBytes {
		return false
	}
	_, ok := s.Param(FixedSizeParam)
	return ok
}

func fixedSize(s *Schema) (int, error) {
	text, _ := s.Param(FixedSizeParam)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxFixedBytes {
		return 0, schemaErrorf("%s is %q: must be an integer from 0 to %d", FixedSizeParam, text, maxFixedBytes)
	}
	return n, nil
}

func isUnion(s *Schema) bool { return s.typ == TypeStruct && s.name == UnionName }

// The ready-made schemas of the primitive types, without name or other
// attributes.
var (
	Int8Schema    = NewBuilder(TypeInt8).MustBuild()
	Int16Schema   = NewBuilder(TypeInt16).MustBuild()
	Int32Schema   = NewBuilder(TypeInt32).MustBuild()
	Int64Schema   = NewBuilder(TypeInt64).MustBuild()
	Float32Schema = NewBuilder(TypeFloat32).MustBuild()
	Float64Schema = NewBuilder(TypeFloat64).MustBuild()
	BooleanSchema = NewBuilder(TypeBoolean).MustBuild()
	StringSchema  = NewBuilder(TypeString).MustBuild()
	BytesSchema   = NewBuilder(TypeBytes).MustBuild()

	OptionalInt8Schema    = AsOptional(Int8Schema)
	OptionalInt16Schema   = AsOptional(Int16Schema)
	OptionalInt32Schema   = AsOptional(Int32Schema)
	OptionalInt64Schema   = AsOptional(Int64Schema)
	OptionalFloat32Schema = AsOptional(Float32Schema)
	OptionalFloat64Schema = AsOptional(Float64Schema)
	OptionalBooleanSchema = AsOptional(BooleanSchema)
	OptionalStringSchema  = AsOptional(StringSchema)
	OptionalBytesSchema   = AsOptional(BytesSchema)
)

// The ready-made schemas of Connect's logical types for points in time.
var (
	DateSchema      = DateBuilder().MustBuild()
	TimeSchema      = TimeBuilder().MustBuild()
	TimestampSchema = TimestampBuilder().MustBuild()

	OptionalDateSchema      = AsOptional(DateSchema)
	OptionalTimeSchema      = AsOptional(TimeSchema)
	OptionalTimestampSchema = AsOptional(TimestampSchema)
)

// DecimalBuilder starts a Decimal of the given scale.
func DecimalBuilder(scale int32) *Builder {
	return NewBuilder(TypeBytes).Name(DecimalName).Version(1).
		Param(ScaleParam, strconv.FormatInt(int64(scale), 10))
}

// DecimalSchema returns a required Decimal schema of the given scale.
func DecimalSchema(scale int32) *Schema { return DecimalBuilder(scale).MustBuild() }

// DateBuilder starts a Date: days since the epoch, in UTC.
func DateBuilder() *Builder { return NewBuilder(TypeInt32).Name(DateName).Version(1) }

// TimeBuilder starts a Time: milliseconds since midnight, 0 to 86400000.
func TimeBuilder() *Builder { return NewBuilder(TypeInt32).Name(TimeName).Version(1) }

// TimestampBuilder starts a Timestamp: milliseconds since the epoch.
func TimestampBuilder() *Builder { return NewBuilder(TypeInt64).Name(TimestampName).Version(1) }

// maxTime is the last millisecond that a Time may hold; Connect accepts the
// full 24 hours.
const maxTime = 86400000

func checkTime(v int32) error {
	if v < 0 || v > maxTime {
		return fmt.Errorf("%d is not a time: want 0 to %d milliseconds", v, maxTime)
	}
	return nil
}
