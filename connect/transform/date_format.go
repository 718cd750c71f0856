package transform

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxDatePattern bounds the patterns that are accepted.
const maxDatePattern = 256

// dateFormat is a Java SimpleDateFormat pattern, in UTC and English.
type dateFormat struct {
	parts []datePart
	pivot int // the year 80 years ago, from which years of two digits count
}

// datePart is a run of one letter of the pattern, or text.
type datePart struct {
	letter byte // 0 for text
	width  int
	text   string
}

const dateLetters = "yYMLdDHhkKmsSaEuwWFZzXG"

// compileDateFormat reads a pattern. now decides the century of years of two
// digits.
func compileDateFormat(pattern string, now time.Time) (*dateFormat, error) {
	if len(pattern) > maxDatePattern {
		return nil, fmt.Errorf("date pattern of %d bytes is longer than %d", len(pattern), maxDatePattern)
	}
	f := &dateFormat{pivot: now.UTC().Year() - 80}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, n, err := quotedText(pattern[i:])
			if err != nil {
				return nil, err
			}
			f.text(text)
			i += n
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			if strings.IndexByte(dateLetters, c) < 0 {
				return nil, fmt.Errorf("date pattern %q: letter %q is not supported", pattern, c)
			}
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			if c == 'X' && n > 3 {
				return nil, fmt.Errorf("date pattern %q: at most three X are possible", pattern)
			}
			f.parts = append(f.parts, datePart{letter: c, width: n})
			i += n
		default:
			f.text(string(c))
			i++
		}
	}
	return f, nil
}

// text appends text, joined to text before it.
func (f *dateFormat) text(s string) {
	if n := len(f.parts); n > 0 && f.parts[n-1].letter == 0 {
		f.parts[n-1].text += s
		return
	}
	f.parts = append(f.parts, datePart{text: s})
}

// quotedText reads text in quotes, of which two in a row mean one.
func quotedText(s string) (text string, n int, err error) {
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
	return "", 0, fmt.Errorf("date pattern: a quote is not closed")
}

// format writes an instant.
func (f *dateFormat) format(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	var b []byte
	for _, p := range f.parts {
		b = p.append(b, t)
	}
	return string(b)
}

func (p datePart) append(b []byte, t time.Time) []byte {
	switch p.letter {
	case 0:
		return append(b, p.text...)
	case 'M', 'L':
		if p.width >= 3 {
			return append(b, p.name(t.Month().String())...)
		}
	case 'E':
		return append(b, p.name(t.Weekday().String())...)
	case 'a':
		return append(b, t.Format("PM")...)
	case 'z':
		if p.width >= 4 {
			return append(b, "Coordinated Universal Time"...)
		}
		return append(b, "UTC"...)
	case 'Z':
		return append(b, "+0000"...)
	case 'X':
		return append(b, 'Z')
	case 'G':
		return append(b, era(t)...)
	}
	n, year := p.number(t), p.letter == 'y' || p.letter == 'Y'
	if year && p.width == 2 {
		n %= 100
	}
	digits := strconv.Itoa(n)
	for i := len(digits); i < p.width; i++ {
		b = append(b, '0')
	}
	return append(b, digits...)
}

func era(t time.Time) string {
	if t.Year() > 0 {
		return "AD"
	}
	return "BC"
}

// name is the full name for four letters or more, else three letters of it.
func (p datePart) name(full string) string {
	if p.width >= 4 {
		return full
	}
	return full[:3]
}

// number is the value of a field that is written as a number.
func (p datePart) number(t time.Time) int {
	switch p.letter {
	case 'y':
		if t.Year() <= 0 {
			return 1 - t.Year()
		}
		return t.Year()
	case 'Y':
		year, _ := weekOf(t)
		return year
	case 'M', 'L':
		return int(t.Month())
	case 'd':
		return t.Day()
	case 'D':
		return t.YearDay()
	case 'H':
		return t.Hour()
	case 'k':
		return (t.Hour()+23)%24 + 1
	case 'K':
		return t.Hour() % 12
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	case 's':
		return t.Second()
	case 'S':
		return t.Nanosecond() / 1e6
	case 'u':
		return (int(t.Weekday())+6)%7 + 1
	case 'w':
		_, week := weekOf(t)
		return week
	case 'W':
		first := int(t.AddDate(0, 0, 1-t.Day()).Weekday())
		return (t.Day()+first-1)/7 + 1
	default: // F
		return (t.Day()-1)/7 + 1
	}
}

// weekOf counts weeks as Java does in the United States: from Sunday on, the
// first being the one that holds the first of January.
func weekOf(t time.Time) (year, week int) {
	saturday := t.AddDate(0, 0, int(time.Saturday-t.Weekday()))
	return saturday.Year(), (saturday.YearDay()-1)/7 + 1
}
