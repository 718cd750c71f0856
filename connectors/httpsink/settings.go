package httpsink

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// auth says how requests prove who sends them.
type auth int

const (
	noAuth auth = iota
	staticAuth
	basicAuth
	oauth2Auth
)

// on says what becomes of a record that cannot be sent.
type on int

const (
	report on = iota // as the worker's errors.tolerance says
	logIt
	ignore
	remove // of nulls: a DELETE
)

// settings are a configuration in the form that the task uses, whatever its
// dialect.
type settings struct {
	url, urlKey string // may hold ${topic} and ${key}
	method      string
	headers     []header
	idempotency string // name of the header, "" for none

	json      bool // bodies are JSON; else text, of structs too if not structsAsJSON
	aivenText bool // text as it is, all that has parts as JSON
	numeric   bool // decimals in JSON
	rewrites  []rewrite

	batch                     int
	prefix, suffix, separator string
	batchKey                  string // template; records of one batch have the same

	auth           auth
	authorization  string
	user, password string
	token          tokenSettings

	timeout, connectTimeout time.Duration
	trustAll                bool
	trustAllKey             string
	trust, keys             store
	proxy                   *url.URL

	retries       int // -1 without end
	backoff       time.Duration
	outageBackoff time.Duration // after the retries, 0 to fail
	retryOn       func(status int) bool
	nulls, errs   on
}

type header struct{ name, value string }

type rewrite struct {
	pattern *regexp.Regexp
	with    string
}

// store is a file of certificates or keys.
type store struct{ key, path, kind string }

// maxTimeout bounds the time of a request, in seconds: a Put must end within the
// worker's patience.
const maxTimeout = 240

// keyError is an error of the value of a key.
type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.err.Error() }

// parser collects the problems of keys.
type parser struct {
	cfg      sdk.Config
	problems []sdk.Problem
}

func (p *parser) bad(key string, err error) {
	if err != nil {
		p.problems = append(p.problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
	}
}

// raw returns a text with its blanks, which separators need.
func (p *parser) raw(key, otherwise string) string {
	if s, ok := p.cfg.Original(key); ok {
		return s
	}
	return otherwise
}

// checkURL does not repeat what it refuses: there may be a password in it.
func checkURL(v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	u, err := url.Parse(strings.NewReplacer("${topic}", "t", "${key}", "k").Replace(s))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("it is not an address such as https://service.example/items")
	}
	return nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// parseHeaders reads name: value pairs.
func parseHeaders(list []string) ([]header, error) {
	var out []header
	for _, pair := range list {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("header %d is not of the form name: value", len(out)+1)
		}
		out = append(out, header{name, value})
	}
	return out, nil
}

// parseCodes reads ranges of status codes such as 400-404,429,500-.
func parseCodes(text string) (func(int) bool, error) {
	var ranges [][2]int
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		r := [2]int{0, 599}
		var err error
		if r[0], err = strconv.Atoi(strings.TrimSpace(from)); err == nil && !isRange {
			r[1] = r[0]
		}
		if to = strings.TrimSpace(to); err == nil && to != "" {
			r[1], err = strconv.Atoi(to)
		}
		if err != nil || r[0] < 100 || r[1] > 599 || r[0] > r[1] {
			return nil, fmt.Errorf("%q is no range of status codes such as 400-404 or 500-", part)
		}
		ranges = append(ranges, r)
	}
	return func(status int) bool {
		for _, r := range ranges {
			if status >= r[0] && status <= r[1] {
				return true
			}
		}
		return false
	}, nil
}

// passing are the codes of what passes by itself: too slow, too early, too much,
// and failures of the service.
func passing(status int) bool {
	return status == 408 || status == 425 || status == 429 || status >= 500 && status != 501 && status != 505
}

// javaGroup finds Java's $1, which Go must see as ${1}.
var javaGroup = regexp.MustCompile(`\$(\d)`)

// parseRewrites pairs patterns with what replaces their matches.
func parseRewrites(patterns, with []string) ([]rewrite, error) {
	if len(patterns) != len(with) {
		return nil, fmt.Errorf("there are %d patterns and %d replacements", len(patterns), len(with))
	}
	var out []rewrite
	for i, text := range patterns {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("pattern %d: %w: look-around and back-references do not exist here", i+1, err)
		}
		out = append(out, rewrite{re, with[i]})
	}
	return out, nil
}
