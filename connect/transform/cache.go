package transform

import (
	"container/list"

	"github.com/millrace/millrace/plugins/data"
)

// cacheSchemas is how many input schemas a transform remembers what it
// derived for.
const cacheSchemas = 64

// cache remembers what was derived per key and forgets what was used least
// recently.
type cache[K comparable, V any] struct {
	items map[K]*list.Element
	order list.List // front: used last
}

type cacheItem[K comparable, V any] struct {
	key   K
	value V
}

// get returns the value of a key, which derive makes if it is not there.
// Errors are not remembered.
func (c *cache[K, V]) get(key K, derive func() (V, error)) (V, error) {
	if e, ok := c.items[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*cacheItem[K, V]).value, nil
	}
	v, err := derive()
	if err != nil {
		return v, err
	}
	if c.items == nil {
		c.items = make(map[K]*list.Element)
	}
	if len(c.items) >= cacheSchemas {
		old := c.order.Remove(c.order.Back()).(*cacheItem[K, V])
		delete(c.items, old.key)
	}
	c.items[key] = c.order.PushFront(&cacheItem[K, V]{key, v})
	return v, nil
}

// perSchema is a cache by input schema. Streams of one schema do not get as
// far as its map.
type perSchema[V any] struct {
	last  *data.Schema
	value V
	all   cache[data.Hash, V]
}

func (c *perSchema[V]) get(s *data.Schema, derive func(*data.Schema) (V, error)) (V, error) {
	if s == c.last {
		return c.value, nil
	}
	v, err := c.all.get(s.Hash(), func() (V, error) { return derive(s) })
	if err == nil {
		c.last, c.value = s, v
	}
	return v, err
}
