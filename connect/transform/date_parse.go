package transform

import (
	"fmt"
	"strings"
	"time"
)

// parsedDate collects the fields of a text.
type parsedDate struct {
	year, month, day, yearDay   int
	hour, minute, second, milli int
	half                        int // -1 unknown, 0 morning, 1 afternoon
	bc                          bool
	offset                      int // seconds east of UTC
}

// parse reads a text as SimpleDateFormat does: numbers out of range carry over
// to the next field, and text after the end of the pattern is ignored.
func (f *dateFormat) parse(text string) (ms int64, err error) {
	d := parsedDate{year: 1970, month: 1, day: 1, half: -1}
	at := 0
	for i, p := range f.parts {
		n, ok := 0, false
		if p.letter == 0 {
			n, ok = len(p.text), strings.HasPrefix(text[at:], p.text)
		} else {
			n, ok = f.field(&d, p, text[at:], f.abuts(i))
		}
		if !ok {
			return 0, fmt.Errorf("text %.80q does not fit the date format at %d", text, at)
		}
		at += n
	}
	year := d.year
	if d.bc {
		year = 1 - year
	}
	hour := d.hour
	if d.half == 1 {
		hour += 12
	}
	if d.yearDay > 0 {
		d.month, d.day = 1, d.yearDay
	}
	t := time.Date(year, time.Month(d.month), d.day, hour, d.minute, d.second, 0, time.UTC)
	return t.UnixMilli() + int64(d.milli) - int64(d.offset)*1000, nil
}

// abuts reports whether a number follows without anything between, so that
// the number before has exactly as many digits as the pattern has letters.
func (f *dateFormat) abuts(i int) bool {
	return i+1 < len(f.parts) && f.parts[i].numeric() && f.parts[i+1].numeric()
}

func (p datePart) numeric() bool {
	switch p.letter {
	case 0, 'E', 'a', 'z', 'Z', 'X', 'G':
		return false
	case 'M', 'L':
		return p.width < 3
	}
	return true
}

// field reads one field and returns how long it was.
func (f *dateFormat) field(d *parsedDate, p datePart, text string, abuts bool) (n int, ok bool) {
	blanks := len(text) - len(strings.TrimLeft(text, " \t"))
	text = text[blanks:]
	switch {
	case p.numeric():
		limit := 9
		if abuts {
			limit = p.width
		}
		v, digits := leadingNumber(text, limit)
		if digits == 0 {
			return 0, false
		}
		f.setNumber(d, p, v, digits)
		n = digits
	case p.letter == 'M' || p.letter == 'L':
		d.month, n = leadingName(text, 12, func(i int) string { return time.Month(i).String() })
	case p.letter == 'E':
		_, n = leadingName(text, 7, func(i int) string { return time.Weekday(i % 7).String() })
	case p.letter == 'a':
		d.half, n = leadingName(text, 2, func(i int) string { return []string{"AM", "PM"}[i-1] })
		d.half--
	case p.letter == 'G':
		var era int
		era, n = leadingName(text, 2, func(i int) string { return []string{"BC", "AD"}[i-1] })
		d.bc = era == 1
	default:
		d.offset, n = leadingZone(text)
	}
	return blanks + n, n > 0
}

func (f *dateFormat) setNumber(d *parsedDate, p datePart, v, digits int) {
	switch p.letter {
	case 'y', 'Y':
		if p.width <= 2 && digits == 2 {
			v += f.pivot / 100 * 100
			if v < f.pivot {
				v += 100
			}
		}
		d.year = v
	case 'M', 'L':
		d.month = v
	case 'd':
		d.day = v
	case 'D':
		d.yearDay = v
	case 'H', 'K':
		d.hour = v
	case 'k':
		d.hour = v % 24
	case 'h':
		d.hour = v % 12
	case 'm':
		d.minute = v
	case 's':
		d.second = v
	case 'S':
		d.milli = v
	}
}

// leadingNumber reads at most limit digits.
func leadingNumber(text string, limit int) (v, digits int) {
	for digits < len(text) && digits < limit && text[digits] >= '0' && text[digits] <= '9' {
		v = v*10 + int(text[digits]-'0')
		digits++
	}
	return v, digits
}

// leadingName finds which of some names a text begins with, whole or in three
// letters, in any case.
func leadingName(text string, count int, name func(int) string) (i, n int) {
	for _, length := range []int{100, 3} {
		for i := 1; i <= count; i++ {
			s := name(i)
			s = s[:min(length, len(s))]
			if len(text) >= len(s) && strings.EqualFold(text[:len(s)], s) {
				return i, len(s)
			}
		}
	}
	return 0, 0
}

// leadingZone reads Z, UTC, GMT, +hh, +hhmm and +hh:mm.
func leadingZone(text string) (seconds, n int) {
	for _, name := range []string{"UTC", "GMT", "Z"} {
		if strings.HasPrefix(text, name) {
			n = len(name)
			break
		}
	}
	rest := text[n:]
	if n == 1 || rest == "" || rest[0] != '+' && rest[0] != '-' {
		return 0, n
	}
	hours, digits := leadingNumber(rest[1:], 2)
	if digits == 0 {
		return 0, n
	}
	used := 1 + digits
	minutes, more := leadingNumber(strings.TrimPrefix(rest[used:], ":"), 2)
	if more == 2 {
		used += len(rest[used:]) - len(strings.TrimPrefix(rest[used:], ":")) + 2
	} else {
		minutes = 0
	}
	seconds = hours*3600 + minutes*60
	if rest[0] == '-' {
		seconds = -seconds
	}
	return seconds, n + used
}

// canParse reports the first letter of the pattern that texts cannot be read
// with.
func (f *dateFormat) canParse() error {
	for _, p := range f.parts {
		if p.letter != 0 && strings.IndexByte("YuwWF", p.letter) >= 0 {
			return fmt.Errorf("letter %q of the format is for writing only: texts cannot be read with it", p.letter)
		}
	}
	return nil
}
