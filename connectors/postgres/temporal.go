package postgres

import (
	"errors"
	"math"
	"strconv"
)

// The texts are those of DateStyle ISO and IntervalStyle postgres, which every
// session here sets.

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86400 * microsPerSecond
)

// infinity tells the values of dates and timestamps that are not on the
// calendar.
type infinity int8

// String returns it as PostgreSQL writes it.
func (i infinity) String() string {
	if i < 0 {
		return "-infinity"
	}
	return "infinity"
}

var (
	errTime  = errors.New("not a date or time as PostgreSQL writes it")
	errRange = errors.New("out of range")
)

// instant is a point on the calendar: days since 1970-01-01 and microseconds
// since midnight.
type instant struct {
	days   int64
	micros int64
	inf    infinity
}

// cursorText reads a text from the front.
type cursorText struct{ b []byte }

// digits reads a number of at least one and at most ten digits.
func (c *cursorText) digits() (n int64, count int, ok bool) {
	for count < len(c.b) && count < 10 && c.b[count]-'0' <= 9 {
		n = n*10 + int64(c.b[count]-'0')
		count++
	}
	c.b = c.b[count:]
	return n, count, count > 0
}

func (c *cursorText) skip(ch byte) bool {
	if len(c.b) == 0 || c.b[0] != ch {
		return false
	}
	c.b = c.b[1:]
	return true
}

// daysOf counts the days from 1970-01-01 to a date of the proleptic Gregorian
// calendar. Year 0 is 1 BC.
func daysOf(y, m, d int64) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// dateOf is the inverse of daysOf.
func dateOf(days int64) (y, m, d int64) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	y = yoe + era*400
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	if m > 12 {
		m -= 12
	}
	if m <= 2 {
		y++
	}
	return y, m, d
}

func parseInfinity(b []byte) infinity {
	switch string(b) {
	case "infinity":
		return 1
	case "-infinity":
		return -1
	}
	return 0
}

// date reads yyyy-mm-dd, without the BC that may stand at the end of it all.
func (c *cursorText) date() (y, m, d int64, ok bool) {
	y, _, ok1 := c.digits()
	ok2 := c.skip('-')
	m, _, ok3 := c.digits()
	ok4 := c.skip('-')
	d, _, ok5 := c.digits()
	ok = ok1 && ok2 && ok3 && ok4 && ok5 && y <= 6_000_000 && m >= 1 && m <= 12 && d >= 1 && d <= 31
	return y, m, d, ok
}

// clock reads hh:mm:ss[.ffffff] as microseconds. Hours may be many, as in an
// interval.
func (c *cursorText) clock() (micros int64, ok bool) {
	h, _, ok1 := c.digits()
	ok2 := c.skip(':')
	m, _, ok3 := c.digits()
	ok4 := c.skip(':')
	s, _, ok5 := c.digits()
	if !(ok1 && ok2 && ok3 && ok4 && ok5) || m > 59 || s > 60 {
		return 0, false
	}
	micros = (h*3600 + m*60 + s) * microsPerSecond
	if c.skip('.') {
		f, n, ok := c.digits()
		if !ok || n > 6 {
			return 0, false
		}
		for ; n < 6; n++ {
			f *= 10
		}
		micros += f
	}
	return micros, true
}

// zone reads +hh[:mm[:ss]] as seconds east of Greenwich.
func (c *cursorText) zone() (seconds int64, ok bool) {
	neg := c.skip('-')
	if !neg && !c.skip('+') {
		return 0, false
	}
	h, _, ok := c.digits()
	if !ok || h > 24 {
		return 0, false
	}
	seconds = h * 3600
	for unit := int64(60); unit >= 1 && c.skip(':'); unit /= 60 {
		n, _, ok := c.digits()
		if !ok || n > 59 {
			return 0, false
		}
		seconds += n * unit
	}
	if neg {
		seconds = -seconds
	}
	return seconds, true
}

