package textfield

import (
	"fmt"
	"strings"
	"time"
)

const msPerDay = 24 * 60 * 60 * 1000

// TimePattern reads times. Make one with CompileTime; a nil one reads ISO 8601.
// It is immutable.
type TimePattern struct {
	parts []timePart
	iso   bool
	// now is asked for the year of times that have none.
	now func() time.Time
}

// timePart is a field, by its letter after %, or text.
type timePart struct {
	field   byte
	literal string
}

// named are patterns that have names.
var named = map[string]string{
	"clf": "%d/%b/%Y:%H:%M:%S %z", "syslog": "%b %e %H:%M:%S", "unix": "%s", "unix_ms": "%Q", "rfc1123": "%a, %d %b %Y %H:%M:%S %Z",
}

// timeFields are the fields that patterns may have.
const timeFields = "YymdebBaHMSfLzZsQTFDjpI%"

// CompileTime reads a pattern: iso8601, clf (that of web servers), syslog,
// unix (seconds), unix_ms, rfc1123, or fields as strftime has them: %Y %y %m %d
// %e %b %H %I %p %M %S %f (a fraction, after a point or comma) %z %Z %s %T %F %j
// %a. Times without a zone are UTC.
func CompileTime(pattern string) (*TimePattern, error) {
	p := &TimePattern{now: time.Now}
	switch {
	case pattern == "" || strings.EqualFold(pattern, "iso8601"):
		p.iso = true
		return p, nil
	case named[pattern] != "":
		pattern = named[pattern]
	case !strings.Contains(pattern, "%"):
		return nil, fmt.Errorf("%q is no format of times: use iso8601, clf, syslog, unix, unix_ms, rfc1123, or fields such as %%Y-%%m-%%d %%H:%%M:%%S", pattern)
	}
	pattern = strings.NewReplacer("%T", "%H:%M:%S", "%F", "%Y-%m-%d", "%D", "%m/%d/%y").Replace(pattern)
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			p.literal(pattern[i : i+1])
			continue
		}
		if i++; i == len(pattern) || strings.IndexByte(timeFields, pattern[i]) < 0 {
			return nil, fmt.Errorf("%q: %% is followed by no field of a time; the fields are %s", pattern, timeFields)
		}
		if pattern[i] == '%' {
			p.literal("%")
			continue
		}
		p.parts = append(p.parts, timePart{field: pattern[i]})
	}
	return p, nil
}

func (p *TimePattern) literal(s string) {
	if n := len(p.parts); n > 0 && p.parts[n-1].field == 0 {
		p.parts[n-1].literal += s
		return
	}
	p.parts = append(p.parts, timePart{literal: s})
}

// moment are the fields of a time while they are read.
type moment struct {
	year, month, day     int
	hour, minute, second int
	nanos                int
	offset               int // seconds east of UTC
	epoch                int64
	yearday              int
	hasEpoch, hasYear    bool
	afternoon, twelve    bool
}

// Millis returns milliseconds since the epoch.
func (p *TimePattern) Millis(b []byte) (ms int64, ok bool) {
	if p == nil || p.iso {
		return parseISO(b)
	}
	m := moment{month: 1, day: 1}
	for i := range p.parts {
		part := &p.parts[i]
		if part.field != 0 {
			b, ok = m.read(part.field, b)
		} else if ok = len(b) >= len(part.literal) && string(b[:len(part.literal)]) == part.literal; ok {
			b = b[len(part.literal):]
		}
		if !ok {
			return 0, false
		}
	}
	if len(b) > 0 {
		return 0, false
	}
	return m.millis(p.now)
}

// read takes one field off b.
func (m *moment) read(field byte, b []byte) (rest []byte, ok bool) {
	switch field {
	case 'Y':
		m.hasYear = true
		return digits(b, 4, 4, &m.year)
	case 'y':
		rest, ok = digits(b, 2, 2, &m.year)
		m.year, m.hasYear = m.year+2000, true
		if m.year >= 2069 {
			m.year -= 100
		}
		return rest, ok
	case 'm':
		return digits(b, 1, 2, &m.month)
	case 'd', 'e':
		if len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
		return digits(b, 1, 2, &m.day)
	case 'j':
		return digits(b, 3, 3, &m.yearday)
	case 'b', 'B':
		return m.monthName(b)
	case 'a':
		if len(b) < 3 {
			return b, false
		}
		return b[3:], true
	case 'H':
		return digits(b, 1, 2, &m.hour)
	case 'I':
		m.twelve = true
		return digits(b, 1, 2, &m.hour)
	case 'p':
		return m.half(b)
	case 'M':
		return digits(b, 2, 2, &m.minute)
	case 'S':
		return digits(b, 2, 2, &m.second)
	case 'f', 'L':
		return m.fraction(b)
	case 'z', 'Z':
		return m.zone(b)
	}
	return m.since(field, b)
}

// since reads a number of seconds or milliseconds, the former perhaps with a
// fraction.
func (m *moment) since(field byte, b []byte) ([]byte, bool) {
	n := 0
	for n < len(b) && (b[n] >= '0' && b[n] <= '9' || n == 0 && b[n] == '-') {
		n++
	}
	v, ok := ParseInt(b[:n])
	if !ok || v > 1<<53 || v < -1<<53 {
		return b, false
	}
	m.epoch, m.hasEpoch, b = v, true, b[n:]
	if field == 'Q' {
		return b, true
	}
	if m.epoch > 1<<43 || m.epoch < -1<<43 {
		return b, false
	}
	m.epoch *= 1000
	if len(b) > 1 && b[0] == '.' {
		rest, ok := m.fraction(b)
		m.epoch += int64(m.nanos / 1e6)
		return rest, ok
	}
	return b, true
}

