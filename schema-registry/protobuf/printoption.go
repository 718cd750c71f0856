package protobuf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// options returns those to be printed.
func (p *printer) options(list []option) []option {
	if p.plain {
		list = slices.DeleteFunc(slices.Clone(list), func(o option) bool { return strings.Contains(o.name, "(") })
	}
	if p.normal {
		list = slices.SortedStableFunc(slices.Values(list), func(a, b option) int { return cmp.Compare(a.name, b.name) })
	}
	return list
}

func (p *printer) optionLines(list []option) {
	for _, o := range list {
		p.lines("option " + p.setting(o) + ";")
	}
}

// lines prints a text of several lines, each indented.
func (p *printer) lines(text string) {
	for l := range strings.SplitSeq(text, "\n") {
		p.line(l)
	}
}

// compact prints options in brackets: one of them on the line, more below it.
func (p *printer) compact(list []option) string {
	list = p.options(list)
	switch len(list) {
	case 0:
		return ""
	case 1:
		return " [" + p.hang(p.setting(list[0])) + "]"
	}
	var b strings.Builder
	b.WriteString(" [\n")
	for i, o := range list {
		b.WriteString(p.indent + "  " + strings.ReplaceAll(p.setting(o), "\n", "\n"+p.indent+"  "))
		if i < len(list)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	return b.String() + p.indent + "]"
}

// hang indents all lines but the first.
func (p *printer) hang(text string) string { return strings.ReplaceAll(text, "\n", "\n"+p.indent) }

func (p *printer) setting(o option) string { return o.name + " = " + p.value(o.value) }

// value prints a value; what it holds is indented by two blanks.
func (p *printer) value(v value) string {
	switch v.kind {
	case stringValue:
		return `"` + escape(v.text) + `"`
	case listValue:
		if p.normal && len(v.list) == 1 {
			return p.value(v.list[0])
		}
		items := make([]string, len(v.list))
		for i, e := range v.list {
			items[i] = p.value(e)
		}
		return enclosed("[", items, "]")
	case memberValue:
		members := v.members
		if p.normal {
			members = slices.SortedStableFunc(slices.Values(members), func(a, b option) int { return cmp.Compare(a.name, b.name) })
		}
		items := make([]string, len(members))
		for i, m := range members {
			items[i] = m.name + ": " + p.value(m.value)
		}
		return enclosed("{", items, "}")
	}
	return v.text
}

func enclosed(open string, items []string, end string) string {
	var b strings.Builder
	b.WriteString(open + "\n")
	for i, text := range items {
		b.WriteString("  " + strings.ReplaceAll(text, "\n", "\n  "))
		if i < len(items)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	return b.String() + end
}

var escapes = strings.NewReplacer("\a", `\a`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`, `\`, `\\`, "'", `\'`, `"`, `\"`)

// escape writes a string as the inside of a literal. Bytes that are no text
// are written as numbers.
func escape(text string) string {
	text = escapes.Replace(text)
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\%03o`, text[0])
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}
