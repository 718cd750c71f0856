// Package avro is the registry's view of Avro schemas: it parses them, prints
// them as the registry stores them, and tells whether data written with one can
// be read with another.
//
// The registry keeps what Avro's own canonical form drops (docs, defaults,
// aliases, custom properties), accepts what stored topics hold although it is
// not quite Avro, and reports every difference with its place. That is why
// this is not done by an Avro library.
package avro
