package transform

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// The bounds on patterns: their length, and the steps they compile to, which
// repetitions can make many. The time of a match grows with both.
const (
	maxRegexBytes = 8 << 10
	maxRegexSteps = 16 << 10
)

// regex is a Java regular expression: whole for Matcher.matches, which wants
// the whole text, part for Matcher.find.
type regex struct{ whole, part *regexp.Regexp }

// compileRegex translates a Java pattern. What Go's engine cannot do is
// refused with the piece named: look-around, back-references, atomic groups,
// possessive quantifiers, set operations.
func compileRegex(pattern string) (*regex, error) {
	translated, err := translateRegex(pattern)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	if err := checkSteps(translated); err != nil {
		return nil, fmt.Errorf("regular expression %.80q: %w", pattern, err)
	}
	part, err := regexp.Compile(translated)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	whole, err := regexp.Compile(`\A(?:` + translated + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	return &regex{whole, part}, nil
}

// checkSteps refuses expressions that compile to too much.
func checkSteps(pattern string) error {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return err
	}
	program, err := syntax.Compile(re.Simplify())
	if err != nil {
		return err
	}
	if n := len(program.Inst); n > maxRegexSteps {
		return fmt.Errorf("it takes %d steps, more than %d: use smaller repetitions", n, maxRegexSteps)
	}
	return nil
}

func (r *regex) matches(text string) bool { return r.whole.MatchString(text) }

func checkRegex(v any) error {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	_, err := compileRegex(text)
	return err
}

// regexTranslator goes over a Java pattern once.
type regexTranslator struct {
	in    string
	at    int
	out   strings.Builder
	quant bool // the last piece was a quantifier
}

func translateRegex(pattern string) (string, error) {
	if len(pattern) > maxRegexBytes {
		return "", fmt.Errorf("it has %d bytes, more than %d", len(pattern), maxRegexBytes)
	}
	t := regexTranslator{in: pattern}
	for t.at < len(t.in) {
		if err := t.piece(); err != nil {
			return "", err
		}
	}
	return t.out.String(), nil
}

func (t *regexTranslator) copy(n int) {
	n = min(n, len(t.in)-t.at)
	t.out.WriteString(t.in[t.at : t.at+n])
	t.at += n
}

func (t *regexTranslator) rest() string { return t.in[t.at:] }

// piece translates what comes next outside of a class in brackets.
func (t *regexTranslator) piece() error {
	quant := t.quant
	t.quant = false
	switch c := t.in[t.at]; c {
	case '\\':
		return t.escape(false)
	case '[':
		return t.class()
	case '(':
		return t.group()
	case '*', '+', '?':
		if c == '+' && quant {
			return fmt.Errorf("possessive quantifier %q at %d is not supported; most patterns match the same without the last +", t.in[t.at-1:t.at+1], t.at-1)
		}
		t.quant = !quant
		t.copy(1)
	case '{':
		end := strings.IndexByte(t.rest(), '}')
		if end < 0 {
			return fmt.Errorf("{ at %d is not closed", t.at)
		}
		t.quant = true
		t.copy(end + 1)
	default:
		t.copy(1)
	}
	return nil
}

var refusedGroups = []struct{ start, what string }{
	{"(?=", "look-ahead"}, {"(?!", "negative look-ahead"},
	{"(?<=", "look-behind"}, {"(?<!", "negative look-behind"}, {"(?>", "atomic group"},
}

func (t *regexTranslator) group() error {
	for _, g := range refusedGroups {
		if strings.HasPrefix(t.rest(), g.start) {
			return fmt.Errorf("%s %q at %d is not supported", g.what, g.start, t.at)
		}
	}
	if !strings.HasPrefix(t.rest(), "(?") || strings.HasPrefix(t.rest(), "(?<") {
		t.copy(1)
		return nil
	}
	for i, c := range t.rest()[2:] {
		switch c {
		case 'i', 's', 'm', '-':
			continue
		case ')', ':':
			t.copy(i + 3)
			return nil
		}
		return fmt.Errorf("%q at %d is not supported: of the flags only i, m and s are", t.rest()[:i+3], t.at)
	}
	return fmt.Errorf("( at %d is not closed", t.at)
}

const (
	horizontal = `\t \x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}`
	vertical   = `\n\x0B\f\r\x{85}\x{2028}\x{2029}`
	blanks     = ` \t\n\x0B\f\r`
)

// classEscapes are the escapes that mean several characters in Java and
// something else in Go.
var classEscapes = map[byte]string{'h': horizontal, 'v': vertical, 's': blanks}

// posix are Java's names for ASCII classes.
var posix = map[string]string{
	"Lower": "lower", "Upper": "upper", "ASCII": "ascii", "Alpha": "alpha", "Digit": "digit", "Alnum": "alnum",
	"Punct": "punct", "Graph": "graph", "Print": "print", "Blank": "blank", "Cntrl": "cntrl", "XDigit": "xdigit", "Space": "space",
}

