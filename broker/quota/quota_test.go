package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/metadata"
)

// bench is quotas under a clock that the test turns.
type bench struct {
	*Quotas
	t     *testing.T
	clock time.Time
	image *metadata.Image
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, clock: time.Unix(1000, 0), image: new(metadata.Image)}
	b.Quotas = New(func() time.Time { return b.clock })
	return b
}

// entity reads "user=u,client-id=" and the like; no name is the default.
func entity(user, id, ip *string) metadata.QuotaEntity {
	part := func(s *string) metadata.QuotaName {
		if s == nil {
			return metadata.QuotaName{}
		}
		return metadata.QuotaName{Given: true, Default: *s == "", Name: *s}
	}
	return metadata.QuotaEntity{User: part(user), ClientID: part(id), IP: part(ip)}
}

func (b *bench) limit(e metadata.QuotaEntity, kind Kind, v float64) {
	b.t.Helper()
	next, _, err := b.image.Apply(b.image.Index+1, &metadata.AlterQuota{Entity: e, Set: map[string]float64{kind.String(): v}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.image = next
	b.Follow(next)
}

func name(s string) *string { return &s }

var anyone = name("") // the default entity

func TestNoQuotas(t *testing.T) {
	b := newBench(t)
	c := Client{"u", "c"}
	if d, ok := b.Mutate(c, 1e6, true); d != 0 || !ok {
		t.Errorf("Mutate = %v, %t", d, ok)
	}
	if b.Enabled() || b.Record(Produce, c, 1e12) != 0 || b.Try(Fetch, c, 1e12) != 0 || b.Connect("::1") != 0 {
		t.Error("somebody is delayed without a quota")
	}
}

// The window's arithmetic is Kafka's: ten seconds count at least, and the
// delay is what brings the rate down to the limit.
func TestDelay(t *testing.T) {
	b := newBench(t)
	c := Client{ID: "c"}
	b.limit(entity(nil, name("c"), nil), Produce, 100)
	if d := b.Record(Produce, c, 1000); d != 0 {
		t.Errorf("ten seconds' worth at once is delayed by %v", d)
	}
	if d := b.Record(Produce, c, 500); d != 5*time.Second {
		t.Errorf("half as much again is delayed by %v, want 5s", d)
	}
	b.clock = b.clock.Add(5 * time.Second)
	if d := b.Record(Produce, c, 0); d != 5*time.Second {
		t.Errorf("after half of the window the delay is %v, want 5s: ten seconds still count", d)
	}
	b.clock = b.clock.Add(5500 * time.Millisecond) // 10.5 s after the first
	if d := b.Record(Produce, c, 0); d != 4500*time.Millisecond {
		t.Errorf("the delay is %v, want 4.5s", d)
	}
	b.clock = b.clock.Add(500 * time.Millisecond) // the first sample is over
	if d := b.Record(Produce, c, 1000); d != 0 {
		t.Errorf("after eleven seconds the delay is %v", d)
	}
	s := b.Stats()[Produce]
	if s.Delays != 3 || s.Total != 14500*time.Millisecond {
		t.Errorf("stats are %+v", s)
	}
}

func TestTryDoesNotCountWhatIsNotDone(t *testing.T) {
	b := newBench(t)
	c := Client{ID: "c"}
	b.limit(entity(nil, name("c"), nil), Fetch, 100)
	if n, ok := b.Budget(Fetch, c); !ok || n != 1000 {
		t.Errorf("budget is %g, %t", n, ok)
	}
	if d := b.Try(Fetch, c, 400); d != 0 {
		t.Errorf("less than the window's worth is delayed by %v", d)
	}
	for range 3 {
		if d := b.Try(Fetch, c, 1600); d != 10*time.Second {
			t.Errorf("twice the window's worth is delayed by %v, want 10s", d)
		}
	}
	if d := b.Try(Fetch, c, 600); d != 0 {
		t.Errorf("the rest of the window's worth is delayed by %v", d)
	}
	b.clock = b.clock.Add(idle)
	if d := b.Try(Fetch, c, 5000); d != 0 {
		t.Errorf("a client that was silent is delayed by %v", d)
	}
	if d := b.Try(Fetch, c, 1); d == 0 {
		t.Error("what it did does not count")
	}
}

func TestRequestDelayIsBounded(t *testing.T) {
	b := newBench(t)
	c := Client{ID: "c"}
	b.limit(entity(nil, name("c"), nil), Request, 1)
	if d := b.Record(Request, c, 1000); d != time.Second {
		t.Errorf("delay is %v, want one second", d)
	}
}

// The most specific quota counts, and is shared by those it names together.
func TestPrecedence(t *testing.T) {
	b := newBench(t)
	c := Client{"u", "c"}
	for i, e := range []metadata.QuotaEntity{
		entity(nil, anyone, nil), entity(nil, name("c"), nil), entity(anyone, nil, nil), entity(anyone, anyone, nil),
		entity(anyone, name("c"), nil), entity(name("u"), nil, nil), entity(name("u"), anyone, nil), entity(name("u"), name("c"), nil),
	} {
		b.limit(e, Produce, float64(i+1))
		if n, ok := b.Budget(Produce, c); !ok || n != float64(i+1)*10 {
			t.Errorf("with %+v added the limit is %g", e, n/10)
		}
	}
	if n, _ := b.Budget(Produce, Client{"other", "other"}); n != 40 {
		t.Errorf("others have the limit %g, want that of default users' default clients", n/10)
	}
	if _, ok := b.Budget(Fetch, c); ok {
		t.Error("a quota of one kind limits another")
	}
}

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		e      metadata.QuotaEntity
		a, b   Client
		shared bool
	}{
		{"clients of a user", entity(name("u"), nil, nil), Client{"u", "1"}, Client{"u", "2"}, true},
		{"default users", entity(anyone, nil, nil), Client{"u", "1"}, Client{"v", "1"}, false},
		{"users of a client id", entity(nil, name("1"), nil), Client{"u", "1"}, Client{"v", "1"}, true},
		{"default client ids", entity(nil, anyone, nil), Client{"u", "1"}, Client{"u", "2"}, false},
		{"a user's default clients", entity(name("u"), anyone, nil), Client{"u", "1"}, Client{"u", "2"}, false},
	} {
		b := newBench(t)
		b.limit(tt.e, Produce, 1)
		b.Record(Produce, tt.a, 100)
		if d := b.Record(Produce, tt.b, 1); (d > 0) != tt.shared {
			t.Errorf("%s: shared %t, want %t", tt.name, d > 0, tt.shared)
		}
	}
}

