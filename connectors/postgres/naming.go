package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxTopic is the longest name that a topic may have.
const maxTopic = 249

// namingStrategies are the values of topic.naming.strategy, which begin with
// io.debezium.schema. Those of Default leave the schema out, as Debezium does
// for databases that have none.
var namingStrategies = []string{
	"SchemaTopicNamingStrategy", "DefaultTopicNamingStrategy", "SchemaRegexTopicNamingStrategy", "DefaultRegexTopicNamingStrategy",
	"SchemaUnicodeTopicNamingStrategy", "DefaultUnicodeTopicNamingStrategy",
}

// naming says which topic the changes of a table go to.
type naming struct {
	prefix, delimiter string
	noSchema          bool
	unicode           bool
	regex             *regexp.Regexp // nil unless tables share topics
	replacement       string
	// keyField is added to keys so that tables that share a topic do not share
	// keys; "" for none.
	keyField       string
	keyRegex       *regexp.Regexp // nil: the field holds the table's own topic
	keyReplacement string
}

func newNaming(p *parser) naming {
	class := strings.TrimPrefix(p.cfg.String("topic.naming.strategy"), "io.debezium.schema.")
	n := naming{
		prefix: p.cfg.String("topic.prefix"), delimiter: p.cfg.String("topic.delimiter"),
		noSchema: strings.HasPrefix(class, "Default"), unicode: strings.Contains(class, "Unicode"),
	}
	shared := strings.Contains(class, "Regex")
	n.regex, n.replacement = p.replacing("topic.regex", "topic.replacement", shared)
	if !shared {
		for _, k := range []string{"topic.regex", "topic.replacement", "topic.key.enforce.uniqueness", "topic.key.field.name", "topic.key.field.regex", "topic.key.field.replacement"} {
			if p.cfg.Given(k) {
				p.bad(k, fmt.Errorf("it belongs to the topic naming strategies DefaultRegex... and SchemaRegex..., and topic.naming.strategy is %s", class))
			}
		}
		return n
	}
	if p.cfg.Bool("topic.key.enforce.uniqueness") {
		n.keyField = p.cfg.String("topic.key.field.name")
		n.keyRegex, n.keyReplacement = p.replacing("topic.key.field.regex", "topic.key.field.replacement", false)
	}
	return n
}

// javaGroup finds Java's $1, which Go must see as ${1}: to Go, "$1_x" is a
// group named "1_x".
var javaGroup = regexp.MustCompile(`\$(\d)`)

// replacing reads a pattern that must match a whole name and what replaces it.
func (p *parser) replacing(pattern, replacement string, needed bool) (*regexp.Regexp, string) {
	text := strings.TrimSpace(p.cfg.String(pattern))
	if text == "" {
		if needed {
			p.bad(pattern, fmt.Errorf("the topic naming strategy needs it"))
		}
		return nil, ""
	}
	to := strings.TrimSpace(p.cfg.String(replacement))
	if to == "" {
		p.bad(replacement, fmt.Errorf("it must not be empty when %s is set", pattern))
	}
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		p.bad(pattern, fmt.Errorf("%w: look-around, back-references and possessive quantifiers of Java do not exist here", err))
	}
	return re, javaGroup.ReplaceAllString(to, "$${$1}")
}

// topic returns the topic of a table, and what the key's field says of it.
func (n *naming) topic(schema, table string) (topic, physical string) {
	parts := []string{n.prefix, schema, table}
	if n.noSchema {
		parts = []string{n.prefix, table}
	}
	physical = strings.Join(parts, n.delimiter)
	topic = n.legal(physical)
	if n.regex != nil && n.regex.MatchString(topic) {
		if to := n.regex.ReplaceAllString(topic, n.replacement); to != "" {
			topic = to
		}
	}
	if n.keyRegex != nil && n.keyRegex.MatchString(physical) {
		physical = n.keyRegex.ReplaceAllString(physical, n.keyReplacement)
	}
	return topic, physical
}

// legal makes a legal topic name. As in Java, a character beyond the basic
// plane counts as two.
func (n *naming) legal(name string) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune(name)) {
		switch {
		case letter(c), digit(c), c == '.', c == '-', c == '_' && !n.unicode:
			b.WriteByte(byte(c))
		default:
			b.WriteString(replacement(c, n.unicode))
		}
	}
	out := b.String()
	switch {
	case len(out) > maxTopic:
		return out[:maxTopic]
	case out == "." || out == "..":
		return strings.Repeat(replacement('.', n.unicode), len(out))
	}
	return out
}

// topicName makes a legal topic name.
func topicName(name string) string { return (&naming{}).legal(name) }

func letter(c uint16) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func digit(c uint16) bool { return c >= '0' && c <= '9' }

// replacement stands for a character that a name may not have.
func replacement(c uint16, unicode bool) string {
	if !unicode {
		return "_"
	}
	hex := strconv.FormatUint(uint64(c), 16)
	if len(hex) <= 2 {
		hex = "00" + hex // as Debezium does: three digits stay three
	}
	return "_u" + hex
}

// adjustName makes a name fit for Avro: other characters become _ or, with
// avro_unicode, _uXXXX. A full name may have dots. Debezium looks at the first
// character of the whole name alone, and keeps a digit there behind its _.
func adjustName(mode, name string, full bool) string {
	if mode != "avro" && mode != "avro_unicode" {
		return name
	}
	unicode := mode == "avro_unicode"
	var b strings.Builder
	for i, c := range utf16.Encode([]rune(name)) {
		switch {
		case letter(c), c == '_' && !unicode, i > 0 && (digit(c) || full && c == '.'):
			b.WriteByte(byte(c))
		default:
			b.WriteString(replacement(c, unicode))
			if i == 0 && digit(c) && !unicode {
				b.WriteByte(byte(c))
			}
		}
	}
	return b.String()
}
