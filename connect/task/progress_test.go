package task

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func at(partition string, n int) data.Position {
	return data.Position{Partition: []byte(partition), Offset: fmt.Appendf(nil, `{"n":%d}`, n)}
}

// send begins a batch of records and ends its sending.
func send(p *progress, seq uint64, records int, positions ...data.Position) *flight {
	f := p.begin(seq, positions)
	p.expect(f, records)
	p.done(f, nil)
	return f
}

func TestOffsetsWaitForThePrefix(t *testing.T) {
	p := newProgress()
	one := send(p, 1, 1, at("a", 1))
	two := send(p, 2, 1, at("a", 2), at("b", 7))
	p.done(two, nil)
	if got, _ := p.take(); len(got) != 0 {
		t.Fatalf("offsets %v while batch 1 is on its way", got)
	}
	p.done(one, nil)
	got, acked := p.take()
	if string(got["a"]) != `{"n":2}` || string(got["b"]) != `{"n":7}` || acked != 2 {
		t.Errorf("offsets %s, acked %d; want a at 2, b at 7, acked 2", got, acked)
	}
	if !p.idle() {
		t.Error("not idle after all was acknowledged")
	}
}

func TestFailedRecordHoldsOffsetsBack(t *testing.T) {
	p := newProgress()
	bad := errors.New("record too large")
	one, two := send(p, 1, 2, at("a", 1)), send(p, 2, 1, at("a", 2))
	p.done(two, nil)
	p.done(one, nil)
	p.done(one, bad)
	if got, _ := p.take(); len(got) != 0 {
		t.Errorf("offsets %v after a record of the first batch failed", got)
	}
	if !errors.Is(p.err(), bad) {
		t.Errorf("err() = %v, want %v", p.err(), bad)
	}
	select {
	case <-p.failure:
	default:
		t.Error("failure is not announced")
	}
}

func TestBatchWithoutRecordsMovesOffsets(t *testing.T) {
	p := newProgress()
	send(p, 1, 0, at("a", 1))
	if got, acked := p.take(); string(got["a"]) != `{"n":1}` || acked != 1 {
		t.Errorf("offsets %s, acked %d; a filtered batch must still advance", got, acked)
	}
}

func TestGiveBackKeepsTheNewer(t *testing.T) {
	p := newProgress()
	send(p, 1, 0, at("a", 1), at("b", 1))
	old, _ := p.take()
	send(p, 2, 0, at("a", 2))
	p.giveBack(old)
	got, _ := p.take()
	if string(got["a"]) != `{"n":2}` || string(got["b"]) != `{"n":1}` {
		t.Errorf("offsets %s; want a at 2 and b at 1", got)
	}
}

// Whatever the order of acknowledgements, what may be stored is never past a
// record that is not acknowledged.
func TestPrefixHoldsInAnyOrder(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		p := newProgress()
		n := 1 + rng.IntN(8)
		flights := make([]*flight, n)
		var acks []int
		left := make([]int, n)
		for i := range n {
			left[i] = rng.IntN(4)
			flights[i] = send(p, uint64(i+1), left[i], at("a", i+1))
			for range left[i] {
				acks = append(acks, i)
			}
		}
		rng.Shuffle(len(acks), func(i, j int) { acks[i], acks[j] = acks[j], acks[i] })
		for _, i := range acks {
			p.done(flights[i], nil)
			left[i]--
			want := uint64(0)
			for k := 0; k < n && left[k] == 0; k++ {
				want = uint64(k + 1)
			}
			if _, acked := p.take(); acked != want {
				t.Fatalf("seed %d: acked %d, want %d (left %v)", seed, acked, want, left)
			}
		}
	}
}
