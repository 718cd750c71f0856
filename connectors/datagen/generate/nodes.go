package generate

import (
	"github.com/millrace/millrace/plugins/data"
)

// span is a number of elements or bytes, both ends included.
type span struct{ least, most int }

func (s span) pick(r *run) int { return s.least + r.IntN(s.most-s.least+1) }

type record struct {
	fields []node
	key    int // the field of the key, -1 for none
}

func (n *record) write(w *data.RowWriter, r *run) {
	w.BeginStruct()
	for i, f := range n.fields {
		if i == n.key {
			r.atKey = r.source
		}
		f.write(w, r)
	}
	w.End()
}

type array struct {
	size span
	elem node
}

func (n *array) write(w *data.RowWriter, r *run) {
	w.BeginArray()
	before := r.number
	for range n.size.pick(r) {
		n.elem.write(w, r)
		r.number++
	}
	r.number = before
	w.End()
}

type mapping struct {
	size span
	key  *text
	elem node
}

// write leaves a key out that came before.
func (n *mapping) write(w *data.RowWriter, r *run) {
	w.BeginMap()
	before := r.number
	seen := make(map[string]bool)
	for range n.size.pick(r) {
		k := n.key.next(r)
		if !seen[k] {
			seen[k] = true
			w.Text(k)
			n.elem.write(w, r)
		}
		r.number++
	}
	r.number = before
	w.End()
}

// union picks a branch, of which nil is null.
type union struct{ branches []node }

func (n *union) pick(r *run) int { return r.IntN(len(n.branches)) }

func (n *union) write(w *data.RowWriter, r *run) {
	if b := n.branches[n.pick(r)]; b != nil {
		b.write(w, r)
		return
	}
	w.Null()
}

// branch is one of the fields of the struct that a union of several types is.
type branch struct {
	inner     node
	index, of int
}

func (n *branch) write(w *data.RowWriter, r *run) {
	w.BeginStruct()
	for i := range n.of {
		if i == n.index {
			n.inner.write(w, r)
			continue
		}
		w.Null()
	}
	w.End()
}

// choice picks one of several values.
type choice struct {
	values []any
	picked int // the last time
}

func (n *choice) write(w *data.RowWriter, r *run) {
	n.picked = r.IntN(len(n.values))
	put(w, n.values[n.picked])
}

// put writes a value of the Go type that package data has for its schema.
func put(w *data.RowWriter, v any) {
	switch v := v.(type) {
	case nil:
		w.Null()
	case bool:
		w.Boolean(v)
	case int8:
		w.Int8(v)
	case int16:
		w.Int16(v)
	case int32:
		w.Int32(v)
	case int64:
		w.Int64(v)
	case float32:
		w.Float32(v)
	case float64:
		w.Float64(v)
	case string:
		w.Text(v)
	case []byte:
		w.Bytes(v)
	case data.Decimal:
		w.DecimalBytes(v.AppendUnscaled(nil))
	case []any:
		w.BeginArray()
		for _, e := range v {
			put(w, e)
		}
		w.End()
	case data.Map:
		w.BeginMap()
		for _, e := range v {
			put(w, e.Key)
			put(w, e.Value)
		}
		w.End()
	case *data.Struct:
		w.BeginStruct()
		for i := range v.Schema().Fields() {
			put(w, v.AtWithoutDefault(i))
		}
		w.End()
	}
}

type binary struct{ size span }

func (n *binary) write(w *data.RowWriter, r *run) {
	b := make([]byte, n.size.pick(r))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	w.Bytes(b)
}
