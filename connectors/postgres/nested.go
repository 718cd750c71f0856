package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
)

// array writes {a,"b c",NULL}. Bounds before it, as in [0:1]={a,b}, say
// nothing that an array here could keep.
func (w *writer) array(c *codec, b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		i := bytes.IndexByte(b, '=')
		if i < 0 {
			return errArray
		}
		b = b[i+1:]
	}
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return errArray
	}
	w.BeginArray()
	for b = b[1 : len(b)-1]; len(b) > 0; {
		item, quoted, rest, ok := cutElement(w.inner[:0], b, c.delimiter())
		if !ok {
			return errArray
		}
		w.inner = item
		if !quoted && string(item) == "NULL" {
			w.Null()
		} else if err := w.text(c.elem, item); err != nil {
			return err
		}
		b = rest
	}
	w.End()
	return w.Err()
}

// cutElement unescapes the first element of an array's text into dst, and
// returns what is after its delimiter.
func cutElement(dst, b []byte, delimiter byte) (item []byte, quoted bool, rest []byte, ok bool) {
	if b[0] == '"' {
		if dst, b, ok = cutQuoted(dst, b); !ok {
			return nil, true, nil, false
		}
		quoted = true
	} else {
		i := 0
		for ; i < len(b) && b[i] != delimiter; i++ {
			switch b[i] {
			case '{', '}', '"':
				return nil, false, nil, false
			case '\\':
				if i++; i == len(b) {
					return nil, false, nil, false
				}
			}
			dst = append(dst, b[i])
		}
		if i == 0 {
			return nil, false, nil, false
		}
		b = b[i:]
	}
	if len(b) == 0 {
		return dst, quoted, nil, true
	}
	return dst, quoted, b[1:], b[0] == delimiter && len(b) > 1
}

// cutQuoted unescapes a quoted text into dst.
func cutQuoted(dst, b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return dst, b, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return dst, b[i+1:], true
		case '\\':
			if i++; i == len(b) {
				return dst, nil, false
			}
		}
		dst = append(dst, b[i])
	}
	return dst, nil, false
}

// hstore writes "a"=>"1", "b"=>NULL as JSON or as a map.
func (w *writer) hstore(c *codec, b []byte) error {
	if c.kind == kindHstoreMap {
		w.BeginMap()
	}
	w.room = append(w.room[:0], '{')
	for len(b) > 0 {
		key, rest, ok := cutQuoted(w.inner[:0], b)
		w.inner = key
		rest, ok2 := bytes.CutPrefix(rest, []byte("=>"))
		if !ok || !ok2 {
			return errHstore
		}
		n := len(key)
		null := bytes.HasPrefix(rest, []byte("NULL"))
		if null {
			rest = rest[4:]
		} else if w.inner, rest, ok = cutQuoted(w.inner, rest); !ok {
			return errHstore
		}
		w.hstorePair(c, w.inner[:n], w.inner[n:], null)
		if b = rest; len(b) > 0 {
			if b, ok = bytes.CutPrefix(b, []byte(", ")); !ok || len(b) == 0 {
				return errHstore
			}
		}
	}
	if c.kind == kindHstoreMap {
		w.End()
		return w.Err()
	}
	w.room = append(w.room, '}')
	w.TextBytes(w.room)
	return nil
}

func (w *writer) hstorePair(c *codec, key, val []byte, null bool) {
	if c.kind == kindHstoreMap {
		if w.TextBytes(key); null {
			w.Null()
			return
		}
		w.TextBytes(val)
		return
	}
	if len(w.room) > 1 {
		w.room = append(w.room, ',')
	}
	w.room = append(appendJSONString(w.room, key), ':')
	if null {
		w.room = append(w.room, "null"...)
		return
	}
	w.room = appendJSONString(w.room, val)
}

// appendJSONString quotes a text. Plain text is copied, the rest is left to
// the library.
func appendJSONString(dst, b []byte) []byte {
	for _, c := range b {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			if err := e.Encode(string(b)); err != nil {
				break // text always encodes
			}
			return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
		}
	}
	return append(append(append(dst, '"'), b...), '"')
}

