package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
)

// The offset file of standalone workers is a Java object stream with one
// java.util.HashMap from byte[] to byte[], as Kafka Connect writes it. In
// Java's grammar (Java Object Serialization Specification, chapter 6):
//
//	AC ED 00 05
//	TC_OBJECT TC_CLASSDESC "java.util.HashMap" ... loadFactor threshold
//	TC_BLOCKDATA 8: int32 buckets, int32 entries
//	{ array key, array value } ...
//	TC_ENDBLOCKDATA
//
// An array is TC_ARRAY, the description of [B or a reference to it, int32
// length and the bytes; or TC_NULL; or a reference to an array seen before.
const (
	tcNull       = 0x70
	tcReference  = 0x71
	tcClassDesc  = 0x72
	tcObject     = 0x73
	tcArray      = 0x75
	tcBlockData  = 0x77
	tcEndBlock   = 0x78
	firstHandle  = 0x7e0000
	arrayHandle  = firstHandle + 2 // of the description of [B: the third thing described
	maxJavaBytes = 256 << 20
)

// javaHead is all up to the bucket count, but for the threshold.
var (
	javaHead = []byte("\xac\xed\x00\x05" +
		"\x73\x72\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02" +
		"F\x00\x0aloadFactorI\x00\x09threshold\x78\x70" + "\x3f\x40\x00\x00")
	javaArray = []byte("\x72\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00\x78\x70")
)

// javaEntry is one entry of the map. A nil value is null.
type javaEntry struct{ key, value []byte }

// appendJavaMap writes a map, in the order of its keys.
func appendJavaMap(dst []byte, entries []javaEntry) []byte {
	sort.Slice(entries, func(i, j int) bool { return string(entries[i].key) < string(entries[j].key) })
	buckets := 16
	for float64(len(entries)) > 0.75*float64(buckets) {
		buckets *= 2
	}
	dst = append(dst, javaHead...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(buckets*3/4)) // threshold
	dst = append(dst, tcBlockData, 8)
	dst = binary.BigEndian.AppendUint32(dst, uint32(buckets))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(entries)))
	described := false
	for _, e := range entries {
		for _, b := range [][]byte{e.key, e.value} {
			if b == nil {
				dst = append(dst, tcNull)
				continue
			}
			dst = append(dst, tcArray)
			if described {
				dst = append(dst, tcReference)
				dst = binary.BigEndian.AppendUint32(dst, arrayHandle)
			} else {
				dst = append(dst, javaArray...)
				described = true
			}
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
			dst = append(dst, b...)
		}
	}
	return append(dst, tcEndBlock)
}

// errNotJavaMap says that bytes are something else.
var errNotJavaMap = errors.New("not an offset file of Kafka Connect: a Java object stream with a HashMap of byte arrays is expected")

// javaReader takes such a stream apart. Nothing it returns refers to the bytes.
type javaReader struct {
	b      []byte
	arrays map[uint32][]byte // by handle
	next   uint32            // the next handle
}

// parseJavaMap reads a map.
func parseJavaMap(b []byte) ([]javaEntry, error) {
	if len(b) < len(javaHead)+4+10 || string(b[:len(javaHead)]) != string(javaHead) {
		return nil, errNotJavaMap
	}
	r := javaReader{b: b[len(javaHead)+4:], arrays: map[uint32][]byte{}, next: arrayHandle}
	if r.b[0] != tcBlockData || r.b[1] != 8 {
		return nil, errNotJavaMap
	}
	n := binary.BigEndian.Uint32(r.b[6:])
	r.b = r.b[10:]
	if n > math.MaxInt32 {
		return nil, errNotJavaMap
	}
	var out []javaEntry
	for range n { // the count is never trusted for an allocation
		key, err := r.array()
		if err != nil {
			return nil, err
		}
		value, err := r.array()
		if err != nil {
			return nil, err
		}
		if key != nil {
			out = append(out, javaEntry{key, value})
		}
	}
	if len(r.b) == 0 || r.b[0] != tcEndBlock {
		return nil, fmt.Errorf("%w: it goes on after its %d entries", errNotJavaMap, n)
	}
	return out, nil
}

// take returns the next n bytes.
func (r *javaReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b) {
		return nil, fmt.Errorf("%w: it ends early", errNotJavaMap)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out, nil
}

// array reads a byte array, nil for null.
func (r *javaReader) array() ([]byte, error) {
	tag, err := r.take(1)
	if err != nil {
		return nil, err
	}
	switch tag[0] {
	case tcNull:
		return nil, nil
	case tcReference:
		h, err := r.take(4)
		if err != nil {
			return nil, err
		}
		if a, ok := r.arrays[binary.BigEndian.Uint32(h)]; ok {
			return a, nil
		}
		return nil, fmt.Errorf("%w: it refers to what is no array", errNotJavaMap)
	case tcArray:
		return r.newArray()
	}
	return nil, fmt.Errorf("%w: type %#x where an array is expected", errNotJavaMap, tag[0])
}

func (r *javaReader) newArray() ([]byte, error) {
	head, err := r.take(5) // a reference to the description, or its beginning
	if err != nil {
		return nil, err
	}
	switch {
	case head[0] == tcReference && binary.BigEndian.Uint32(head[1:]) == arrayHandle && r.next > arrayHandle:
	case head[0] == tcClassDesc && r.next == arrayHandle && string(head) == string(javaArray[:5]):
		rest, err := r.take(len(javaArray) - 5)
		if err != nil {
			return nil, err
		}
		if string(rest) != string(javaArray[5:]) {
			return nil, errNotJavaMap
		}
		r.next++
	default:
		return nil, fmt.Errorf("%w: an array of something else than bytes", errNotJavaMap)
	}
	size, err := r.take(4)
	if err != nil {
		return nil, err
	}
	raw, err := r.take(int(int32(binary.BigEndian.Uint32(size))))
	if err != nil {
		return nil, err
	}
	out := append([]byte{}, raw...)
	r.arrays[r.next] = out
	r.next++
	return out, nil
}
