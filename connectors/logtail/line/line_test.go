package line

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cutAll cuts b as it comes in pieces.
func cutAll(c *Cutter, b []byte, step int) (out []string) {
	at, scanned, skip := 0, 0, false
	for have := 0; have < len(b); {
		have = min(have+step, len(b))
		for {
			text, size, kind, skipping := c.Cut(b[at:have], scanned, skip)
			skip = skipping
			if size == 0 {
				if kind == TooLong {
					return append(out, "too long")
				}
				scanned = have - at
				break
			}
			scanned = 0
			at += size
			if kind != Passed && kind != Dropped {
				out = append(out, string(text))
			}
		}
	}
	return out
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    Cutter
		in   string
		want []string
	}{
		{"lines", Cutter{Delimiter: []byte("\n"), Unit: 1, Max: 10}, "a\n\nbc\nd", []string{"a", "", "bc"}},
		{"as long as may be", Cutter{Delimiter: []byte("\n"), Unit: 1, Max: 3}, "abc\nx\n", []string{"abc", "x"}},
		{"truncated", Cutter{Delimiter: []byte("\n"), Unit: 1, Max: 3, UTF8: true}, "abcdefg\nx\n", []string{"abc", "x"}},
		{"skipped", Cutter{Delimiter: []byte("\n"), Unit: 1, Max: 3, Long: Skip}, "abcdefg\nx\n", []string{"x"}},
		{"split between characters", Cutter{Delimiter: []byte("\n"), Unit: 1, Max: 4, Long: Split, UTF8: true}, "abcääd\nx\n", []string{"abc", "ää", "d", "x"}},
		{"refused", Cutter{Delimiter: []byte("\n"), Unit: 1, Max: 3, Long: Fail}, "ab\nabcdefg\nx\n", []string{"ab", "too long"}},
		{"two bytes", Cutter{Delimiter: []byte("\r\n"), Unit: 1, Max: 10}, "a\rb\nc\r\nd\r\n", []string{"a\rb\nc", "d"}},
		{"units of two", Cutter{Delimiter: []byte("\n\x00"), Unit: 2, Max: 10}, "\x00\n\x00a\n\x00b\x00\n\x00", []string{"\x00\n\x00a", "b\x00"}},
		{"skipped in units of two", Cutter{Delimiter: []byte("\n\x00"), Unit: 2, Max: 2, Long: Skip}, "a\x00b\x00\x01\n\x00\x01\n\x00c\x00\n\x00", []string{"c\x00"}},
	} {
		for step := 1; step <= len(tt.in); step++ {
			if got := cutAll(&tt.c, []byte(tt.in), step); !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d bytes at a time: %q, want %q", tt.name, step, got, tt.want)
			}
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("a\nbb\r\nccccccccccccc\n"), uint8(5), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, most, mode uint8) {
		c := Cutter{Delimiter: []byte("\n"), Unit: 1, Max: int(most) + 1, Long: Policy(mode % 3), UTF8: mode&4 > 0}
		if mode&8 > 0 {
			c.Delimiter, c.Unit, c.Max, c.UTF8 = []byte("\n\x00"), 2, 2*c.Max, false
		}
		skip := false
		for {
			text, size, kind, skipping := c.Cut(b, 0, skip)
			if size == 0 {
				break
			}
			if size > len(b) || len(text) > c.Max || size%c.Unit != 0 {
				t.Fatalf("%v: cut %d of %d bytes, line of %d", kind, size, len(b), len(text))
			}
			b, skip = b[size:], skipping
		}
		if len(b) > c.Max+len(c.Delimiter) && !skip {
			t.Fatalf("%d bytes are left", len(b))
		}
	})
}

// group cuts lines into groups, each of which ends with a bar.
func group(r *Grouping, lines ...string) string {
	var b strings.Builder
	var g Group
	end := func() {
		if g.Lines > 0 {
			b.WriteByte('|')
		}
		g.Lines = 0
	}
	for _, l := range lines {
		switch r.Next(&g, []byte(l)) {
		case Alone:
			end()
			b.WriteString(l + "!|")
		case Begins:
			end()
			b.WriteString(l)
			g.Lines = 1
		case Joins:
			b.WriteString(l)
			g.Lines++
		case Finishes:
			b.WriteString(l)
			g.Lines++
			end()
		}
	}
	return b.String()
}

