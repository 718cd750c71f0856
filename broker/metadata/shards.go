package metadata

import (
	"hash/maphash"
	"iter"
	"maps"
)

const shardCount = 64

var seed = maphash.MakeSeed()

// shards is an immutable map from string to V. A change copies one shard of
// 64, so images of many thousand topics stay cheap to make, and two images
// tell by comparing shards where they cannot differ. The distribution over
// shards differs from process to process; nothing that leaves the process may
// depend on the order of values.
type shards[V comparable] struct {
	maps [shardCount]*map[string]V
	n    int
}

func shardOf(key string) uint64 { return maphash.String(seed, key) % shardCount }

// get returns the zero V for a key that is not there.
func (s *shards[V]) get(key string) V {
	var zero V
	m := s.maps[shardOf(key)]
	if m == nil {
		return zero
	}
	return (*m)[key]
}

func (s *shards[V]) values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, m := range s.maps {
			if m == nil {
				continue
			}
			for _, v := range *m {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// with returns a copy in which key has the value v.
func (s shards[V]) with(key string, v V) shards[V] {
	i := shardOf(key)
	m := make(map[string]V, 1)
	if s.maps[i] != nil {
		m = maps.Clone(*s.maps[i])
	}
	if _, ok := m[key]; !ok {
		s.n++
	}
	m[key] = v
	s.maps[i] = &m
	return s
}

// without returns a copy that lacks key.
func (s shards[V]) without(key string) shards[V] {
	i := shardOf(key)
	if s.maps[i] == nil {
		return s
	}
	if _, ok := (*s.maps[i])[key]; !ok {
		return s
	}
	m := maps.Clone(*s.maps[i])
	delete(m, key)
	s.n--
	s.maps[i] = &m
	return s
}
