package data

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// The bounds on schemaless values.
const (
	maxSchemalessDepth    = 512
	maxSchemalessElements = 1 << 20 // per array or map
)

// decimalTag is CBOR's tag for decimal fractions (RFC 8949, 3.4.4): an array
// of exponent and mantissa.
const decimalTag = 4

// fraction is the content of a decimalTag.
type fraction struct {
	_        struct{} `cbor:",toarray"`
	Exponent int64
	Mantissa *big.Int
}

var schemalessDecoder = decodeMode()

func decodeMode() cbor.DecMode {
	tags := cbor.NewTagSet()
	err := tags.Add(cbor.TagOptions{EncTag: cbor.EncTagRequired, DecTag: cbor.DecTagRequired},
		reflect.TypeFor[fraction](), decimalTag)
	dec, err2 := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:  maxSchemalessDepth,
		MaxArrayElements: maxSchemalessElements,
		MaxMapPairs:      maxSchemalessElements,
		IndefLength:      cbor.IndefLengthForbidden,
		IntDec:           cbor.IntDecConvertSignedOrFail,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
		UTF8:             cbor.UTF8RejectInvalid,
		NaN:              cbor.NaNDecodeAllowed,
		Inf:              cbor.InfDecodeAllowed,
	}.DecModeWithTags(tags)
	if err := errors.Join(err, err2); err != nil {
		panic(err) // the options above are constants
	}
	return dec
}

// EncodeSchemaless appends a value without schema to dst as deterministic
// CBOR: equal values give equal bytes. Values are nil, bool, string, []byte,
// Decimal, map[string]any, []any and numbers: all integers become int64 and
// all floats float64.
func EncodeSchemaless(dst []byte, v any) ([]byte, error) {
	out, err := appendCBOR(dst, v, 0)
	if err != nil {
		return dst, fmt.Errorf("encode schemaless value: %w", err)
	}
	return out, nil
}

// DecodeSchemaless returns the value that EncodeSchemaless wrote: nil, bool,
// string, []byte, Decimal, int64, float64, map[string]any or []any. Foreign
// bytes are held to limits of nesting and size.
func DecodeSchemaless(row []byte) (any, error) {
	if v, ok := decodePlain(row); ok {
		return v, nil
	}
	var v any
	if err := schemalessDecoder.Unmarshal(row, &v); err != nil {
		return nil, fmt.Errorf("decode schemaless value: %w: %w", ErrCorrupt, err)
	}
	v, err := fromCBOR(v)
	if err != nil {
		return nil, fmt.Errorf("decode schemaless value: %w", err)
	}
	return v, nil
}

func fromCBOR(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, []byte, int64, float64:
		return v, nil
	case fraction:
		if v.Exponent > math.MaxInt32 || v.Exponent < -math.MaxInt32 || v.Mantissa == nil {
			return nil, fmt.Errorf("%w: decimal fraction", ErrCorrupt)
		}
		return Decimal{v.Mantissa, int32(-v.Exponent)}, nil
	case []any:
		for i, e := range v {
			x, err := fromCBOR(e)
			if err != nil {
				return nil, underIndex(i, err)
			}
			v[i] = x
		}
		return v, nil
	case map[string]any:
		for k, e := range v {
			x, err := fromCBOR(e)
			if err != nil {
				return nil, under(k, err)
			}
			v[k] = x
		}
		return v, nil
	default:
		return nil, fmt.Errorf("%w: CBOR of Go type %T", ErrCorrupt, v)
	}
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
