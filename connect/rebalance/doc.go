// Package rebalance divides a Connect cluster's connectors and tasks over its
// workers, as Kafka Connect does (KIP-415): workers are members of a group of
// protocol type "connect", the group's leader divides, and the bytes that they
// exchange are Kafka Connect's, so that both can share a group.
//
// Assignor is the leader's pure state machine; Member is the client of the
// group's protocol. The caller makes a Member and runs it:
//
//	m := rebalance.New(cfg, owner)
//	err := m.Run(ctx) // until ctx ends, then the group is left
package rebalance
