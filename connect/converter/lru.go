package converter

import "container/list"

// lru is a map that forgets what was used least recently when it holds too
// many items or too much weight.
type lru[K comparable, V any] struct {
	limit  int
	budget int // of weight
	weight int
	items  map[K]*list.Element
	order  *list.List // front: used last
}

type lruItem[K comparable, V any] struct {
	key    K
	value  V
	weight int
}

// cacheBytes bounds what one cache of schemas holds, by the size of their
// texts.
const cacheBytes = 16 << 20

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: max(limit, 1), budget: cacheBytes, items: make(map[K]*list.Element), order: list.New()}
}

func (c *lru[K, V]) get(key K) (value V, ok bool) {
	e, ok := c.items[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*lruItem[K, V]).value, true
}

// put remembers a value. weight is roughly the bytes it holds; one that is
// over the budget by itself is not remembered.
func (c *lru[K, V]) put(key K, value V, weight int) {
	if e, ok := c.items[key]; ok {
		c.remove(e)
	}
	if weight > c.budget {
		return
	}
	for len(c.items) >= c.limit || c.weight+weight > c.budget {
		c.remove(c.order.Back())
	}
	c.items[key] = c.order.PushFront(&lruItem[K, V]{key, value, weight})
	c.weight += weight
}

func (c *lru[K, V]) remove(e *list.Element) {
	item := c.order.Remove(e).(*lruItem[K, V])
	c.weight -= item.weight
	delete(c.items, item.key)
}
