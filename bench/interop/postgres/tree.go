package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// node is a JSON value whose members keep their order.
type node struct {
	text    string // of a value that is neither object nor array
	object  bool
	array   bool
	names   []string
	members []*node // of an object by names, or items of an array
}

func parse(raw []byte) (*node, error) {
	if raw == nil {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	n, err := readNode(dec)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return n, nil
		}
		err = errors.Join(err, errors.New("more than one value"))
	}
	return nil, fmt.Errorf("%.200s: %w", raw, err)
}

func readNode(dec *json.Decoder) (*node, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch d, _ := t.(json.Delim); d {
	case '{':
		n := &node{object: true}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			m, err := readNode(dec)
			if err != nil {
				return nil, err
			}
			n.names, n.members = append(n.names, name.(string)), append(n.members, m)
		}
		_, err = dec.Token()
		return n, err
	case '[':
		n := &node{array: true}
		for dec.More() {
			m, err := readNode(dec)
			if err != nil {
				return nil, err
			}
			n.members = append(n.members, m)
		}
		_, err = dec.Token()
		return n, err
	}
	if t == nil {
		return &node{text: "null"}, nil
	}
	if s, ok := t.(string); ok {
		return &node{text: strconv.Quote(s)}, nil
	}
	return &node{text: fmt.Sprint(t)}, nil
}

// at returns the value at a path of member names, nil if there is none.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		if n == nil || !n.object {
			return nil
		}
		next := (*node)(nil)
		for i := range n.names {
			if n.names[i] == name {
				next = n.members[i]
			}
		}
		n = next
	}
	return n
}

// String writes the value as JSON, shortened.
func (n *node) String() string {
	if n == nil {
		return "nothing"
	}
	var b strings.Builder
	n.write(&b)
	if s := b.String(); len(s) > 300 {
		return s[:300] + "..."
	}
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	if b.Len() > 400 {
		return
	}
	switch {
	case n.object, n.array:
		brackets := "[]"
		if n.object {
			brackets = "{}"
		}
		b.WriteByte(brackets[0])
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			if n.object {
				b.WriteString(strconv.Quote(n.names[i]) + ":")
			}
			m.write(b)
		}
		b.WriteByte(brackets[1])
	default:
		b.WriteString(n.text)
	}
}

// mask replaces a value by what must still agree: whether it is null, and its
// length if it is a text of one.
func (n *node) mask(with string) {
	if n == nil || n.text == "null" {
		return
	}
	*n = node{text: with}
}

// diff calls report for each place where two values differ.
func diff(path string, a, b *node, report func(path string, a, b *node)) {
	switch {
	case a == nil && b == nil:
	case a == nil || b == nil, a.object != b.object, a.array != b.array:
		report(path, a, b)
	case a.object:
		diffObjects(path, a, b, report)
	case a.array:
		diffArrays(path, a, b, report)
	case a.text != b.text && !sameNumber(a.text, b.text):
		report(path, a, b)
	}
}

func diffObjects(path string, a, b *node, report func(path string, a, b *node)) {
	var shared []string
	for i, name := range a.names {
		if other := b.at(name); other != nil {
			shared = append(shared, name)
			diff(path+"."+name, a.members[i], other, report)
		} else {
			report(path+"."+name, a.members[i], nil)
		}
	}
	k := 0
	ordered := true
	for i, name := range b.names {
		if a.at(name) == nil {
			report(path+"."+name, nil, b.members[i])
			continue
		}
		if k < len(shared) && shared[k] != name {
			ordered = false
		}
		k++
	}
	if !ordered {
		report(path+" (order of members)", &node{text: strings.Join(a.names, " ")}, &node{text: strings.Join(b.names, " ")})
	}
}

// diffArrays compares items by position, but the fields of a schema by name, so
// that one that is missing is not reported for each that follows.
func diffArrays(path string, a, b *node, report func(path string, a, b *node)) {
	if strings.HasSuffix(path, ".fields") {
		diffObjects(path, byField(a), byField(b), report)
		return
	}
	for i := range max(len(a.members), len(b.members)) {
		var x, y *node
		if i < len(a.members) {
			x = a.members[i]
		}
		if i < len(b.members) {
			y = b.members[i]
		}
		diff(path+"["+strconv.Itoa(i)+"]", x, y, report)
	}
}

func byField(n *node) *node {
	out := &node{object: true}
	for i, m := range n.members {
		name := "#" + strconv.Itoa(i)
		if f := m.at("field"); f != nil {
			name = strings.Trim(f.text, `"`)
		}
		out.names, out.members = append(out.names, name), append(out.members, m)
	}
	return out
}

// sameNumber holds 1E10 and 1e+10 to be the same: how a number is written is
// the converter's business.
func sameNumber(a, b string) bool {
	if !strings.ContainsAny(a+b, ".eE") || strings.HasPrefix(a, `"`) {
		return false
	}
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err == nil && err2 == nil && x == y
}
