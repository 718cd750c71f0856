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
	if bytes.IndexByte(field, '\\') < 0 && bytes.IndexByte(field, '\n') < 0 && bytes.IndexByte(field, '\t') < 0 && bytes.IndexByte(field, '\r') < 0 {
		return append(dst, field...) // nearly always, and each search is faster than one for all
	}
	for {
		i := bytes.IndexAny(field, "\\\n\r\t")
		if i < 0 {
			return append(dst, field...)
		}
		dst = append(append(dst, field[:i]...), '\\')
		switch field[i] {
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		default:
			dst = append(dst, '\\')
		}
		field = field[i+1:]
	}
}