func (t *regexTranslator) escape(inClass bool) error {
	rest := t.rest()
	if len(rest) < 2 {
		return fmt.Errorf(`the \ at the end escapes nothing`)
	}
	c := rest[1]
	if set, ok := classEscapes[c]; ok {
		if !inClass {
			set = "[" + set + "]"
		}
		t.at += 2
		t.out.WriteString(set)
		return nil
	}
	switch {
	case c >= '1' && c <= '9':
		return fmt.Errorf(`back-reference \%c at %d is not supported`, c, t.at)
	case c == 'k':
		return fmt.Errorf(`back-reference \k at %d is not supported`, t.at)
	case strings.IndexByte("GXZN", c) >= 0:
		return fmt.Errorf(`\%c at %d is not supported`, c, t.at)
	case c == 'H' || c == 'V' || c == 'S' || c == 'R':
		return t.negated(c, inClass)
	case c == 'Q':
		return t.quoted()
	case c == 'p' || c == 'P':
		return t.property(c)
	case c == 'e':
		t.at += 2
		t.out.WriteString(`\x1b`)
	case c == 'u' || c == '0' || c == 'c':
		return t.code(c)
	default:
		t.copy(2)
	}
	return nil
}

func (t *regexTranslator) negated(c byte, inClass bool) error {
	if inClass {
		return fmt.Errorf(`\%c within [] at %d is not supported`, c, t.at)
	}
	t.at += 2
	if c == 'R' {
		t.out.WriteString(`(?:\r\n|[` + vertical + `])`)
		return nil
	}
	t.out.WriteString("[^" + classEscapes[c|0x20] + "]")
	return nil
}

// quoted translates \Q...\E, of which the end may be missing.
func (t *regexTranslator) quoted() error {
	text, _, found := strings.Cut(t.rest()[2:], `\E`)
	t.at += 2 + len(text)
	if found {
		t.at += 2
	}
	t.out.WriteString(regexp.QuoteMeta(text))
	return nil
}

func (t *regexTranslator) property(c byte) error {
	rest := t.rest()
	end := strings.IndexByte(rest, '}')
	if len(rest) < 3 || rest[2] != '{' || end < 0 {
		t.copy(3)
		return nil
	}
	name := rest[3:end]
	t.at += end + 1
	class, ok := posix[name]
	switch {
	case !ok:
		fmt.Fprintf(&t.out, `\%c{%s}`, c, strings.TrimPrefix(name, "Is"))
	case c == 'P':
		return fmt.Errorf(`\P{%s} is not supported; use [^\p{%s}]`, name, name)
	default:
		fmt.Fprintf(&t.out, "[[:%s:]]", class)
	}
	return nil
}

// code translates the escapes of one character by its number.
func (t *regexTranslator) code(c byte) error {
	rest := t.rest()[2:]
	digits, base := 0, 16
	switch c {
	case 'u':
		digits = min(4, len(rest))
	case '0':
		base = 8
		for digits < min(3, len(rest)) && rest[digits] >= '0' && rest[digits] <= '7' {
			digits++
		}
	case 'c':
		if len(rest) == 0 {
			return fmt.Errorf(`\c at %d names no control character`, t.at)
		}
		fmt.Fprintf(&t.out, `\x{%x}`, rest[0]^0x40)
		t.at += 3
		return nil
	}
	var n rune
	for _, d := range []byte(rest[:digits]) {
		v := strings.IndexByte("0123456789abcdef", d|0x20)
		if d < 'A' {
			v = int(d) - '0'
		}
		if v < 0 || v >= base {
			digits = 0
			break
		}
		n = n*rune(base) + rune(v)
	}
	if digits == 0 || c == 'u' && digits < 4 || base == 8 && n > 0o377 {
		return fmt.Errorf(`\%c at %d is not followed by the number of a character`, c, t.at)
	}
	fmt.Fprintf(&t.out, `\x{%x}`, n)
	t.at += 2 + digits
	return nil
}

// class translates a class in brackets. Java nests and intersects them, which
// Go cannot.
func (t *regexTranslator) class() error {
	start := t.at
	t.copy(1)
	if strings.HasPrefix(t.rest(), "^") {
		t.copy(1)
	}
	for first := true; t.at < len(t.in); first = false {
		switch c := t.in[t.at]; {
		case c == ']' && !first:
			t.copy(1)
			return nil
		case c == '[':
			return fmt.Errorf(`class within a class at %d is not supported; write \[ for the character`, t.at)
		case strings.HasPrefix(t.rest(), "&&"):
			return fmt.Errorf("intersection && at %d is not supported", t.at)
		case c == '\\' && strings.HasPrefix(t.rest(), `\p{`):
			if err := t.propertyInClass(); err != nil {
				return err
			}
		case c == '\\' && strings.HasPrefix(t.rest(), `\Q`):
			return fmt.Errorf(`\Q within [] at %d is not supported`, t.at)
		case c == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		default:
			t.copy(1)
		}
	}
	return fmt.Errorf("[ at %d is not closed", start)
}

func (t *regexTranslator) propertyInClass() error {
	name, _, _ := strings.Cut(t.rest()[3:], "}")
	class, ok := posix[name]
	if !ok {
		return t.property('p')
	}
	t.at = min(t.at+3+len(name)+1, len(t.in))
	fmt.Fprintf(&t.out, "[:%s:]", class)
	return nil
}

// memo remembers what was found for the topics of a stream.
type memo[V any] struct {
	of       func(string) V
	seen     bool
	lastName string
	lastV    V
	all      cache[string, V]
}

func (m *memo[V]) get(name string) V {
	if m.seen && name == m.lastName {
		return m.lastV
	}
	v, err := m.all.get(name, func() (V, error) { return m.of(name), nil })
	if err == nil {
		m.lastName, m.lastV, m.seen = name, v, true
	}
	return v
}
