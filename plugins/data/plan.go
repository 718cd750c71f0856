package data

import (
	"encoding/binary"
	"fmt"
)

// op is what a plan node does on the wire.
type op uint8

const (
	opInt8 op = iota
	opInt16
	opInt32
	opTime // int with a range
	opInt64
	opFloat32
	opFloat64
	opBoolean
	opString
	opBytes
	opFixed
	opDecimal
	opFixedDecimal
	opArray
	opMap     // Avro map
	opEntries // Connect map whose keys Avro's map cannot hold: array of {key, value}
	opStruct
	opUnion
)

var opNames = [...]string{
	opInt8: "int8", opInt16: "int16", opInt32: "int32", opTime: "time", opInt64: "int64",
	opFloat32: "float", opFloat64: "double", opBoolean: "boolean", opString: "string",
	opBytes: "bytes", opFixed: "fixed", opDecimal: "decimal", opFixedDecimal: "decimal",
	opArray: "array", opMap: "map", opEntries: "map", opStruct: "struct", opUnion: "union",
}

// plan is a schema compiled for the row codec. Plans are immutable and shared:
// one per Schema, made on first use.
type plan struct {
	schema   *Schema
	op       op
	null     int8   // branch number of null in a union with null, -1 without
	defRow   []byte // the default's bytes with its branch, nil without a default
	size     int    // opFixed, opFixedDecimal
	scale    int32  // decimals
	minBytes int    // the fewest bytes a value takes
	defaults bool   // a nullable default here or below
	key      *plan
	elem     *plan
	fields   []*plan
	keys     [][]byte // of each field what stands before its value in JSON
}

// noNull is plan.null of a required schema.
const noNull int8 = -1

// nullBranch is the one place that decides where null stands in the union of
// an optional schema, for the Avro text as for the row: first, or second when
// the schema has a default, since Avro wants the default's type first. A
// Struct keeps null first whatever its default.
func nullBranch(s *Schema) int8 {
	switch {
	case !s.optional:
		return noNull
	case s.hasDef && s.typ != TypeStruct:
		return 1
	default:
		return 0
	}
}

// mapIsNative decides whether a Map schema is Avro's map, whose keys are
// required strings, or an array of entries.
func mapIsNative(s *Schema, optionalKeys bool) bool {
	return s.key.typ == TypeString && (optionalKeys || !s.key.optional)
}

func (s *Schema) compiled() *plan {
	s.planOnce.Do(func() { s.plan = compile(s, nullBranch(s)) })
	return s.plan
}

func compile(s *Schema, null int8) *plan {
	p := &plan{schema: s, null: null}
	switch s.typ {
	case TypeInt8:
		p.op, p.minBytes = opInt8, 1
	case TypeInt16:
		p.op, p.minBytes = opInt16, 1
	case TypeInt32:
		p.op, p.minBytes = opInt32, 1
		if s.name == TimeName {
			p.op = opTime
		}
	case TypeInt64:
		p.op, p.minBytes = opInt64, 1
	case TypeFloat32:
		p.op, p.minBytes = opFloat32, 4
	case TypeFloat64:
		p.op, p.minBytes = opFloat64, 8
	case TypeBoolean:
		p.op, p.minBytes = opBoolean, 1
	case TypeString:
		p.op, p.minBytes = opString, 1
	case TypeBytes:
		compileBytes(p, s)
	case TypeArray:
		p.op, p.minBytes = opArray, 1
		p.elem = s.value.compiled()
		p.defaults = p.elem.defaults
	case TypeMap:
		compileMap(p, s)
	case TypeStruct:
		compileStruct(p, s)
	}
	p.finish()
	return p
}

func compileBytes(p *plan, s *Schema) {
	fixed, decimal := isFixed(s), s.name == DecimalName
	switch {
	case fixed && decimal:
		p.op = opFixedDecimal
	case fixed:
		p.op = opFixed
	case decimal:
		p.op = opDecimal
	default:
		p.op = opBytes
	}
	p.minBytes = 1
	// The Builder has checked both parameters.
	if fixed {
		p.size, _ = fixedSize(s)
		p.minBytes = p.size
	}
	if decimal {
		p.scale, _ = decimalScale(s)
	}
}

func compileMap(p *plan, s *Schema) {
	p.minBytes = 1
	p.key, p.elem = s.key.compiled(), s.value.compiled()
	p.op = opEntries
	if mapIsNative(s, false) {
		p.op = opMap
	}
	p.defaults = p.elem.defaults || p.key.defaults
}

func compileStruct(p *plan, s *Schema) {
	p.op = opStruct
	if isUnion(s) {
		p.op, p.minBytes = opUnion, 1
	}
	p.fields = make([]*plan, len(s.fields))
	for i, f := range s.fields {
		if p.op == opUnion {
			p.fields[i] = compile(f.Schema, noNull)
		} else {
			p.fields[i] = f.Schema.compiled()
			p.minBytes += p.fields[i].minBytes
		}
		p.defaults = p.defaults || p.fields[i].defaults
		p.keys = append(p.keys, append(appendJSONString([]byte{"{,"[flag(i > 0)]}, f.Name), ':'))
	}
}

// finish adds what the null branch and the default change.
func (p *plan) finish() {
	if p.null >= 0 {
		p.minBytes = 1
	}
	if !p.schema.hasDef {
		return
	}
	p.defaults = p.defaults || p.null >= 0
	var e encoder
	e.buf = p.appendValueBranch(nil)
	if err := e.present(p, p.schema.def); err != nil {
		panic(fmt.Sprintf("data: a validated default does not encode: %v", err))
	}
	p.defRow = e.buf
}

// nullDefault reports whether a null of p is one that a converter may replace.
func (p *plan) nullDefault() bool { return p.null >= 0 && p.defRow != nil }

// branch is the number of field i in the Avro union of an opUnion.
func (p *plan) branch(i int) int {
	if p.null >= 0 {
		return i + 1
	}
	return i
}

// appendValueBranch appends what stands before a value that may be null: the
// branch number of the value in its union with null.
func (p *plan) appendValueBranch(dst []byte) []byte {
	if p.null < 0 || p.op == opUnion {
		return dst
	}
	return binary.AppendVarint(dst, int64(1-p.null))
}
