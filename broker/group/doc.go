// Package group is Kafka's group coordinator: membership, rebalances and
// committed offsets of classic groups of any protocol type, and of groups of
// the consumer protocol, whose members package consumer coordinates.
//
// Group is a pure state machine: events with the time go in, Actions come out,
// and nothing else happens. Coordinator is its shell: it keeps the groups of
// the partitions of __consumer_offsets that this broker leads, performs the
// actions in order, and turns deadlines into timers. State survives as the
// records of that topic in Kafka's own formats; the Coordinator writes them
// through a Store and gets them back through Load.
//
// Errors that clients see are kerr values, so that one table maps them.
package group
