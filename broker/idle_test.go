//go:build !race

package broker

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The race detector makes stacks larger, so this is left to the runs without.

// maxIdleBytes is what an idle connection may cost, heap and stacks together.
// It is about 20 KB, of which 12 are the stacks of two goroutines, with the
// client's end of it.
const maxIdleBytes = 24 << 10

// idleConnections opens so many connections, each of which asks for the
// metadata of a topic with many partitions and is then silent, and returns
// what each costs the process in bytes.
func idleConnections(t testing.TB, n int) int {
	t.Helper()
	const partitions = 300
	l := listen(t)
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, Listeners: []Listener{l}, Properties: map[string]string{"max.connections": "100000", "num.partitions": strconv.Itoa(partitions)}})
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("idle"))
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version, metadata.AllowAutoTopicCreation = 9, true
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("wide")
	metadata.Topics = append(metadata.Topics, topic)
	ask := func(c net.Conn) {
		t.Helper()
		if _, err := c.Write(formatter.AppendRequest(nil, metadata, 1)); err != nil {
			t.Fatal(err)
		}
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Fatal(err)
		}
		size := int64(head[0])<<24 | int64(head[1])<<16 | int64(head[2])<<8 | int64(head[3])
		if _, err := io.CopyN(io.Discard, c, size); err != nil || size < 6000 {
			t.Fatalf("%d bytes of metadata, %v", size, err)
		}
	}
	conns := make([]net.Conn, 0, n)
	open := func() {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
		ask(c)
	}
	open()
	for limit := within(t); b.Stats().Logs.Partitions < partitions; runtime.Gosched() { // what is made once is made
		if limit.Err() != nil {
			t.Fatal("partitions are not open")
		}
	}
	before := memory()
	for range n {
		open()
	}
	after := memory()
	if got := b.Stats().Connections; got < int64(n) {
		t.Fatalf("%d connections are open", got)
	}
	runtime.KeepAlive(conns)
	return int(after-before) / n
}

// memory is the heap and the stacks in use.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	if got := idleConnections(t, 500); got > maxIdleBytes {
		t.Errorf("an idle connection costs %d bytes, with the client's end of it; want at most %d", got, maxIdleBytes)
	}
}

func BenchmarkIdleConnections(b *testing.B) {
	for _, n := range []int{5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(idleConnections(b, n)), "B/conn")
			}
		})
	}
}
