package wire

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// muting is a Handler that mutes the connection with each request.
type muting struct {
	stub
	d time.Duration
}

func (m muting) Handle(ctx context.Context, c *Conn, r *Request) (Reply, error) {
	c.Mute(m.d)
	c.Mute(m.d / 2) // the longer one counts
	return m.stub.Handle(ctx, c, r)
}

// A muted connection is answered at once, and reads no further request for as
// long.
func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, muting{stub{echo}, 2 * time.Second}, Config{})
		began := time.Now()
		s.send(t, heartbeat(1, 1), heartbeat(1, 2))
		s.receive(t, 1)
		if took := time.Since(began); took != 0 {
			t.Errorf("the first answer took %v", took)
		}
		s.receive(t, 1)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the second answer came after %v, want two seconds", took)
		}
		s.stop() // ends a muted connection too
		s.wantEnd(t, nil)
	})
}

func TestQueuedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(Shared)
		shared.LimitQueued(10)
		m := &shared.queued
		ctx := context.Background()
		if err := m.acquire(ctx, ctx, 100); err != nil { // anything gets in while there is room
			t.Fatal(err)
		}
		got := make(chan error, 2)
		go func() { got <- m.acquire(ctx, ctx, 1) }()
		synctest.Wait()
		if len(got) != 0 {
			t.Error("let in although there is no room")
		}
		m.release(95)
		if err := <-got; err != nil || shared.Queued() != 6 {
			t.Errorf("%d bytes are queued, %v", shared.Queued(), err)
		}
		m.release(-94)
		gone, leave := context.WithCancel(ctx)
		go func() { got <- m.acquire(ctx, gone, 1) }()
		synctest.Wait()
		leave()
		if err := <-got; err == nil {
			t.Error("let in after the client left")
		}
	})
}

// While the records of one connection wait for their answer and there is no
// room for more, other connections are not read.
func TestQueuedMemoryHoldsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(Shared)
		shared.LimitQueued(1)
		release := make(chan struct{})
		h := stub{func(r *Request) (Reply, error) {
			if r.Key != keyProduce {
				return echo(r)
			}
			return func(context.Context) (Response, error) {
				<-release
				return Response{Message: r.Body.ResponseKind()}, nil
			}, nil
		}}
		var clients [2]net.Conn
		for i := range clients {
			client, conn := Pipe()
			clients[i] = client
			done := make(chan struct{})
			go func() {
				defer close(done)
				Serve(t.Context(), t.Context(), conn, "TEST", h, Config{Shared: shared}) // ends with the client
			}()
			defer func() { client.Close(); <-done }()
		}
		produce := kmsg.NewPtrProduceRequest()
		produce.Version = 9
		(&server{client: clients[0]}).send(t, kmsg.NewRequestFormatter().AppendRequest(nil, produce, 1))
		synctest.Wait()
		other := &server{client: clients[1]}
		other.send(t, heartbeat(1, 7))
		synctest.Wait()
		if n := shared.Requests.Load(); n != 1 {
			t.Errorf("%d requests were read, want the first only", n)
		}
		close(release)
		if id, _ := other.receive(t, 1); id != 7 || shared.Queued() != 0 {
			t.Errorf("answer to %d, %d bytes queued", id, shared.Queued())
		}
	})
}

// Requests are released when they are answered, whatever becomes of the
// connection.
func TestQueuedMemoryIsReleased(t *testing.T) {
	s := &server{shared: new(Shared)}
	s.shared.LimitQueued(1 << 20)
	for _, end := range []func(client net.Conn){
		func(net.Conn) {},
		func(c net.Conn) { c.Write([]byte{0, 0, 0, 20, 0, 99, 0, 0}) }, // an unknown key, cut short
	} {
		client, conn := Pipe()
		done := make(chan error, 1)
		go func() {
			done <- Serve(t.Context(), t.Context(), conn, "TEST", stub{echo}, Config{Shared: s.shared})
		}()
		srv := &server{client: client}
		srv.send(t, heartbeat(1, 1))
		srv.receive(t, 1)
		end(client)
		client.Close()
		<-done
		if n := s.shared.Queued(); n != 0 {
			t.Errorf("%d bytes are still queued", n)
		}
	}
}
