package converter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// alternatives are the types that values may be of, null not counted, if there
// are several: those of a oneOf or anyOf, or of a list of types.
func alternatives(n *jsonNode) []jsonNode {
	for _, list := range [][]jsonNode{n.OneOf, n.AnyOf} {
		if len(list) > 0 {
			return slices.DeleteFunc(slices.Clone(list), isNull)
		}
	}
	var types []string
	if len(n.Type) == 0 || n.Type[0] != '[' || json.Unmarshal(n.Type, &types) != nil { // which typeName will say
		return nil
	}
	var out []jsonNode
	for _, t := range types {
		one := *n
		one.Type = appendJSONText(nil, t)
		one.Title, one.Description, one.Default, one.ConnectIndex, one.ConnectVersion, one.ConnectParams = "", nil, nil, nil, nil, nil
		if !isNull(one) {
			out = append(out, one)
		}
	}
	return out
}

func isNull(n jsonNode) bool { return string(n.Type) == `"null"` }

// oneOf starts the struct that stands for one of several types, with a field
// for each, and says whether null is one of them.
func (r *jsonSchemaReader) oneOf(n *jsonNode, list []jsonNode, depth int) (*data.Builder, bool, error) {
	if len(n.OneOf)+len(n.AnyOf) > 0 && len(n.Properties) > 0 {
		return nil, false, errors.New("properties beside a oneOf of several types have no Connect schema")
	}
	b := data.NewStructBuilder().Name(jsonOneOf)
	for i := range list {
		s, err := r.read(&list[i], true, depth+1)
		if err != nil {
			return nil, false, fmt.Errorf("oneOf, type %d: %w", i, err)
		}
		b.Field(jsonOneOf+".field."+strconv.Itoa(i), s)
	}
	return b, bytes.Contains(n.Type, []byte(`"null"`)), nil
}
