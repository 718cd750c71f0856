package data

// State tells the three kinds of key, value or header value apart. A converter
// may treat the two nulls differently: JsonConverter writes a tombstone for the
// first and {"schema":...,"payload":null} for the second.
type State uint8

// The states. The zero Datum is a null without schema: a tombstone.
const (
	NullNoSchema State = iota // null, Schema is nil
	Null                      // null of a known schema
	Present                   // a value, in Row; zero bytes are legal (an empty record)
)

// Datum is one key, value or header value: a reference to its schema and its
// bytes. With a Schema, Row is the value in Avro binary, laid out by the
// schema's Avro form (see AvroSchema). Without one and Present, Row is CBOR
// (see EncodeSchemaless). A Datum owns nothing: Row may alias a batch's payload and
// lives as long as it.
type Datum struct {
	Schema *Schema
	State  State
	// NullDefault is set when at least one null in the row belongs to a field
	// that has a default. Converters that replace such nulls by the default
	// must then open the row; those that do not, or when it is false, need not.
	NullDefault bool
	Row         []byte
}

// IsNull reports whether the datum is null, with or without schema.
func (d Datum) IsNull() bool { return d.State != Present }

// Header is one record header. Names may repeat; order is kept.
type Header struct {
	Name  string
	Value Datum
}

// NoPartition lets the producer's partitioner choose; NoTimestamp leaves the
// timestamp to the producer. NoPosition is a record that moves no source
// offset.
const (
	NoPartition int32 = -1
	NoTimestamp int64 = -1
	NoPosition  int32 = -1
)

// Record is a record on its way between a connector and the log. Source
// records use Position, sink records Offset and the original coordinates; the
// rest is common. Byte slices may alias the payload of the Batch they came in.
type Record struct {
	Topic     string
	Partition int32 // NoPartition, or the partition to write to
	Timestamp int64 // milliseconds since the epoch, or NoTimestamp
	Key       Datum
	Value     Datum
	Headers   []Header

	// Position indexes Batch.Positions: once this record and all before it are
	// in the log, that source offset may be stored. NoPosition leaves the
	// stored offset as it is.
	Position int32

	// End ends a transaction after this record, where the connector defines
	// transactions (sources).
	End TransactionEnd

	// Offset is the record's offset in the log (sinks).
	Offset int64
	// LogAppendTime says that Timestamp was set by the log on arrival, not by
	// the producer (sinks).
	LogAppendTime bool
	// OriginalTopic, OriginalPartition and OriginalOffset are the coordinates
	// the record was consumed from, whatever transforms did to the others
	// (KIP-793). Offsets are tracked by these.
	OriginalTopic     string
	OriginalPartition int32
	OriginalOffset    int64
}

// TransactionEnd says whether a source ends the transaction that it writes in,
// and how.
type TransactionEnd uint8

// The ends of a transaction.
const (
	GoesOn TransactionEnd = iota
	Commit
	// Abort drops the transaction's records. The source offsets move past them
	// all the same: they are not read again.
	Abort
)

// Position is a source offset: the partition of the source it belongs to and
// where the source stands in it. Both are JSON objects, as Kafka Connect keeps
// them in its offset topic.
type Position struct {
	Partition []byte // JSON object; equal bytes mean equal partitions within a stream
	Offset    []byte // JSON object with primitive values; nil removes the stored offset
}

// Batch is a run of records in order, the unit that crosses the plugin
// boundary. Records and Positions may share one underlying buffer; a Batch is
// valid until its owner reuses it.
type Batch struct {
	Records   []Record
	Positions []Position
	// More says that the source had more at hand in the same poll, which the
	// next batch goes on with: a transaction that holds whole polls does not
	// end here.
	More bool
	// End is that of the last record. No other record of the batch has one once
	// it has crossed the plugin boundary.
	End TransactionEnd
}
