// Package store keeps Connect's state in its three compacted topics, in Kafka
// Connect's own record formats, so that a set of topics written by either is
// read by the other: configs and target states, source offsets, statuses.
//
// Each store follows its topic from the beginning and holds what the records
// add up to in memory. Open replays the topic and returns; Close stops the
// reading. Reads answer from memory; writes go to the topic, are acknowledged
// by it, and show in reads once the store has read them back (ReadToEnd waits
// for that).
package store
