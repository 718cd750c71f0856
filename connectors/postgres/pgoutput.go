package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of pgoutput messages, of versions 1 to 4 of the protocol. See
// "Logical Replication Message Formats" in PostgreSQL's documentation.
const (
	msgBegin    = 'B'
	msgCommit   = 'C'
	msgOrigin   = 'O'
	msgRelation = 'R'
	msgType     = 'Y'
	msgInsert   = 'I'
	msgUpdate   = 'U'
	msgDelete   = 'D'
	msgTruncate = 'T'
	msgMessage  = 'M'

	// Since version 2: a transaction in pieces before it has committed.
	msgStreamStart  = 'S'
	msgStreamStop   = 'E'
	msgStreamCommit = 'c'
	msgStreamAbort  = 'A'

	// Since version 3: PREPARE TRANSACTION.
	msgBeginPrepare     = 'b'
	msgPrepare          = 'P'
	msgCommitPrepared   = 'K'
	msgRollbackPrepared = 'r'
	msgStreamPrepare    = 'p'
)

// The kinds of column values in a tuple.
const (
	valueNull      = 'n'
	valueUnchanged = 'u' // out of line and as it was
	valueText      = 't'
)

// pgEpoch is 2000-01-01 in microseconds since 1970.
const pgEpoch = 946684800000000

var errTruncated = errors.New("the message ends too early")

// value is one column of a tuple. Text aliases the message.
type value struct {
	kind byte
	text []byte
}

// message is one decoded message. Decoding into the same message again reuses
// its memory; byte slices alias the input.
type message struct {
	kind byte

	commitLSN lsn   // Begin: where the transaction will commit; Commit
	endLSN    lsn   // Commit
	time      int64 // Begin, Commit: microseconds since 1970
	xid       uint32

	relID    uint32   // Relation, Insert, Update, Delete
	relation relation // Relation
	oldKind  byte     // 'K', 'O', or 0 without an old tuple
	old, new []value
	relIDs   []uint32 // Truncate
	origin   string   // Origin

	changeXID uint32 // of the row, relation or message, inside a stream: maybe a subtransaction's
	subXID    uint32 // Stream Abort: what is undone, the same as xid for all of it
	first     bool   // Stream Start: of its transaction
	gid       string // of the prepared transaction

	transactional bool // Message
	messageLSN    lsn
	prefix        string
	content       []byte
}

// relation is what a Relation message says of a table.
type relation struct {
	id           uint32
	schema, name string
	identity     byte // d, n, f or i
	columns      []relColumn
}

type relColumn struct {
	name    string
	key     bool // part of the replica identity
	typeOID uint32
	typmod  int32
}

// equal reports whether two relations are described alike.
func (r *relation) equal(o *relation) bool {
	if r.id != o.id || r.schema != o.schema || r.name != o.name || r.identity != o.identity || len(r.columns) != len(o.columns) {
		return false
	}
	for i := range r.columns {
		if r.columns[i] != o.columns[i] {
			return false
		}
	}
	return true
}

// scanner reads fields off a message. After the first error it reads zeros.
type scanner struct {
	b   []byte
	err error
}

func (s *scanner) take(n int) []byte {
	if s.err != nil || n < 0 || n > len(s.b) {
		s.err = errTruncated
		return nil
	}
	out := s.b[:n:n]
	s.b = s.b[n:]
	return out
}

