package registry

import (
	"strconv"
	"strings"
	"unicode"
)

// defaultContext is where subjects without a context are.
const defaultContext = "."

// globalContext holds the config and mode that count for all contexts.
const globalContext = ":.__GLOBAL:"

// split takes a subject apart into context and name: ":.dev:orders" is orders
// in the context .dev.
func split(subject string) (context, name string) {
	rest, ok := strings.CutPrefix(subject, ":.")
	if !ok {
		return defaultContext, subject
	}
	context, name, ok = strings.Cut(rest, ":")
	if !ok {
		return defaultContext, subject
	}
	return "." + context, name
}

// qualify puts context and name together, the opposite of split.
func qualify(context, name string) string {
	if context == defaultContext {
		return name
	}
	return ":" + context + ":" + name
}

// canonical writes a subject of the default context without its context.
func canonical(subject string) string { return qualify(split(subject)) }

// isContext reports whether a subject names a whole context.
func isContext(subject string) bool {
	_, name := split(subject)
	return name == "" && subject != ""
}

// checkSubject refuses names that no subject may have.
func checkSubject(subject string) error {
	_, name := split(subject)
	bad := name == "__GLOBAL" || name == "__EMPTY" || strings.ContainsFunc(subject, unicode.IsControl)
	if bad {
		return errorf(InvalidSubject, "The specified subject '%s' is not a valid.", subject)
	}
	return nil
}

// Latest stands for a subject's newest version.
const Latest = -1

// ParseVersion reads a version number, "latest" or -1, which says the same.
func ParseVersion(text string) (int, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "latest") {
		return Latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 && n != Latest {
		return 0, errorf(InvalidVersion, "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", text)
	}
	return int(n), nil
}

// Qualified returns a subject that another refers to, with its context written
// out.
func Qualified(from, subject string) string {
	ctx, name := split(qualifyIn(contextOf(from), subject))
	return ":" + ctx + ":" + name
}
