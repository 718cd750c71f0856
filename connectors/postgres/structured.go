package postgres

import "github.com/millrace/millrace/plugins/data"

// With time.precision.mode=structured dates, times and durations are structs of
// their parts, as Debezium 3.7 has them.

// The fields that the structs share. All may be null.
var (
	structuredDay = []data.Field{
		{Name: "year", Schema: data.OptionalInt32Schema}, {Name: "month", Schema: data.OptionalInt8Schema}, {Name: "day", Schema: data.OptionalInt8Schema},
	}
	structuredClock = []data.Field{
		{Name: "hour", Schema: data.OptionalInt8Schema}, {Name: "minute", Schema: data.OptionalInt8Schema}, {Name: "second", Schema: data.OptionalInt8Schema},
		{Name: "nanos", Schema: data.OptionalInt32Schema},
	}
)

// structured are the kinds with the names of their schemas.
var structured = map[string]struct {
	kind kind
	name string
}{
	"date": {kindStructDate, "StructuredDate"}, "time": {kindStructTime, "StructuredTime"}, "timestamp": {kindStructTimestamp, "StructuredTimestamp"},
	"timetz": {kindStructZonedTime, "StructuredZonedTime"}, "timestamptz": {kindStructZonedTimestamp, "StructuredZonedTimestamp"},
	"interval": {kindStructDuration, "StructuredDuration"},
}

// structuredCodec is the codec of a type, which tells how many digits of a
// second it has: six if it does not say.
func structuredCodec(name string, typmod int32) (codec, bool) {
	s, ok := structured[name]
	if !ok {
		return codec{}, false
	}
	c := codec{kind: s.kind, name: "io.debezium.time." + s.name, digits: 6}
	if name == "interval" && typmod >= 0 {
		typmod &= 0xffff // the rest says which parts there are
	}
	if typmod >= 0 && typmod <= 6 {
		c.digits = int(typmod)
	}
	return c, true
}

// structuredBuilder starts the schema of a kind, nil for another.
func (c *codec) structuredBuilder() *data.Builder {
	b := named(data.NewStructBuilder(), c.name)
	fields := func(lists ...[]data.Field) {
		for _, l := range lists {
			for _, f := range l {
				b.Field(f.Name, f.Schema)
			}
		}
	}
	special := []data.Field{{Name: "specialValue", Schema: data.OptionalStringSchema}}
	precision := []data.Field{{Name: "precision", Schema: data.OptionalInt32Schema}}
	offset := []data.Field{{Name: "offsetSeconds", Schema: data.OptionalInt32Schema}}
	switch c.kind {
	case kindStructDate:
		fields(structuredDay, special)
	case kindStructTime:
		fields(structuredClock, precision)
	case kindStructTimestamp:
		fields(structuredDay, structuredClock, special, precision)
	case kindStructZonedTime:
		fields(structuredClock, offset, precision)
	case kindStructZonedTimestamp:
		fields(structuredDay, structuredClock, offset, []data.Field{{Name: "zoneId", Schema: data.OptionalStringSchema}}, special, precision)
	case kindStructDuration:
		for _, f := range []string{"years", "months", "days", "hours", "minutes"} {
			b.Field(f, data.OptionalInt32Schema)
		}
		b.Field("seconds", data.OptionalInt64Schema).Field("nanos", data.OptionalInt32Schema)
		fields(precision)
	default:
		return nil
	}
	return b
}

// day writes the fields of a date.
func (w *writer) day(days int64) {
	y, m, d := dateOf(days)
	w.Int32(int32(y))
	w.Int8(int8(m))
	w.Int8(int8(d))
}

// hands writes the fields of a time of day.
func (w *writer) hands(micros int64) {
	seconds := micros / microsPerSecond
	w.Int8(int8(seconds / 3600))
	w.Int8(int8(seconds / 60 % 60))
	w.Int8(int8(seconds % 60))
	w.Int32(int32(micros % microsPerSecond * 1000))
}

func (w *writer) nulls(n int) {
	for range n {
		w.Null()
	}
}

// specialValue is how a struct tells infinity.
func (i infinity) specialValue() string {
	if i < 0 {
		return "NEGATIVE_INFINITY"
	}
	return "POSITIVE_INFINITY"
}

func (w *writer) structDate(t instant) {
	w.BeginStruct()
	if t.inf != 0 {
		w.nulls(3)
		w.Text(t.inf.specialValue())
	} else {
		w.day(t.days)
		w.Null()
	}
	w.End()
}

func (w *writer) structTime(c *codec, micros int64) {
	w.BeginStruct()
	w.hands(micros)
	w.Int32(int32(c.digits))
	w.End()
}

// structTimestamp writes a timestamp, with a zone as UTC.
func (w *writer) structTimestamp(c *codec, t instant) {
	zoned := c.kind == kindStructZonedTimestamp
	w.BeginStruct()
	if t.inf != 0 {
		w.nulls(7)
	} else {
		w.day(t.days)
		w.hands(t.micros)
	}
	switch {
	case zoned && t.inf != 0:
		w.nulls(2)
	case zoned:
		w.Int32(0)
		w.Text("Z")
	}
	if t.inf != 0 {
		w.Text(t.inf.specialValue())
	} else {
		w.Null()
	}
	w.Int32(int32(c.digits))
	w.End()
}

// structZonedTime writes a time of day with its zone, as it is: 24:00 stays.
func (w *writer) structZonedTime(c *codec, b []byte) error {
	text := cursorText{b}
	micros, ok := text.clock()
	east, ok2 := text.zone()
	if !ok || !ok2 || len(text.b) > 0 || micros > microsPerDay {
		return errTime
	}
	w.BeginStruct()
	w.hands(micros)
	w.Int32(int32(east))
	w.Int32(int32(c.digits))
	w.End()
	return nil
}

// structDuration writes an interval. Each part has its own sign.
func (w *writer) structDuration(c *codec, iv interval) {
	w.BeginStruct()
	for _, n := range [...]int64{iv.months / 12, iv.months % 12, iv.days, iv.micros / (3600 * microsPerSecond), iv.micros / (60 * microsPerSecond) % 60} {
		w.Int32(int32(n))
	}
	rest := iv.micros % (60 * microsPerSecond)
	w.Int64(rest / microsPerSecond)
	w.Int32(int32(rest % microsPerSecond * 1000))
	w.Int32(int32(c.digits))
	w.End()
}

// structZero writes what stands for a value that an event does not carry: the
// beginning of 1970, midnight, no time. It reports whether the kind is one of
// these.
func (w *writer) structZero(c *codec) bool {
	switch c.kind {
	case kindStructDate:
		w.structDate(instant{})
	case kindStructTime:
		w.structTime(c, 0)
	case kindStructTimestamp, kindStructZonedTimestamp:
		w.structTimestamp(c, instant{})
	case kindStructDuration:
		w.structDuration(c, interval{})
	case kindStructZonedTime:
		w.BeginStruct()
		w.hands(0)
		w.Int32(0)
		w.Int32(int32(c.digits))
		w.End()
	default:
		return false
	}
	return true
}
