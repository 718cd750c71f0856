package partition

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timePattern is a compiled Joda-Time pattern, of which Y is the year of the
// calendar, unlike in java.time.
type timePattern struct {
	parts []patternPart
	words bool // it has names of months or days, which depend on the locale
}

type patternPart struct {
	literal string
	letter  byte // 0 for a literal
	count   int
}

const patternLetters = "YyxwMdDHhKkmsSEeazZ"

// compilePattern reads a Joda pattern: letters stand for fields, '...' for
// text, ” for a quote, anything that is no letter for itself.
func compilePattern(s string) (*timePattern, error) {
	p := &timePattern{}
	text := func(t string) {
		if n := len(p.parts); n > 0 && p.parts[n-1].letter == 0 {
			p.parts[n-1].literal += t
			return
		}
		p.parts = append(p.parts, patternPart{literal: t})
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\'':
			quoted, n, err := readQuoted(s[i:])
			if err != nil {
				return nil, err
			}
			text(quoted)
			i += n
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			if strings.IndexByte(patternLetters, c) < 0 {
				return nil, fmt.Errorf("%q in the pattern %q stands for no part of a time: put text in quotes, as in 'year'=YYYY", c, s)
			}
			n := 1
			for i+n < len(s) && s[i+n] == c {
				n++
			}
			p.parts = append(p.parts, patternPart{letter: c, count: n})
			p.words = p.words || (c == 'M' || c == 'E') && n > 2 || c == 'E' || c == 'a'
			i += n
		default:
			text(s[i : i+1])
			i++
		}
	}
	return p, nil
}

// readQuoted reads quoted text at the start of s and returns how long it was.
func readQuoted(s string) (text string, n int, err error) {
	if strings.HasPrefix(s, "''") {
		return "'", 2, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1, nil
	}
	return "", 0, fmt.Errorf("the quote before %q does not end", s[1:])
}

// format prints a time.
func (p *timePattern) format(t time.Time) string {
	b := make([]byte, 0, 64)
	for _, part := range p.parts {
		if part.letter == 0 {
			b = append(b, part.literal...)
		} else {
			b = part.append(b, t)
		}
	}
	return string(b)
}

func (p patternPart) append(b []byte, t time.Time) []byte {
	hour12 := func(h int) int { return (h+11)%12 + 1 }
	weekYear, week := t.ISOWeek()
	switch p.letter {
	case 'Y', 'y':
		return p.year(b, t.Year())
	case 'x':
		return p.year(b, weekYear)
	case 'w':
		return p.number(b, week)
	case 'M':
		return p.month(b, t.Month())
	case 'd':
		return p.number(b, t.Day())
	case 'D':
		return p.number(b, t.YearDay())
	case 'H':
		return p.number(b, t.Hour())
	case 'k':
		return p.number(b, (t.Hour()+23)%24+1)
	case 'h':
		return p.number(b, hour12(t.Hour()))
	case 'K':
		return p.number(b, t.Hour()%12)
	case 'm':
		return p.number(b, t.Minute())
	case 's':
		return p.number(b, t.Second())
	case 'S':
		return p.fraction(b, t.Nanosecond())
	case 'e':
		return p.number(b, (int(t.Weekday())+6)%7+1)
	case 'E':
		return p.weekday(b, t.Weekday())
	case 'a':
		return append(b, [2]string{"AM", "PM"}[t.Hour()/12]...)
	case 'z':
		name, _ := t.Zone()
		return append(b, name...)
	default: // Z
		return p.zone(b, t)
	}
}

// number prints a number with leading zeros.
func (p patternPart) number(b []byte, n int) []byte {
	text := strconv.Itoa(n)
	for i := len(text); i < p.count; i++ {
		b = append(b, '0')
	}
	return append(b, text...)
}

func (p patternPart) year(b []byte, year int) []byte {
	if p.count == 2 {
		return p.number(b, year%100)
	}
	return p.number(b, year)
}

func (p patternPart) month(b []byte, m time.Month) []byte {
	switch {
	case p.count >= 4:
		return append(b, m.String()...)
	case p.count == 3:
		return append(b, m.String()[:3]...)
	}
	return p.number(b, int(m))
}

func (p patternPart) weekday(b []byte, d time.Weekday) []byte {
	if p.count >= 4 {
		return append(b, d.String()...)
	}
	return append(b, d.String()[:3]...)
}

// fraction prints as many digits of the second's fraction as there are letters;
// beyond milliseconds they are zeros, as in Joda.
func (p patternPart) fraction(b []byte, nanos int) []byte {
	digits := fmt.Sprintf("%03d", nanos/1e6)
	for i := range p.count {
		if i < len(digits) {
			b = append(b, digits[i])
		} else {
			b = append(b, '0')
		}
	}
	return b
}

func (p patternPart) zone(b []byte, t time.Time) []byte {
	switch p.count {
	case 1:
		return t.AppendFormat(b, "-0700")
	case 2:
		return t.AppendFormat(b, "-07:00")
	}
	return append(b, t.Location().String()...)
}
