package harness

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func TestMeasure(t *testing.T) {
	for only, want := range map[string]string{"": "[a a b b]", "b": "[b b]", "b,a": "[a a b b]"} {
		var ran []string
		part := func(name string) Part {
			return Part{name, func(context.Context) error { ran = append(ran, name); return nil }}
		}
		if err := Measure(t.Context(), only, 2, part("a"), part("b")); err != nil || fmt.Sprint(ran) != want {
			t.Errorf("-only %q ran %v, %v, want %s", only, ran, err, want)
		}
	}
	if err := Measure(t.Context(), "sorce", 1, Part{Name: "source"}); err == nil || !strings.Contains(err.Error(), "source") {
		t.Errorf("a part that is not there: %v", err)
	}
}
