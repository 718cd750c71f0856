// Package configdef defines configuration keys: their type, default, rules and
// texts, as Kafka's ConfigDef does, with its parsing and its messages.
//
// A Def is a list of Keys. Parse turns the text properties of a connector,
// converter or transform into typed values; Validate gives the per-key result
// that Connect's REST interface reports. The data of a Def crosses process
// boundaries as JSON; functions on its keys stay in the process that has them.
package configdef
