package proto

import (
	"github.com/millrace/millrace/plugins/data"
)

// Table is what one end of a stream knows about the schemas, strings and
// source partitions that have crossed it. Each crosses once as a definition
// and is a number afterwards. The zero Table is ready for use. A Table serves
// one direction of one stream, either to encode or to decode, and one
// goroutine at a time. Its memory is bounded: an encoder that has filled its
// table empties both ends and starts again.
type Table struct {
	// Log says that records carry log coordinates rather than source
	// positions: set for batches on their way to a sink, on both ends.
	Log bool

	schemas    []*data.Schema
	strings    []string
	partitions [][]byte
	bytes      int // of all definitions

	// Encoding only.
	schemaIDs    map[data.Hash]uint64
	stringIDs    map[string]uint64
	partitionIDs map[string]uint64
	positionRefs []uint64 // by index in Batch.Positions, refNone when not sent
	started      bool

	// lastSchema and lastString are the entries used last, which answer most
	// look-ups without a hash.
	lastSchema    *data.Schema
	lastSchemaID  uint64
	lastString    string
	lastStringID  uint64
	lastPartition []byte
	lastPartID    uint64
}

// full reports whether the next payload should empty the table first.
func (t *Table) full() bool {
	return len(t.schemas) > tableEntries || len(t.strings) > tableEntries ||
		len(t.partitions) > tableEntries || t.bytes > tableBytes
}

func (t *Table) reset() {
	*t = Table{Log: t.Log, positionRefs: t.positionRefs, started: t.started}
}

// roomFor reports whether a decoder accepts a further definition of n bytes
// beside count others.
func (t *Table) roomFor(count, n int) bool {
	return count < maxTableEntries && t.bytes+n <= maxTableBytes
}
