package parse

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/millrace/millrace/connectors/textfield"
)

// Bounds of a grok expression: of references within references, and of the
// regular expression that they add up to, in bytes.
const (
	maxGrokDepth = 16
	maxGrokSize  = 64 << 10
)

// grokPatterns are the patterns that everybody may refer to, by the names that
// they have in Logstash. They are written without look-around, which does not
// exist here: a number, for one, may be part of a longer word.
var grokPatterns = map[string]string{
	"USERNAME": `[A-Za-z0-9._-]+`, "USER": `%{USERNAME}`, "EMAILLOCALPART": `[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+`, "EMAILADDRESS": `%{EMAILLOCALPART}@%{HOSTNAME}`,
	"INT": `[+-]?[0-9]+`, "BASE10NUM": `[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)`, "NUMBER": `%{BASE10NUM}`, "BASE16NUM": `[+-]?(?:0[xX])?[0-9A-Fa-f]+`,
	"POSINT": `[1-9][0-9]*`, "NONNEGINT": `[0-9]+`, "BOOL": `(?i:true|false)`,
	"WORD": `\b\w+\b`, "NOTSPACE": `\S+`, "SPACE": `\s*`, "DATA": `.*?`, "GREEDYDATA": `.*`,
	"QUOTEDSTRING": `(?:"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*')`, "QS": `%{QUOTEDSTRING}`, "UUID": `[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}`,

	"MAC": `(?:[A-Fa-f0-9]{2}[:-]){5}[A-Fa-f0-9]{2}|(?:[A-Fa-f0-9]{4}\.){2}[A-Fa-f0-9]{4}`, "IPV4": `(?:%{OCTET}\.){3}%{OCTET}`, "OCTET": `(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`,
	"IPV6": `(?:[A-Fa-f0-9]{0,4}:){2,7}(?:%{IPV4}|[A-Fa-f0-9]{0,4})(?:%\w+)?`, "IP": `%{IPV6}|%{IPV4}`,
	"HOSTNAME": `\b[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?`, "HOST": `%{HOSTNAME}`, "IPORHOST": `%{IP}|%{HOSTNAME}`, "HOSTPORT": `%{IPORHOST}:%{POSINT}`,

	"UNIXPATH": `(?:/[^\s/]*)+`, "WINPATH": `(?:[A-Za-z]:|\\)(?:\\[^\\?*\s]*)+`, "PATH": `%{UNIXPATH}|%{WINPATH}`,
	"URIPROTO": `[A-Za-z][A-Za-z0-9+.-]*`, "URIHOST": `%{IPORHOST}(?::%{POSINT})?`, "URIPATH": `(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_-]*)+`, "URIQUERY": `[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\[\]<>-]*`,
	"URIPARAM": `\?%{URIQUERY}`, "URIPATHPARAM": `%{URIPATH}(?:%{URIPARAM})?`, "URI": `%{URIPROTO}://(?:%{USER}(?::[^@\s]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?`,

	"MONTH":    `\b(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ep(?:tember)?|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\b`,
	"MONTHNUM": `0?[1-9]|1[0-2]`, "MONTHDAY": `0[1-9]|[12][0-9]|3[01]|[1-9]`, "DAY": `(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?`,
	"YEAR": `[0-9]{4}|[0-9]{2}`, "HOUR": `2[0-3]|[01]?[0-9]`, "MINUTE": `[0-5][0-9]`, "SECOND": `(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?`, "TIME": `%{HOUR}:%{MINUTE}:%{SECOND}`,
	"DATE_US": `%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}`, "DATE_EU": `%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}`, "DATE": `%{DATE_US}|%{DATE_EU}`,
	"ISO8601_TIMEZONE": `Z|[+-]%{HOUR}(?::?%{MINUTE})?`, "TIMESTAMP_ISO8601": `%{YEAR}-(?:%{MONTHNUM})-(?:%{MONTHDAY})[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?(?:%{ISO8601_TIMEZONE})?`,
	"TZ": `[A-Z]{3,4}`, "DATESTAMP": `%{DATE}[- ]%{TIME}`, "SYSLOGTIMESTAMP": `%{MONTH} +%{MONTHDAY} %{TIME}`, "HTTPDATE": `%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}`,

	"PROG": `[\x21-\x5a\x5c\x5e-\x7e]+`, "SYSLOGPROG": `%{PROG:program}(?:\[%{POSINT:pid}\])?`, "SYSLOGHOST": `%{IPORHOST}`, "SYSLOGFACILITY": `<%{NONNEGINT:facility}.%{NONNEGINT:priority}>`,
	"SYSLOGBASE": `%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:logsource} %{SYSLOGPROG}:`,
	"LOGLEVEL":   `(?i:trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|emerg(?:ency)?|alert)`,
	"HTTPDUSER":  `%{EMAILADDRESS}|%{USER}`,
	"COMMONAPACHELOG": `%{IPORHOST:clientip} %{HTTPDUSER:ident} %{HTTPDUSER:auth} \[%{HTTPDATE:timestamp}\] "(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" ` +
		`%{INT:response} (?:%{INT:bytes}|-)`,
	"COMBINEDAPACHELOG": `%{COMMONAPACHELOG} %{QS:referrer} %{QS:agent}`,
}

