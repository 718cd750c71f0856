package front

import (
	"bytes"
	"strings"
)

// parse reads a request that is whole, GET without a body or a query, and has
// no header that asks for anything but the usual: what it takes, net/http takes
// in the same way (FuzzParse), and what it does not take is not wrong.
func parse(raw []byte) (path, accept string, ok bool) {
	raw, ok = bytes.CutSuffix(raw, []byte("\r\n\r\n"))
	if !ok {
		return "", "", false
	}
	line, rest, more := bytes.Cut(raw, []byte("\r\n"))
	line, ok = bytes.CutPrefix(line, []byte("GET "))
	if !ok {
		return "", "", false
	}
	target, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok || !plainPath(target) {
		return "", "", false
	}
	hosts, accepts := 0, 0
	for more {
		line, rest, more = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if value = bytes.Trim(value, " \t"); !ok || !printable(value) {
			return "", "", false
		}
		switch {
		case is(name, "Host"):
			if hosts++; !plainHost(value) {
				return "", "", false
			}
		case is(name, "Accept"):
			if accepts++; len(value) == 0 {
				return "", "", false
			}
			accept = string(value)
		case is(name, "Connection"):
			if !is(value, "keep-alive") {
				return "", "", false
			}
		case is(name, "User-Agent"), is(name, "Accept-Encoding"), is(name, "Accept-Language"), is(name, "Content-Type"):
		default:
			return "", "", false
		}
	}
	return string(target), accept, hosts == 1 && accepts <= 1
}

func is(got []byte, want string) bool {
	return len(got) == len(want) && strings.EqualFold(string(got), want)
}

// plainPath reports whether a path has only what nothing reads as anything but
// itself.
func plainPath(p []byte) bool {
	if len(p) == 0 || p[0] != '/' || bytes.HasPrefix(p, []byte("//")) {
		return false
	}
	for _, c := range p {
		if !alphanumeric(c) && c != '/' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func plainHost(h []byte) bool {
	for _, c := range h {
		if !alphanumeric(c) && c != '.' && c != '-' && c != ':' {
			return false
		}
	}
	return len(h) > 0
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func printable(v []byte) bool {
	for _, c := range v {
		if c != '\t' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}
