package data

// The bounds on a schema. They keep a hostile schema from costing more than
// its text: a tree of shared record types can be exponentially larger than the
// text that defines it.
const (
	maxSchemaDepth = 100    // levels of nesting
	maxSchemaNodes = 100000 // schemas in the tree, shared ones counted each time
	maxFixedBytes  = 1 << 20
)

// maxEmptyElements bounds the elements of an array or map whose elements take
// no bytes: there the claimed count is not backed by input.
const maxEmptyElements = 1 << 16

// The bounds on an Avro schema: a Connect schema's, with room for the unions
// and entry records that one takes.
const (
	maxAvroDepth = 3*maxSchemaDepth + 1
	maxAvroNodes = 4 * maxSchemaNodes
)
