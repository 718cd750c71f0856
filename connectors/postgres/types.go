package postgres

import "strings"

// modes are the keys that say how values are represented.
type modes struct {
	decimal     string // precise, double, string
	time        string // adaptive, adaptive_time_microseconds, connect, isostring, microseconds, nanoseconds, structured
	binary      string // bytes, base64, base64-url-safe, hex
	hstore      string // json, map
	interval    string // numeric, string
	moneyDigits int32
	unknown     bool // types without a mapping become bytes
	unknownText bool // or text
	placeholder string
}

// pgType is a type as the catalog describes it.
type pgType struct {
	oid     uint32
	name    string
	builtIn bool // of schema pg_catalog
	kind    byte // typtype: b base, c composite, d domain, e enum, r range, m multirange
	elem    uint32
	base    uint32 // of a domain
	typmod  int32  // of a domain
	labels  []string
}

const (
	nameUUID    = "io.debezium.data.Uuid"
	nameJSON    = "io.debezium.data.Json"
	nameBits    = "io.debezium.data.Bits"
	maxDomains  = 32 // a domain over a domain over ...
	intervalDur = "io.debezium.time.MicroDuration"
)

// plain are the built-in types whose mapping no mode changes.
var plain = map[string]codec{
	"bool": {kind: kindBool}, "int2": {kind: kindInt16}, "int4": {kind: kindInt32}, "int8": {kind: kindInt64},
	"oid": {kind: kindOID}, "float4": {kind: kindFloat32}, "float8": {kind: kindFloat64},
	"text": {kind: kindText}, "varchar": {kind: kindText}, "bpchar": {kind: kindText}, "name": {kind: kindText}, "char": {kind: kindText},
	"uuid": {kind: kindText, name: nameUUID}, "json": {kind: kindText, name: nameJSON}, "jsonb": {kind: kindText, name: nameJSON},
	"xml":  {kind: kindText, name: "io.debezium.data.Xml"},
	"inet": {kind: kindText}, "cidr": {kind: kindText}, "macaddr": {kind: kindText}, "macaddr8": {kind: kindText},
	"int4range": {kind: kindText}, "int8range": {kind: kindText}, "numrange": {kind: kindText},
	"tsrange": {kind: kindText}, "tstzrange": {kind: kindText}, "daterange": {kind: kindText},
	"tsvector": {kind: kindText, name: "io.debezium.data.Tsvector"},
	"timetz":   {kind: kindZonedTime, name: "io.debezium.time.ZonedTime"},
	"point":    {kind: kindPoint},
}

// extensions are types of extensions, by name whatever their schema.
var extensions = map[string]codec{
	"citext": {kind: kindText}, "ltree": {kind: kindText, name: "io.debezium.data.Ltree"},
	"ean13": {kind: kindText}, "isbn": {kind: kindText}, "isbn13": {kind: kindText}, "ismn": {kind: kindText},
	"ismn13": {kind: kindText}, "issn": {kind: kindText}, "issn13": {kind: kindText}, "upc": {kind: kindText},
	"geometry": {kind: kindGeometry}, "geography": {kind: kindGeography},
	"vector": {kind: kindDoubleVector}, "halfvec": {kind: kindFloatVector}, "sparsevec": {kind: kindSparseVector},
}

// notInArrays are types whose arrays have no mapping.
var notInArrays = map[string]bool{
	"money": true, "name": true, "interval": true, "varbit": true, "xml": true, "point": true, "hstore": true,
	"geometry": true, "geography": true, "vector": true, "halfvec": true, "sparsevec": true,
}

// codecOf returns how values of a type are written, of kind kindOmitted when
// there is no mapping.
func (m *modes) codecOf(oid uint32, typmod int32, types map[uint32]pgType) codec {
	t, ok := types[oid]
	for range maxDomains {
		if !ok || t.kind != 'd' {
			break
		}
		if typmod < 0 {
			typmod = t.typmod
		}
		t, ok = types[t.base]
	}
	c := m.unmapped()
	switch {
	case !ok || t.kind == 'd':
	case t.kind == 'e':
		c = codec{kind: kindEnum, name: "io.debezium.data.Enum", labels: t.labels}
	case t.elem != 0:
		c = codec{kind: kindOmitted}
		if e, ok := types[t.elem]; ok && !notInArrays[e.name] && e.elem == 0 {
			if elem := m.codecOf(t.elem, typmod, types); elem.kind != kindOmitted {
				c = codec{kind: kindArray, elem: &elem, boxes: e.builtIn && e.name == "box"}
			}
		}
	case t.builtIn:
		c = m.builtIn(t.name, typmod)
	case t.name == "hstore" && m.hstore == "map":
		c = codec{kind: kindHstoreMap}
	case t.name == "hstore":
		c = codec{kind: kindHstoreJSON, name: nameJSON}
	default:
		if e, ok := extensions[t.name]; ok {
			c = e
		}
	}
	c.placeholder = m.placeholder
	return c
}

