package registry

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"
)

// Bounds of the cache of parsed schemas. Parsed, a schema takes some twenty
// times its text.
const (
	cacheSchemas = 1000
	cacheBytes   = 8 << 20 // of text
)

// cacheKey is a digest of all that a parsed schema depends on.
type cacheKey [sha256.Size]byte

// cache keeps the parsed schemas that were used last.
type cache struct {
	mu    sync.Mutex // guards below
	byKey map[cacheKey]*list.Element
	used  *list.List // of *cached, latest first
	bytes int
}

type cached struct {
	key    cacheKey
	schema parsed
	bytes  int
}

func newCache() *cache {
	return &cache{byKey: map[cacheKey]*list.Element{}, used: list.New()}
}

func (c *cache) get(k cacheKey) (parsed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[k]
	if !ok {
		return nil, false
	}
	c.used.MoveToFront(e)
	return e.Value.(*cached).schema, true
}

func (c *cache) put(k cacheKey, s parsed, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.byKey[k]; known {
		return
	}
	c.byKey[k] = c.used.PushFront(&cached{k, s, bytes})
	c.bytes += bytes
	for c.used.Len() > cacheSchemas || c.bytes > cacheBytes && c.used.Len() > 1 {
		last := c.used.Remove(c.used.Back()).(*cached)
		delete(c.byKey, last.key)
		c.bytes -= last.bytes
	}
}

// keyOf digests a schema's type, text and references. Each part is ended by
// its length, so that no two lists look the same.
func keyOf(typ, text string, refs []referenced, rules strictness) cacheKey {
	h := sha256.New()
	part := func(s string) {
		var n [8]byte
		for i := range n {
			n[i] = byte(len(s) >> (8 * i))
		}
		h.Write([]byte(s))
		h.Write(n[:])
	}
	part(typ)
	part(text)
	part(fmt.Sprint(rules))
	for _, r := range refs {
		part(r.name)
		part(r.text)
		part(r.origin)
	}
	return cacheKey(h.Sum(nil))
}