// shape writes the geometric and vector types.
func (w *writer) shape(c *codec, b []byte) error {
	switch c.kind {
	case kindPoint:
		return w.point(b)
	case kindGeometry, kindGeography:
		return w.geometry(c, b)
	case kindSparseVector:
		return w.sparse(b)
	}
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' {
		return errShape
	}
	bits := 64
	if c.kind == kindFloatVector {
		bits = 32
	}
	w.BeginArray()
	for b = b[1 : len(b)-1]; len(b) > 0; {
		item, rest, _ := bytes.Cut(b, []byte(","))
		f, err := parseFloat(item, bits)
		if err != nil {
			return err
		}
		if bits == 32 {
			w.Float32(float32(f))
		} else {
			w.Float64(f)
		}
		b = rest
	}
	w.End()
	return w.Err()
}

// point writes (1,2), with its well-known binary beside it.
func (w *writer) point(b []byte) error {
	if len(b) < 2 || b[0] != '(' || b[len(b)-1] != ')' {
		return errShape
	}
	first, second, ok := bytes.Cut(b[1:len(b)-1], []byte(","))
	x, err := parseFloat(first, 64)
	y, err2 := parseFloat(second, 64)
	if !ok || err != nil || err2 != nil {
		return errShape
	}
	w.writePoint(x, y)
	return nil
}

func (w *writer) writePoint(x, y float64) {
	w.room = append(w.room[:0], 1, 1, 0, 0, 0)
	w.room = binary.LittleEndian.AppendUint64(w.room, math.Float64bits(x))
	w.room = binary.LittleEndian.AppendUint64(w.room, math.Float64bits(y))
	w.BeginStruct()
	w.Float64(x)
	w.Float64(y)
	w.Bytes(w.room)
	w.Null()
	w.End()
}

// sridFlag in the type word of PostGIS' extended form says that the reference
// system follows.
const sridFlag = 0x20000000

// geometry writes PostGIS' extended well-known binary, given in hex, as plain
// well-known binary and the reference system.
func (w *writer) geometry(c *codec, b []byte) (err error) {
	if w.room, err = hex.AppendDecode(w.room[:0], b); err != nil || len(w.room) < 5 || w.room[0] > 1 {
		return errShape
	}
	order := binary.AppendByteOrder(binary.BigEndian)
	read := binary.BigEndian.Uint32
	if w.room[0] == 1 {
		order, read = binary.LittleEndian, binary.LittleEndian.Uint32
	}
	srid, has := uint32(0), false
	if word := read(w.room[1:]); word&sridFlag != 0 {
		if len(w.room) < 9 {
			return errShape
		}
		srid, has = read(w.room[5:]), true
		rest := w.room[9:]
		w.room = append(order.AppendUint32(w.room[:1], word&^sridFlag), rest...)
	}
	w.BeginStruct()
	w.Bytes(w.room)
	if has {
		w.Int32(int32(srid))
	} else {
		w.Null()
	}
	if c.kind == kindGeometry {
		w.Null()
	}
	w.End()
	return nil
}

// sparse writes {1:0.5,3:2}/5.
func (w *writer) sparse(b []byte) error {
	body, size, ok := bytes.Cut(b, []byte("}/"))
	dimensions, err := parseInt(size, 16)
	if !ok || err != nil || len(body) == 0 || body[0] != '{' {
		return errShape
	}
	w.BeginStruct()
	w.Int16(int16(dimensions))
	w.BeginMap()
	for body = body[1:]; len(body) > 0; {
		item, rest, _ := bytes.Cut(body, []byte(","))
		at, number, _ := bytes.Cut(item, []byte(":"))
		i, err := parseInt(at, 16)
		f, err2 := parseFloat(number, 64)
		if err != nil || err2 != nil {
			return errShape
		}
		w.Int16(int16(i))
		w.Float64(f)
		body = rest
	}
	w.End()
	w.End()
	return w.Err()
}
