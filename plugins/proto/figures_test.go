package proto

import (
	"fmt"
	"testing"
)

func TestFigureSet(t *testing.T) {
	var s figureSet
	take := func(name string, gauge bool, v int64) error {
		return s.take(NewFigureList([]Figure{{Name: name, Gauge: gauge, Value: v}}))
	}
	for _, f := range []Figure{{"b", false, 1}, {"a", true, 5}, {"b", false, 2}} {
		if err := take(f.Name, f.Gauge, f.Value); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(s.list()), "[{a true 5} {b false 2}]"; got != want {
		t.Errorf("figures are %s, want %s", got, want)
	}
	if err := take("no name", false, 1); err == nil {
		t.Error("a bad name is taken")
	}
	var err error
	for i := 0; err == nil && i < 2*MaxFigures; i++ {
		err = take(fmt.Sprint("n", i), false, 1)
	}
	if err == nil || len(s.list()) != MaxFigures {
		t.Errorf("%d figures are held: %v", len(s.list()), err)
	}
}