func (s *scanner) byte() byte {
	if b := s.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (s *scanner) uint16() uint16 {
	if b := s.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (s *scanner) uint32() uint32 {
	if b := s.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (s *scanner) uint64() uint64 {
	if b := s.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (s *scanner) string() string {
	i := bytes.IndexByte(s.b, 0)
	if i < 0 || s.err != nil {
		s.err = errTruncated
		return ""
	}
	out := string(s.b[:i])
	s.b = s.b[i+1:]
	return out
}

// inPieces reports the kinds that begin with the transaction's id when they
// come in a stream of pieces.
func inPieces(kind byte) bool {
	switch kind {
	case msgRelation, msgType, msgInsert, msgUpdate, msgDelete, msgTruncate, msgMessage:
		return true
	}
	return false
}

// decode reads one message. streamed says that it is one of a transaction in
// pieces.
func (m *message) decode(b []byte, streamed bool) error {
	s := scanner{b: b}
	m.kind, m.changeXID = s.byte(), 0
	if streamed && inPieces(m.kind) {
		m.changeXID = s.uint32()
	}
	if !m.readChange(&s) && !m.readBoundary(&s) {
		return fmt.Errorf("message of an unknown kind %q", m.kind)
	}
	if s.err == nil && len(s.b) > 0 {
		s.err = fmt.Errorf("%d bytes too many", len(s.b))
	}
	if s.err != nil {
		return fmt.Errorf("read a %q message: %w", m.kind, s.err)
	}
	return nil
}

// readBoundary reads what transactions begin and end with.
func (m *message) readBoundary(s *scanner) bool {
	stamp := func() int64 { return int64(s.uint64()) + pgEpoch }
	switch m.kind {
	case msgStreamStart:
		m.xid, m.first = s.uint32(), s.byte() != 0
	case msgStreamStop:
	case msgStreamCommit:
		m.xid = s.uint32()
		s.byte()
		m.commitLSN, m.endLSN, m.time = lsn(s.uint64()), lsn(s.uint64()), stamp()
	case msgStreamAbort:
		m.xid, m.subXID = s.uint32(), s.uint32()
		if len(s.b) > 0 { // version 4 with parallel streaming: position and time
			m.commitLSN, m.time = lsn(s.uint64()), stamp()
		}
	case msgBeginPrepare:
		m.commitLSN, m.endLSN, m.time, m.xid, m.gid = lsn(s.uint64()), lsn(s.uint64()), stamp(), s.uint32(), s.string()
	case msgPrepare, msgStreamPrepare, msgCommitPrepared:
		s.byte()
		m.commitLSN, m.endLSN, m.time, m.xid, m.gid = lsn(s.uint64()), lsn(s.uint64()), stamp(), s.uint32(), s.string()
	case msgRollbackPrepared:
		s.byte()
		m.commitLSN, m.endLSN = lsn(s.uint64()), lsn(s.uint64())
		stamp()
		m.time, m.xid, m.gid = stamp(), s.uint32(), s.string()
	default:
		return false
	}
	return true
}

// readChange reads the messages of version 1.
func (m *message) readChange(s *scanner) bool {
	switch m.kind {
	case msgBegin:
		m.commitLSN, m.time, m.xid = lsn(s.uint64()), int64(s.uint64())+pgEpoch, s.uint32()
	case msgCommit:
		s.byte()
		m.commitLSN, m.endLSN, m.time = lsn(s.uint64()), lsn(s.uint64()), int64(s.uint64())+pgEpoch
	case msgOrigin:
		m.messageLSN, m.origin = lsn(s.uint64()), s.string()
	case msgRelation:
		m.readRelation(s)
	case msgType:
		s.uint32()
		s.string()
		s.string()
	case msgInsert, msgUpdate, msgDelete:
		m.readRow(s)
	case msgTruncate:
		n := int(s.uint32())
		s.byte()
		m.relIDs = m.relIDs[:0]
		for range min(n, len(s.b)/4) {
			m.relIDs = append(m.relIDs, s.uint32())
		}
		if n != len(m.relIDs) {
			s.err = errTruncated
		}
	case msgMessage:
		m.transactional = s.byte()&1 != 0
		m.messageLSN, m.prefix = lsn(s.uint64()), s.string()
		m.content = s.take(int(int32(s.uint32())))
	default:
		return false
	}
	return true
}

func (m *message) readRelation(s *scanner) {
	r := relation{id: s.uint32(), schema: s.string(), name: s.string(), identity: s.byte()}
	if r.schema == "" {
		r.schema = "pg_catalog"
	}
	n := int(s.uint16())
	for i := 0; i < n && s.err == nil; i++ {
		c := relColumn{key: s.byte()&1 != 0, name: s.string(), typeOID: s.uint32(), typmod: int32(s.uint32())}
		r.columns = append(r.columns, c)
	}
	m.relID, m.relation = r.id, r
}

func (m *message) readRow(s *scanner) {
	m.relID, m.oldKind = s.uint32(), 0
	m.old, m.new = m.old[:0], m.new[:0]
	tag := s.byte()
	if (tag == 'K' || tag == 'O') && m.kind != msgInsert {
		m.oldKind = tag
		m.old = readTuple(s, m.old)
		if m.kind == msgDelete {
			return
		}
		tag = s.byte()
	}
	if m.kind == msgDelete || tag != 'N' {
		if s.err == nil {
			s.err = fmt.Errorf("tuple of an unexpected kind %q", tag)
		}
		return
	}
	m.new = readTuple(s, m.new)
}

func readTuple(s *scanner, into []value) []value {
	n := int(s.uint16())
	for i := 0; i < n && s.err == nil; i++ {
		v := value{kind: s.byte()}
		switch v.kind {
		case valueNull, valueUnchanged:
		case valueText:
			v.text = s.take(int(int32(s.uint32())))
		default:
			if s.err == nil {
				s.err = fmt.Errorf("column value of an unexpected kind %q", v.kind)
			}
		}
		into = append(into, v)
	}
	return into
}
