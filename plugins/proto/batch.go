package proto

import "errors"

// A payload, drawn. Integers are varints: unsigned (u) or zigzag (s), of 64
// bits. docs/format/plugin-batch.md explains it.
//
//	payload   := format:1 flags:1 item*
//	flags     := bit 0 the stream's tables are emptied first
//	             bit 1 records have log coordinates (to a sink)
//	item      := record | loose
//	loose     := 0x03 position            a position that no record refers to
//	record    := head:1 [route] timestamp:s place [bytes] [bytes] [headers]
//	head      := bits 0-1 value state, bits 2-3 key state,
//	             bit 4 value null default, bit 5 key null default,
//	             bit 6 headers, bit 7 route as in the record before
//	route     := topic:string partition:s key:schema value:schema
//	timestamp := less the record's before, the first less 0
//	place     := position                            to the worker
//	           | offset:s coords:1 [topic:string partition:s offset:s]
//	offset    := less the record's before less 1, the first from 0
//	coords    := bit 0 original coordinates follow, bit 1 log append time
//	headers   := count:u (string state:1 schema [bytes])*
//	state     := bits 0-1 state, bit 2 null default
//	bytes     := length:u byte*           key and value, where present
//	string    := ref [bytes]              in the table of strings
//	schema    := ref [bytes]              in the table of schemas
//	position  := ref [partition offset]   in the batch's own list
//	partition := ref [bytes]              in the table of source partitions
//	offset    := length+1:u byte*         0 is none
//	ref       := 0 none, 1 defined here under the next free number n,
//	             n+2 what was defined as n
const (
	format        = 1
	flagReset     = 1 << 0
	flagLog       = 1 << 1
	headHeaders   = 1 << 6
	headSameRoute = 1 << 7
	headLoose     = 3
	coordOriginal = 1 << 0
	coordAppend   = 1 << 1
	refNone       = 0
	refNew        = 1
	refFirst      = 2
)

// The bounds of a batch. A decoder refuses what is beyond them; an encoder
// ends the payload before it gets there, or fails where one record alone does.
const (
	// MaxPayload is the size of a batch's payload in bytes. It also bounds one
	// record.
	MaxPayload = 64 << 20
	// MaxRecords is the number of records, and of positions, in a batch.
	MaxRecords = 1 << 16
	// MaxHeaders is the number of headers of a record.
	MaxHeaders = 1 << 12
	// MaxDefinition is the size of one schema's definition in bytes.
	MaxDefinition = 1 << 20

	maxBatchHeaders = 1 << 18 // headers of all records in a batch
	tableEntries    = 1 << 12 // an encoder starts afresh beyond
	maxTableEntries = 1 << 15
	tableBytes      = 4 << 20
	maxTableBytes   = 128 << 20
)

// ErrPayload is a payload that does not follow the layout. The stream it came
// from cannot be used any further: its tables may differ from the sender's.
var ErrPayload = errors.New("malformed batch payload")

// ErrTooLarge is a record that does not fit a payload.
var ErrTooLarge = errors.New("record is too large for the plugin boundary")
