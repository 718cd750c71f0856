package transform

import (
	"fmt"
	"strings"
)

// replacement is a Java replacement string: text, $1, ${name}, and anything
// after a backslash as it is.
type replacement []replacementPart

type replacementPart struct {
	text  string
	group int // -1 for text
}

// compileReplacement checks the groups against the expression's.
func compileReplacement(text string, re *regex) (replacement, error) {
	var out replacement
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			out = append(out, replacementPart{plain.String(), -1})
			plain.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\\':
			if i+1 == len(text) {
				return nil, fmt.Errorf(`replacement %q: the \ at the end escapes nothing`, text)
			}
			plain.WriteByte(text[i+1])
			i += 2
		case c == '$':
			group, n, err := replacementGroup(text[i:], re)
			if err != nil {
				return nil, fmt.Errorf("replacement %q: %w", text, err)
			}
			flush()
			out = append(out, replacementPart{group: group})
			i += n
		default:
			plain.WriteByte(c)
			i++
		}
	}
	flush()
	return out, nil
}

// replacementGroup reads the reference at the start of a text: a name, or as
// many digits as make the number of a group.
func replacementGroup(text string, re *regex) (group, n int, err error) {
	if strings.HasPrefix(text, "${") {
		name, _, ok := strings.Cut(text[2:], "}")
		if group = re.part.SubexpIndex(name); !ok || group < 0 {
			return 0, 0, fmt.Errorf("there is no group named %q", name)
		}
		return group, len(name) + 3, nil
	}
	last := re.part.NumSubexp()
	for n = 1; n < len(text) && text[n] >= '0' && text[n] <= '9'; n++ {
		next := group*10 + int(text[n]-'0')
		if n > 1 && next > last {
			break
		}
		group = next
	}
	switch {
	case n == 1:
		return 0, 0, fmt.Errorf(`$ names no group; write \$ for the character`)
	case group > last:
		return 0, 0, fmt.Errorf("there is no group %d", group)
	}
	return group, n, nil
}

// replaceFirst replaces the first match of the expression in a text that it
// matches as a whole, as Java's Matcher.replaceFirst does, and leaves other
// texts alone.
func (p replacement) replaceFirst(re *regex, text string) (string, bool) {
	if !re.matches(text) {
		return text, false
	}
	at := re.part.FindStringSubmatchIndex(text)
	if at == nil {
		return text, true
	}
	var b strings.Builder
	b.WriteString(text[:at[0]])
	for _, part := range p {
		switch {
		case part.group < 0:
			b.WriteString(part.text)
		case at[2*part.group] >= 0:
			b.WriteString(text[at[2*part.group]:at[2*part.group+1]])
		}
	}
	b.WriteString(text[at[1]:])
	return b.String(), true
}
