// Package jsonschema is the registry's view of JSON Schema, drafts 4 to
// 2020-12: it reads schemas, prints them as the registry stores them, and tells
// whether what was valid under one is valid under another.
//
// The comparison is not of keywords but of nodes, as in Confluent's registry: a
// schema object is taken apart into one node for each type that it speaks of
// (node.go), and two nodes are compared by the rules of their kind. kinds.go is
// the table of all differences with what becomes of each.
package jsonschema
