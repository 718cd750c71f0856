package converter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

func (w *protoText) meta(options map[string]string) string {
	if len(options) == 0 {
		return ""
	}
	w.imports["confluent/meta.proto"] = true
	var params []string
	for k := range options {
		params = append(params, k)
	}
	slices.Sort(params)
	for i, k := range params {
		params[i] = "{ key: " + strconv.Quote(k) + " value: " + strconv.Quote(options[k]) + " }"
	}
	return " [(confluent.field_meta) = { params: [" + strings.Join(params, ", ") + "] }]"
}

// mapKeys are the types that keys of a map may have.
var mapKeys = []data.Type{data.TypeString, data.TypeInt8, data.TypeInt16, data.TypeInt32, data.TypeInt64, data.TypeBoolean}

func (w *protoText) mapping(to *protoField, name string, s *data.Schema, options map[string]string, later *[]pending) (string, error) {
	k, v := s.KeySchema(), s.ValueSchema()
	if !slices.Contains(mapKeys, k.Type()) || k.Optional() || k.IsLogical() || v.Type() == data.TypeArray || v.Type() == data.TypeMap {
		return "", errors.New("a map needs keys that are required texts, integers or booleans, and values that are no arrays or maps, to have a form in Protocol Buffers")
	}
	to.repeated, to.key, to.elem = true, &protoField{presence: true}, &protoField{}
	if _, err := w.typ(to.key, name, k, options, later); err != nil {
		return "", err
	}
	typ, err := w.typ(to.elem, name, v, options, later)
	to.elem.presence = true
	return "map<" + to.key.scalar + ", " + typ + ">", err
}

// typ returns the type of a value that is no array or map.
func (w *protoText) typ(to *protoField, field string, s *data.Schema, options map[string]string, later *[]pending) (string, error) {
	to.typ, to.optional = s.Type(), s.Optional()
	if form, ok := logicalForms[s.Name()]; ok && s.IsLogical() {
		w.imports[form.file] = true
		to.wellKnow = s.Name()
		if s.Name() == data.DecimalName {
			to.scale, _ = s.Scale()
			options["scale"] = strconv.Itoa(int(to.scale))
			if p, ok := s.Param(data.PrecisionParam); ok {
				options["precision"] = p
			}
		}
		return form.message, nil
	}
	if s.Type() == data.TypeStruct {
		return w.nested(to, field, s, later), nil
	}
	if symbols := protoEnum(s); symbols != nil {
		name, _ := s.Param(protoEnumParam)
		name = w.identifier(name[strings.LastIndexByte(name, '.')+1:], false)
		to.enum, to.scalar = map[string]int32{}, "enum"
		var names []string
		for _, p := range symbols {
			n, err := strconv.ParseInt(p.Value, 10, 32)
			if err != nil {
				return "", fmt.Errorf("the enum symbol %s has no number", p.Key)
			}
			to.enum[p.Key] = int32(n)
			names = append(names, p.Key)
		}
		*later = append(*later, pending{name: name, enum: names, to: to})
		return name, nil
	}
	to.scalar = protoScalars[s.Type()]
	if given, ok := s.Param(protoTypeParam); ok && sameScalar(to.scalar, given) {
		to.scalar = given
	}
	if s.Type() == data.TypeInt8 || s.Type() == data.TypeInt16 {
		options[connectType] = s.Type().String()
	}
	return to.scalar, nil
}

// protoEnum lists the symbols of an enum with their numbers, nil for what is
// none.
func protoEnum(s *data.Schema) []data.Param {
	if _, ok := s.Param(protoEnumParam); !ok || s.Type() != data.TypeString {
		return nil
	}
	var out []data.Param
	for _, p := range s.Params() {
		if symbol, ok := strings.CutPrefix(p.Key, protoEnumParam+"."); ok {
			out = append(out, data.Param{Key: symbol, Value: p.Value})
		}
	}
	return out
}

// scalarGroups are types that Connect's can be written as instead.
var scalarGroups = map[string][]string{
	"int32": {"sint32", "sfixed32"}, "int64": {"uint32", "fixed32", "uint64", "sint64", "fixed64", "sfixed64"},
}

func sameScalar(plain, given string) bool { return slices.Contains(scalarGroups[plain], given) }

func (w *protoText) nested(to *protoField, field string, s *data.Schema, later *[]pending) string {
	name := s.Name()[strings.LastIndexByte(s.Name(), '.')+1:]
	if name == "" {
		w.unnamed++
		name = "ConnectDefault" + strconv.Itoa(w.unnamed)
	}
	name = w.identifier(name, false)
	if name == field {
		name += "Message"
	}
	*later = append(*later, pending{name: name, schema: s, to: to})
	return name
}
