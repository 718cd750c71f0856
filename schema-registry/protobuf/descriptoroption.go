package protobuf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// optionsOf reads the options of a descriptor, in the order of their numbers.
// Extensions that this program does not know are in no text and are left out,
// but for Confluent's, which are read by their numbers.
func optionsOf(m proto.Message) []option {
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	type numbered struct {
		number protoreflect.FieldNumber
		option option
	}
	var all []numbered
	r.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Name() != "uninterpreted_option" {
			all = append(all, numbered{fd.Number(), option{string(fd.Name()), valueOf(fd, v)}})
		}
		return true
	})
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	out := make([]option, 0, len(all))
	for _, n := range all {
		out = append(out, n.option)
	}
	return append(out, confluentOption(m, r.GetUnknown())...)
}

func valueOf(fd protoreflect.FieldDescriptor, v protoreflect.Value) value {
	if fd.IsList() {
		out := value{kind: listValue}
		for i := range v.List().Len() {
			out.list = append(out.list, single(fd, v.List().Get(i)))
		}
		return out
	}
	return single(fd, v)
}

func single(fd protoreflect.FieldDescriptor, v protoreflect.Value) value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return value{kind: stringValue, text: v.String()}
	case protoreflect.BytesKind:
		return value{kind: stringValue, text: string(v.Bytes())}
	case protoreflect.BoolKind:
		return value{text: strconv.FormatBool(v.Bool())}
	case protoreflect.EnumKind:
		if ev := fd.Enum().Values().ByNumber(v.Enum()); ev != nil {
			return value{text: string(ev.Name())}
		}
		return value{text: strconv.Itoa(int(v.Enum()))}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		out := value{kind: memberValue}
		v.Message().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			out.members = append(out.members, option{string(f.Name()), valueOf(f, v)})
			return true
		})
		slices.SortFunc(out.members, func(a, b option) int { return cmp.Compare(a.name, b.name) })
		return out
	}
	return value{text: fmt.Sprint(v.Interface())}
}
