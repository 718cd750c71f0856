package data

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func row(t *testing.T, s *Schema, v any) string {
	t.Helper()
	b, _, err := Encode(nil, s, v)
	if err != nil {
		t.Fatalf("Encode(%v): %v", v, err)
	}
	return hex.EncodeToString(b)
}

func structOf(t *testing.T, s *Schema, values ...any) *Struct {
	t.Helper()
	v := NewStruct(s)
	for i, x := range values {
		if x == nil {
			continue
		}
		if err := v.PutAt(i, x); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

var (
	orders = NewStructBuilder().Name("shop.Value").
		Field("id", Int32Schema).
		Field("name", OptionalStringSchema).
		Field("amt", AsOptional(DecimalBuilder(2).Param(PrecisionParam, "10").MustBuild())).
		MustBuild()
	withDefault = NewBuilder(TypeInt32).Optional().Default(int32(0)).MustBuild()
)

func TestRowBytes(t *testing.T) {
	qty := NewStructBuilder().Field("qty", withDefault).MustBuild()
	strict := NewStructBuilder().Field("qty", NewBuilder(TypeInt32).Default(int32(3)).MustBuild()).MustBuild()
	fixed := NewBuilder(TypeBytes).Name("a.Four").Param(FixedSizeParam, "4").MustBuild()
	fixedDecimal := DecimalBuilder(0).Param(FixedSizeParam, "3").MustBuild()
	union := NewStructBuilder().Name(UnionName).
		Field("int", OptionalInt32Schema).Field("string", OptionalStringSchema).MustBuild()
	for _, tt := range []struct {
		name string
		s    *Schema
		v    any
		want string
	}{
		{"record", orders, structOf(t, orders, int32(1), "a", NewDecimal(57, 2)), "0202026102" + "0239"},
		{"null name", orders, structOf(t, orders, int32(1), nil, NewDecimal(57, 2)), "0200020239"},
		{"optional with default", qty, structOf(t, qty, int32(5)), "000a"},
		{"true null of a default", qty, NewStruct(qty), "02"},
		{"required with default", strict, NewStruct(strict), "06"},
		{"array", ArrayOf(Int32Schema).MustBuild(), []any{int32(1), int32(2)}, "04020400"},
		{"empty array", ArrayOf(Int32Schema).MustBuild(), []any{}, "00"},
		{"map sorted by key", MapOf(StringSchema, Int32Schema).MustBuild(),
			Map{{"b", int32(2)}, {"aa", int32(1)}, {"", int32(3)}}, "060006" + "04616102" + "026204" + "00"},
		{"entries", MapOf(Int32Schema, StringSchema).MustBuild(), Map{{int32(2), "x"}, {int32(1), "y"}}, "0402027904027800"},
		{"string", StringSchema, "hi", "046869"},
		{"bytes", BytesSchema, []byte{0xde, 0xad}, "04dead"},
		{"fixed", fixed, []byte{1, 2, 3, 4}, "01020304"},
		{"fixed decimal", fixedDecimal, NewDecimal(-2, 0), "fffffe"},
		{"union int", union, structOf(t, union, int32(7)), "000e"},
		{"union string", union, structOf(t, union, nil, "x"), "020278"},
		{"optional union", AsOptional(union), structOf(t, AsOptional(union), nil, "x"), "040278"},
		{"int8", Int8Schema, int8(-128), "ff01"},
		{"int64", Int64Schema, int64(math.MinInt64), "ffffffffffffffffff01"},
		{"negative zero", Float32Schema, float32(math.Copysign(0, -1)), "00000080"},
		{"double", Float64Schema, 1.5, "000000000000f83f"},
		{"true", BooleanSchema, true, "01"},
		{"empty record", NewStructBuilder().MustBuild(), NewStruct(NewStructBuilder().MustBuild()), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := row(t, tt.s, tt.v)
			if got != tt.want {
				t.Fatalf("row is %s, want %s", got, tt.want)
			}
			b, _ := hex.DecodeString(got)
			back, err := Decode(tt.s, b)
			if err != nil {
				t.Fatal(err)
			}
			if again := row(t, tt.s, back); again != got {
				t.Errorf("decoded and encoded again it is %s, want %s", again, got)
			}
		})
	}
}

func TestDecimalBytes(t *testing.T) {
	for _, tt := range []struct {
		n    string
		want string
	}{
		{"0", "00"}, {"127", "7f"}, {"128", "0080"}, {"-1", "ff"}, {"-128", "80"}, {"-129", "ff7f"},
		{"12345", "3039"}, {"9223372036854775808", "008000000000000000"},
		{"-9223372036854775808", "8000000000000000"}, {"-9223372036854775809", "ff7fffffffffffffff"},
		{"18446744073709551616", "010000000000000000"},
	} {
		d := Decimal{bigInt(tt.n), 0}
		b := d.AppendUnscaled(nil)
		if got := hex.EncodeToString(b); got != tt.want {
			t.Errorf("%s is %s, want %s", tt.n, got, tt.want)
		}
		if back := unscaledFrom(b); back.Cmp(d.Unscaled) != 0 {
			t.Errorf("%s reads back as %v", tt.n, back)
		}
	}
	if got := (Decimal{}).AppendUnscaled(nil); hex.EncodeToString(got) != "00" {
		t.Errorf("the zero Decimal is %x, want 00", got)
	}
}

func TestNullDefaultFlag(t *testing.T) {
	s := NewStructBuilder().Field("a", withDefault).Field("b", OptionalInt32Schema).MustBuild()
	for _, tt := range []struct {
		a, b any
		want bool
	}{{nil, nil, true}, {int32(1), nil, false}, {nil, int32(1), true}, {int32(0), int32(0), false}} {
		d, err := NewDatum(s, structOf(t, s, tt.a, tt.b))
		if err != nil {
			t.Fatal(err)
		}
		if d.NullDefault != tt.want {
			t.Errorf("a=%v b=%v: flag is %v, want %v", tt.a, tt.b, d.NullDefault, tt.want)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	inner := NewStructBuilder().Name("i").Field("tags", ArrayOf(Int32Schema).MustBuild()).MustBuild()
	outer := NewStructBuilder().Name("o").Field("after", AsOptional(inner)).MustBuild()
	bad := NewStruct(outer)
	in := NewStruct(inner)
	in.values[0] = []any{int32(1), "two"}
	bad.values[0] = in
	for _, tt := range []struct {
		name string
		s    *Schema
		v    any
		want string
	}{
		{"path", outer, bad, "after.tags[1]: a string where the schema is int32"},
		{"no widening", Int64Schema, int32(1), "a int32 where the schema is int64"},
		{"scale", DecimalSchema(2), NewDecimal(1, 3), "scale 3 where the schema has 2"},
		{"time", TimeSchema, int32(maxTime + 1), "not a time"},
		{"required", orders, NewStruct(orders), "id: null in a required field"},
		{"duplicate key", MapOf(StringSchema, Int32Schema).MustBuild(), Map{{"a", int32(1)}, {"a", int32(2)}}, "twice"},
		{"other struct", inner, structOf(t, orders, int32(1)), "schemas do not match"},
		{"null", OptionalInt32Schema, nil, "a null has no row"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := []byte("kept")
			got, _, err := Encode(dst, tt.s, tt.v)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want %q in it", err, tt.want)
			}
			if string(got) != "kept" {
				t.Errorf("buffer is %q after an error", got)
			}
		})
	}
}

func TestRowRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := anyTree(t)
		b, _, err := Encode(nil, s, v)
		if err != nil {
			t.Fatalf("Encode(%v): %v", Text(v), err)
		}
		back, err := Decode(s, b)
		if err != nil {
			t.Fatalf("Decode(%x): %v", b, err)
		}
		if !EqualValues(v, back) {
			t.Fatalf("%s came back as %s", Text(v), Text(back))
		}
		for i := range b {
			if _, err := Decode(s, b[:i]); err == nil {
				t.Fatalf("%d of %d bytes decode without an error", i, len(b))
			} else if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("truncated: %v", err)
			}
		}
	})
}
