package data

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBuilderRules(t *testing.T) {
	inner := NewStructBuilder().Field("a", Int32Schema)
	for _, tt := range []struct {
		name string
		b    *Builder
		want string
	}{
		{"name twice", NewBuilder(TypeInt32).Name("a").Name("b"), "name is already set"},
		{"empty name", NewBuilder(TypeInt32).Name(""), "name is empty"},
		{"version twice", NewBuilder(TypeInt32).Version(1).Version(1), "version is already set"},
		{"doc twice", NewBuilder(TypeInt32).Doc("a").Doc("b"), "doc is already set"},
		{"optional twice", NewBuilder(TypeInt32).Optional().Optional(), "optional is already set"},
		{"default twice", NewBuilder(TypeInt32).Default(int32(1)).Default(int32(2)), "default is already set"},
		{"default of another type", NewBuilder(TypeInt64).Default(int32(1)), "a int32 where the schema is int64"},
		{"null default", NewBuilder(TypeInt32).Default(nil), "cannot have a null default"},
		{"decimal default of another scale", DecimalBuilder(2).Default(NewDecimal(1, 3)), "scale 3"},
		{"field twice", NewStructBuilder().Field("a", Int32Schema).Field("a", Int32Schema), "there twice"},
		{"field without name", NewStructBuilder().Field("", Int32Schema), "field name is empty"},
		{"field without schema", NewStructBuilder().Field("a", nil), "has no schema"},
		{"field of a scalar", NewBuilder(TypeInt32).Field("a", Int32Schema), "has no fields"},
		{"array without elements", ArrayOf(nil), "needs an element schema"},
		{"map without values", MapOf(StringSchema, nil), "needs a key schema and a value schema"},
		{"array by type", NewBuilder(TypeArray), "cannot be built from its type alone"},
		{"no type", NewBuilder(0), "cannot be built"},
		{"decimal without scale", NewBuilder(TypeBytes).Name(DecimalName), `without a "scale"`},
		{"decimal of text", NewBuilder(TypeString).Name(DecimalName).Param(ScaleParam, "1"), "must be of type bytes"},
		{"fixed of odd size", NewBuilder(TypeBytes).Param(FixedSizeParam, "-1"), "must be an integer from 0"},
		{"empty union", NewStructBuilder().Name(UnionName), "no branches"},
		{"not UTF-8", NewBuilder(TypeInt32).Doc("\xff"), "not valid UTF-8"},
		{"null text key in a default", MapOf(OptionalStringSchema, Int32Schema).Default(Map{{nil, int32(1)}}), "null key"},
	} {
		if _, err := tt.b.Build(); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q in it", tt.name, err, tt.want)
		}
	}
	if _, err := inner.Build(); err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Build(); err == nil {
		t.Error("a Builder builds twice")
	}
	if s := NewBuilder(TypeInt32).Params().MustBuild(); s.HasParams() {
		t.Error("no parameters are an empty list")
	}
	if s := NewBuilder(TypeInt32).Optional().Default(nil).MustBuild(); !s.Equal(OptionalInt32Schema) {
		t.Error("a null default differs from none")
	}
}

// Every attribute counts for equality, and the order of parameters does not.
func TestEquality(t *testing.T) {
	all := []*Schema{
		Int32Schema, Int64Schema, OptionalInt32Schema,
		NewBuilder(TypeInt32).Name("a").MustBuild(),
		NewBuilder(TypeInt32).Name("b").MustBuild(),
		NewBuilder(TypeInt32).Version(1).MustBuild(),
		NewBuilder(TypeInt32).Version(0).MustBuild(),
		NewBuilder(TypeInt32).Doc("").MustBuild(),
		NewBuilder(TypeInt32).Doc("d").MustBuild(),
		NewBuilder(TypeInt32).Param("a", "b").MustBuild(),
		NewBuilder(TypeInt32).Param("a", "c").MustBuild(),
		NewBuilder(TypeInt32).Default(int32(0)).MustBuild(),
		NewBuilder(TypeInt32).Default(int32(1)).MustBuild(),
		DecimalSchema(1), DecimalSchema(2), DateSchema,
		DecimalBuilder(1).Default(NewDecimal(10, 1)).MustBuild(),
		ArrayOf(Int32Schema).MustBuild(), ArrayOf(Int64Schema).MustBuild(),
		MapOf(StringSchema, Int32Schema).MustBuild(), MapOf(Int32Schema, StringSchema).MustBuild(),
		NewStructBuilder().MustBuild(),
		NewStructBuilder().Field("a", Int32Schema).Field("b", Int64Schema).MustBuild(),
		NewStructBuilder().Field("b", Int64Schema).Field("a", Int32Schema).MustBuild(),
	}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("schemas %d and %d: equal is %v", i, j, a.Equal(b))
			}
		}
	}
	if !NewBuilder(TypeInt32).Param("a", "1").Param("b", "2").MustBuild().Equal(
		NewBuilder(TypeInt32).Param("b", "2").Param("a", "1").MustBuild()) {
		t.Error("the order of parameters counts")
	}
	var none *Schema
	if none.Equal(Int32Schema) || Int32Schema.Equal(none) || !none.Equal(none) {
		t.Error("nil schemas compare wrongly")
	}
	if !AsRequired(AsOptional(orders)).Equal(orders) {
		t.Error("optional and back is another schema")
	}
}

