package postgres

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// tideOver returns a tide over one end of a TCP connection, and the other end.
func tideOver(t *testing.T) (*tide, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() }) // some tests have closed them
	return newTide(near), far
}

func TestTideTurns(t *testing.T) {
	in, _ := tideOver(t)
	now := time.Now()
	for i, step := range []struct {
		after time.Duration
		came  int
		high  bool
	}{
		{time.Hour, 1 << 20, false}, // after a long silence a large message is no stream
		{tidePeriod / 2, 1 << 20, false},
		{tidePeriod / 2, 0, true},
		{tidePeriod, ebb, true},
		{tidePeriod, ebb - 1, false},
		{tidePeriod, flood - 1, false},
		{tidePeriod, flood, true},
		{10 * tidePeriod, 9 * ebb, false},
		{10 * tidePeriod, 10 * flood, true},
		{time.Minute, 0, false},
	} {
		now = now.Add(step.after)
		if err := in.count(step.came, now); err != nil {
			t.Fatal(err)
		}
		if in.high != step.high {
			t.Fatalf("step %d: high tide is %v, want %v", i, in.high, step.high)
		}
	}
}

// TestTideBringsAll writes little and much at high tide, of which nothing may
// wait for more to come, and goes back to low tide with something unread.
func TestTideBringsAll(t *testing.T) {
	in, far := tideOver(t)
	if err := in.turn(true, wave); err != nil || !in.high {
		t.Fatalf("no high tide on this system: %v", err)
	}
	var got []byte
	b := make([]byte, readSize)
	await := func(want int) {
		t.Helper()
		for len(got) < want {
			n, err := in.read(b)
			if err != nil {
				t.Fatalf("after %d bytes of %d: %v", len(got), want, err)
			}
			got = append(got, b[:n]...)
		}
	}
	var sent []byte
	for i, size := range []int{1, 100, wave - 1, wave, 3*wave + 5, 1} {
		piece := bytes.Repeat([]byte{byte('a' + i)}, size)
		if _, err := far.Write(piece); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, piece...)
		if err := in.turn(i != 4, wave); err != nil { // the tide may have turned by itself
			t.Fatal(err)
		}
		if i == 4 {
			if err := in.turn(false, 1); err != nil {
				t.Fatal(err)
			}
		}
		await(len(sent))
	}
	if !bytes.Equal(got, sent) {
		t.Error("what came is not what was sent")
	}
}

func TestTideEnds(t *testing.T) {
	for _, high := range []bool{false, true} {
		for _, local := range []bool{false, true} {
			in, far := tideOver(t)
			if high {
				if err := in.turn(true, wave); err != nil {
					t.Fatal(err)
				}
			}
			failed := make(chan error, 1)
			go func() {
				for {
					if _, err := in.read(make([]byte, 100)); err != nil {
						failed <- err
						return
					}
				}
			}()
			want := io.EOF
			if local {
				want = net.ErrClosed
				in.conn.Close()
			} else {
				far.Close()
			}
			if err := <-failed; !errors.Is(err, want) {
				t.Errorf("high tide %v, closed by ourselves %v: %v, want %v", high, local, err, want)
			}
		}
	}
}
