package data

import "errors"

// errNoOneOf is why a value is none of several types.
var errNoOneOf = errors.New("JSON value that is of none of the types of its oneOf")

// oneOf reads a value of one of several types into the field of its type: the
// first simple one that fits or else the struct that it has the most members
// of, as Confluent's JsonSchemaConverter finds it.
func (r *JSONReader) oneOf(p *plan, k byte, in *scanner) {
	at := in.i
	pick, most := -1, 0
	for i, f := range p.fields {
		fits, members := r.fits(f, k, in)
		in.i = at
		if fits {
			pick = i
			break
		}
		if members > most {
			pick, most = i, members
		}
	}
	switch {
	case in.err != nil:
		r.w.fail(in.err)
	case pick < 0:
		r.reject(errNoOneOf)
	default:
		r.w.BeginStruct()
		for i, f := range p.fields {
			if i == pick {
				r.value(f, in)
			} else {
				r.w.Null()
			}
		}
		r.w.End()
	}
}

// fits reports whether the next value is of a type that is told by the kind of
// JSON, and how many members of a struct it has. It leaves the scanner
// somewhere behind.
func (r *JSONReader) fits(p *plan, k byte, in *scanner) (simple bool, members int) {
	switch p.op {
	case opInt8, opInt16, opInt32, opTime, opInt64:
		return k == '0' && isIntegral(in.number()), 0
	case opFloat32, opFloat64:
		return k == '0', 0
	case opStruct, opUnion:
	default:
		return kindFits(p, k), 0
	}
	if !r.o.oneOf(p) {
		if k != '{' {
			return false, 0
		}
		return false, r.members(p, in)
	}
	at := in.i
	for _, f := range p.fields {
		fits, n := r.fits(f, k, in)
		in.i = at
		simple, members = simple || fits, max(members, n)
	}
	return simple, members
}

// isIntegral reports whether a number is written as a whole one.
func isIntegral(text []byte) bool {
	for _, c := range text {
		if c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}

// members counts the members of an object that a struct has fields for, and of
// those the ones that their structs have.
func (r *JSONReader) members(p *plan, in *scanner) int {
	count, n := 0, 0
	in.open('{')
	for in.more('}', &n) {
		i, ok := p.schema.byName[string(in.key())]
		k := in.kind()
		at := in.i
		in.skip(k)
		if !ok {
			continue
		}
		count++
		f := p.fields[i]
		if after := in.i; k == '{' && f.op == opStruct && in.err == nil {
			in.i = at
			count += r.members(f, in)
			in.i = after
		}
	}
	return count
}
