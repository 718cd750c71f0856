package jdbc

import "bytes"

// textArray is an array in PostgreSQL's text form.
type textArray struct{ b []byte }

// add appends an element, quoted, or null.
func (a *textArray) add(element []byte, null bool) {
	a.next()
	if null {
		a.b = append(a.b, "NULL"...)
		return
	}
	a.b = append(a.b, '"')
	for {
		i := bytes.IndexAny(element, `"\`)
		if i < 0 {
			break
		}
		a.b = append(append(a.b, element[:i]...), '\\', element[i])
		element = element[i+1:]
	}
	a.b = append(append(a.b, element...), '"')
}

// addArray appends an array as an element.
func (a *textArray) addArray(element []byte) {
	a.next()
	a.b = append(a.b, element...)
}

func (a *textArray) next() {
	if len(a.b) == 0 {
		a.b = append(a.b, '{')
		return
	}
	a.b = append(a.b, ',')
}

// bytes closes the array.
func (a *textArray) bytes() []byte {
	if len(a.b) == 0 {
		return []byte("{}")
	}
	return append(a.b, '}')
}

// appendCopy appends a field in the text form of COPY.
func appendCopy(dst, field []byte) []byte {
	start := 0
	for i, c := range field {
		escape := copyEscapes[c]
		if escape == 0 {
			continue
		}
		dst = append(append(dst, field[start:i]...), '\\', escape)
		start = i + 1
	}
	return append(dst, field[start:]...)
}

// copyEscapes are the letters that stand, after a backslash, for bytes that a
// field may not have as they are.
var copyEscapes = [256]byte{'\n': 'n', '\r': 'r', '\t': 't', '\\': '\\'}