// end takes the BC of a date and checks that nothing follows.
func (c *cursorText) end() (bc, ok bool) {
	if string(c.b) == " BC" {
		return true, true
	}
	return false, len(c.b) == 0
}

// parseDate reads a date: 2026-01-31, 0044-03-15 BC, infinity.
func parseDate(b []byte) (instant, error) {
	if inf := parseInfinity(b); inf != 0 {
		return instant{inf: inf}, nil
	}
	c := cursorText{b}
	y, m, d, ok := c.date()
	bc, ok2 := c.end()
	if !ok || !ok2 {
		return instant{}, errTime
	}
	if bc {
		y = 1 - y
	}
	return instant{days: daysOf(y, m, d)}, nil
}

// parseTimestamp reads a timestamp with or without a zone, as UTC.
func parseTimestamp(b []byte) (instant, error) {
	if inf := parseInfinity(b); inf != 0 {
		return instant{inf: inf}, nil
	}
	c := cursorText{b}
	y, m, d, ok := c.date()
	ok2 := c.skip(' ')
	micros, ok3 := c.clock()
	if !ok || !ok2 || !ok3 || micros > microsPerDay {
		return instant{}, errTime
	}
	if len(c.b) > 0 && c.b[0] != ' ' {
		east, ok := c.zone()
		if !ok {
			return instant{}, errTime
		}
		micros -= east * microsPerSecond
	}
	bc, ok := c.end()
	if !ok {
		return instant{}, errTime
	}
	if bc {
		y = 1 - y
	}
	t := instant{days: daysOf(y, m, d), micros: micros}
	for ; t.micros < 0; t.days-- {
		t.micros += microsPerDay
	}
	for ; t.micros >= microsPerDay; t.days++ {
		t.micros -= microsPerDay
	}
	return t, nil
}

// parseTime reads a time of day, up to 24:00:00, as microseconds.
func parseTime(b []byte) (int64, error) {
	c := cursorText{b}
	micros, ok := c.clock()
	if !ok || len(c.b) > 0 || micros > microsPerDay {
		return 0, errTime
	}
	return micros, nil
}

// parseTimeZone reads a time of day with its zone and returns it in UTC.
func parseTimeZone(b []byte) (int64, error) {
	c := cursorText{b}
	micros, ok := c.clock()
	east, ok2 := c.zone()
	if !ok || !ok2 || len(c.b) > 0 || micros > microsPerDay {
		return 0, errTime
	}
	micros = (micros - east*microsPerSecond) % microsPerDay
	if micros < 0 {
		micros += microsPerDay
	}
	return micros, nil
}

// micro returns the microseconds since 1970. PostgreSQL's last 29 years are
// beyond what 64 bits hold of them.
func (t instant) micro() (int64, error) {
	switch {
	case t.inf > 0:
		return infiniteMicros, nil
	case t.inf < 0:
		return negativeInfiniteMicros, nil
	case t.days > math.MaxInt64/microsPerDay-1 || t.days < math.MinInt64/microsPerDay+1:
		return 0, errRange
	}
	return t.days*microsPerDay + t.micros, nil
}

// milli returns the milliseconds since 1970, rounded down.
func (t instant) milli() int64 {
	switch {
	case t.inf > 0:
		return infiniteMicros / 1000
	case t.inf < 0:
		return negativeInfiniteMicros / 1000
	}
	return t.days*(microsPerDay/1000) + t.micros/1000
}

// interval is PostgreSQL's, whose three parts do not convert into each other.
type interval struct{ months, days, micros int64 }

// parseInterval reads 1 year 2 mons -3 days +04:05:06.789.
func parseInterval(b []byte) (interval, error) {
	var iv interval
	c := cursorText{b}
	for {
		neg := c.skip('-')
		if !neg {
			c.skip('+')
		}
		sign := int64(1)
		if neg {
			sign = -1
		}
		before := c
		n, _, ok := c.digits()
		if !ok {
			return iv, errTime
		}
		if len(c.b) > 0 && c.b[0] == ':' {
			c = before
			micros, ok := c.clock()
			if !ok || len(c.b) > 0 {
				return iv, errTime
			}
			iv.micros = sign * micros
			return iv, nil
		}
		if !iv.unit(&c, sign*n) {
			return iv, errTime
		}
		if len(c.b) == 0 {
			return iv, nil
		}
		if !c.skip(' ') {
			return iv, errTime
		}
	}
}

