// Package txn is Kafka's transaction coordinator: which producer id and epoch
// a transactional id has, which partitions its transaction wrote to, and how
// that transaction ends (KIP-98, KIP-360, KIP-890).
//
// Txn is a pure state machine of one transactional id: events with the time go
// in, Actions come out, and nothing else happens. Coordinator is its shell: it
// keeps the ids of the partitions of __transaction_state that this broker
// leads and performs the actions. State survives as the records of that topic
// in Kafka's own format: every change is appended and durable before it is
// acted upon, so that a coordinator that takes over, or starts again, finishes
// what was decided.
//
// The end of a transaction is decided by the record of PrepareCommit or
// PrepareAbort. Then a marker is written to each partition, over and over
// until it is durable, and then the record of CompleteCommit or CompleteAbort.
//
// Errors that clients see are kerr values, so that one table maps them.
package txn
