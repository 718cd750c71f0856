package proto

import (
	"testing"

	"google.golang.org/grpc/mem"
)

// TestPool takes buffers of all sizes twice, and changes their length between.
func TestPool(t *testing.T) {
	p := newPool()
	for range 2 {
		for _, n := range []int{0, 1, 4095, 4096, 4097, 200_000, 1 << 18, 1 << 20, 1<<20 + 1} {
			b := p.Get(n)
			if len(*b) != n {
				t.Fatalf("a buffer of %d bytes where %d were asked for", len(*b), n)
			}
			if n > 0 && n <= 1<<20 && cap(*b)&(cap(*b)-1) != 0 {
				t.Errorf("a buffer of %d bytes has room for %d, which is no tier", n, cap(*b))
			}
			*b = (*b)[:n/2]
			p.Put(b)
		}
	}
	p.Put(&[]byte{}) // of somebody else
	if b := p.Get(1); cap(*b) != 4096 {
		t.Errorf("the least buffer has room for %d bytes, want 4096", cap(*b))
	}
}

// TestPoolIsUsed holds that gRPC's codec takes its buffers from here.
func TestPoolIsUsed(t *testing.T) {
	if _, ok := mem.DefaultBufferPool().(*pool); !ok {
		t.Errorf("gRPC's buffers come from %T", mem.DefaultBufferPool())
	}
}
