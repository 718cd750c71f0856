package protobuf

import (
	"embed"
	"errors"
)

// known are the files of Google's common types and of Confluent's.
//
//go:embed known
var known embed.FS

var errNotHere = errors.New("not here")

// knownPaths are the files that may be imported without a reference.
var knownPaths = []string{
	"confluent/meta.proto", "confluent/type/decimal.proto", "confluent/type/variant.proto",
	"google/type/calendar_period.proto", "google/type/color.proto", "google/type/date.proto", "google/type/datetime.proto",
	"google/type/dayofweek.proto", "google/type/decimal.proto", "google/type/expr.proto", "google/type/fraction.proto",
	"google/type/interval.proto", "google/type/latlng.proto", "google/type/money.proto", "google/type/month.proto",
	"google/type/phone_number.proto", "google/type/postal_address.proto", "google/type/quaternion.proto", "google/type/timeofday.proto",
	"google/protobuf/any.proto", "google/protobuf/api.proto", "google/protobuf/descriptor.proto", "google/protobuf/duration.proto",
	"google/protobuf/empty.proto", "google/protobuf/field_mask.proto", "google/protobuf/source_context.proto", "google/protobuf/struct.proto",
	"google/protobuf/timestamp.proto", "google/protobuf/type.proto", "google/protobuf/wrappers.proto",
}
