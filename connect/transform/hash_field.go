package transform

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var hashDef = configdef.Def{
	{Name: "field.name", Type: configdef.String, Importance: configdef.High, Doc: "Text field to hash; nothing for the whole value."},
	{Name: "function", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.OneOf("md5", "sha1", "sha256")}, Doc: "Hash function."},
	skipMissing,
}

// hashField is Aiven's Hash: replaces a text by its hash in hexadecimal.
type hashField struct {
	side  Side
	field string
	skip  bool
	sum   func(string) string
}

// hashes are the functions by name. The weak ones are for compatibility.
var hashes = map[string]func(string) string{
	"md5":    func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) },
	"sha1":   func(s string) string { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]) },
	"sha256": func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) },
}

func newHashField(s settings, c configdef.Config) (Transform, error) {
	return hashField{s.side, c.String("field.name"), c.Bool(skipMissing.Name), hashes[c.String("function")]}, nil
}

// Apply never drops a record.
func (t hashField) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	v, err := c.member(t.field)
	if err != nil {
		return false, err
	}
	text, ok := v.(string)
	switch {
	case v == nil && t.skip:
		return true, nil
	case v == nil:
		return false, fmt.Errorf("field %q, which is to be hashed, is missing or null", t.field)
	case !ok:
		return false, fmt.Errorf("field %q is %s: only texts are hashed", t.field, kindOf(v))
	}
	return true, r.replaceMember(c, t.field, t.sum(text))
}

// replaceMember puts another value of the same type in a field that is there,
// or in the place of the whole value for no name.
func (r *Record) replaceMember(c *cell, name string, x any) error {
	v, err := c.get()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *data.Struct:
		if name == "" {
			break
		}
		out := data.NewStruct(v.Schema())
		for i, f := range v.Schema().Fields() {
			value := v.AtWithoutDefault(i)
			if f.Name == name {
				value = x
			}
			if err := put(out, i, value); err != nil {
				return err
			}
		}
		r.set(c, c.schema(), out)
		return nil
	case map[string]any:
		if name == "" {
			break
		}
		out := maps.Clone(v)
		out[name] = x
		r.set(c, nil, out)
		return nil
	}
	r.set(c, c.schema(), x)
	return nil
}
