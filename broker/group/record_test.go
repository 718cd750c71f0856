package group

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestPartition(t *testing.T) {
	for _, tt := range []struct {
		group string
		hash  int32 // String.hashCode by hand
	}{
		{"", 0},
		{"a", 97},
		{"test", 3556498},
		{"polygenelubricants", 0}, // hashes to the smallest int
		{"é", 233},
		{"😀", 31*0xd83d + 0xde00},
	} {
		if got, want := Partition(tt.group, 50), tt.hash%50; got != want {
			t.Errorf("Partition(%q) = %d, want %d", tt.group, got, want)
		}
	}
}

// reload is the group that another broker would load from the log.
func (h *harness) reload() *Group {
	h.t.Helper()
	c := &Coordinator{cfg: *h.g.cfg}
	groups, err := c.replay(plain(func(yield func(Record, error) bool) {
		for _, r := range h.log {
			if !yield(r, nil) {
				return
			}
		}
	}))
	if err != nil {
		h.t.Fatal(err)
	}
	return groups["g"]
}

func TestReload(t *testing.T) {
	h, a, b := staticPair(t)
	h.commit(CommitRequest{MemberID: a, InstanceID: "a", Generation: h.g.generation, Offsets: commitOf(orders0, 7)})
	g := h.reload()
	if got, want := g.describe(), h.g.describe(); !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v, want %+v", got, want)
	}
	if g.generation != h.g.generation || g.leader != a || g.static["b"] != b {
		t.Errorf("loaded generation %d, leader %s, static %v", g.generation, g.leader, g.static)
	}
	if got, want := g.Fetch(nil), h.g.Fetch(nil); !reflect.DeepEqual(got, want) {
		t.Errorf("loaded offsets %+v, want %+v", got, want)
	}
	if m := g.members[a]; m.session != h.g.members[a].session || m.rebalance != h.g.members[a].rebalance {
		t.Errorf("loaded member %+v", m)
	}
	// Tombstones in the order of a deletion leave nothing.
	h.log = append(h.log, Record{Key: offsetKey("g", orders0)}, Record{Key: metadataKey("g")})
	if g := h.reload(); g != nil {
		t.Errorf("deleted group is loaded as %+v", g.describe())
	}
}

func TestReloadSkipsOtherKinds(t *testing.T) {
	h := newHarness(t)
	h.commit(CommitRequest{Generation: -1, Offsets: commitOf(orders0, 7)})
	h.log = append(h.log, Record{Key: []byte{0, 11, 0, 1, 'g'}, Value: []byte{0, 0}}, Record{Key: []byte{0, 99}})
	if g := h.reload(); g == nil || len(g.offsets) != 1 {
		t.Error("offset is not loaded past records of other kinds")
	}
}

// TestRecordBytes fixes the layout against the schemas of Kafka's messages
// OffsetCommitKey and OffsetCommitValue, version 1 and 3.
func TestRecordBytes(t *testing.T) {
	h := newHarness(t)
	h.commit(CommitRequest{Generation: -1, Offsets: commitOf(orders0, 7)})
	key := "\x00\x01" + "\x00\x01g" + "\x00\x06orders" + "\x00\x00\x00\x00"
	value := "\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x03" + "\x00\x01m"
	value += string(binary.BigEndian.AppendUint64(nil, uint64(h.now.UnixMilli())))
	if r := h.log[0]; string(r.Key) != key || string(r.Value) != value {
		t.Errorf("record is %q = %q, want %q = %q", r.Key, r.Value, key, value)
	}
	h.stable(1)
	r := h.log[len(h.log)-1]
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(r.Value); err != nil || v.Version != 3 || v.ProtocolType != "consumer" || *v.Protocol != "range" || len(v.Members) != 1 {
		t.Errorf("metadata is %+v, %v", v, err)
	}
	if !bytes.Equal(r.Key, []byte("\x00\x02\x00\x01g")) {
		t.Errorf("metadata key is %q", r.Key)
	}
}

func TestStoreErrors(t *testing.T) {
	for _, tt := range []struct{ err, want, offsets error }{
		{nil, nil, nil},
		{kerr.NotLeaderForPartition, kerr.NotCoordinator, kerr.NotCoordinator},
		{kerr.KafkaStorageError, kerr.NotCoordinator, kerr.NotCoordinator},
		{kerr.NotEnoughReplicas, kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
		{kerr.RequestTimedOut, kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
		{kerr.MessageTooLarge, kerr.UnknownServerError, kerr.InvalidCommitOffsetSize},
		{errors.New("other"), kerr.UnknownServerError, kerr.UnknownServerError},
	} {
		if got := storeError(tt.err); got != tt.want {
			t.Errorf("storeError(%v) = %v, want %v", tt.err, got, tt.want)
		}
		if got := commitError(tt.err); got != tt.offsets {
			t.Errorf("commitError(%v) = %v, want %v", tt.err, got, tt.offsets)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	g := newHarness(f)
	g.commit(CommitRequest{Generation: -1, Offsets: commitOf(orders0, 7)})
	g.stable(2)
	for _, r := range g.log {
		f.Add(r.Key, r.Value)
		f.Add(r.Key, []byte(nil))
	}
	f.Add([]byte("\x00\x03\x00\x01g"), []byte{0, 0})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(value) == 0 {
			value = nil
		}
		d, ok, err := decodeRecord(Record{key, value})
		if err != nil && !errors.Is(err, errRecord) {
			t.Fatalf("error %v is not errRecord", err)
		}
		if err != nil || !ok {
			return
		}
		h := newHarness(t)
		h.g.id = d.group
		h.g.replay(h.now, d)
		h.g.Deadline()
		if d.meta != nil {
			again, ok, err := decodeRecord(h.g.metadataRecord(nil))
			if err != nil || !ok || again.group != d.group || again.meta.Generation != d.meta.Generation {
				t.Fatalf("metadata does not survive: %+v, %v", again, err)
			}
		}
	})
}