func (m *modes) unmapped() codec {
	if m.unknownText {
		return codec{kind: kindText}
	}
	if !m.unknown {
		return codec{kind: kindOmitted}
	}
	switch m.binary {
	case "base64":
		return codec{kind: kindRawBase64}
	case "base64-url-safe":
		return codec{kind: kindRawBase64URL}
	case "hex":
		return codec{kind: kindRawHex}
	}
	return codec{kind: kindRawBytes}
}

func (m *modes) builtIn(name string, typmod int32) codec {
	if m.time == "structured" {
		if c, ok := structuredCodec(name, typmod); ok {
			return c
		}
	}
	if c, ok := plain[name]; ok {
		return c
	}
	switch name {
	case "numeric":
		return m.numeric(typmod)
	case "money":
		switch m.decimal {
		case "double":
			return codec{kind: kindMoneyDouble}
		case "string":
			return codec{kind: kindMoneyText}
		}
		return codec{kind: kindMoney, scale: m.moneyDigits}
	case "bytea":
		switch m.binary {
		case "base64":
			return codec{kind: kindBase64}
		case "base64-url-safe":
			return codec{kind: kindBase64URL}
		case "hex":
			return codec{kind: kindHex}
		}
		return codec{kind: kindBytes}
	case "bit", "varbit":
		switch {
		case typmod == 1:
			return codec{kind: kindBit}
		case typmod < 0:
			return codec{kind: kindBits, name: nameBits, digits: maxBits}
		}
		return codec{kind: kindBits, name: nameBits, digits: int(typmod)}
	case "interval":
		if m.interval == "string" {
			return codec{kind: kindISODuration, name: "io.debezium.time.Interval"}
		}
		return codec{kind: kindMicroDuration, name: intervalDur}
	case "date", "time", "timestamp", "timestamptz":
		return m.temporal(name, typmod)
	}
	return m.unmapped()
}

// numeric reads precision and scale from the type modifier. Since PostgreSQL
// 15 the scale has 11 bits and a sign.
func (m *modes) numeric(typmod int32) codec {
	switch {
	case m.decimal == "double":
		return codec{kind: kindNumberDouble}
	case m.decimal == "string":
		return codec{kind: kindNumberText}
	case typmod < 4:
		return codec{kind: kindVariableDecimal}
	}
	mod := typmod - 4
	return codec{kind: kindDecimal, digits: int(mod >> 16 & 0xffff), scale: (mod&0x7ff ^ 1024) - 1024}
}

func (m *modes) temporal(name string, typmod int32) codec {
	debezium := func(k kind, n string) codec { return codec{kind: k, name: "io.debezium.time." + n, digits: -1} }
	kafka := func(k kind, n string) codec { return codec{kind: k, name: "org.apache.kafka.connect.data." + n} }
	short := typmod >= 0 && typmod <= 3
	switch name {
	case "timestamptz":
		c := debezium(kindZonedTimestamp, "ZonedTimestamp")
		if c.digits = 6; typmod > 0 {
			c.digits = int(typmod)
		} else if typmod == 0 {
			c.digits = 0
		}
		return c
	case "date":
		switch m.time {
		case "connect":
			return kafka(kindDays, "Date")
		case "isostring":
			return debezium(kindISODate, "IsoDate")
		}
		return debezium(kindDays, "Date")
	case "time":
		switch {
		case m.time == "connect":
			return kafka(kindTimeMillis, "Time")
		case m.time == "isostring":
			return debezium(kindISOTime, "IsoTime")
		case m.time == "nanoseconds":
			return debezium(kindTimeNanos, "NanoTime")
		case m.time == "adaptive" && short:
			return debezium(kindTimeMillis, "Time")
		}
		return debezium(kindTimeMicros, "MicroTime")
	}
	switch {
	case m.time == "connect":
		return kafka(kindMillis, "Timestamp")
	case m.time == "isostring":
		return debezium(kindISOTimestamp, "IsoTimestamp")
	case m.time == "nanoseconds":
		return debezium(kindNanos, "NanoTimestamp")
	case strings.HasPrefix(m.time, "adaptive") && short:
		return debezium(kindMillis, "Timestamp")
	}
	return debezium(kindMicros, "MicroTimestamp")
}
