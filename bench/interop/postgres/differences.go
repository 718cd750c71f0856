package main

import "regexp"

// meantDifference is a place where Millrace differs from Debezium on purpose.
// docs/compatibility.md has the same list in words.
type meantDifference struct {
	scenario, path, debezium, millrace string // regular expressions; empty for any
	reason                             string
}

var meantDifferences = []meantDifference{
	{path: `\.nm$`, debezium: `^null$`, reason: "Debezium loses values of type name in the stream"},
	{path: `\.num_neg`, reason: "Debezium takes a scale below zero, as numeric(5,-2) has it, for one of 2046"},
	{path: `(types|types_full|edge) value.*\.d$`, millrace: `^("-0043-03-15Z"|-735160|"-4712-01-01Z"|-2440550|-2147472691|-2147472692|"-5877611-06-2[12]Z")$`,
		debezium: `^("0044-03-15Z"|-703383|"4713-01-01Z"|1001860|-622191234|-625821272|"\+2922.*)$`, reason: "Debezium loses the BC of dates, and infinity, in the snapshot; Millrace has them as in the stream"},
	{path: `\.d$`, debezium: `^("1582-10-20Z"|-141422)$`, reason: "Debezium moves dates of the ten days that the Gregorian calendar left out, in the snapshot"},
	{path: `edge value.*\.(ts|ts3)$`, millrace: `^null$`, reason: "microseconds since 1970 do not hold PostgreSQL's last 29 years: such a value is left out with a warning; Debezium's is wrong by an overflow"},
	{scenario: `^toast-base64$`, path: `\.(b|ab)(\[0\])?$`, debezium: `^(null|nothing)$`, reason: "an unchanged value in base64 is the placeholder in base64, in Debezium null as if there were none"},
	{path: `\.hs$`, reason: "the members of hstore as JSON are in PostgreSQL's order, in Debezium in that of a hash"},
	{path: `\.am\.items\.optional$`, reason: "an element of an array of an enum may be null, of which Debezium's task fails"},
	{path: `fields\.t\.default$|\.t$`, debezium: `^"it"$`, reason: "Debezium ends a default at the first quote in it"},
	{path: `f_text`, debezium: `^"CURRENT_USER"$`, reason: "a default that is an expression is none, in Debezium its text"},
	{path: `\.(bx|ls|pa|pg|ci2|li)$`, reason: "unknown types appear as PostgreSQL writes them, numbers in Debezium as Java does"},
	{path: `parameters\.__debezium\.source\.column\.(type|length|scale)$`, debezium: `^("SERIAL"|"0"|nothing)$`, reason: "source types are those of the stream, in Debezium others in the snapshot"},
	{path: `\.generated .*twice`, reason: "generated columns are left out of the snapshot as they are of the stream"},
	{scenario: `^partitions-root-false$`, path: `\.(p|parent): events$`, reason: "a snapshot reads each row once: a partitioned table by its partitions, a parent table without its children"},
	{scenario: `^partitions-root-true$`, path: `\.(p1|p2|parent): events$`, reason: "a snapshot reads each row once: a partitioned table by its root, a parent table without its children"},
	{scenario: `^partitions`, path: `\.parent `, reason: "a snapshot reads each row once: a parent table without its children"},
	{path: `\.nokey: events$`, reason: "no tombstone follows a delete of a row without key: it would say nothing"},
	{path: `\.part key$`, debezium: `"a"`, millrace: `^nothing$`, reason: "a unique index over some rows or over expressions makes no key"},
	{scenario: `^columns-`, path: `person key\.`, reason: "a column of the key that is left out of rows keeps its value and its NOT NULL in the key, in Debezium neither"},
	{scenario: `^(incremental|blocking)$`, path: `debezium_signal: events$`, millrace: `^0:$`, reason: "rows of the signal table are no events unless it is in the lists, in Debezium always"},
	{scenario: `^(incremental|blocking)$`, path: `\.message: events$`, reason: "Debezium captures the messages by which Millrace finds its place in the log"},
	{path: `data_collections\[\d\]\.data_collection$`, debezium: "LogicalDecodingMessageId@", reason: "messages are counted as LOGICAL_DECODING_MESSAGE, in Debezium by the address of a Java object"},
	{path: `^offset\.(lsn_commit|lsn_proc|messageType|lsn_events_processed|transaction_id|transaction_data_collection_order_.*)$`, reason: "the offset is as of the last message, in Debezium as of the last record: fields that belong to a transaction are in it only while one is open"},
	{scenario: `^ddl$`, path: `parameters\.allowed$`, debezium: `^"a"$`, millrace: `^"a,b"$`, reason: "labels that an enum got are in the schema, in Debezium after its next start"},
}

// meant returns why a difference is meant, "" if it is not.
func meant(scenario, path string, a, b *node) string {
	for _, m := range meantDifferences {
		if match(m.scenario, scenario) && match(m.path, path) && match(m.debezium, a.String()) && match(m.millrace, b.String()) {
			return m.reason
		}
	}
	return ""
}

func match(pattern, text string) bool {
	return pattern == "" || regexp.MustCompile(pattern).MatchString(text)
}
