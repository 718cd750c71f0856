package catalog

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestVersionsAreOrderedAsMavenDoes(t *testing.T) {
	order := []string{"0.9", "1.0-alpha1", "1.0-alpha-2", "1.0-beta", "1.0-M3", "1.0-rc1", "1.0-rc2", "1.0-SNAPSHOT", "1.0", "1.0-sp", "1.0-dev", "1.0-1", "1.0.1", "1.2", "1.10", "2.0.0", "10"}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := CompareVersions(a, b); got != want {
				t.Errorf("CompareVersions(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"1.0", "1.0-final"}, {"1.0.ga", "1"}, {"1.01", "1.1"}, {"1-rc1", "1.0-RC-1"}} {
		if got := CompareVersions(same[0], same[1]); got != 0 {
			t.Errorf("CompareVersions(%q, %q) = %d, want 0", same[0], same[1], got)
		}
	}
}

func TestRequirements(t *testing.T) {
	for _, tt := range []struct{ text, allowed, refused string }{
		{"", "1 2-rc1", ""},
		{"latest", "1 2", ""},
		{"1.2", "1.2 1.2.0", "1.2.1 1.1"},
		{"[1.2]", "1.2", "1.3"},
		{"[1.0,2.0)", "1.0 1.9 2.0-rc1", "0.9 2.0"},
		{"(,1.5]", "0.1 1.5", "1.6"},
		{"(1.0,)", "1.1 9", "1.0"},
		{"[1.0],[1.2]", "1.0 1.2", "1.1"},
		{"(,1.0), [2.0,)", "0.5 2", "1.0 1.5"},
	} {
		r, err := ParseRequirement(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		for _, v := range strings.Fields(tt.allowed) {
			if !r.Allows(v) {
				t.Errorf("%q does not allow %s", tt.text, v)
			}
		}
		for _, v := range strings.Fields(tt.refused) {
			if r.Allows(v) {
				t.Errorf("%q allows %s", tt.text, v)
			}
		}
	}
	for _, text := range []string{"[1.0", "1.0]", "(1.0)", "[2,1]", "[1,2],", "[1,2][3]", "[]", "1,2", "[1,2,3]"} {
		if _, err := ParseRequirement(text); err == nil {
			t.Errorf("%q is taken as a requirement", text)
		}
	}
}

func TestResolveChoosesTheVersion(t *testing.T) {
	var all []Plugin
	for _, v := range []string{"1.9", "1.10", "2.0-rc1"} {
		p := plugin("ticker", "com.example.TickerSource")
		p.Version = v
		all = append(all, p)
	}
	c := open(t, Config{BuiltIn: all})
	for want, ask := range map[string]string{"2.0-rc1": "", "1.10": "[1.0,2.0-rc1)", "1.9": "1.9"} {
		p, _, err := c.Resolve("TickerSource", map[string]string{VersionKey: ask})
		if err != nil || p.Version != want {
			t.Errorf("version %q is %+v, %v; want %s", ask, p, err, want)
		}
	}
	_, _, err := c.Resolve("com.example.TickerSource", map[string]string{VersionKey: "3"})
	var v *VersionError
	if !errors.As(err, &v) || !slices.Equal(v.Available, []string{"2.0-rc1", "1.10", "1.9"}) || v.Newest.Version != "2.0-rc1" {
		t.Errorf("version 3: %v", err)
	}
	if _, err := Open(t.Context(), Config{BuiltIn: append(all, all[0])}); err == nil || !strings.Contains(err.Error(), "both have version 1.9") {
		t.Errorf("one version twice: %v", err)
	}
}

func FuzzParseRequirement(f *testing.F) {
	f.Add("[1.0,2.0)", "1.5-rc1")
	f.Fuzz(func(t *testing.T, text, version string) {
		if CompareVersions(version, version) != 0 {
			t.Errorf("%q is not equal to itself", version)
		}
		if r, err := ParseRequirement(text); err == nil {
			r.Allows(version)
		}
	})
}
