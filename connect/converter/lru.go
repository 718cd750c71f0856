package converter

import "container/list"

// lru is a map that forgets what was used least recently when it is full.
type lru[K comparable, V any] struct {
	limit int
	items map[K]*list.Element
	order *list.List // front: used last
}

type lruItem[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: max(limit, 1), items: make(map[K]*list.Element), order: list.New()}
}

func (c *lru[K, V]) get(key K) (value V, ok bool) {
	e, ok := c.items[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*lruItem[K, V]).value, true
}

func (c *lru[K, V]) put(key K, value V) {
	if e, ok := c.items[key]; ok {
		e.Value.(*lruItem[K, V]).value = value
		c.order.MoveToFront(e)
		return
	}
	if len(c.items) >= c.limit {
		last := c.order.Back()
		delete(c.items, last.Value.(*lruItem[K, V]).key)
		c.order.Remove(last)
	}
	c.items[key] = c.order.PushFront(&lruItem[K, V]{key, value})
}
