package postgres

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mapping is what a column.mask, column.truncate or propagate key says about
// the columns that its patterns match.
type mapping struct {
	columns []*regexp.Regexp // of schema.table.column
	types   []*regexp.Regexp // of schema.table.type
	mapper
}

// mapper changes how a column appears.
type mapper struct {
	kind  mapperKind
	limit int    // mapTruncate
	text  string // mapMask: what stands for every value; mapHash: the salt
	hash  func() hash.Hash
	java  bool // hash the text as Java serialises it
}

type mapperKind uint8

const (
	mapNothing mapperKind = iota
	mapTruncate
	mapMask
	mapHash
	mapPropagate
)

var (
	truncateKey = regexp.MustCompile(`^column\.truncate\.to\.(\d+)\.chars$`)
	maskKey     = regexp.MustCompile(`^column\.mask\.with\.(\d+)\.chars$`)
	hashKey     = regexp.MustCompile(`^column\.mask\.hash\.(v2\.)?([^.]+)\.with\.salt\.(.+)$`)
)

// algorithms are Java's names of message digests.
var algorithms = map[string]func() hash.Hash{
	"MD5": md5.New, "SHA": sha1.New, "SHA-1": sha1.New, "SHA1": sha1.New, "SHA-224": sha256.New224, "SHA-256": sha256.New, "SHA-384": sha512.New384,
	"SHA-512": sha512.New, "SHA-512/224": sha512.New512_224, "SHA-512/256": sha512.New512_256,
}

// mappings reads the keys. The first that matches a column counts, and the
// order is Debezium's: truncating, masking, propagating, hashing.
func (p *parser) mappings() []mapping {
	var byKind [4][]mapping
	originals := p.cfg.Originals()
	for _, key := range slices.Sorted(maps.Keys(originals)) {
		m, rank, err := parseMapping(key)
		if err != nil {
			p.bad(key, err)
		}
		if m.kind == mapNothing {
			continue
		}
		patterns, err := compilePatterns(originals[key])
		p.bad(key, err)
		if m.columns = patterns; key == "datatype.propagate.source.type" {
			m.columns, m.types = nil, patterns
		}
		byKind[rank] = append(byKind[rank], m)
	}
	return slices.Concat(byKind[:]...)
}

// parseMapping understands the name of a key. rank is its place in the order.
func parseMapping(key string) (m mapping, rank int, err error) {
	if key == "column.propagate.source.type" || key == "datatype.propagate.source.type" {
		m.kind = mapPropagate
		return m, 2, nil
	}
	const longest = 1 << 20 // of a mask
	if g := truncateKey.FindStringSubmatch(key); g != nil {
		m.kind = mapTruncate
		m.limit, err = strconv.Atoi(g[1])
		return m, 0, err
	}
	if g := maskKey.FindStringSubmatch(key); g != nil {
		n, err := strconv.Atoi(g[1])
		if err == nil && n > longest {
			err = fmt.Errorf("a mask of more than %d characters", longest)
		}
		if err != nil {
			return m, 1, err
		}
		m.kind, m.text = mapMask, strings.Repeat("*", n)
		return m, 1, nil
	}
	if g := hashKey.FindStringSubmatch(key); g != nil {
		m.kind, m.java, m.text = mapHash, g[1] == "", g[3]
		if m.hash = algorithms[strings.ToUpper(g[2])]; m.hash == nil {
			err = fmt.Errorf("there is no hash algorithm %s here: the known ones are %s", g[2], strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
		}
		return m, 3, err
	}
	if strings.HasPrefix(key, "column.mask.") || strings.HasPrefix(key, "column.truncate.") {
		err = errors.New("want column.mask.with.N.chars, column.mask.hash.ALGORITHM.with.salt.SALT, column.mask.hash.v2.ALGORITHM.with.salt.SALT or column.truncate.to.N.chars")
	}
	return m, 0, err
}

// mapperOf returns what is done about a column.
func (c *config) mapperOf(schema, table, column, typeName string) *mapper {
	prefix := schema + "." + table + "."
	for i := range c.mappings {
		m := &c.mappings[i]
		if matchesAny(m.columns, prefix+column) || matchesAny(m.types, prefix+typeName) {
			return &m.mapper
		}
	}
	return nil
}

// apply appends what becomes of a text, at most length UTF-16 units of a hash
// if that is above 0. null reports that it becomes null.
func (m *mapper) apply(dst, text []byte, length int) []byte {
	switch m.kind {
	case mapTruncate:
		return append(dst, cutUTF16(text, m.limit)...)
	case mapMask:
		return append(dst, m.text...)
	case mapHash:
		h := m.hash()
		h.Write([]byte(m.text))
		if m.java {
			h.Write(appendJavaString(nil, text))
		} else {
			h.Write(text)
		}
		start := len(dst)
		dst = hex.AppendEncode(dst, h.Sum(nil))
		if length > 0 && len(dst)-start > length {
			dst = dst[:start+length]
		}
		return dst
	}
	return append(dst, text...)
}

// cutUTF16 returns the first n UTF-16 units of a text, which is what Java
// counts. A character that would be cut in two becomes the replacement for one
// that is not whole.
func cutUTF16(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	units := 0
	for i := 0; i < len(text); {
		if units >= n {
			return text[:i]
		}
		r, size := utf8.DecodeRune(text[i:])
		if units += max(utf16.RuneLen(r), 1); units > n {
			return append(text[:i:i], '?') // as Java encodes half a pair
		}
		i += size
	}
	return text
}

// appendJavaString writes a text as Java's object serialisation does, which
// the first version of hashing is over.
func appendJavaString(dst, text []byte) []byte {
	var body []byte
	for _, u := range utf16.Encode([]rune(string(text))) {
		switch { // modified UTF-8: zero is two bytes, pairs are encoded each by itself
		case u != 0 && u < 0x80:
			body = append(body, byte(u))
		case u < 0x800:
			body = append(body, 0xc0|byte(u>>6), 0x80|byte(u&0x3f))
		default:
			body = append(body, 0xe0|byte(u>>12), 0x80|byte(u>>6&0x3f), 0x80|byte(u&0x3f))
		}
	}
	dst = append(dst, 0xac, 0xed, 0, 5) // stream magic and version
	if len(body) <= 0xffff {
		dst = binary.BigEndian.AppendUint16(append(dst, 0x74), uint16(len(body)))
	} else {
		dst = binary.BigEndian.AppendUint64(append(dst, 0x7c), uint64(len(body)))
	}
	return append(dst, body...)
}
