package proto

import (
	"sync"

	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

// gRPC's own pool has no buffers between 32 KiB and 1 MiB, and wipes each over
// its whole length before it hands it out: of a task that sends batches of 200
// KiB that was a twelfth of its processor time. The codec of protobuf takes
// the default pool alone, and that may be set while the program begins only.
func init() { experimental.SetDefaultBufferPool(newPool()) }

// tiers are the sizes of pooled buffers, each the power of two of that number.
// What is larger than the last is rare, and left to the collector.
var tiers = [...]uint{12, 14, 16, 18, 19, 20, 22}

// pool is a mem.BufferPool whose buffers come as they were left: what is taken
// from it is written over before it is read. It is safe for concurrent use.
type pool struct {
	of     [len(tiers)]sync.Pool
	spoils bool // under the race detector, what is given back is overwritten
}

var _ mem.BufferPool = (*pool)(nil)

func newPool() *pool { return &pool{} }

// Get returns a buffer of that length.
func (p *pool) Get(length int) *[]byte {
	for i, bits := range tiers {
		if length > 1<<bits {
			continue
		}
		if b, ok := p.of[i].Get().(*[]byte); ok {
			*b = (*b)[:length]
			return b
		}
		b := make([]byte, length, 1<<bits)
		return &b
	}
	b := make([]byte, length)
	return &b
}

// Put takes a buffer back.
func (p *pool) Put(b *[]byte) {
	for i, bits := range tiers {
		if cap(*b) == 1<<bits {
			if p.spoils {
				spoil((*b)[:cap(*b)])
			}
			p.of[i].Put(b)
			return
		}
	}
}
