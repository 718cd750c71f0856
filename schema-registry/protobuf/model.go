package protobuf

import (
	"slices"
	"strings"
)

// file is what is written in a .proto file.
type file struct {
	syntax  string // "proto2", "proto3", "" if none is written
	edition string // "" without
	pkg     string
	imports []string
	public  []string
	options []option
	types
	extends  []*extend
	services []*service
}

// types are the messages and enums of a file or a message, in the order in
// which they are declared.
type types struct {
	messages []*message
	enums    []*enum
}

type message struct {
	name       string
	reserved   []string // each a declaration's text behind the keyword
	options    []option
	fields     []*field // but for those of oneofs
	oneofs     []*oneof
	groups     []*group
	extensions []extensions
	extends    []*extend
	types
}

// mapEntry reports whether the message is one that a compiler makes of a map
// field.
func (m *message) mapEntry() bool {
	return slices.ContainsFunc(m.options, func(o option) bool { return o.name == "map_entry" && o.value.text == "true" })
}

func (m *message) field(name string) *field {
	i := slices.IndexFunc(m.fields, func(f *field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return m.fields[i]
}

// all returns the fields in and out of oneofs, with the oneof of each.
func (m *message) all(yield func(f *field, oneof string) bool) {
	for _, f := range m.fields {
		if !yield(f, "") {
			return
		}
	}
	for _, o := range m.oneofs {
		for _, f := range o.fields {
			if !yield(f, o.name) {
				return
			}
		}
	}
}

type field struct {
	label   string // "optional", "required", "repeated", "" if none is written
	typ     string // as written; of a map, "map<key, value>"
	name    string
	tag     int
	options []option
}

type oneof struct {
	name    string
	options []option
	fields  []*field
	groups  []*group
}

type group struct {
	label, name string
	tag         int
	fields      []*field
}

type enum struct {
	name      string
	reserved  []string
	options   []option
	constants []constant
}

type constant struct {
	name    string
	tag     int
	options []option
}

type extensions struct {
	ranges  string
	options []option
}

type extend struct {
	name   string
	fields []*field
}

type service struct {
	name    string
	options []option
	rpcs    []rpc
}

type rpc struct {
	name, request, response         string
	streamsRequest, streamsResponse bool
	options                         []option
}

// option is a setting. Its name is as written, with parentheses and dots.
type option struct {
	name  string
	value value
}

// value is an option's: a text, a list, or members in braces.
type value struct {
	kind    valueKind
	text    string // of a string, unquoted; of anything else, as written
	list    []value
	members []option
}

type valueKind uint8

const (
	plainValue valueKind = iota // a number or a name
	stringValue
	listValue
	memberValue
)

// mapTypes takes the type of a map field apart.
func mapTypes(typ string) (key, val string, ok bool) {
	inner, ok := strings.CutPrefix(typ, "map<")
	if !ok {
		return "", "", false
	}
	key, val, ok = strings.Cut(strings.TrimSuffix(inner, ">"), ",")
	return strings.TrimSpace(key), strings.TrimSpace(val), ok
}