func digits(b []byte, least, most int, into *int) ([]byte, bool) {
	n, v := 0, 0
	for n < most && n < len(b) && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int(b[n]-'0')
		n++
	}
	*into = v
	return b[n:], n >= least
}

const monthNames = "janfebmaraprmayjunjulaugsepoctnovdec"

func (m *moment) monthName(b []byte) ([]byte, bool) {
	if len(b) < 3 {
		return b, false
	}
	a0, a1, a2 := b[0]|0x20, b[1]|0x20, b[2]|0x20
	for i := 0; i < len(monthNames); i += 3 {
		if monthNames[i] == a0 && monthNames[i+1] == a1 && monthNames[i+2] == a2 {
			m.month = i/3 + 1
			n := 3
			for n < len(b) && b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' { // a name in full
				n++
			}
			return b[n:], true
		}
	}
	return b, false
}

func (m *moment) half(b []byte) ([]byte, bool) {
	if len(b) < 2 || b[1]|0x20 != 'm' || b[0]|0x20 != 'a' && b[0]|0x20 != 'p' {
		return b, false
	}
	m.afternoon = b[0]|0x20 == 'p'
	return b[2:], true
}

// fraction reads a fraction of a second, with or without its point.
func (m *moment) fraction(b []byte) ([]byte, bool) {
	if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		b = b[1:]
	}
	n, v, scale := 0, 0, int(1e9)
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		if scale > 1 {
			v, scale = v*10+int(b[n]-'0'), scale/10
		}
		n++
	}
	m.nanos = v * scale
	return b[n:], n > 0
}

// zone reads Z, UTC, GMT, +02, +0200 or +02:00.
func (m *moment) zone(b []byte) ([]byte, bool) {
	switch {
	case len(b) > 0 && (b[0] == 'Z' || b[0] == 'z'):
		return b[1:], true
	case len(b) >= 3 && (string(b[:3]) == "UTC" || string(b[:3]) == "GMT"):
		return b[3:], true
	case len(b) < 3 || b[0] != '+' && b[0] != '-':
		return b, false
	}
	sign := 1
	if b[0] == '-' {
		sign = -1
	}
	hours, minutes := 0, 0
	b, ok := digits(b[1:], 2, 2, &hours)
	if ok && len(b) > 0 && b[0] == ':' {
		b, ok = digits(b[1:], 2, 2, &minutes)
	} else if ok && len(b) >= 2 && b[0] >= '0' && b[0] <= '9' {
		b, ok = digits(b, 2, 2, &minutes)
	}
	m.offset = sign * (hours*3600 + minutes*60)
	return b, ok && hours <= 18 && minutes < 60
}

func (m *moment) millis(now func() time.Time) (int64, bool) {
	if m.hasEpoch {
		return m.epoch, true
	}
	if m.twelve || m.afternoon {
		if m.hour < 1 || m.hour > 12 {
			return 0, false
		}
		m.hour %= 12
		if m.afternoon {
			m.hour += 12
		}
	}
	if !m.hasYear {
		return m.recent(now())
	}
	return m.at()
}

// recent finds the year of a time that has none: the one that makes it the
// latest that is not in the future.
func (m *moment) recent(now time.Time) (int64, bool) {
	m.year = now.UTC().Year()
	ms, ok := m.at()
	if !ok || ms > now.UnixMilli()+msPerDay {
		m.year--
		return m.at()
	}
	return ms, true
}

// at returns the point in time that the fields are.
func (m *moment) at() (int64, bool) {
	if m.month < 1 || m.month > 12 || m.day < 1 || m.day > daysIn(m.year, m.month) || m.hour > 23 || m.minute > 59 || m.second > 60 || m.yearday > 366 {
		return 0, false
	}
	days := daysFromCivil(m.year, m.month, m.day)
	if m.yearday > 0 {
		days = daysFromCivil(m.year, 1, 1) + int64(m.yearday) - 1
	}
	secs := days*86400 + int64(m.hour*3600+m.minute*60+m.second-m.offset)
	return secs*1000 + int64(m.nanos/1e6), true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysFromCivil counts the days from the epoch to a date of the Gregorian
// calendar, whose years here begin in March so that leap days end them.
func daysFromCivil(year, month, day int) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + day - 1
	return int64(era)*146097 + int64(ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}

// ISOMillis reads ISO 8601: a date, or a date and a time after T or a blank,
// with seconds or without, a fraction, and a zone.
func ISOMillis(b []byte) (ms int64, ok bool) { return parseISO(b) }

func parseISO(b []byte) (int64, bool) {
	m := moment{}
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	_, ok1 := digits(b, 4, 4, &m.year)
	_, ok2 := digits(b[5:], 2, 2, &m.month)
	_, ok3 := digits(b[8:], 2, 2, &m.day)
	if b = b[10:]; !ok1 || !ok2 || !ok3 {
		return 0, false
	}
	if len(b) == 0 {
		return m.at()
	}
	if len(b) < 6 || b[0] != 'T' && b[0] != 't' && b[0] != ' ' || b[3] != ':' {
		return 0, false
	}
	_, ok1 = digits(b[1:], 2, 2, &m.hour)
	_, ok2 = digits(b[4:], 2, 2, &m.minute)
	if b = b[6:]; !ok1 || !ok2 {
		return 0, false
	}
	ok := true
	if len(b) > 0 && b[0] == ':' {
		b, ok = digits(b[1:], 2, 2, &m.second)
	}
	if ok && len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		b, ok = m.fraction(b)
	}
	if ok && len(b) > 1 && b[0] == ' ' {
		b = b[1:]
	}
	if ok && len(b) > 0 {
		b, ok = m.zone(b)
	}
	if !ok || len(b) > 0 {
		return 0, false
	}
	return m.at()
}
