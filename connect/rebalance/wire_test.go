package rebalance

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

func workOf(ids ...string) Work {
	w := Work{}
	for _, s := range ids {
		if id, err := connector.ParseTaskID(s); err == nil {
			w[id] = true
		} else {
			w[ObjectOf(s)] = true
		}
	}
	return w
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goldenAssignment is written out by hand from Kafka Connect's layouts.
const goldenAssignment = `0002 0000 0003 6d2d31 0009 687474703a2f2f613a 0000000000000007
	00000001 0001 63 00000002 ffffffff 00000000
	00000001 0001 64 00000001 00000003
	000493e0`

func TestMetadataBytes(t *testing.T) {
	assignment := Assignment{
		Version: 2, Leader: "m-1", LeaderURL: "http://a:", Offset: 7,
		Assigned: workOf("c", "c-0"), Revoked: workOf("d-3"), Delay: 5 * time.Minute,
	}
	for _, tt := range []struct {
		name string
		m    Metadata
		want string
	}{
		{"eager", Metadata{Version: 0, URL: "http://a:", Offset: -1}, `0000 0009 687474703a2f2f613a ffffffffffffffff`},
		{"compatible without work", Metadata{Version: 1, URL: "http://a:", Offset: 12}, `0001 0009 687474703a2f2f613a 000000000000000c ffffffff`},
		{"sessioned with work", Metadata{Version: 2, URL: "http://a:", Offset: 12, Allocation: &assignment},
			`0002 0009 687474703a2f2f613a 000000000000000c 00000042` + goldenAssignment},
		{"with storage", Metadata{Version: 2, URL: "u", Offset: 0, Storage: "st"}, `0002 0001 75 0000000000000000 ffffffff 4d4c5243 0002 7374`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			if got := tt.m.AppendTo(nil); !bytes.Equal(got, want) {
				t.Fatalf("encoded\n%x, want\n%x", got, want)
			}
			got, err := ParseMetadata(want)
			if err != nil || !reflect.DeepEqual(got, tt.m) {
				t.Errorf("parsed %+v, %v; want %+v", got, err, tt.m)
			}
		})
	}
}

func TestAssignmentBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    Assignment
		want string
	}{
		{"eager", Assignment{Version: 0, Leader: "m", LeaderURL: "u", Offset: 3, Assigned: workOf("c", "c-0", "c-1")},
			`0000 0000 0001 6d 0001 75 0000000000000003 00000001 0001 63 00000003 ffffffff 00000000 00000001`},
		{"eager mismatch", Assignment{Version: 0, Error: 1, Leader: "m", LeaderURL: "u", Offset: 9, Assigned: Work{}},
			`0000 0001 0001 6d 0001 75 0000000000000009 00000000`},
		{"sessioned", Assignment{Version: 2, Leader: "m-1", LeaderURL: "http://a:", Offset: 7,
			Assigned: workOf("c", "c-0"), Revoked: workOf("d-3"), Delay: 5 * time.Minute}, goldenAssignment},
		{"with storage", Assignment{Version: 1, Leader: "m", LeaderURL: "u", Assigned: Work{}, Revoked: Work{}, Storage: "st"},
			`0001 0000 0001 6d 0001 75 0000000000000000 00000000 00000000 00000000 4d4c5243 0002 7374`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			if got := tt.a.AppendTo(nil); !bytes.Equal(got, want) {
				t.Fatalf("encoded\n%x, want\n%x", got, want)
			}
			got, err := ParseAssignment(want)
			if err != nil || !reflect.DeepEqual(got, tt.a) {
				t.Errorf("parsed %+v, %v; want %+v", got, err, tt.a)
			}
		})
	}
}

// What Kafka Connect's readers tolerate is tolerated: null arrays, fields
// missing at the end, versions of the future.
func TestTolerantReaders(t *testing.T) {
	const head = `0000 0001 6d 0001 75 0000000000000003`
	for _, tt := range []struct {
		name, in string
		want     Assignment
	}{
		{"null arrays", `0001` + head + `ffffffff ffffffff 00000000`, Assignment{Version: 1}},
		{"no arrays", `0001` + head, Assignment{Version: 1}},
		{"no revocations", `0002` + head + `00000001 0001 63 00000001 00000000`, Assignment{Version: 2, Assigned: workOf("c-0")}},
		{"version 3", `0003` + head + `00000000 00000000 000003e8`, Assignment{Version: 3, Delay: time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAssignment(unhex(t, tt.in))
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Leader, want.LeaderURL, want.Offset = "m", "u", 3
			if want.Assigned == nil {
				want.Assigned = Work{}
			}
			want.Revoked = Work{}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("parsed %+v, want %+v", got, want)
			}
		})
	}
	if _, err := ParseMetadata(unhex(t, `ffff 0001 75 0000000000000000`)); err == nil {
		t.Error("negative version accepted")
	}
	if md, err := ParseMetadata(unhex(t, `0001 0001 75 0000000000000005`)); err != nil || md.Allocation != nil || md.Offset != 5 {
		t.Errorf("version 1 without an allocation: %+v, %v", md, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(Metadata{Version: 2, URL: "u", Allocation: &Assignment{Version: 2, Assigned: workOf("c", "c-0")}, Storage: "s"}.AppendTo(nil))
	f.Add(Assignment{Version: 0, Leader: "m", Assigned: workOf("c-0")}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if md, err := ParseMetadata(b); err == nil {
			again, err := ParseMetadata(md.AppendTo(nil))
			if err != nil || !reflect.DeepEqual(again, md) && md.Version <= 2 {
				t.Errorf("metadata %+v reads back as %+v, %v", md, again, err)
			}
		}
		if a, err := ParseAssignment(b); err == nil && a.Version <= 2 {
			again, err := ParseAssignment(a.AppendTo(nil))
			if err != nil || !reflect.DeepEqual(again.Assigned, a.Assigned) {
				t.Errorf("assignment %+v reads back as %+v, %v", a, again, err)
			}
		}
	})
}