func TestStruct(t *testing.T) {
	s := NewStructBuilder().Name("S").
		Field("n", NewBuilder(TypeInt32).Optional().Default(int32(7)).MustBuild()).
		Field("r", NewBuilder(TypeString).Default("d").MustBuild()).
		Field("b", OptionalBytesSchema).MustBuild()
	v := NewStruct(s)
	if x, err := v.Get("n"); x != int32(7) || err != nil {
		t.Errorf("Get is %v, %v, want the default", x, err)
	}
	if x, err := v.GetWithoutDefault("n"); x != nil || err != nil {
		t.Errorf("GetWithoutDefault is %v, %v", x, err)
	}
	if _, ok, err := v.Int32("n"); ok || err != nil {
		t.Errorf("Int32 of a null is %v, %v", ok, err)
	}
	if _, _, err := v.Int64("n"); err != nil {
		t.Errorf("a null of another type: %v", err)
	}
	if err := v.Put("n", int32(5)); err != nil {
		t.Error(err)
	}
	if _, _, err := v.Int64("n"); err == nil {
		t.Error("an int32 reads as int64")
	}
	if x, ok, err := v.Int32("n"); x != 5 || !ok || err != nil {
		t.Errorf("Int32 is %v, %v, %v", x, ok, err)
	}
	for name, x := range map[string]any{"n": int64(1), "r": nil, "none": 1} {
		if err := v.Put(name, x); err == nil {
			t.Errorf("%s takes %T", name, x)
		}
	}
	if _, err := v.Get("none"); !errors.Is(err, ErrNoField) {
		t.Errorf("an unknown field: %v", err)
	}
	if err := v.Validate(); err != nil {
		t.Errorf("a null where there is a default: %v", err)
	}
	if err := NewStruct(orders).Validate(); !errors.Is(err, ErrRequired) || !strings.Contains(err.Error(), "id") {
		t.Errorf("a null without default: %v", err)
	}
	if got := v.String(); got != "Struct{n=5}" {
		t.Errorf("it prints as %s", got)
	}
}

func TestDefaultsAreKept(t *testing.T) {
	def := []byte{1}
	s := NewBuilder(TypeBytes).Default(def).MustBuild()
	def[0] = 2
	if got, _ := s.Default(); got.([]byte)[0] != 1 {
		t.Error("a default changes with the slice it was set from")
	}
}

func TestDecimalText(t *testing.T) {
	for _, tt := range []struct{ in, out string }{
		{"0", "0"}, {"-0.00", "0.00"}, {"1.50", "1.50"}, {"1E3", "1E+3"}, {"1e-7", "1E-7"}, {"0.000001", "0.000001"},
		{"123E-2", "1.23"}, {"-12345678901234567890.5", "-12345678901234567890.5"}, {"1.5e10", "1.5E+10"}, {".5", "0.5"},
	} {
		d, err := ParseDecimal(tt.in)
		if err != nil || d.String() != tt.out {
			t.Errorf("%s is %v, %v, want %s", tt.in, d, err, tt.out)
		}
	}
	for _, bad := range []string{"", "-", ".", "1e", "--1", "1.2.3", "1-2", "NaN", "1e999999999", "0x1", "1_0", " 1", "1e+-1"} {
		if d, err := ParseDecimal(bad); err == nil {
			t.Errorf("%q is %v", bad, d)
		}
	}
}

// The fast way from text to bytes must be the slow way.
func TestDecimalTextFastPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.Int32Range(-3, 20).Draw(t, "scale")
		text := rapid.StringMatching(`[+-]?[0-9]{0,20}(\.[0-9]{0,20})?`).Draw(t, "text")
		fast, ok := parseFixedPoint([]byte(text), scale)
		if !ok {
			return
		}
		d, err := ParseDecimal(text)
		if err == nil {
			d, err = d.Rescale(scale)
		}
		if err != nil || !d.Equal(NewDecimal(fast, scale)) {
			t.Fatalf("%q at scale %d is %d, want %v, %v", text, scale, fast, d, err)
		}
	})
}
