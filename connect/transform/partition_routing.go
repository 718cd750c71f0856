package transform

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf16"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var partitionRoutingDef = configdef.Def{
	{Name: "partition.payload.fields", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Fields whose values decide the partition, as struct.field; change.x is after.x, or before.x of deletes."},
	{Name: "partition.topic.num", Type: configdef.Int, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.AtLeast(1)}, Doc: "Number of the topic's partitions."},
	{Name: "partition.hash.function", Type: configdef.String, Default: "java", Importance: configdef.Low,
		Unsupported: "only java is supported", Doc: "How values are hashed."},
}

// partitionRouting is Debezium's PartitionRouting: chooses the partition of a
// change event by values of its row.
type partitionRouting struct {
	fields [][]string
	count  int32
}

func newPartitionRouting(s settings, c configdef.Config) (Transform, error) {
	if s.Kind == Sink {
		return nil, errors.New("PartitionRouting is for source connectors")
	}
	t := &partitionRouting{count: int32(c.Int("partition.topic.num"))}
	for _, f := range c.List("partition.payload.fields") {
		t.fields = append(t.fields, strings.Split(f, "."))
	}
	return t, nil
}

// Apply never drops a record. Fields that are missing or null do not count;
// without any the partition stays.
func (t *partitionRouting) Apply(r *Record) (bool, error) {
	if r.value.isNull() || !isEnvelope(r.value.schema()) {
		return true, nil
	}
	env, err := r.value.structOf("change events")
	if err != nil {
		return false, err
	}
	sum, any := int32(0), false
	for _, path := range t.fields {
		v := routed(env, path)
		if v == nil {
			continue
		}
		h, err := javaHash(v)
		if err != nil {
			return false, fmt.Errorf("field %s: %w", strings.Join(path, "."), err)
		}
		sum, any = sum+h, true
	}
	if any {
		sum &= math.MaxInt32
		if sum == math.MaxInt32 {
			sum = 0
		}
		r.Partition = sum % t.count
	}
	return true, nil
}

// routed finds a value in an envelope, null if it is not there.
func routed(env *data.Struct, path []string) any {
	var v any = env
	for i, name := range path {
		s, ok := v.(*data.Struct)
		if !ok {
			return nil
		}
		if i == 0 && name == "change" {
			name = "after"
			if op, _ := textField(env, "op"); op == "d" {
				name = "before"
			}
		}
		x, err := s.GetWithoutDefault(name)
		if err != nil {
			return nil
		}
		v = x
	}
	return v
}

// javaHash is Object.hashCode of the Java value.
func javaHash(v any) (int32, error) {
	fold := func(n uint64) int32 { return int32(n ^ n>>32) }
	switch v := v.(type) {
	case int8:
		return int32(v), nil
	case int16:
		return int32(v), nil
	case int32:
		return v, nil
	case int64:
		return fold(uint64(v)), nil
	case bool:
		if v {
			return 1231, nil
		}
		return 1237, nil
	case float32:
		if v != v {
			return 0x7fc00000, nil
		}
		return int32(math.Float32bits(v)), nil
	case float64:
		if v != v {
			return 0x7ff80000, nil
		}
		return fold(math.Float64bits(v)), nil
	case string:
		h := int32(0)
		for _, c := range utf16.Encode([]rune(v)) {
			h = 31*h + int32(c)
		}
		return h, nil
	case data.Decimal:
		return 31*bigHash(v.Unscaled) + v.Scale, nil
	}
	return 0, fmt.Errorf("%s cannot be hashed", kindOf(v))
}

// bigHash is BigInteger.hashCode.
func bigHash(n *big.Int) int32 {
	if n == nil {
		return 0
	}
	b := n.Bytes()
	h := int32(0)
	for len(b)%4 != 0 {
		b = append([]byte{0}, b...)
	}
	for ; len(b) > 0; b = b[4:] {
		h = 31*h + int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]))
	}
	return h * int32(n.Sign())
}
