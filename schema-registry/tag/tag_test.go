package tag

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func on(path string, tags ...string) Tagged { return Tagged{Entity{path, Field}, tags} }

func TestEdits(t *testing.T) {
	edits, err := Change{
		Add:    []Tagged{on("R.a", "x", "y"), on("R.b", "z"), on(".R.a", "y", "w")},
		Remove: []Tagged{on("R.a", "y", "old"), {Entity{"R", Record}, []string{"t"}}},
	}.Edits()
	if err != nil || len(edits) != 3 {
		t.Fatalf("%v, %v", edits, err)
	}
	for i, want := range []string{"R.a: [kept x w]", "R.b: [kept old z]", "R: [kept old]"} {
		if got := fmt.Sprintf("%s: %v", edits[i].Path, edits[i].Apply([]string{"kept", "old"})); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if edits[0].Missing() == nil {
		t.Error("a change of what is not there goes unnoticed")
	}
	if err := Keep([]Tagged{on("R.a", "x")})[0].Missing(); err != nil {
		t.Errorf("tags to keep: %v", err)
	}
}

func TestRefusedChanges(t *testing.T) {
	var many []Tagged
	for i := range maxEntities + 1 {
		many = append(many, on(fmt.Sprint("R.", i), "t"))
	}
	for _, tt := range []struct {
		change Change
		want   string
	}{
		{Change{Add: []Tagged{{Tags: []string{"t"}}}}, "needs a schemaEntity"},
		{Change{Add: []Tagged{on(".", "t")}}, "1 to 4096 bytes"},
		{Change{Remove: []Tagged{on(strings.Repeat("n", maxPath+1), "t")}}, "1 to 4096 bytes"},
		{Change{Add: []Tagged{on("R.a", "")}}, "is empty"},
		{Change{Add: many}, "more than 1000"},
	} {
		if _, err := tt.change.Edits(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	if edits, err := (Change{Add: many[:maxEntities]}).Edits(); err != nil || len(edits) != maxEntities {
		t.Errorf("%d edits, %v", len(edits), err)
	}
	if !slices.Equal((Edit{}).Apply([]string{"a", "a"}), []string{"a"}) {
		t.Error("a tag is there twice")
	}
}
