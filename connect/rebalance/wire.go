package rebalance

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// Protocol is a name under which a member offers its metadata. The coordinator
// picks the first that all members offer.
type Protocol string

// The protocols. Sessioned is Compatible with signed internal requests
// (KIP-507).
const (
	Eager      Protocol = "default"
	Compatible Protocol = "compatible"
	Sessioned  Protocol = "sessioned"
)

// Version returns the version of the layouts, which the bytes begin with.
func (p Protocol) Version() int16 {
	switch p {
	case Compatible:
		return 1
	case Sessioned:
		return 2
	}
	return 0
}

// Offered returns the protocols that a connect.protocol setting (eager,
// compatible, sessioned) offers, the preferred one first.
func Offered(setting string) []Protocol {
	switch setting {
	case "eager":
		return []Protocol{Eager}
	case "compatible":
		return []Protocol{Compatible, Eager}
	}
	return []Protocol{Sessioned, Compatible, Eager}
}

// Metadata is what a member tells the leader when it joins:
//
//	v0:     int16 0, STRING url, INT64 configOffset
//	v1, v2: int16 version, STRING url, INT64 configOffset, NULLABLE_BYTES allocation
//
// Behind that comes what only Millrace writes and reads, and Kafka Connect
// skips: "MLRC", STRING storage.
type Metadata struct {
	Version    int16
	URL        string
	Offset     int64       // of the config topic; -1 before any record
	Allocation *Assignment // what the member runs, nil if nothing
	Storage    string      // the topics that the member keeps its state in
}

// Assignment is what the leader tells a member:
//
//	v0:     int16 0, INT16 error, STRING leader, STRING leaderUrl, INT64 configOffset,
//	        ARRAY of {STRING connector, ARRAY of INT32 task}
//	v1, v2: the same with NULLABLE ARRAYs assigned and revoked, and then INT32 delayMs
//
// Behind that comes Storage, as in Metadata.
type Assignment struct {
	Version   int16
	Error     int16 // 1: the leader's config is behind a member's
	Leader    string
	LeaderURL string
	Offset    int64
	Assigned  Work // v0: everything; later ones: what is new
	Revoked   Work
	Delay     time.Duration // of the next rebalance, 0 for none
	Storage   string
}

// configMismatch is the error of an assignment that assigns nothing because
// the leader has not read the config topic as far as some member has.
const configMismatch = 1

// storageMark begins the part that only Millrace knows.
const storageMark = "MLRC"

// AppendTo appends the metadata's bytes.
func (m Metadata) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Version))
	dst = appendString(dst, m.URL)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.Offset))
	if m.Version > 0 {
		if m.Allocation == nil {
			dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32) // null
		} else {
			at := len(dst)
			dst = append(dst, 0, 0, 0, 0)
			dst = m.Allocation.AppendTo(dst)
			binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		}
	}
	return appendStorage(dst, m.Storage)
}

// AppendTo appends the assignment's bytes.
func (a Assignment) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Version))
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Error))
	dst = appendString(dst, a.Leader)
	dst = appendString(dst, a.LeaderURL)
	dst = binary.BigEndian.AppendUint64(dst, uint64(a.Offset))
	dst = appendWork(dst, a.Assigned)
	if a.Version > 0 {
		dst = appendWork(dst, a.Revoked)
		dst = binary.BigEndian.AppendUint32(dst, uint32(a.Delay.Milliseconds()))
	}
	return appendStorage(dst, a.Storage)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendStorage(dst []byte, storage string) []byte {
	if storage == "" {
		return dst
	}
	return appendString(append(dst, storageMark...), storage)
}

// appendWork writes items by connector.
func appendWork(dst []byte, w Work) []byte {
	all := w.Sorted()
	at, connectors := len(dst), uint32(0)
	dst = append(dst, 0, 0, 0, 0)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Connector == all[0].Connector {
			n++
		}
		dst = appendString(dst, all[0].Connector)
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		for _, id := range all[:n] {
			dst = binary.BigEndian.AppendUint32(dst, uint32(int32(id.Task)))
		}
		all = all[n:]
		connectors++
	}
	binary.BigEndian.PutUint32(dst[at:], connectors)
	return dst
}

// ParseMetadata reads a member's metadata. Fields missing at the end read as
// absent, and versions above 2 as 2, as Kafka Connect does. Nothing returned
// refers to b.
func ParseMetadata(b []byte) (Metadata, error) {
	r := reader{b: b}
	m := Metadata{Version: r.version(), URL: r.string(), Offset: r.int64()}
	if m.Version > 0 {
		if raw := r.nullableBytes(); raw != nil {
			a, err := ParseAssignment(raw)
			if err != nil {
				return Metadata{}, fmt.Errorf("member metadata: allocation: %w", err)
			}
			m.Allocation = &a
		}
	}
	m.Storage = r.storage()
	if r.err != nil {
		return Metadata{}, fmt.Errorf("member metadata: %w", r.err)
	}
	return m, nil
}

// ParseAssignment reads an assignment of any version, those of eager leaders
// included: what they lack reads as absent.
func ParseAssignment(b []byte) (Assignment, error) {
	r := reader{b: b}
	a := Assignment{
		Version: r.version(), Error: r.int16(), Leader: r.string(), LeaderURL: r.string(), Offset: r.int64(), Assigned: r.work(),
	}
	if a.Version > 0 {
		a.Revoked = r.work()
		if len(r.b) >= 4 {
			a.Delay = time.Duration(max(r.int32(), 0)) * time.Millisecond
		}
	}
	a.Storage = r.storage()
	if r.err != nil {
		return Assignment{}, fmt.Errorf("assignment: %w", r.err)
	}
	return a, nil
}

// reader takes a message apart. After the first error it returns zeros.
type reader struct {
	b   []byte
	err error
}

// take returns the next n bytes.
func (r *reader) take(n int) []byte {
	if r.err == nil && (n < 0 || n > len(r.b)) {
		r.err = fmt.Errorf("%d bytes wanted where %d are left", n, len(r.b))
	}
	if r.err != nil {
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) string() string { return string(r.take(int(r.int16()))) }

func (r *reader) version() int16 {
	v := r.int16()
	if r.err == nil && v < 0 {
		r.err = fmt.Errorf("unsupported version %d", v)
	}
	return v
}

// nullableBytes returns nil for null, and for a field that is not there.
func (r *reader) nullableBytes() []byte {
	if r.err != nil || len(r.b) == 0 {
		return nil
	}
	n := r.int32()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

// work reads a nullable array of connectors with their tasks. One that is not
// there reads as empty. Counts are never trusted for an allocation.
func (r *reader) work() Work {
	out := Work{}
	if len(r.b) == 0 {
		return out
	}
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		name := r.string()
		for t := r.int32(); t > 0 && r.err == nil; t-- {
			if task := r.int32(); r.err == nil && task >= Object {
				out[connector.TaskID{Connector: name, Task: int(task)}] = true
			}
		}
	}
	return out
}

// storage reads Millrace's own part, "" if there is none.
func (r *reader) storage() string {
	if r.err != nil || len(r.b) < len(storageMark) || string(r.b[:len(storageMark)]) != storageMark {
		return ""
	}
	r.take(len(storageMark))
	return r.string()
}