func TestGroups(t *testing.T) {
	re := regexp.MustCompile
	partial := func(l []byte) (bool, byte) { return l[1] == 'P', l[0] }
	for _, tt := range []struct {
		name  string
		r     Grouping
		lines string
		want  string
	}{
		{"stack trace", Grouping{Start: re(`^\S`), Condition: re(`^ `), Mode: "continue_through", MaxLines: 9}, "a, x, y,b,c", "a x y|b|c"},
		{"any first line", Grouping{Condition: re(`^ `), Mode: "continue_through", MaxLines: 9}, " a, x,b", " a x|b"},
		{"backslash", Grouping{Start: re(`\\$`), Condition: re(`\\$`), Mode: "continue_past", MaxLines: 9}, `a\,b\,c,d`, `a\b\c|d!|`},
		{"until the next", Grouping{Start: re(`^B`), Condition: re(`^B`), Mode: "halt_before", MaxLines: 9}, "B1,x,B2,y", "B1x|B2y"},
		{"until the end", Grouping{Start: re(`^B`), Condition: re(`^E`), Mode: "halt_with", MaxLines: 9}, "B,x,E,y", "BxE|y!|"},
		{"bounded", Grouping{Start: re(`^B`), Condition: re(`^E`), Mode: "halt_with", MaxLines: 2}, "B,x,y,E", "Bx|y!|E!|"},
		{"pieces", Grouping{Partial: partial, MaxLines: 9}, "1Pa,1Pb,1Fc,1Fd", "1Pa1Pb1Fc|1Fd!|"},
		{"pieces of two streams", Grouping{Partial: partial, MaxLines: 9}, "1Pa,2Fx,1Fb", "1Pa|2Fx!|1Fb!|"},
	} {
		if got := group(&tt.r, strings.Split(tt.lines, ",")...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestEncodings(t *testing.T) {
	const want = "grüße"
	for name, line := range map[string]string{
		"utf-8": want, "UTF-16LE": "g\x00r\x00\xfc\x00\xdf\x00e\x00", "utf-16be": "\x00g\x00r\x00\xfc\x00\xdf\x00e",
		"latin1": "gr\xfc\xdfe", "ISO-8859-1": "gr\xfc\xdfe", "windows-1252": "gr\xfc\xdfe", "ibm437": "gr\x81\xe1e",
	} {
		e, err := FindEncoding(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, valid := e.NewDecoder().Decode([]byte(line)); string(got) != want || !valid {
			t.Errorf("%s: %q, %v", name, got, valid)
		}
		delimiter, err := e.Encode("\n")
		if err != nil || len(delimiter) != e.Unit() {
			t.Errorf("%s: delimiter %q, %v", name, delimiter, err)
		}
	}
	for _, name := range []string{"utf-32", "klingon", "utf-7"} {
		if _, err := FindEncoding(name); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if got, valid := utf8Encoding.NewDecoder().Decode([]byte("a\xffb")); string(got) != "a\uFFFDb" || valid {
		t.Errorf("bad text becomes %q, %v", got, valid)
	}
	// The first line may not be valid where the second is.
	d := utf16le.NewDecoder()
	if got, valid := d.Decode([]byte("a\x00\x00\xd8")); string(got) != "a\uFFFD" || valid {
		t.Errorf("half a surrogate becomes %q, %v", got, valid)
	}
	if got, valid := d.Decode([]byte("b\x00")); string(got) != "b" || !valid {
		t.Errorf("the line behind it becomes %q, %v", got, valid)
	}
	e, err := FindEncoding(UTF16)
	if err != nil {
		t.Fatal(err)
	}
	for head, want := range map[string]string{"\xfe\xff\x00a": "utf-16be 2", "\xff\xfea\x00": "utf-16 2", "a\x00": "utf-16 0"} {
		enc, n := e.ForFile([]byte(head))
		if got := fmt.Sprint(enc.name, " ", n); got != want {
			t.Errorf("a file that begins with %q is %s, want %s", head, got, want)
		}
	}
	if _, n := utf8Encoding.ForFile([]byte("\xef\xbb\xbfa")); n != 3 || !bytes.HasPrefix([]byte("\xef\xbb\xbf"), utf8Encoding.mark) {
		t.Errorf("the mark of UTF-8 has %d bytes", n)
	}
}
