package provider

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseProperties reads Java's .properties format: comments after # and !,
// lines continued by a backslash, keys ended by =, : or white space, and the
// escapes \t \n \r \f and \uXXXX.
func ParseProperties(text string) (map[string]string, error) {
	out := map[string]string{}
	for _, line := range logicalLines(text) {
		key, value := splitProperty(line)
		k, err := unescape(key)
		if err != nil {
			return nil, err
		}
		v, err := unescape(value)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k, err)
		}
		out[k] = v
	}
	return out, nil
}

const blanks = " \t\f"

// logicalLines drops comments and blank lines and joins continued ones.
func logicalLines(text string) []string {
	var out []string
	var open strings.Builder
	continued := false
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		line = strings.TrimLeft(line, blanks)
		if !continued && (line == "" || line[0] == '#' || line[0] == '!') {
			continue
		}
		bare := strings.TrimRight(line, `\`)
		continued = (len(line)-len(bare))%2 == 1
		if continued {
			line = line[:len(line)-1]
		}
		open.WriteString(line)
		if !continued {
			out = append(out, open.String())
			open.Reset()
		}
	}
	if open.Len() > 0 {
		out = append(out, open.String())
	}
	return out
}

// splitProperty cuts a line at the first separator that is not escaped.
func splitProperty(line string) (key, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := strings.TrimLeft(line[end:], blanks)
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return line[:end], rest
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+5 > len(s) {
				return "", fmt.Errorf(`malformed \u escape`)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`malformed \u escape`)
			}
			b.WriteRune(rune(n))
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
