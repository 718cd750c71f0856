package api

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// tableOnly returns an API that can decode requests and nothing else.
func tableOnly() *API {
	a := new(API)
	a.routes = byKey(a.table())
	return a
}

// fill gives every field of a message some value, two elements to arrays and
// an unknown tagged field to every structure.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(200)
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			tags.Set(100, []byte("tagged"))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Version" {
				fill(v.Field(i))
			}
		}
	default:
		panic(fmt.Sprint("cannot fill ", v.Type()))
	}
}

// The layouts of the table account for every byte of every version, and refuse
// every body that is cut short.
func TestLayouts(t *testing.T) {
	for _, r := range tableOnly().table() {
		for v := r.min; v <= r.max; v++ {
			m := r.request()
			fill(reflect.ValueOf(m).Elem())
			m.SetVersion(v)
			b := m.AppendTo(nil)
			name := fmt.Sprintf("%s version %d", kmsg.NameForKey(r.key), v)
			if rest, err := r.layout.Check(v, m.IsFlexible(), b); err != nil || len(rest) != 0 {
				t.Errorf("%s: %d of %d bytes are not accounted for, %v", name, len(rest), len(b), err)
			}
			for n := range len(b) {
				if _, err := r.layout.Check(v, m.IsFlexible(), b[:n]); !errors.Is(err, wire.ErrMalformed) {
					t.Errorf("%s: %d of %d bytes give %v", name, n, len(b), err)
					break
				}
			}
		}
	}
}

// FuzzRequest feeds arbitrary frames to the table. No frame may take long: one
// of 30 bytes once claimed 268 million tagged fields.
func FuzzRequest(f *testing.F) {
	a := tableOnly()
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	for _, r := range a.table() {
		for v := r.min; v <= r.max; v++ {
			m := r.request()
			m.SetVersion(v)
			f.Add(formatter.AppendRequest(nil, m, 1)[4:])
			fill(reflect.ValueOf(m).Elem())
			f.Add(formatter.AppendRequest(nil, m, 1)[4:])
		}
	}
	shared := new(wire.Shared)
	f.Fuzz(func(t *testing.T, b []byte) {
		began := time.Now()
		_, err := wire.Decode(a, shared, bytes.Clone(b))
		if err != nil && !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, wire.ErrUnsupported) {
			t.Fatalf("error is neither ErrMalformed nor ErrUnsupported: %v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("%d bytes took %v", len(b), took)
		}
	})
}
