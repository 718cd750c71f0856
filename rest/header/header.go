// Package header adds headers to an API's responses that a worker's settings ask
// for.
package header

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which pages of other origins may use an API in a browser.
type CORS struct {
	// Origins are those allowed, as http://host:port; "*" stands for all. None
	// allows none.
	Origins []string
	// Methods are those allowed; none is GET, POST and HEAD.
	Methods []string
}

// simpleMethods are those allowed unless others are named, and maxAge is how
// long a browser remembers an answer.
var (
	simpleMethods  = []string{http.MethodGet, http.MethodPost, http.MethodHead}
	allowedHeaders = "X-Requested-With,Content-Type,Accept,Origin,Authorization"
)

const maxAge = 30 * time.Minute

// Handler answers the questions of browsers, and tells them of every other
// answer who may see it.
func (c CORS) Handler(next http.Handler) http.Handler {
	if len(c.Origins) == 0 {
		return next
	}
	methods := c.Methods
	if len(methods) == 0 {
		methods = simpleMethods
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, h := r.Header.Get("Origin"), w.Header()
		h.Add("Vary", "Origin")
		if origin == "" || !slices.Contains(c.Origins, "*") && !slices.ContainsFunc(c.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		asked := r.Header.Get("Access-Control-Request-Method")
		if r.Method != http.MethodOptions || asked == "" {
			next.ServeHTTP(w, r)
			return
		}
		if slices.Contains(methods, asked) {
			h.Set("Access-Control-Allow-Methods", strings.Join(methods, ","))
			h.Set("Access-Control-Allow-Headers", allowedHeaders)
			h.Set("Access-Control-Max-Age", strconv.Itoa(int(maxAge.Seconds())))
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// Rule is a header to add to every response.
type Rule struct {
	Name, Value string
	Add         bool          // beside one of that name, instead of in its place
	Date        bool          // the value is the present time, and After later
	After       time.Duration // see Date
}

// ParseRules reads Jetty's notation: rules separated by commas, each of the form
// ACTION NAME: VALUE with an action of set, add, setDate or addDate. A rule that
// holds a comma stands in double quotes. Dates are given as milliseconds from
// now.
func ParseRules(text string) ([]Rule, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace, r.FieldsPerRecord = true, -1
	fields, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%q: rules are separated by commas, not by lines", text)
	}
	var out []Rule
	for _, field := range fields {
		rule, err := parseRule(strings.TrimSpace(field))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", field, err)
		}
		out = append(out, rule)
	}
	return out, nil
}

func parseRule(text string) (Rule, error) {
	action, rest, _ := strings.Cut(text, " ")
	name, value, ok := strings.Cut(rest, ":")
	r := Rule{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)}
	if !ok || r.Name == "" || strings.ContainsAny(r.Name, " \t\r\n") || strings.ContainsAny(r.Value, "\r\n") {
		return r, errors.New(`must be of the form ACTION NAME: VALUE, as in "add X-Frame-Options: DENY"`)
	}
	switch action {
	case "set":
	case "add":
		r.Add = true
	case "setDate", "addDate":
		millis, err := strconv.ParseInt(r.Value, 10, 64)
		if err != nil {
			return r, fmt.Errorf("%s needs a number of milliseconds from now", action)
		}
		r.Add, r.Date, r.After = action == "addDate", true, time.Duration(millis)*time.Millisecond
	default:
		return r, fmt.Errorf("action %q must be set, add, setDate or addDate", action)
	}
	return r, nil
}

// Handler adds the headers of rules to every response.
func Handler(next http.Handler, rules []Rule) http.Handler {
	if len(rules) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, rule := range rules {
			value := rule.Value
			if rule.Date {
				value = time.Now().Add(rule.After).UTC().Format(http.TimeFormat)
			}
			if rule.Add {
				w.Header().Add(rule.Name, value)
			} else {
				w.Header().Set(rule.Name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}
