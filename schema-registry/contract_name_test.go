package registry

import (
	"strings"
	"testing"
)

func TestRuleNames(t *testing.T) {
	for name, want := range map[string]bool{
		"rule": true, "_": true, "Régle_1-b": true, "a٣": true, "a" + strings.Repeat("b", 255): true, strings.Repeat("é", 256): true,
		"": false, "1a": false, "-a": false, "a b": false, "a.b": false, "a\n": false, "a" + strings.Repeat("b", 256): false, "a\xff": false,
	} {
		if got := isRuleName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
