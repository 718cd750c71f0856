package postgres

import (
	"crypto/md5" // what Java's nameUUIDFromBytes is made of
	"encoding/hex"

	"github.com/millrace/millrace/plugins/data"
)

// unavailable writes what stands for a value that the server did not send: a
// value out of line that an update left as it was. Types for which Debezium has
// nothing get null.
//
// Differs from Debezium: bytes in base64 get the placeholder in base64, where
// Debezium has null, as if there were no value.
func (w *writer) unavailable(c *codec, optional bool) {
	p := []byte(c.placeholder)
	switch c.kind {
	case kindText, kindEnum, kindNumberText, kindMoneyText, kindISODuration, kindHex:
		w.TextBytes(p)
	case kindBytes, kindRawBytes:
		w.Bytes(p)
	case kindBase64, kindBase64URL, kindRawBase64, kindRawBase64URL, kindRawHex:
		w.room = appendBinary(w.room[:0], c.kind, p)
		w.TextBytes(w.room)
	case kindHstoreJSON:
		w.room = append(appendJSONString(append(w.room[:0], '{'), p), ':')
		w.room = append(appendJSONString(w.room, p), '}')
		w.TextBytes(w.room)
	case kindHstoreMap:
		w.BeginMap()
		w.TextBytes(p)
		w.TextBytes(p)
		w.End()
	case kindArray:
		w.unavailableArray(c, p, optional)
	default:
		w.absent(c, optional, false)
	}
}

func (w *writer) unavailableArray(c *codec, p []byte, optional bool) {
	e := c.elem
	switch e.kind {
	case kindInt32, kindDays, kindInt64, kindOID:
		w.BeginArray()
		for _, b := range p {
			if e.kind == kindInt32 || e.kind == kindDays {
				w.Int32(int32(int8(b)))
			} else {
				w.Int64(int64(int8(b)))
			}
		}
	case kindBytes:
		w.BeginArray()
		w.Bytes(p)
	case kindText, kindEnum:
		w.BeginArray()
		if e.name == nameUUID {
			w.Text(uuidOf(p))
		} else {
			w.TextBytes(p)
		}
	default:
		w.absent(c, optional, false)
		return
	}
	w.End()
}

// uuidOf is the UUID of version 3 that Java makes of a name.
func uuidOf(name []byte) string {
	h := md5.Sum(name)
	h[6], h[8] = h[6]&0x0f|0x30, h[8]&0x3f|0x80
	x := hex.EncodeToString(h[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// absent writes the value of a column that an event does not carry: null where
// the field may be null, else its default, else the zero of its type.
func (w *writer) absent(c *codec, optional, hasDefault bool) {
	if optional || hasDefault {
		w.Null()
		return
	}
	switch c.kind {
	case kindVariableDecimal:
		w.BeginStruct()
		w.Int32(0)
		w.Bytes([]byte{0})
		w.End()
	case kindDecimal, kindMoney:
		w.DecimalInt64(0)
	case kindHstoreMap:
		w.BeginMap()
		w.End()
	case kindArray, kindFloatVector, kindDoubleVector:
		w.BeginArray()
		w.End()
	case kindPoint:
		w.writePoint(0, 0)
	case kindZonedTimestamp, kindISOTimestamp:
		w.Text("1970-01-01T00:00:00Z")
	case kindISODate:
		w.Text("1970-01-01Z")
	case kindZonedTime, kindISOTime:
		w.Text("00:00:00Z")
	case kindGeometry, kindGeography:
		w.BeginStruct()
		w.Bytes(nil)
		w.Null()
		if c.kind == kindGeometry {
			w.Null()
		}
		w.End()
	case kindSparseVector:
		w.BeginStruct()
		w.Int16(0)
		w.BeginMap()
		w.End()
		w.End()
	default:
		if !w.structZero(c) {
			w.zero(base[c.kind])
		}
	}
}

func (w *writer) zero(t data.Type) {
	switch t {
	case data.TypeInt16:
		w.Int16(0)
	case data.TypeInt32:
		w.Int32(0)
	case data.TypeInt64:
		w.Int64(0)
	case data.TypeFloat32:
		w.Float32(0)
	case data.TypeFloat64:
		w.Float64(0)
	case data.TypeBoolean:
		w.Boolean(false)
	case data.TypeBytes:
		w.Bytes(nil)
	default:
		w.Text("")
	}
}