// grokTypes are the types of columns by what grok calls them.
var grokTypes = map[string]string{"string": "string", "int": "int64", "long": "int64", "float": "double", "double": "double", "boolean": "boolean"}

var (
	grokReference  = regexp.MustCompile(`%\{(\w+)(?::([^:}]+))?(?::(\w+))?\}`)
	grokDefinition = regexp.MustCompile(`^(\w+)[ \t]+(\S.*)$`)
	notInName      = regexp.MustCompile(`[^A-Za-z0-9_]+`)
)

// newGrok makes a regular expression of the one that refers to patterns.
func newGrok(c Config, pattern *textfield.TimePattern) (Parser, error) {
	if c.Pattern == "" {
		return nil, bad("parser.pattern", "parser=grok needs an expression such as %%{TIMESTAMP_ISO8601:time} %%{LOGLEVEL:level} %%{GREEDYDATA:message}")
	}
	g := &grok{patterns: maps.Clone(grokPatterns)}
	for line := range strings.Lines(c.Definitions) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := grokDefinition.FindStringSubmatch(line)
		if m == nil {
			return nil, bad("parser.definitions", "%.80q is not a name and its expression", line)
		}
		g.patterns[m[1]] = m[2]
	}
	expanded, err := g.expand(c.Pattern, 0)
	if err != nil {
		return nil, &Problem{"parser.pattern", err}
	}
	c.Kind, c.Pattern, c.Fields = "regex", expanded, append(g.fields, c.Fields...)
	return newRegex(c, pattern)
}

// grok expands references.
type grok struct {
	patterns map[string]string
	fields   []string // with types, as parser.fields has them
	size     int
}

func (g *grok) expand(text string, depth int) (string, error) {
	if depth > maxGrokDepth {
		return "", fmt.Errorf("patterns refer to each other more than %d deep, or in a circle", maxGrokDepth)
	}
	var out strings.Builder
	for {
		at := grokReference.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		out.WriteString(text[:at[0]])
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return text[at[2*i]:at[2*i+1]]
		}
		inner, err := g.reference(part(1), part(2), part(3), depth)
		if err != nil {
			return "", err
		}
		out.WriteString(inner)
		text = text[at[1]:]
	}
	out.WriteString(text)
	if g.size += out.Len(); g.size > maxGrokSize {
		return "", fmt.Errorf("it is longer than %d bytes with its patterns", maxGrokSize)
	}
	return out.String(), nil
}

// reference expands one reference: into a group that is named if it has a name.
func (g *grok) reference(name, field, kind string, depth int) (string, error) {
	definition, ok := g.patterns[name]
	if !ok {
		return "", fmt.Errorf("there is no pattern %s: define it with parser.definitions", name)
	}
	inner, err := g.expand(definition, depth+1)
	if err != nil || field == "" {
		return "(?:" + inner + ")", err
	}
	field = strings.Trim(notInName.ReplaceAllString(field, "_"), "_") // [http][status] and http.status
	if field == "" {
		return "", fmt.Errorf("the name of a %s has no letter", name)
	}
	if kind != "" {
		t, ok := grokTypes[kind]
		if !ok {
			return "", fmt.Errorf("%s is no type of a field: use int, long, float, double, boolean or string", kind)
		}
		g.fields = append(g.fields, field+":"+t)
	}
	return "(?P<" + field + ">" + inner + ")", nil
}
