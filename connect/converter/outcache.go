package converter

import "time"

// outCache remembers how rows of a schema go to a topic, so that the registry
// is asked the first time only. Nearly always the answer is that of the record
// before, which is kept apart.
type outCache[V lasting] struct {
	all     *lru[outKey, V]
	last    V
	lastKey outKey
	has     bool // last is something
}

// lasting is what may be true for a time only.
type lasting interface{ until() time.Time }

// validity is how long an answer of the registry is good; zero for ever.
type validity struct{ expires time.Time }

func (v validity) until() time.Time { return v.expires }

func newOutCache[V lasting](limit int) outCache[V] { return outCache[V]{all: newLRU[outKey, V](limit)} }

// get returns what is remembered and still good.
func (c *outCache[V]) get(key outKey, now func() time.Time) (V, bool) {
	v, ok := c.last, c.has && c.lastKey == key
	if !ok {
		v, ok = c.all.get(key)
	}
	if !ok {
		return v, false
	}
	if at := v.until(); !at.IsZero() && now().After(at) {
		return v, false
	}
	c.last, c.lastKey, c.has = v, key, true
	return v, true
}

// put remembers an answer.
func (c *outCache[V]) put(key outKey, v V) {
	c.all.put(key, v, len(key.topic))
	c.last, c.lastKey, c.has = v, key, true
}
