package proto

import (
	"math"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func schemasWithEverything() map[string]*data.Schema {
	prim := func(t data.Type) *data.Builder { return data.NewBuilder(t) }
	inner := data.NewStructBuilder().Field("n", prim(data.TypeInt32).Default(int32(5)).MustBuild()).
		Field("s", prim(data.TypeString).Optional().Default("d").MustBuild()).MustBuild()
	def := data.NewStruct(inner)
	if err := def.Put("n", int32(7)); err != nil {
		panic(err)
	}
	text := prim(data.TypeString).MustBuild()
	return map[string]*data.Schema{
		"int8":      prim(data.TypeInt8).Default(int8(-3)).MustBuild(),
		"int16":     prim(data.TypeInt16).Default(int16(math.MinInt16)).MustBuild(),
		"int64":     prim(data.TypeInt64).Default(int64(math.MaxInt64)).MustBuild(),
		"float":     prim(data.TypeFloat32).Default(float32(math.NaN())).MustBuild(),
		"double":    prim(data.TypeFloat64).Default(math.Copysign(0, -1)).MustBuild(),
		"boolean":   prim(data.TypeBoolean).Default(true).MustBuild(),
		"bytes":     prim(data.TypeBytes).Default([]byte{}).MustBuild(),
		"decimal":   data.DecimalBuilder(2).Default(data.NewDecimal(-12345, 2)).MustBuild(),
		"timestamp": data.TimestampBuilder().Optional().Doc("").MustBuild(),
		"array":     data.ArrayOf(text).Default([]any{"a", "b"}).MustBuild(),
		"map":       data.MapOf(text, inner).Default(data.Map{{Key: "k", Value: def}}).MustBuild(),
		"struct": data.NewStructBuilder().Name("s").Version(-1).Doc("doc").Param("z", "1").Param("a", "2").
			Field("inner", inner).Field("again", data.AsOptional(inner)).
			Field("empty", data.NewStructBuilder().MustBuild()).MustBuild(),
		"struct default": data.NewStructBuilder().Field("n", prim(data.TypeInt32).Default(int32(5)).MustBuild()).
			Field("s", prim(data.TypeString).Optional().MustBuild()).Default(def2(inner)).MustBuild(),
	}
}

// def2 is a struct of nulls with the same fields as the schema it becomes the
// default of, but for the second one's default.
func def2(*data.Schema) *data.Struct {
	s := data.NewStructBuilder().Field("n", data.NewBuilder(data.TypeInt32).Default(int32(5)).MustBuild()).
		Field("s", data.NewBuilder(data.TypeString).Optional().MustBuild()).MustBuild()
	return data.NewStruct(s)
}

func TestSchemaDefinitionRoundTrip(t *testing.T) {
	for name, s := range schemasWithEverything() {
		t.Run(name, func(t *testing.T) {
			def, err := appendSchema(nil, s)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseSchema(def)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(s) {
				t.Errorf("the schema came back different")
			}
			for n := range def {
				if _, err := parseSchema(def[:n]); err == nil {
					t.Errorf("the first %d of %d bytes were accepted", n, len(def))
				}
			}
		})
	}
}

// A definition that was changed on the way is not taken for the schema whose
// hash it carries.
func TestSchemaDefinitionProvesItsHash(t *testing.T) {
	def, err := appendSchema(nil, data.NewBuilder(data.TypeString).Name("abc").MustBuild())
	if err != nil {
		t.Fatal(err)
	}
	def[len(def)-1] = 'd'
	if _, err := parseSchema(def); err == nil {
		t.Error("a changed definition was accepted")
	}
}

func FuzzParseSchema(f *testing.F) {
	for _, s := range schemasWithEverything() {
		def, err := appendSchema(nil, s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(def[32:])
	}
	f.Fuzz(func(t *testing.T, node []byte) {
		p := defParser{cursor: cursor{buf: node}}
		s := p.node(0)
		if p.err != nil {
			return
		}
		def, err := appendSchema(nil, s)
		if err != nil {
			t.Fatalf("a schema that was parsed cannot be sent: %v", err)
		}
		if _, err := parseSchema(def); err != nil {
			t.Fatalf("a schema that was parsed does not survive the way back: %v", err)
		}
	})
}
