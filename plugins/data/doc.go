// Package data is Connect's data model: schemas, values, rows and records.
//
// A value travels as a row, its Avro binary encoding, beside a reference to
// its Schema. Connectors with known columns write rows with a RowWriter and
// read them with a RowReader, without boxing a field; everything else uses
// Struct and plain Go values, which encode and decode through the same
// compiled plans.
//
// Go values of the types are listed at the Type constants. Of Connect's four
// logical types, Decimal is a Decimal value; Date, Time and Timestamp keep
// their wire integers (days since the epoch, milliseconds since midnight,
// milliseconds since the epoch).
package data
