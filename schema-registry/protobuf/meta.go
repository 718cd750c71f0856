package protobuf

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// metaField is the number of the extensions in confluent/meta.proto.
const metaField = 1088

// confluentOption reads the option of confluent/meta.proto, if it is set, from
// what a message of options could not make sense of.
func confluentOption(m proto.Message, unknown []byte) []option {
	name := ""
	switch m.(type) {
	case *descriptorpb.FileOptions:
		name = "file_meta"
	case *descriptorpb.MessageOptions:
		name = "message_meta"
	case *descriptorpb.FieldOptions:
		name = "field_meta"
	case *descriptorpb.EnumOptions:
		name = "enum_meta"
	case *descriptorpb.EnumValueOptions:
		name = "enum_value_meta"
	}
	v := value{kind: memberValue}
	eachField(unknown, func(number protowire.Number, raw []byte) {
		if number == metaField {
			v.members = append(v.members, metaMembers(raw)...)
		}
	})
	if name == "" || len(v.members) == 0 {
		return nil
	}
	return []option{{"(confluent." + name + ")", v}}
}

// metaMembers reads a confluent.Meta.
func metaMembers(raw []byte) []option {
	var doc, params, tags, rules []value
	eachField(raw, func(number protowire.Number, raw []byte) {
		switch number {
		case 1:
			doc = []value{{kind: stringValue, text: string(raw)}}
		case 2:
			params = append(params, textMembers(raw, "key", "value"))
		case 3:
			tags = append(tags, value{kind: stringValue, text: string(raw)})
		case 4:
			rules = append(rules, textMembers(raw, "name", "doc", "expr", "sql"))
		}
	})
	var out []option
	if doc != nil {
		out = append(out, option{"doc", doc[0]})
	}
	for _, l := range []struct {
		name string
		list []value
	}{{"params", params}, {"tags", tags}, {"rules", rules}} {
		if l.list != nil {
			out = append(out, option{l.name, value{kind: listValue, list: l.list}})
		}
	}
	return out
}

// textMembers reads a message of texts whose fields are numbered from 1.
func textMembers(raw []byte, names ...string) value {
	v := value{kind: memberValue}
	eachField(raw, func(number protowire.Number, raw []byte) {
		if i := int(number) - 1; i < len(names) {
			v.members = append(v.members, option{names[i], value{kind: stringValue, text: string(raw)}})
		}
	})
	return v
}

// eachField calls f for the fields with a length, until the bytes make no
// sense.
func eachField(b []byte, f func(protowire.Number, []byte)) {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			raw, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return
			}
			f(number, raw)
		}
		if n = protowire.ConsumeFieldValue(number, typ, b); n < 0 {
			return
		}
		b = b[n:]
	}
}
