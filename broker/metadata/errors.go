package metadata

import "errors"

// Reasons for which Apply refuses a command and leaves the image as it was.
// Every node refuses the same commands.
var (
	// ErrTopicExists means that a topic of that name, or of a name that
	// differs only in '.' and '_', exists.
	ErrTopicExists = errors.New("topic already exists")
	// ErrTopicCollides means a name that differs from an existing one only in
	// '.' and '_', which metrics cannot tell apart.
	ErrTopicCollides = errors.New("topic name collides with an existing topic")
	// ErrUnknownTopic means that no topic has that name or id.
	ErrUnknownTopic = errors.New("unknown topic")
	// ErrTopicName means a name that Kafka does not allow.
	ErrTopicName = errors.New("invalid topic name")
	// ErrPartitions means a partition count that is not positive, too large,
	// or not above the current one.
	ErrPartitions = errors.New("invalid number of partitions")
	// ErrReplication means a replication factor that is not positive or above
	// the number of brokers.
	ErrReplication = errors.New("invalid replication factor")
	// ErrAssignment means replicas that are empty, repeated, unknown or of
	// unequal number.
	ErrAssignment = errors.New("invalid replica assignment")
	// ErrConfig means a config that does not exist or has an invalid value.
	ErrConfig = errors.New("invalid config")
	// ErrQuota means a quota that does not exist, cannot be for that entity or
	// has an invalid value.
	ErrQuota = errors.New("invalid quota")
	// ErrProducerIDs means that no producer ids are left or none was asked for.
	ErrProducerIDs = errors.New("invalid producer id block")
)

// ErrDecode means bytes that are no command or snapshot of a version this
// package knows. A node whose log holds such a command must stop: skipping it
// would let its image drift from that of the others.
var ErrDecode = errors.New("cannot decode metadata")

// Errors of proposing a command, which every implementation of a metadata
// quorum uses.
var (
	// ErrNotController means that this node cannot accept commands; another
	// one, or the same later, can. The command had no effect.
	ErrNotController = errors.New("not the controller")
	// ErrOutcomeUnknown means that the command may or may not take effect,
	// because leadership, time or the node was lost while it was on its way.
	ErrOutcomeUnknown = errors.New("outcome of the metadata change is unknown")
)