func TestMutations(t *testing.T) {
	b := newBench(t)
	c := Client{"u", "c"}
	b.limit(entity(name("u"), nil, nil), Mutation, 2)
	for _, tt := range []struct {
		what   string
		n      int
		strict bool
		d      time.Duration
		ok     bool
	}{
		{"less than the burst of 22", 20, true, 0, true},
		{"eight above it", 10, true, 4 * time.Second, true},
		{"more, which is refused", 10, true, 4 * time.Second, false},
		{"more, which is done in any case", 10, false, 9 * time.Second, true},
	} {
		if d, ok := b.Mutate(c, tt.n, tt.strict); d != tt.d || ok != tt.ok {
			t.Errorf("%s: %v, %t, want %v, %t", tt.what, d, ok, tt.d, tt.ok)
		}
	}
	b.clock = b.clock.Add(9 * time.Second)
	if d, ok := b.Mutate(c, 0, true); d != 0 || !ok {
		t.Errorf("after the delay: %v, %t", d, ok)
	}
}

func TestConnections(t *testing.T) {
	b := newBench(t)
	b.limit(entity(nil, nil, anyone), Connection, 1)
	b.limit(entity(nil, nil, name("10.0.0.1")), Connection, 2)
	for ip, want := range map[string]int{"10.0.0.1": 20, "10.0.0.2": 10} {
		n := 0
		for b.Connect(ip) == 0 {
			n++
		}
		if n != want {
			t.Errorf("%s may connect %d times at once, want %d", ip, n, want)
		}
	}
}

func TestMetersAreBounded(t *testing.T) {
	b := newBench(t)
	b.limit(entity(nil, anyone, nil), Produce, 1)
	for i := range maxMeters + 100 {
		b.Record(Produce, Client{ID: fmt.Sprint(i)}, 1)
	}
	if n := len(b.meters); n > maxMeters+1 {
		t.Errorf("%d meters", n)
	}
	if d := b.Record(Produce, Client{ID: "one more"}, 1); d == 0 {
		t.Error("those beyond the bound are not measured together")
	}
	b.clock = b.clock.Add(idle)
	if b.Record(Produce, Client{ID: "later"}, 1); len(b.meters) != 1 {
		t.Errorf("%d meters after all were idle", len(b.meters))
	}
}
