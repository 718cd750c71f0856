package transform

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func FuzzRegex(f *testing.F) {
	for _, s := range []string{`(.*)\.(?<n>\w+)`, `[^\p{Alpha}&&x]`, `\Qa\E`, `\u00e9{1,2}?`, `(?i:a)(?<!b)`, `\0777\cX[\h\]]`, `a{2}+`, `\p{`, `(?-i)`} {
		f.Add(s, "$1-${n}", "a.b")
	}
	f.Fuzz(func(t *testing.T, pattern, to, text string) {
		re, err := compileRegex(pattern)
		if err != nil {
			return
		}
		r, err := compileReplacement(to, re)
		if err != nil {
			return
		}
		if out, matched := r.replaceFirst(re, text); !matched && out != text {
			t.Errorf("%q changed %q to %q without a match", pattern, text, out)
		}
	})
}

func FuzzDateFormat(f *testing.F) {
	f.Add("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-01-02T03:04:05.006Z", int64(1704164645006))
	f.Add("EEE, d MMM yy hh:mm a z Z 'o''clock' D w u G", "Tue, 2 Jan 24 03:04 AM GMT+01:00", int64(-1))
	f.Add("yyyyMMdd", "99999999999", int64(1)<<60)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	full, err := compileDateFormat("yyyy-MM-dd HH:mm:ss.SSS", now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pattern, text string, ms int64) {
		if ms > 0 && ms < 250000000000000 {
			if back, err := full.parse(full.format(ms)); err != nil || back != ms {
				t.Errorf("%d was written as %q and read as %d, %v", ms, full.format(ms), back, err)
			}
		}
		p, err := compileDateFormat(pattern, now)
		if err != nil {
			return
		}
		p.format(ms)
		if _, err := p.parse(text); err == nil {
			_, err = p.parse(text + "!")
			if err != nil && !strings.ContainsAny(pattern, "SyYMLdDHhkKmsuwWFzZXEaG") && pattern != "" {
				t.Errorf("%q reads %q but not with something behind it: %v", pattern, text, err)
			}
		}
	})
}

func FuzzJSONStructs(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[1,2.5],"n":null,"e":[],"o":{"t":"x"}}`, `[[{}],[{"a":true}]]`, `[[],[1]]`, `{"":1}`, `[1e999]`, `{"a":[{"x":1},{"x":"y"}]}`} {
		f.Add(s, true, false)
	}
	f.Fuzz(func(t *testing.T, text string, nulls, empty bool) {
		s, v, err := jsonStructs{nulls, empty}.parse(text)
		if err != nil {
			return
		}
		if _, err := data.NewDatum(s, v); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"a.b", "`a.b`.c", "`a\\`.b`", "`", "a.", "``.``"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseFieldPath(text, "V2")
		if err != nil {
			return
		}
		if len(p) == 0 {
			t.Errorf("%q has no steps", text)
		}
		if !strings.Contains(text, "`") && strings.Join(p, ".") != text {
			t.Errorf("%q became %q", text, p)
		}
	})
}
