package rotation

import (
	"errors"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// Compatibility says which records may go into a file of another schema
// (schema.compatibility).
type Compatibility int

// The modes.
const (
	NoCompatibility Compatibility = iota
	Backward
	Forward
	Full
)

// ParseCompatibility reads a mode. Like Confluent's it takes anything unknown
// for NONE.
func ParseCompatibility(s string) Compatibility {
	switch strings.ToUpper(s) {
	case "BACKWARD":
		return Backward
	case "FORWARD":
		return Forward
	case "FULL":
		return Full
	}
	return NoCompatibility
}

var (
	errMixed = errors.New("the file has records with a schema and this one has none, or the other way round, " +
		"which schema.compatibility does not bring together: use NONE, or one converter for all")
	errVersion = errors.New("the schema has no version, which every schema.compatibility but NONE compares: " +
		"use a converter with a schema registry, or NONE")
)

// changes reports whether a record's schema makes a new file necessary.
func (c Compatibility) changes(file, record *data.Schema) (bool, error) {
	if file.Equal(record) {
		return false, nil
	}
	if c == NoCompatibility {
		return true, nil
	}
	fileVersion, ok := file.Version()
	recordVersion, ok2 := record.Version()
	if !ok || !ok2 {
		return false, errVersion
	}
	if c == Forward && recordVersion < fileVersion || c != Forward && recordVersion > fileVersion {
		return true, nil
	}
	return !projects(record, file, true), nil
}

// widths are the types that widen into those behind them.
var widths = []data.Type{data.TypeInt8, data.TypeInt16, data.TypeInt32, data.TypeInt64, data.TypeFloat32, data.TypeFloat64}

// projects reports whether values of one schema can be written with another
// without losing anything.
func projects(from, to *data.Schema, top bool) bool {
	if from.Equal(to) {
		return true
	}
	if !widens(from.Type(), to.Type()) || from.Name() != to.Name() || !sameParams(from, to) {
		return false
	}
	if _, ok := to.Default(); from.Optional() && !to.Optional() && !ok && !top {
		return false
	}
	switch to.Type() {
	case data.TypeStruct:
		return projectsFields(from, to)
	case data.TypeArray:
		return projects(from.ValueSchema(), to.ValueSchema(), false)
	case data.TypeMap:
		return projects(from.KeySchema(), to.KeySchema(), false) && projects(from.ValueSchema(), to.ValueSchema(), false)
	}
	return true
}

func widens(from, to data.Type) bool {
	i, j := slices.Index(widths, from), slices.Index(widths, to)
	return from == to || i >= 0 && i <= j
}

func projectsFields(from, to *data.Schema) bool {
	for _, f := range to.Fields() {
		source, ok := from.Field(f.Name)
		if !ok {
			if _, ok := f.Schema.Default(); !ok && !f.Schema.Optional() {
				return false
			}
			continue
		}
		if !projects(source.Schema, f.Schema, false) {
			return false
		}
	}
	return true
}

// sameParams compares parameters, but for those that only describe. A record's
// enum may have fewer symbols than the file's.
func sameParams(from, to *data.Schema) bool {
	meaning := func(s *data.Schema) map[string]string {
		m := make(map[string]string)
		for _, p := range s.Params() {
			if !describes(p.Key) {
				m[p.Key] = p.Value
			}
		}
		return m
	}
	a, b := meaning(from), meaning(to)
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	_, enum := a[enumParam]
	return enum || len(a) == len(b)
}

// enumParam holds the name of a string's enum; parameters that begin with it
// are the symbols.
const enumParam = "io.confluent.connect.avro.Enum"

func describes(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, ".doc") || strings.HasSuffix(key, ".aliases") || strings.HasSuffix(key, "namespace")
}
