package generate

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"unicode/utf8"
)

// pattern makes texts that match a regular expression.
type pattern struct {
	re   *syntax.Regexp
	size span // in characters
	more int  // repetitions beyond the least, where the expression has no most
}

// The bounds on what patterns make.
const (
	moreRepeats = 10
	maxPattern  = 1 << 16 // characters
	tries       = 200     // to hit the lengths that are wanted
)

// newPattern compiles an expression. Its texts have a length within size.
func newPattern(text string, size span) (*pattern, error) {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%w: look-around, back-references and possessive repetition do not exist here", err)
	}
	p := &pattern{re: re.Simplify(), size: size, more: max(moreRepeats, 2*size.least)}
	least, most, err := p.lengths(p.re)
	if err != nil {
		return nil, err
	}
	if least > maxPattern {
		return nil, fmt.Errorf("its texts have %d characters and more: %d are the most here", least, maxPattern)
	}
	if most < size.least || least > size.most {
		return nil, fmt.Errorf("its texts have %d to %d characters, and none the wanted length", least, most)
	}
	return p, nil
}

// lengths returns how long the texts of an expression are.
func (p *pattern) lengths(re *syntax.Regexp) (least, most int, err error) {
	for i, sub := range re.Sub {
		l, m, err := p.lengths(sub)
		if err != nil {
			return 0, 0, err
		}
		if re.Op == syntax.OpAlternate {
			if i == 0 {
				least = l
			}
			least, most = min(least, l), max(most, m)
			continue
		}
		least, most = min(least+l, 2*maxPattern), min(most+m, 2*maxPattern)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), len(re.Rune), nil
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return 0, 0, errors.New("no character is allowed in a place")
		}
		return 1, 1, nil
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 1, nil
	case syntax.OpNoMatch:
		return 0, 0, errors.New("nothing matches it")
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return 0, 0, errors.New(`\b and \B cannot be generated`)
	case syntax.OpQuest:
		least = 0
	case syntax.OpStar:
		least, most = 0, min(most*p.more, 2*maxPattern)
	case syntax.OpPlus:
		most = min(most*(p.more+1), 2*maxPattern)
	}
	return least, most, nil
}

// append makes a text of the wanted length, if one comes up.
func (p *pattern) append(b []byte, r *run) []byte {
	start := len(b)
	for range tries {
		b = p.node(b[:start], p.re, r)
		if n := utf8.RuneCount(b[start:]); n >= p.size.least && n <= p.size.most {
			return b
		}
	}
	r.fail(fmt.Errorf("in %d tries no text of %q had a length from %d to %d: make the pattern say the length", tries, p.re, p.size.least, p.size.most))
	return b
}

func (p *pattern) node(b []byte, re *syntax.Regexp, r *run) []byte {
	if len(b) > 4*maxPattern {
		return b
	}
	repeat := 1
	switch re.Op {
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			b = utf8.AppendRune(b, c)
		}
		return b
	case syntax.OpCharClass:
		return utf8.AppendRune(b, oneOf(re.Rune, r))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return append(b, byte(' '+r.IntN('~'-' '+1)))
	case syntax.OpAlternate:
		return p.node(b, re.Sub[r.IntN(len(re.Sub))], r)
	case syntax.OpQuest:
		repeat = r.IntN(2)
	case syntax.OpStar:
		repeat = r.IntN(p.more + 1)
	case syntax.OpPlus:
		repeat = 1 + r.IntN(p.more+1)
	}
	for range repeat {
		for _, sub := range re.Sub {
			b = p.node(b, sub, r)
		}
	}
	return b
}

// oneOf picks a character of a class, a printable ASCII one if it has any.
func oneOf(class []rune, r *run) rune {
	for _, limit := range [][2]rune{{' ', '~'}, {0, utf8.MaxRune}} {
		total := 0
		each(class, limit, func(_, n rune) bool { total += int(n); return true })
		if total == 0 {
			continue
		}
		pick, out := rune(r.IntN(total)), rune(0)
		each(class, limit, func(from, n rune) bool {
			if pick < n {
				out = from + pick
				return false
			}
			pick -= n
			return true
		})
		return out
	}
	return '?'
}

// each calls f with the ranges of a class within limits: their first character
// and how many there are.
func each(class []rune, limit [2]rune, f func(from, n rune) bool) {
	for i := 0; i+1 < len(class); i += 2 {
		from, to := max(class[i], limit[0]), min(class[i+1], limit[1])
		if from <= to && !f(from, to-from+1) {
			return
		}
	}
}
