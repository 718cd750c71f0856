package data

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

// reference is the library's encoder, which wrote these bytes before.
func reference(t interface{ Fatal(...any) }, v any) []byte {
	tags := cbor.NewTagSet()
	if err := tags.Add(cbor.TagOptions{EncTag: cbor.EncTagRequired, DecTag: cbor.DecTagRequired}, reflect.TypeFor[fraction](), decimalTag); err != nil {
		t.Fatal(err)
	}
	enc, err := cbor.EncOptions{
		Sort: cbor.SortBytewiseLexical, ShortestFloat: cbor.ShortestFloatNone, NilContainers: cbor.NilContainerAsNull, IndefLength: cbor.IndefLengthForbidden,
	}.EncModeWithTags(tags)
	if err != nil {
		t.Fatal(err)
	}
	b, err := enc.Marshal(forReference(v))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forReference puts fractions in the place of decimals.
func forReference(v any) any {
	switch v := v.(type) {
	case Decimal:
		u := v.Unscaled
		if u == nil {
			u = new(big.Int)
		}
		return fraction{Exponent: -int64(v.Scale), Mantissa: u}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = forReference(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = forReference(e)
		}
		return out
	}
	return v
}

// schemalessValues generates values of all kinds.
func schemalessValues() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.SampledFrom([]any{int64(23), int64(24), int64(-24), int64(-25), int64(math.MinInt64), int64(math.MaxInt64), math.NaN(), math.Inf(1), math.Inf(-1), 0.0, math.Copysign(0, -1)}),
		rapid.Custom(func(t *rapid.T) any {
			u := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "unscaled"))
			if rapid.Bool().Draw(t, "negative") {
				u.Neg(u)
			}
			return Decimal{u, rapid.Int32Range(-1000, 1000).Draw(t, "scale")}
		}),
	)
	return rapid.OneOf(scalar, rapid.SliceOfN(scalar, 0, 30).AsAny(), rapid.MapOfN(rapid.String(), scalar, 0, 30).AsAny(),
		rapid.MapOfN(rapid.StringN(0, 40, 40), rapid.SliceOfN(scalar, 0, 3).AsAny(), 0, 5).AsAny())
}

// What is written is what the library writes, byte by byte, and what is read is
// what the library reads.
func TestSchemalessIsAsTheLibraryHasIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := schemalessValues().Draw(t, "value")
		got, err := EncodeSchemaless([]byte("before"), v)
		if err != nil {
			t.Fatal(err)
		}
		if want := reference(t, v); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("%#v is % x, want % x", v, got, want)
		}
		row := got[len("before"):]
		back, err := DecodeSchemaless(row)
		if err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := schemalessDecoder.Unmarshal(row, &plain); err != nil {
			t.Fatal(err)
		}
		want, err := fromCBOR(plain)
		if err != nil || !EqualValues(back, want) {
			t.Fatalf("% x reads as %#v, the library as %#v, %v", row, back, want, err)
		}
	})
}

// FuzzPlainCBOR holds what is read without the library against it.
func FuzzPlainCBOR(f *testing.F) {
	for _, v := range []any{nil, int64(-1), "a", map[string]any{"a": []any{1.5, true, []byte{}}}} {
		b, err := EncodeSchemaless(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xa2, 0x61, 'a', 1, 0x61, 'a', 2})
	f.Add([]byte{0x9f, 0xff})
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, row []byte) {
		got, ok := decodePlain(row)
		if !ok {
			return
		}
		var plain any
		if err := schemalessDecoder.Unmarshal(row, &plain); err != nil {
			t.Fatalf("% x is read as %#v, and the library refuses it: %v", row, got, err)
		}
		if want, err := fromCBOR(plain); err != nil || !EqualValues(got, want) {
			t.Errorf("% x reads as %#v, the library as %#v, %v", row, got, want, err)
		}
	})
}

func TestSchemalessNestingIsBounded(t *testing.T) {
	var v any
	for range maxSchemalessDepth {
		v = []any{v}
	}
	dst := []byte("before")
	if got, err := EncodeSchemaless(dst, v); err == nil || !strings.Contains(err.Error(), "levels of nesting") || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
	for depth := range 64 {
		var v any = int64(1)
		for range depth {
			v = map[string]any{"a": v}
		}
		b, err := EncodeSchemaless(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeSchemaless(b); err != nil || !EqualValues(back, v) {
			t.Errorf("%d levels: %v, %v", depth, back, err)
		}
	}
}

func BenchmarkSchemaless(b *testing.B) {
	v := map[string]any{"id": int64(123456), "kind": "order", "amount": 12.5, "open": true, "text": strings.Repeat("x", 128)}
	row, err := EncodeSchemaless(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 256)
		for b.Loop() {
			if buf, err = EncodeSchemaless(buf[:0], v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeSchemaless(row); err != nil {
				b.Fatal(err)
			}
		}
	})
}
