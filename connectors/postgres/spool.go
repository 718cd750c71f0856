package postgres

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// spool holds the messages of a transaction that the server sends in pieces
// before it has committed, in a file without a name, so that nothing of it is
// left whatever becomes of the process. Memory does not grow with it.
//
//	record: uint32 length of what follows, uint64 position, the message
type spool struct {
	first    lsn // of its first piece
	prepared lsn // where it was prepared
	streamed bool
	file     *os.File
	to       *bufio.Writer
	size     int64
	undone   map[uint32]bool // subtransactions that were rolled back
	// relations are those that were described in it, as they were last.
	relations []relation
}

const spoolBuffer = 64 << 10

func newSpool(dir string, first lsn, streamed bool) (*spool, error) {
	f, err := os.CreateTemp(dir, "millrace-transaction-*")
	if err != nil {
		return nil, fmt.Errorf("hold a transaction until it commits: %w", err)
	}
	// It stays until it is closed.
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spool{first: first, streamed: streamed, file: f, to: bufio.NewWriterSize(f, spoolBuffer)}, nil
}

// add appends a message.
func (s *spool) add(at lsn, msg []byte) error {
	var head [12]byte
	binary.BigEndian.PutUint32(head[:], uint32(8+len(msg)))
	binary.BigEndian.PutUint64(head[4:], uint64(at))
	_, err := s.to.Write(head[:])
	if err == nil {
		_, err = s.to.Write(msg)
	}
	s.size += int64(len(head) + len(msg))
	return err
}

// describe remembers a relation.
func (s *spool) describe(r relation) {
	for i := range s.relations {
		if s.relations[i].id == r.id {
			s.relations[i] = r
			return
		}
	}
	s.relations = append(s.relations, r)
}

// undo leaves out what a subtransaction did.
func (s *spool) undo(xid uint32) {
	if s.undone == nil {
		s.undone = make(map[uint32]bool)
	}
	s.undone[xid] = true
}

// close lets go of the file, and with it of the space that it took.
func (s *spool) close() {
	_ = s.file.Close() // nobody reads it again
}

// replay reads a spool from its beginning.
type replay struct {
	spool *spool
	from  *bufio.Reader
	msg   []byte
	end   message // the commit
}

func (s *spool) replay(end message) (*replay, error) {
	if err := s.to.Flush(); err != nil {
		return nil, err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return &replay{spool: s, from: bufio.NewReaderSize(s.file, spoolBuffer), end: end}, nil
}

// next returns the next message, which is valid until the call after; nil at
// the end.
func (r *replay) next() (lsn, []byte, error) {
	var head [12]byte
	if _, err := io.ReadFull(r.from, head[:]); errors.Is(err, io.EOF) {
		return 0, nil, nil
	} else if err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:])) - 8
	if n < 0 || n > maxFrame {
		return 0, nil, fmt.Errorf("a message of %d bytes in the file of a transaction", n)
	}
	if cap(r.msg) < n {
		r.msg = make([]byte, n)
	}
	r.msg = r.msg[:n]
	if _, err := io.ReadFull(r.from, r.msg); err != nil {
		return 0, nil, err
	}
	return lsn(binary.BigEndian.Uint64(head[4:])), r.msg, nil
}
