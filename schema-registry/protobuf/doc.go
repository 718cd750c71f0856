// Package protobuf is the registry's view of Protocol Buffers, syntax 2, 3 and
// editions: it reads schemas, prints them as the registry stores them, and
// tells whether messages of one can be read with another.
//
// It works on what is written, not on what a compiler makes of it: descriptors
// no longer tell a field without a label from one that is optional, which
// decides verdicts. The rules are tables in kinds.go and compare.go.
package protobuf
