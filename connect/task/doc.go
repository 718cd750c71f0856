// Package task runs the loops of source and sink tasks: between a connector's
// process on one side and the log on the other.
//
// A loop owns its converters and its client. It is run by one goroutine and
// returns when its context ends, having committed what it could, or with the
// error that the task failed of.
package task