func (iv *interval) unit(c *cursorText, n int64) bool {
	if !c.skip(' ') {
		return false
	}
	end := 0
	for end < len(c.b) && c.b[end] != ' ' {
		end++
	}
	switch string(c.b[:end]) {
	case "year", "years":
		iv.months += 12 * n
	case "mon", "mons":
		iv.months += n
	case "day", "days":
		iv.days += n
	default:
		return false
	}
	c.b = c.b[end:]
	return true
}

// microseconds converts a month to 365.25/12 days.
func (iv interval) microseconds() (int64, error) {
	f := float64(iv.months)*(365.25/12)*microsPerDay + float64(iv.days)*microsPerDay + float64(iv.micros)
	if f >= 1<<63 || f < -(1<<63) {
		return 0, errRange
	}
	return int64(f), nil
}

// appendISO writes P1Y2M3DT4H5M6.78S, all parts always.
func (iv interval) appendISO(dst []byte) []byte {
	part := func(n int64, unit byte) {
		dst = append(strconv.AppendInt(dst, n, 10), unit)
	}
	dst = append(dst, 'P')
	part(iv.months/12, 'Y')
	part(iv.months%12, 'M')
	part(iv.days, 'D')
	dst = append(dst, 'T')
	part(iv.micros/(3600*microsPerSecond), 'H')
	part(iv.micros/(60*microsPerSecond)%60, 'M')
	rest := iv.micros % (60 * microsPerSecond)
	if rest < 0 {
		dst, rest = append(dst, '-'), -rest
	}
	dst = strconv.AppendInt(dst, rest/microsPerSecond, 10)
	dst = appendFraction(dst, rest%microsPerSecond, -1)
	return append(dst, 'S')
}

func appendPadded(dst []byte, n int64, width int) []byte {
	var room [20]byte
	text := strconv.AppendInt(room[:0], n, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// appendFraction writes microseconds as .ffffff: exactly so many digits, or,
// for -1, as few as say it.
func appendFraction(dst []byte, micros int64, digits int) []byte {
	n := 6
	if digits >= 0 {
		for ; n > digits; n-- {
			micros /= 10
		}
	} else {
		for ; n > 0 && micros%10 == 0; n-- {
			micros /= 10
		}
	}
	if n == 0 {
		return dst
	}
	return appendPadded(append(dst, '.'), micros, n)
}

// appendDate writes a date as ISO 8601 does: years of at least four digits,
// those above 9999 with a plus, those before year 0 with a minus.
func appendDate(dst []byte, days int64) []byte {
	y, m, d := dateOf(days)
	switch {
	case y > 9999:
		dst = append(dst, '+')
	case y < 0:
		dst, y = append(dst, '-'), -y
	}
	dst = append(appendPadded(dst, y, 4), '-')
	dst = append(appendPadded(dst, m, 2), '-')
	return appendPadded(dst, d, 2)
}

// appendClock writes hh:mm:ss and a fraction.
func appendClock(dst []byte, micros int64, digits int) []byte {
	s := micros / microsPerSecond
	dst = append(appendPadded(dst, s/3600, 2), ':')
	dst = append(appendPadded(dst, s/60%60, 2), ':')
	return appendFraction(appendPadded(dst, s%60, 2), micros%microsPerSecond, digits)
}

// appendTimestamp writes an instant as 2026-01-31T12:00:00.000000Z.
func (t instant) appendTimestamp(dst []byte, digits int) []byte {
	dst = append(appendDate(dst, t.days), 'T')
	return append(appendClock(dst, t.micros, digits), 'Z')
}
