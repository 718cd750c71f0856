package jdbc

import (
	"crypto/md5" // what Java's nameUUIDFromBytes is made of
	"encoding/base64"
	"encoding/hex"

	"github.com/millrace/millrace/plugins/data"
)

// unavailable stands in a change event for a value that the source's server
// did not send, since the update left it as it was: Debezium's default of
// unavailable.value.placeholder.
const unavailable = "__debezium_unavailable_value"

// unavailableTexts are its forms in text fields.
var unavailableTexts = func() map[string]bool {
	p := []byte(unavailable)
	h := md5.Sum(p)
	h[6], h[8] = h[6]&0x0f|0x30, h[8]&0x3f|0x80
	x := hex.EncodeToString(h[:])
	return map[string]bool{
		unavailable: true, hex.EncodeToString(p): true,
		base64.StdEncoding.EncodeToString(p): true, base64.URLEncoding.EncodeToString(p): true,
		x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]: true,
		`{"` + unavailable + `":"` + unavailable + `"}`:                        true,
	}
}()

// maxUnavailable is the length of the longest of them.
const maxUnavailable = 2*len(unavailable) + len(`{"":""}`)

// isUnavailableText reports whether a text is the placeholder.
func isUnavailableText(b []byte) bool {
	return len(b) >= len(unavailable) && len(b) <= maxUnavailable && unavailableTexts[string(b)]
}

// isUnavailable reports whether a value is the placeholder, which must not be
// written over what the column has.
func isUnavailable(v any) bool {
	switch v := v.(type) {
	case string:
		return unavailableTexts[v]
	case []byte:
		return string(v) == unavailable
	case data.Map:
		return len(v) == 1 && v[0].Key == unavailable && isUnavailable(v[0].Value)
	case []any:
		if len(v) == 1 {
			return isUnavailable(v[0])
		}
		return len(v) == len(unavailable) && spelt(v)
	}
	return false
}

// spelt reports whether numbers are the placeholder's bytes.
func spelt(v []any) bool {
	for i, e := range v {
		switch e := e.(type) {
		case int16:
			if byte(e) != unavailable[i] {
				return false
			}
		case int32:
			if byte(e) != unavailable[i] {
				return false
			}
		case int64:
			if byte(e) != unavailable[i] {
				return false
			}
		default:
			return false
		}
	}
	return true
}
